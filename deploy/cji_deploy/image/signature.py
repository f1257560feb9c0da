"""Detached signatures for `cosign verify-blob --key PUBLIC --signature FILE`: ECDSA P-256, SHA-256, base64 of DER.

The nonce is RFC 6979's, so that the same key and file give the same signature.
"""

import base64
import hashlib
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from cji_core.certs import load_private_key
from cji_core.strict import b64_decode
from cji_deploy.errors import DeploymentError

__all__ = [
    "BUNDLE_KEYS",
    "KeyUnusableError",
    "SignatureError",
    "digest_of",
    "file_digest",
    "sign",
    "sign_bytes",
    "sums",
    "verify",
    "verify_bytes",
]


BUNDLE_KEYS: Final = "bundle-keys.sha256"
"""The file of an image with the digests of the keys whose bundles it takes."""


class SignatureError(DeploymentError, ValueError):
    """The key is of another kind, or the signature is not of this file."""

    code = "signature-invalid"
    remedy = "Sign the image again with the key of its certificate."


class KeyUnusableError(SignatureError):
    """A file is not a key of this kind."""

    code = "signing-key-unusable"
    remedy = "Give the build's cosign.pub: a PEM public key, ECDSA on P-256."


def file_digest(path: Path) -> bytes:
    """SHA-256 of a file of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def sums(folder: Path) -> bytes:
    """Digests of all files below a folder, as sha256sum prints them, in the order of their names."""
    files = sorted(one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file())
    return "".join(f"{file_digest(folder / one).hex()}  {one}\n" for one in files).encode()


def digest_of(data: bytes) -> bytes:
    """SHA-256 of bytes."""
    return hashlib.sha256(data).digest()


def sign(path: Path, key_file: Path) -> str:
    """Base64 of the signature of a file, by an unencrypted PEM private key."""
    return _sign(file_digest(path), key_file)


def sign_bytes(data: bytes, key_file: Path) -> str:
    """The same of bytes."""
    return _sign(digest_of(data), key_file)


def verify(path: Path, signature: str, public_key: bytes) -> None:
    """Raise SignatureError unless the signature is of this file, by this PEM public key."""
    _verify(file_digest(path), signature, public_key, path.name)


def verify_bytes(data: bytes, signature: str, public_key: bytes, *, what: str) -> None:
    """The same of bytes, which an error calls `what`."""
    _verify(digest_of(data), signature, public_key, what)


def _sign(digest: bytes, key_file: Path) -> str:
    key = load_private_key(key_file.read_bytes())
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SignatureError(f"{key_file} has no ECDSA key on P-256")
    algorithm = ec.ECDSA(utils.Prehashed(hashes.SHA256()), deterministic_signing=True)
    return base64.b64encode(key.sign(digest, algorithm)).decode()


def _verify(digest: bytes, signature: str, public_key: bytes, what: str) -> None:
    try:
        key = serialization.load_pem_public_key(public_key)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyUnusableError("the public key is not PEM") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyUnusableError("the public key is not an ECDSA key on P-256")
    try:
        raw = b64_decode(signature.strip())
        key.verify(raw, digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    except (ValueError, InvalidSignature) as error:
        raise SignatureError(f"the signature is not of {what}") from error
