"""The Secure Boot variables of a machine, and what firmware measures of them into PCR 7.

A folder has `PK.esl`, `KEK.esl`, `db.esl` and `dbx.esl`: EFI signature lists, as efitools and efivarfs have them (of a
file in efivarfs, without its first four bytes); a file that is missing stands for a variable that is not set. Sources:
UEFI 2.10, 32.4.1 "Signature Database"; TCG PC Client Platform Firmware Profile 1.06, 3.3.4.8 and 10.4.3.
"""

import hashlib
import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cji_deploy.errors import DeploymentError

__all__ = ["SecureBoot", "SecureBootError", "signature_list"]

_GLOBAL: Final = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
_DATABASE: Final = uuid.UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
_X509: Final = uuid.UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
_HEAD: Final = struct.Struct("<16sIII")
_VENDORS: Final = {"SecureBoot": _GLOBAL, "PK": _GLOBAL, "KEK": _GLOBAL, "db": _DATABASE, "dbx": _DATABASE}


class SecureBootError(DeploymentError, ValueError):
    """The variables are not what a machine with this key could have."""

    code = "secure-boot-invalid"
    remedy = "Export the variables of the firmware again."


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureBoot:
    """The contents of PK, KEK, db and dbx, and the certificate (DER) that signed the image."""

    variables: dict[str, bytes]
    signer: bytes

    @classmethod
    def read(cls, folder: Path, signer: bytes) -> "SecureBoot":
        """The variables in this folder; raises SecureBootError for one whose db does not have the signer."""
        names = [name for name in _VENDORS if name != "SecureBoot"]
        paths = {name: folder / f"{name}.esl" for name in names}
        found = cls(variables={n: p.read_bytes() if p.is_file() else b"" for n, p in paths.items()}, signer=signer)
        if not found.variables["PK"]:
            raise SecureBootError(f"{paths['PK']} is missing: without a platform key there is no secure boot")
        found._entry()
        return found

    def digests(self) -> Iterator[tuple[str, bytes]]:
        """(name, digest) of each extension of PCR 7, in order."""
        variables = {"SecureBoot": b"\1", **self.variables}
        for name, vendor in _VENDORS.items():
            yield name, _variable(vendor, name, variables[name])
        yield "separator", hashlib.sha256(bytes(4)).digest()
        yield "db entry of the signer", _variable(_DATABASE, "db", self._entry())

    def _entry(self) -> bytes:
        """EFI_SIGNATURE_DATA of the signer's certificate: the owner's GUID, then the certificate."""
        for kind, entry in _entries(self.variables["db"]):
            if kind == _X509 and entry[16:] == self.signer:
                return entry
        raise SecureBootError("db does not have the certificate that signed the image: the machine would not start it")


def signature_list(owner: uuid.UUID, certificate: bytes) -> bytes:
    """An EFI signature list with one X.509 certificate (DER)."""
    size = 16 + len(certificate)
    return _HEAD.pack(_X509.bytes_le, _HEAD.size + size, 0, size) + owner.bytes_le + certificate


def _entries(data: bytes) -> Iterator[tuple[uuid.UUID, bytes]]:
    at = 0
    while at < len(data):
        try:
            kind, whole, header, size = _HEAD.unpack_from(data, at)
        except struct.error as error:
            raise SecureBootError("a signature list that ends within its header") from error
        start, end = at + _HEAD.size + header, at + whole
        if size <= 16 or start > end or end > len(data) or (end - start) % size:
            raise SecureBootError("a signature list whose sizes do not fit")
        yield from ((uuid.UUID(bytes_le=kind), data[one : one + size]) for one in range(start, end, size))
        at = end


def _variable(vendor: uuid.UUID, name: str, value: bytes) -> bytes:
    """SHA-256 of UEFI_VARIABLE_DATA."""
    head = vendor.bytes_le + struct.pack("<QQ", len(name), len(value)) + name.encode("utf-16-le")
    return hashlib.sha256(head + value).digest()
