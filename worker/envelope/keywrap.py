r"""Data keys under the customer's RSA key: RSA-OAEP with SHA-256, MGF1-SHA-256 and no label (RFC 8017 §7.1).

Two kinds of plaintext exist, and neither can be mistaken for the other:

* a data key: 32 random bytes;
* a project key, which lets tokens of one project join: `"cji-project/1\0" ‖ SHA-256(project) ‖ 32 random bytes`.
  The digest ties the wrapped key to the project's name, so it cannot be moved to another project.
"""

import hashlib
import hmac
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from worker.errors import Reason, Refusal, Stage

DEK_BYTES: Final = 32
PROJECT_KEY_BYTES: Final = 32

_OAEP: Final = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)


def wrap_dek(public_key: rsa.RSAPublicKey, dek: bytes) -> bytes:
    """Wrap a 32-byte data key."""
    if len(dek) != DEK_BYTES:
        raise ValueError("a data key has 32 bytes")
    return public_key.encrypt(dek, _OAEP)


def unwrap_dek(private_key: rsa.RSAPrivateKey, wrapped: bytes) -> bytes:
    """The 32-byte data key; every failure is the same DEK_UNWRAP_FAILED."""
    dek = _decrypt(private_key, wrapped)
    if len(dek) != DEK_BYTES:
        raise _failed()
    return dek


def wrap_project_key(public_key: rsa.RSAPublicKey, project: str, key: bytes) -> bytes:
    """Wrap a 32-byte project key for the project with this name."""
    if len(key) != PROJECT_KEY_BYTES:
        raise ValueError("a project key has 32 bytes")
    return public_key.encrypt(_project_prefix(project) + key, _OAEP)


def unwrap_project_key(private_key: rsa.RSAPrivateKey, project: str, wrapped: bytes) -> bytes:
    """The 32-byte key of this project; every failure is the same DEK_UNWRAP_FAILED."""
    prefix = _project_prefix(project)
    plain = _decrypt(private_key, wrapped)
    same = hmac.compare_digest(plain[: len(prefix)], prefix)
    if not same or len(plain) != len(prefix) + PROJECT_KEY_BYTES:
        raise _failed()
    return plain[len(prefix) :]


def _project_prefix(project: str) -> bytes:
    return b"cji-project/1\0" + hashlib.sha256(project.encode()).digest()


def _decrypt(private_key: rsa.RSAPrivateKey, wrapped: bytes) -> bytes:
    """The plaintext, which is empty if it cannot be had; neither kind of plaintext is.

    OpenSSL would refuse a ciphertext of another length, or a number above the modulus, before the private operation,
    and so sooner. In its place it gets the number 1, which decrypts to nothing.
    """
    size = (private_key.key_size + 7) // 8
    modulus = private_key.public_key().public_numbers().n
    usable = len(wrapped) == size and int.from_bytes(wrapped, "big") < modulus
    try:
        return private_key.decrypt(wrapped if usable else (1).to_bytes(size, "big"), _OAEP)
    except ValueError:
        return b""


def _failed() -> Refusal:
    return Refusal(Reason.DEK_UNWRAP_FAILED, stage=Stage.ADMIT)
