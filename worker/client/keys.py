"""The submitter's keys: P-384 signing key, RSA-3072 recipient key, 32-byte project key, and the worker's pinned key.

Private keys are PKCS#8 PEM files with mode 0600, encrypted if a passphrase is given. Thumbprints are RFC 7638 with
SHA-256, base64url without padding. The repr of a `ProjectKey` never shows its bytes.
"""

import hmac
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from worker.client.errors import SpecError, Unverified
from worker.compute.parameters import PROJECT_NAME
from worker.envelope import PROJECT_KEY_BYTES, wrap_project_key
from worker.jose import RSA_MIN_BITS, b64url, b64url_decode, key_id, parse_rsa


class _ProjectFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    project: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectKey:
    """The key that makes tokens of one project join across jobs. Keep the file: without it later tokens cannot join."""

    project: str
    key: bytes = field(repr=False)

    def wrap(self, pinned: "PinnedKey") -> bytes:
        """The key sealed to the worker's pinned key, bound to the project's name."""
        return wrap_project_key(pinned.public, self.project, self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedKey:
    """The worker's public key (CMK), matched against the thumbprint that the submitter received out of band."""

    kek_id: str
    thumbprint: str
    public: rsa.RSAPublicKey = field(repr=False)

    @classmethod
    def check(cls, kek_id: str, jwk: str, *, expected: str) -> "PinnedKey":
        """The key in this JWK if its thumbprint is `expected`; otherwise Unverified(`kek`)."""
        try:
            public = parse_rsa(jwk)
        except ValueError:
            raise Unverified("kek", "the worker's public key is not a valid RSA key of at least 3072 bits") from None
        found = key_id(public)
        if not hmac.compare_digest(found.encode(), expected.encode()):
            raise Unverified("kek", f"the worker's public key has thumbprint {found}, but the spec pins another")
        return cls(kek_id=kek_id, thumbprint=found, public=public)


def recipient_thumbprints(jwks: Sequence[str]) -> list[str]:
    """Thumbprints of recipients' public JWKs; SpecError if one is not an RSA key of at least 3072 bits."""
    try:
        return [key_id(parse_rsa(jwk)) for jwk in jwks]
    except ValueError:
        raise SpecError(
            "recipients: each must be the public JWK of an RSA key of at least 3072 bits",
            remedy="Make one with `cji key new-recipient`.",
        ) from None


def new_signing_key() -> ec.EllipticCurvePrivateKey:
    """A P-384 key for job headers (ES384)."""
    return ec.generate_private_key(ec.SECP384R1())


def new_recipient_key() -> rsa.RSAPrivateKey:
    """An RSA-3072 key that opens results."""
    return rsa.generate_private_key(public_exponent=65537, key_size=RSA_MIN_BITS)


def new_project_key(project: str) -> ProjectKey:
    """32 fresh random bytes for the project with this name; SpecError if no job may use the name."""
    if PROJECT_NAME.fullmatch(project) is None:
        raise SpecError(
            "this is not a valid project name",
            remedy="Use 1 to 64 characters A-Z a-z 0-9 . _ : / -, starting with a letter or a digit.",
        )
    return ProjectKey(project=project, key=secrets.token_bytes(PROJECT_KEY_BYTES))


def save_private_key(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, path: Path, *, passphrase: bytes | None
) -> None:
    """Write PKCS#8 PEM to a new file with mode 0600; SpecError if the file exists."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    write_private(path, pem)


def load_signing_key(path: Path, *, passphrase: bytes | None = None) -> ec.EllipticCurvePrivateKey:
    """The P-384 private key in a PEM file."""
    key = _load_pem(path, passphrase)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp384r1":
        raise SpecError(f"{path.name} is not a P-384 private key", remedy="Make one with `cji key new-signing`.")
    return key


def load_recipient_key(path: Path, *, passphrase: bytes | None = None) -> rsa.RSAPrivateKey:
    """The RSA private key in a PEM file, of at least 3072 bits."""
    key = _load_pem(path, passphrase)
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < RSA_MIN_BITS:
        raise SpecError(f"{path.name} is not an RSA-3072 private key", remedy="Make one with `cji key new-recipient`.")
    return key


def save_project_key(key: ProjectKey, path: Path) -> None:
    """Write `{"project", "key"}` as JSON to a new file with mode 0600."""
    write_private(path, msgspec.json.encode(_ProjectFile(project=key.project, key=b64url(key.key))) + b"\n")


def load_project_key(path: Path) -> ProjectKey:
    """The project key in a file that `save_project_key` wrote."""
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=_ProjectFile)
        key = b64url_decode(stored.key)
    except (OSError, ValueError):
        raise SpecError(f"{path.name} is not a project key file", remedy="Make one with `cji key project`.") from None
    if len(key) != PROJECT_KEY_BYTES or not stored.project:
        raise SpecError(f"{path.name} does not hold a 32-byte project key", remedy="Make one with `cji key project`.")
    return ProjectKey(project=stored.project, key=key)


def write_private(path: Path, data: bytes) -> None:
    """Write a new file with mode 0600; SpecError if it exists or cannot be created."""
    _write_new(path, data, mode=0o600)


def write_public(path: Path, data: bytes) -> None:
    """Write a new file with mode 0644; SpecError if it exists or cannot be created."""
    _write_new(path, data, mode=0o644)


def _write_new(path: Path, data: bytes, *, mode: int) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
    except FileExistsError:
        raise SpecError(f"{path} exists", remedy="Choose another file name; keys are never overwritten.") from None
    except OSError as error:
        raise SpecError(f"{path} cannot be written ({error.strerror})") from None


def _load_pem(path: Path, passphrase: bytes | None) -> object:
    try:
        return serialization.load_pem_private_key(path.read_bytes(), passphrase)
    except OSError as error:
        raise SpecError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SpecError(f"{path.name} is not a private key in PEM, or its passphrase is wrong or missing") from None
