"""Dask's TLS as the roles require it: version 1.3, certificates on both sides, and the listening side's name."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from distributed.security import Security

from cji_engine.roles import CONNECTS_TO, Role

__all__ = ["Files", "MutualTls"]

_DASK_ROLES: Final = ("client", "scheduler", "worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """PEM files: the engine's authority, and a process's own certificate and key."""

    ca: Path
    certificate: Path
    key: Path


class MutualTls(Security):
    """Dask's settings of TLS for a process of one role: nothing without TLS 1.3 and certificates on both sides."""

    def __init__(self, role: Role, files: Files) -> None:
        pairs = {f"tls_{dask}_cert": str(files.certificate) for dask in _DASK_ROLES}
        pairs |= {f"tls_{dask}_key": str(files.key) for dask in _DASK_ROLES}
        super().__init__(
            require_encryption=True,
            tls_ca_file=str(files.ca),
            tls_min_version=ssl.TLSVersion.TLSv1_3,
            tls_max_version=None,
            tls_ciphers=None,
            **pairs,
        )
        self._role = role

    def get_connection_args(self, role: str) -> dict[str, Any]:
        """Dask's arguments for connecting, with the name that the other side must have."""
        return {**super().get_connection_args(role), "server_hostname": CONNECTS_TO[self._role].host}

    def _get_tls_context(self, tls: dict[str, Any], purpose: ssl.Purpose) -> ssl.SSLContext:
        context: ssl.SSLContext = super()._get_tls_context(tls, purpose)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.check_hostname = purpose is ssl.Purpose.SERVER_AUTH
        return context
