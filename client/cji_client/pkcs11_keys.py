"""Keys in PKCS#11 tokens: smart cards and HSMs, through the library of their maker.

Needs the extra `pkcs11` of cji-client. Source: PKCS #11 Specification 3.1 (OASIS), CKM_ECDSA §6.3.12 and
CKM_RSA_PKCS_OAEP §6.1.8. A token needs OAEP with SHA-256 to open results; SoftHSM 2.6 has SHA-1 only, so it can sign
jobs but open nothing. Neither key makes jobs of the suite hybrid-1.
"""

import hashlib
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cji_client.errors import SpecError
from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.envelope import DEK_BYTES
from cji_core.jose import RSA_MIN_BITS, RecipientKey, VerifyingKey
from cji_core.pkcs11 import TokenKey, token_explained
from cji_core.suites import Suite

_REMEDY: Final = "Compare the library, the labels of token and key, and the PIN."


class TokenSigner(TokenKey):
    """A `Signer` whose P-384 key is in a token."""

    def public_key(self) -> VerifyingKey:
        """As `Signer.public_key`."""
        if not isinstance(self.public, ec.EllipticCurvePublicKey) or self.public.key_size != 384:
            raise SpecError(f"{self.label} is not a P-384 key", remedy=_REMEDY)
        return self.public

    def sign(self, message: bytes, suite: Suite) -> bytes:
        """As `Signer.sign`."""
        import pkcs11  # noqa: PLC0415

        if suite is not Suite.CLASSICAL_1:
            raise SpecError(f"a token cannot sign a {suite} job", remedy="Sign it with a pair of keys in a file.")
        with token_explained(self.label):
            signature: bytes = self.private.sign(hashlib.sha384(message).digest(), mechanism=pkcs11.Mechanism.ECDSA)
        return signature


class TokenDecrypter(TokenKey):
    """A `Decrypter` whose RSA key is in a token."""

    def public_key(self) -> RecipientKey:
        """As `Decrypter.public_key`."""
        if not isinstance(self.public, rsa.RSAPublicKey) or self.public.key_size < RSA_MIN_BITS:
            raise SpecError(f"{self.label} is not an RSA key of at least {RSA_MIN_BITS} bits", remedy=_REMEDY)
        return self.public

    def unwrap(self, wrapped: bytes, header_sha384: bytes) -> bytes:  # noqa: ARG002 - HPKE's, which needs a pair
        """As `Decrypter.unwrap`."""
        import pkcs11  # noqa: PLC0415

        mechanism = pkcs11.Mechanism.RSA_PKCS_OAEP
        parameters = (pkcs11.Mechanism.SHA256, pkcs11.MGF.SHA256, None)
        with token_explained(self.label):
            key: bytes = self.private.decrypt(wrapped, mechanism=mechanism, mechanism_param=parameters)
        if len(key) != DEK_BYTES:
            raise Refusal(Reason.DEK_UNWRAP_FAILED, stage=Stage.ADMIT)
        return key
