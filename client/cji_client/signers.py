"""Keys that need not be files: what seals a job and what opens a result use them through two protocols.

`KeySigner` and `KeyDecrypter` hold a private key in memory, `vault_keys` and `pkcs11_keys` have keys that stay where
they are. Whatever a device returns is checked before it is used: a signature with the public key, the key of a result
by what it opens.
"""

from dataclasses import dataclass, field
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec, mldsa, rsa

from cji_client.errors import SpecError
from cji_core.errors import Refusal
from cji_core.format.envelope import to_be_signed, unwrap_result_key, verify_header
from cji_core.format.keys import RecipientPrivateKey
from cji_core.jose import RecipientKey, SigningKey, VerifyingKey, composite, ecdsa_der, sign
from cji_core.pairs import DecryptionPair, SigningPair, VerifyingPair
from cji_core.suites import Suite


class Signer(Protocol):
    """Signs the headers of jobs."""

    def public_key(self) -> VerifyingKey:
        """The key that the worker's policy lists: P-384, or a pair for jobs of the suite hybrid-1."""

    def sign(self, message: bytes, suite: Suite) -> bytes:
        """The signature of this suite: in classical-1 ES384, raw r ‖ s of 96 bytes. SpecError if it cannot be made."""


class Decrypter(Protocol):
    """Opens results."""

    def public_key(self) -> RecipientKey:
        """The key that the job names as a recipient: RSA, or a pair in jobs of the suite hybrid-1."""

    def unwrap(self, wrapped: bytes, header_sha384: bytes) -> bytes:
        """The 32-byte key of a result, which RSA-OAEP-SHA-256 or, for a pair, HPKE wrapped.

        Raises Refusal(DEK_UNWRAP_FAILED), or SpecError if the key cannot be reached.
        """


@dataclass(frozen=True, slots=True)
class KeySigner:
    """A signing key in memory."""

    key: SigningKey = field(repr=False)

    def public_key(self) -> VerifyingKey:
        """As `Signer.public_key`."""
        return self.key.public_key()

    def sign(self, message: bytes, suite: Suite) -> bytes:
        """As `Signer.sign`."""
        return sign(self.key, message, suite)


@dataclass(frozen=True, slots=True)
class KeyDecrypter:
    """A recipient's key in memory."""

    key: RecipientPrivateKey = field(repr=False)

    def public_key(self) -> RecipientKey:
        """As `Decrypter.public_key`."""
        return self.key.public_key()

    def unwrap(self, wrapped: bytes, header_sha384: bytes) -> bytes:
        """As `Decrypter.unwrap`."""
        return unwrap_result_key(self.key, wrapped, header_sha384)


@dataclass(frozen=True, slots=True)
class PairedSigner:
    """A pair whose P-384 half stays in a device, and whose ML-DSA-87 half is in memory. Signs in hybrid-1 alone."""

    ml_dsa: mldsa.MLDSA87PrivateKey = field(repr=False)
    device: Signer

    def public_key(self) -> VerifyingKey:
        """As `Signer.public_key`."""
        p384 = self.device.public_key()
        if not isinstance(p384, ec.EllipticCurvePublicKey):
            raise SpecError("the device has no P-384 key")
        return VerifyingPair(self.ml_dsa.public_key(), p384)

    def sign(self, message: bytes, suite: Suite) -> bytes:
        """As `Signer.sign`."""
        if suite is not Suite.HYBRID_1:
            raise SpecError("a pair signs in the suite hybrid-1")
        try:
            return composite(
                self.ml_dsa, message, lambda prepared: ecdsa_der(self.device.sign(prepared, Suite.CLASSICAL_1))
            )
        except ValueError:
            raise SpecError("the device returned no ES384 signature") from None


def signer_of(key: SigningKey | Signer) -> Signer:
    """The signer of a key, or the signer itself."""
    return KeySigner(key) if isinstance(key, ec.EllipticCurvePrivateKey | SigningPair) else key


def decrypter_of(key: RecipientPrivateKey | Decrypter) -> Decrypter:
    """The decrypter of a key, or the decrypter itself."""
    return KeyDecrypter(key) if isinstance(key, rsa.RSAPrivateKey | DecryptionPair) else key


def header_signature(signer: Signer, header: bytes, suite: Suite) -> bytes:
    """The signature over these header bytes; SpecError if it is not one of the signer's own public key."""
    signature = signer.sign(to_be_signed(header), suite)
    try:
        verify_header(signer.public_key(), header, signature, suite)
    except Refusal:
        raise SpecError("the signature does not verify with the signer's public key") from None
    return signature
