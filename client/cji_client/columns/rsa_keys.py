"""The public half of a master key: its size, and the signatures of providers under it."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from cji_client.columns.encrypted_value import RSA_BYTES
from cji_core.errors import SpecError


def rsa_bytes(public: rsa.RSAPublicKey, where: str) -> int:
    """The bytes of its modulus; SpecError for a size that no master key has."""
    size = public.key_size // 8
    if size not in RSA_BYTES:
        raise SpecError(f"{where} has {public.key_size} bits", remedy="A master key has 2048, 3072 or 4096.")
    return size


def rsa_verified(public: rsa.RSAPublicKey, sha256: bytes, signature: bytes) -> bool:
    """Whether the signature, PKCS #1 v1.5 with SHA-256, is of this key over this digest."""
    try:
        public.verify(signature, sha256, padding.PKCS1v15(), Prehashed(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
