"""What the door says about a connection, for tests without one."""

from typing import Final
from urllib.parse import quote

from cji_simulator.certificates import Credential, pem
from cji_worker.door.report import CERTIFICATE_HEADER, SOURCE_HEADER, TLS_HEADER
from cji_worker.ipc.messages import Transport

__all__ = ["STRONG", "TRANSPORT", "escaped", "reported"]

TRANSPORT: Final = Transport(protocol="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", bits=256)
STRONG: Final = "TLSv1.3 TLS_AES_256_GCM_SHA384 SUCCESS"


def escaped(pem: bytes) -> str:
    """A certificate in PEM, as the door escapes it."""
    return quote(pem, safe="-._~")


def reported(caller: Credential) -> list[tuple[str, str]]:
    """The metadata with which the door reports this caller."""
    certificate = escaped(pem(caller.certificate))
    return [(CERTIFICATE_HEADER, certificate), (SOURCE_HEADER, "[127.0.0.1]:5000"), (TLS_HEADER, STRONG)]
