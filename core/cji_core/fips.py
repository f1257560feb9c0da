"""Which cryptographic module this process really uses, and whether it is one that NIST's CMVP has validated.

A flag is not enough: with OPENSSL_CONF alone, cryptography reports FIPS and every operation fails. So the probe does
what a worker does and tries what an approved module refuses, in both users of OpenSSL: cryptography and hashlib. A
provider serves one libcrypto of a process only, so both must use the same one. cryptography's wheel has its own inside:
in force is a module only where cryptography was built against the system's OpenSSL (deploy/fips).

Name and version come from the module itself, the certificate from `CERTIFIED` and from nowhere else. A module that is
not in that table is not validated, whatever it calls itself. `python -m cji_core.fips` prints the finding as JSON.
"""

import _hashlib
import ctypes
import enum
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.exceptions import InternalError, InvalidSignature, InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cji_core.errors import StartupError
from cji_core.libcrypto import describe_providers

NOT_VALIDATED: Final = "none"
"""In place of a certificate's number."""

_FOLDER: Final = "ossl-modules"
_NO_MODULES: Final = frozenset({"base", "default", "legacy"})
"""OpenSSL's own providers, which cryptography loads too; none of them has the property fips=yes."""

_AWS_LC: Final = "AWS-LC FIPS"
_ABC_SHA384: Final = "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"
_REFUSED: Final = (InternalError, UnsupportedAlgorithm, ValueError)


class Certified(NamedTuple):
    """A module with a FIPS 140-3 certificate. `name` and `version` are those that the module reports."""

    name: str
    version: str
    certificate: str
    source: str
    read: date


CERTIFIED: Final = (
    Certified("OpenSSL FIPS Provider", "3.1.2", "4985", "CMVP certificate 4985", date(2026, 11, 26)),
    Certified(_AWS_LC, "2.0.0", "4816", "CMVP certificate 4816, security policy 11.1 (static)", date(2026, 11, 26)),
    Certified(_AWS_LC, "3.1.0", "5314", "CMVP certificate 5314 (static)", date(2026, 11, 26)),
)
"""FIPS 140-3 only: certificates of FIPS 140-2 have been historical since 2026-09-22."""


class Mode(enum.StrEnum):
    """The finding of the probe."""

    APPROVED = "approved"
    NOT_APPROVED = "not_approved"
    BROKEN = "broken"  # a module is configured, and operations fail


@dataclass(frozen=True, slots=True, kw_only=True)
class CryptoModule:
    """The module that a process uses. `file` is its shared object, if it is one."""

    name: str
    version: str
    certificate: str
    mode: Mode
    file: str = ""

    def __str__(self) -> str:
        validated = "not validated" if self.certificate == NOT_VALIDATED else f"certificate {self.certificate}"
        return f"{self.name} {self.version}, {validated}"


def module_in_force() -> CryptoModule:
    """The module of this process, probed now; takes up to two seconds if one is configured."""
    name, version, file = _identity()
    return CryptoModule(name=name, version=version, certificate=certificate(name, version), mode=_probe(), file=file)


def certificate(name: str, version: str) -> str:
    """The number of the certificate of exactly this module, or NOT_VALIDATED."""
    return next((each.certificate for each in CERTIFIED if (each.name, each.version) == (name, version)), NOT_VALIDATED)


def require_usable(module: CryptoModule, *, require_fips: bool) -> None:
    """Raise StartupError if a configured module does not work; with `require_fips`, unless a validated one does."""
    if module.mode is Mode.BROKEN:
        raise StartupError(
            f"OPENSSL_CONF selects a FIPS module, but not all operations run in it ({module})",
            "Set OPENSSL_MODULES too, and build cryptography against the system's OpenSSL; see deploy/fips.",
        )
    if require_fips and module.mode is not Mode.APPROVED:
        raise StartupError(
            f"require_fips is set, but no FIPS module is in force ({module})",
            "Set OPENSSL_CONF and OPENSSL_MODULES, both of them, for a validated module; see deploy/fips.",
        )
    if require_fips and module.certificate == NOT_VALIDATED:
        raise StartupError(
            f"require_fips is set, but the module is not one of the certified ones ({module})",
            "Build the validated module with deploy/fips, or remove require_fips.",
        )


def mapped_modules(pid: str = "self") -> frozenset[str]:
    """The shared objects of OpenSSL's providers that a process maps. Raises OSError where it may not be read."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    paths = {Path(line.split(maxsplit=5)[5]) for line in lines if len(line.split(maxsplit=5)) == 6}
    return frozenset(str(path) for path in paths if path.parent.name == _FOLDER and path.stem not in _NO_MODULES)


def _identity() -> tuple[str, str, str]:
    """(name, version, file) of the module that runs in this process; without one, of the library itself."""
    text = backend.openssl_version_text()
    if text.startswith(f"{_AWS_LC} "):
        return _AWS_LC, text.removeprefix(f"{_AWS_LC} "), ""
    try:
        providers = describe_providers(ctypes.CDLL("libcrypto.so.3", mode=os.RTLD_NOW | os.RTLD_NOLOAD))
    except OSError:  # hashlib has an OpenSSL inside, which gives no account of itself
        providers = []
    running = [each for each in providers if each.running and each.id not in _NO_MODULES]
    files = sorted(mapped_modules())
    if len(running) == len(files) == 1:
        return running[0].name, running[0].version, files[0]
    name, _, version = text.partition(" ")
    return name, version.split(" ")[0] or "unknown", ""


def _probe() -> Mode:
    flags = {bool(backend._fips_enabled), bool(_hashlib.get_fips_mode())}
    if flags == {False}:
        return Mode.NOT_APPROVED
    return Mode.APPROVED if flags == {True} and _operations_work() and _forbidden_are_refused() else Mode.BROKEN


def _operations_work() -> bool:
    """Whether every kind of operation that a worker uses works: AES-GCM, SHA-2, HKDF, RSA-OAEP, ECDSA."""
    sha384 = hashes.SHA384()
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    try:
        digest = hashes.Hash(sha384)
        digest.update(b"abc")
        # hashlib.sha384 would fall back to code of its own
        if not digest.finalize().hex() == _hashlib.new("sha384", b"abc").hexdigest() == _ABC_SHA384:
            return False
        key, iv = HKDF(sha384, 32, salt=None, info=b"probe").derive(os.urandom(32)), os.urandom(12)
        private = rsa.generate_private_key(65537, 3072)
        if private.decrypt(private.public_key().encrypt(key, oaep), oaep) != key:
            return False
        signer = ec.generate_private_key(ec.SECP384R1())
        signer.public_key().verify(signer.sign(iv, ec.ECDSA(sha384)), iv, ec.ECDSA(sha384))
        return AESGCM(key).decrypt(iv, AESGCM(key).encrypt(iv, b"probe", b"data"), b"data") == b"probe"
    except (*_REFUSED, InvalidSignature, InvalidTag):
        return False


def _forbidden_are_refused() -> bool:
    """Whether both OpenSSLs refuse MD5, and cryptography ChaCha20."""
    attempts: tuple[Callable[[], object], ...] = (
        lambda: hashes.Hash(hashes.MD5()),  # noqa: S303 - must be refused
        lambda: _hashlib.new("md5"),
        lambda: ChaCha20Poly1305(bytes(32)),
    )
    return all(map(_is_refused, attempts))


def _is_refused(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except _REFUSED:
        return True
    return False


if __name__ == "__main__":
    sys.stdout.write(f"{json.dumps(asdict(module_in_force()))}\n")
