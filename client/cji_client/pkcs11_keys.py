"""Keys in PKCS#11 tokens: smart cards and HSMs, through the library of their maker.

Needs the extra `pkcs11` of cji-client. Source: PKCS #11 Specification 3.1 (OASIS), CKM_ECDSA §6.3.12 and
CKM_RSA_PKCS_OAEP §6.1.8. A token needs OAEP with SHA-256 to open results; SoftHSM 2.6 has SHA-1 only, so it can sign
jobs but open nothing. Neither key makes jobs of the suite hybrid-1.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from cji_client.errors import SpecError
from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.envelope import DEK_BYTES
from cji_core.jose import RSA_MIN_BITS, RecipientKey, VerifyingKey
from cji_core.suites import Suite

Pin: TypeAlias = Callable[[], str]
_REMEDY: Final = "Compare the library, the labels of token and key, and the PIN."


class TokenKey:
    """A pair of keys with one label, in a session that `close` ends. `library` is a path; `pin` is called once."""

    def __init__(self, library: Path, *, token: str, label: str, pin: Pin) -> None:
        import pkcs11  # noqa: PLC0415 - an extra

        self.label = label
        with token_explained(label):
            self._session = pkcs11.lib(str(library)).get_token(token_label=token).open(user_pin=pin())
        try:
            with token_explained(label):
                find = self._session.get_key
                self.private: Any = find(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=label)
                public: Any = find(object_class=pkcs11.ObjectClass.PUBLIC_KEY, label=label)
                self.public = load_der_public_key(_encoded(public))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the session."""
        self._session.close()


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


def _encoded(public: Any) -> bytes:
    """A SubjectPublicKeyInfo in DER, of the attributes of a public key."""
    from pkcs11 import KeyType  # noqa: PLC0415
    from pkcs11.util.ec import encode_ec_public_key  # noqa: PLC0415
    from pkcs11.util.rsa import encode_rsa_public_key  # noqa: PLC0415

    if public.key_type is KeyType.EC:
        return bytes(encode_ec_public_key(public))
    return bytes(encode_rsa_public_key(public))  # PKCS #1, which cryptography reads too


@contextmanager
def token_explained(label: str) -> Iterator[None]:
    """The errors of python-pkcs11 as SpecErrors; their texts are not repeated."""
    from pkcs11.exceptions import PKCS11Error  # noqa: PLC0415

    try:
        yield
    except (PKCS11Error, RuntimeError) as error:
        raise SpecError(f"the key {label}: {type(error).__name__}", remedy=_REMEDY) from error
