"""Keys in PKCS#11 tokens: smart cards and HSMs, through the library of their maker.

Needs the extra `pkcs11` of cji-client. Source: PKCS #11 Specification 3.1 (OASIS), CKM_ECDSA §6.3.12 and
CKM_RSA_PKCS_OAEP §6.1.8. A token needs OAEP with SHA-256 to open results; SoftHSM 2.6 has SHA-1 only, so it can sign
jobs but open nothing. Neither key makes jobs of the suite hybrid-1.
"""

from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa

from cji_client.errors import SpecError
from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.envelope import DEK_BYTES
from cji_core.jose import RSA_MIN_BITS, RecipientKey
from cji_core.pkcs11 import TokenKey, TokenP384, token_explained
from cji_core.suites import Suite

_REMEDY: Final = "Compare the library, the labels of token and key, and the PIN."


class TokenSigner(TokenP384):
    """A `Signer` whose P-384 key is in a token."""

    def sign(self, message: bytes, suite: Suite) -> bytes:
        """As `Signer.sign`."""
        if suite is not Suite.CLASSICAL_1:
            raise SpecError(f"a token cannot sign a {suite} job", remedy="Sign it with a pair of keys in a file.")
        return self.es384(message)


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
