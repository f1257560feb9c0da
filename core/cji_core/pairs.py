"""Keys of the suite hybrid-1: a post-quantum key and a P-384 key that are only ever used together.

Each public pair has one encoding, the post-quantum key followed by the uncompressed point, as in
draft-ietf-lamps-pq-composite-sigs and draft-irtf-cfrg-concrete-hybrid-kems. `cji_core.jose` writes it as a JWK.
"""

import functools
from dataclasses import dataclass, field
from typing import ClassVar, Final, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, mlkem
from cryptography.hazmat.primitives.hpke import MLKEM1024P384PrivateKey, MLKEM1024P384PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

POINT_BYTES: Final = 97
ML_DSA_BYTES: Final = 2592
ML_KEM_BYTES: Final = 1568  # of a public key, and of a ciphertext (FIPS 203, table 3)


@dataclass(frozen=True, slots=True)
class VerifyingPair:
    """ML-DSA-87 and P-384 public keys: both must verify."""

    alg: ClassVar[str] = "ML-DSA-87-ES384"
    ml_dsa: mldsa.MLDSA87PublicKey = field(repr=False)
    p384: ec.EllipticCurvePublicKey = field(repr=False)

    @property
    def pub(self) -> bytes:
        """2592 + 97 bytes."""
        return self.ml_dsa.public_bytes_raw() + _point(self.p384)

    @classmethod
    def of(cls, pub: bytes) -> Self:
        """From `pub`; ValueError for any other bytes."""
        _require_length(pub, ML_DSA_BYTES + POINT_BYTES)
        ml_dsa = mldsa.MLDSA87PublicKey.from_public_bytes(pub[:ML_DSA_BYTES])
        return cls(ml_dsa, _on_curve(pub[ML_DSA_BYTES:]))


@dataclass(frozen=True, slots=True)
class SigningPair:
    """ML-DSA-87 and P-384 private keys."""

    ml_dsa: mldsa.MLDSA87PrivateKey = field(repr=False)
    p384: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        """A fresh pair. Raises UnsupportedAlgorithm if the OpenSSL of this process has no ML-DSA."""
        return cls(mldsa.MLDSA87PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1()))

    def public_key(self) -> VerifyingPair:
        """The public halves."""
        return VerifyingPair(self.ml_dsa.public_key(), self.p384.public_key())


@dataclass(frozen=True, slots=True)
class EncryptionPair:
    """ML-KEM-1024 and P-384 public keys of a recipient."""

    alg: ClassVar[str] = "MLKEM1024-P384"
    ml_kem: mlkem.MLKEM1024PublicKey = field(repr=False)
    p384: ec.EllipticCurvePublicKey = field(repr=False)

    @property
    def pub(self) -> bytes:
        """1568 + 97 bytes."""
        return self.ml_kem.public_bytes_raw() + _point(self.p384)

    @property
    def hpke(self) -> MLKEM1024P384PublicKey:
        """The pair as HPKE takes it."""
        return MLKEM1024P384PublicKey(self.ml_kem, self.p384)

    @classmethod
    def of(cls, pub: bytes) -> Self:
        """From `pub`; ValueError for any other bytes."""
        _require_length(pub, ML_KEM_BYTES + POINT_BYTES)
        ml_kem = mlkem.MLKEM1024PublicKey.from_public_bytes(pub[:ML_KEM_BYTES])
        return cls(ml_kem, _on_curve(pub[ML_KEM_BYTES:]))


@dataclass(frozen=True, slots=True)
class DecryptionPair:
    """ML-KEM-1024 and P-384 private keys of a recipient."""

    ml_kem: mlkem.MLKEM1024PrivateKey = field(repr=False)
    p384: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        """A fresh pair. Raises UnsupportedAlgorithm if the OpenSSL of this process has no ML-KEM."""
        return cls(mlkem.MLKEM1024PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1()))

    @property
    def hpke(self) -> MLKEM1024P384PrivateKey:
        """The pair as HPKE takes it."""
        return MLKEM1024P384PrivateKey(self.ml_kem, self.p384)

    def public_key(self) -> EncryptionPair:
        """The public halves."""
        return EncryptionPair(self.ml_kem.public_key(), self.p384.public_key())


@functools.cache
def supported() -> bool:
    """Whether the OpenSSL of this process has ML-KEM-1024 and ML-DSA-87."""
    try:
        SigningPair.generate()
        DecryptionPair.generate()
    except UnsupportedAlgorithm:
        return False
    return True


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    if not isinstance(key.curve, ec.SECP384R1):
        raise ValueError("not a P-384 key")
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _on_curve(point: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), point)


def _require_length(pub: bytes, length: int) -> None:
    if len(pub) != length:
        raise ValueError("length of a key pair")
