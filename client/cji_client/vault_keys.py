"""Keys in Azure Key Vault or a Managed HSM: the private key stays there, `CryptographyClient` uses it over HTTPS.

Needs the extra `vault` of cji-client. The identity needs `keys/get` and `keys/sign` or `keys/decrypt`, and no other
right. A signing key is EC P-384, a recipient's RSA of at least 3072 bits; neither makes jobs of the suite hybrid-1.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cji_client.errors import SpecError, Unreachable
from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.envelope import DEK_BYTES
from cji_core.jose import RSA_EXPONENT, RSA_MIN_BITS, RecipientKey, VerifyingKey
from cji_core.suites import Suite

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

_SERVER_ERROR: Final = 500
_REMEDY: Final = "Compare the key's id, its type and the identity's rights."


class VaultKey:
    """One version of a key. `ca_file` is a PEM file of the authorities of the vault's certificate, if not the system's.

    Exchanges are bounded, and not repeated.
    """

    def __init__(self, key_id: str, *, credential: "TokenCredential | None" = None, ca_file: str | None = None) -> None:
        from azure.keyvault.keys import KeyClient, KeyVaultKeyIdentifier  # noqa: PLC0415 - an extra
        from azure.keyvault.keys.crypto import CryptographyClient  # noqa: PLC0415

        from cji_client.storage_identity import default_credential  # noqa: PLC0415
        from cji_core.azure_client import client_options  # noqa: PLC0415

        try:
            identifier = KeyVaultKeyIdentifier(key_id)
        except ValueError:
            raise SpecError(f"{key_id} is not the id of a key", remedy=_REMEDY) from None
        if not key_id.startswith("https://") or not identifier.version:
            raise SpecError(f"{key_id} is not the id of one version of a key, with https", remedy=_REMEDY)
        identity = credential or default_credential()
        try:
            with (
                vault_explained(key_id),
                KeyClient(identifier.vault_url, identity, **client_options(ca_file)) as client,
            ):
                found = client.get_key(identifier.name, identifier.version)
            options = client_options(ca_file)
        except OSError:
            raise SpecError(
                "the file of authorities cannot be read", remedy="Name a readable one as ca_file."
            ) from None
        self.key_id = key_id
        self.jwk: Any = found.key  # its members have no types
        # by id, not by key: with the public key the client would do some operations itself
        self.client = CryptographyClient(key_id, identity, **options)

    def close(self) -> None:
        """Close the connection."""
        self.client.close()


class VaultSigner(VaultKey):
    """A `Signer` whose P-384 key is in a vault. SpecError if it is another key, Unreachable without an answer."""

    def public_key(self) -> VerifyingKey:
        """As `Signer.public_key`."""
        jwk = self.jwk
        if jwk.crv != "P-384" or jwk.x is None or jwk.y is None:
            raise SpecError(f"{self.key_id} is not a P-384 key", remedy=_REMEDY)
        x, y = (int.from_bytes(value, "big") for value in (jwk.x, jwk.y))
        return ec.EllipticCurvePublicNumbers(x, y, ec.SECP384R1()).public_key()

    def sign(self, message: bytes, suite: Suite) -> bytes:
        """As `Signer.sign`."""
        from azure.keyvault.keys.crypto import SignatureAlgorithm  # noqa: PLC0415

        _require_classical(suite)
        with vault_explained(self.key_id):
            return self.client.sign(SignatureAlgorithm.es384, hashlib.sha384(message).digest()).signature


class VaultDecrypter(VaultKey):
    """A `Decrypter` whose RSA key is in a vault. SpecError if it is another key, Unreachable without an answer."""

    def public_key(self) -> RecipientKey:
        """As `Decrypter.public_key`."""
        jwk = self.jwk
        n, e = (int.from_bytes(value or b"", "big") for value in (jwk.n, jwk.e))
        if n.bit_length() < RSA_MIN_BITS or e != RSA_EXPONENT:
            raise SpecError(f"{self.key_id} is not an RSA key of at least {RSA_MIN_BITS} bits", remedy=_REMEDY)
        return rsa.RSAPublicNumbers(e, n).public_key()

    def unwrap(self, wrapped: bytes, header_sha384: bytes) -> bytes:  # noqa: ARG002 - HPKE's, which needs a pair
        """As `Decrypter.unwrap`."""
        from azure.keyvault.keys.crypto import EncryptionAlgorithm  # noqa: PLC0415

        with vault_explained(self.key_id, bad_request=Refusal(Reason.DEK_UNWRAP_FAILED, stage=Stage.ADMIT)):
            key = self.client.decrypt(EncryptionAlgorithm.rsa_oaep_256, wrapped).plaintext
        if len(key) != DEK_BYTES:
            raise Refusal(Reason.DEK_UNWRAP_FAILED, stage=Stage.ADMIT)
        return key


def _require_classical(suite: Suite) -> None:
    if suite is not Suite.CLASSICAL_1:
        raise SpecError(f"a key in a vault cannot sign a {suite} job", remedy="Sign it with a pair of keys in a file.")


@contextmanager
def vault_explained(key_id: str, *, bad_request: Exception | None = None) -> Iterator[None]:
    """The SDK's errors for those of the vault's client; their texts are not repeated."""
    from azure.core.exceptions import AzureError, HttpResponseError  # noqa: PLC0415

    try:
        yield
    except HttpResponseError as error:
        if bad_request is not None and error.status_code == HTTPStatus.BAD_REQUEST:
            raise bad_request from error
        if error.status_code == HTTPStatus.TOO_MANY_REQUESTS or (error.status_code or 0) >= _SERVER_ERROR:
            raise Unreachable(f"{key_id}: the vault asks to wait (HTTP {error.status_code})") from error
        raise SpecError(f"{key_id}: the vault refuses (HTTP {error.status_code})", remedy=_REMEDY) from error
    except AzureError as error:
        raise Unreachable(f"{key_id}: the vault does not answer ({type(error).__name__})") from error
