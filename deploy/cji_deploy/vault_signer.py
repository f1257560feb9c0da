"""A signer whose key never leaves Key Vault or a Managed HSM: EC-HSM, P-384, operation `sign`.

Runs at the desk of the person who signs, with their own sign-in; no machine of the pool imports it.
"""

import hashlib
import re
from typing import Any, Final

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError
from azure.identity import AzureCliCredential
from azure.keyvault.keys import KeyClient
from azure.keyvault.keys.crypto import CryptographyClient, SignatureAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation.bundle.errors import BundleRefused
from cji_core.azure_client import client_options
from cji_core.https import SYSTEM_ROOTS
from cji_core.jose import SCALAR_BYTES

_KEY_ID: Final = re.compile(r"(https://[a-z0-9][a-z0-9.:-]{0,252})/keys/([0-9A-Za-z-]{1,127})/([0-9a-f]{32})")
_ROLE: Final = (
    "Give yourself the role Key Vault Crypto User on this key, and check that the vault can be reached from here."
)


def own_sign_in() -> TokenCredential:
    """The sign-in of the Azure CLI on this machine."""
    return AzureCliCredential(process_timeout=30)


class VaultSigner:
    """Signs by one version of a key, `https://VAULT.vault.azure.net/keys/NAME/VERSION`."""

    def __init__(self, key_id: str, *, credential: TokenCredential, ca_file: str = SYSTEM_ROOTS) -> None:
        """Reads the public half. Raises BundleRefused."""
        found = _KEY_ID.fullmatch(key_id)
        if found is None:
            raise BundleRefused(
                "The key's id is not https://{vault}/keys/{name}/{version}",
                "Name one version: `az keyvault key show --query key.kid` prints it.",
            )
        try:
            with KeyClient(found[1], credential, **client_options(ca_file)) as client:
                key = client.get_key(found[2], found[3])
        except AzureError as error:
            raise BundleRefused("The vault did not return the key", _ROLE, status=4) from error
        self._key, self._credential, self._key_id, self._ca_file = _public(key.key), credential, key_id, ca_file

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """As in `cji_attestation.bundle.signatures.Signer`."""
        return self._key

    def es384(self, message: bytes) -> bytes:
        """As in `cji_attestation.bundle.signatures.Signer`. Raises BundleRefused."""
        try:
            with CryptographyClient(self._key_id, self._credential, **client_options(self._ca_file)) as client:
                done = client.sign(SignatureAlgorithm.es384, hashlib.sha384(message).digest())
        except AzureError as error:
            raise BundleRefused("The vault did not sign", _ROLE, status=4) from error
        return bytes(done.signature)


def _public(key: Any) -> ec.EllipticCurvePublicKey:
    x, y = (int.from_bytes(bytes(value or b""), "big") for value in (key.x, key.y))
    try:
        if key.crv != "P-384" or max(x, y).bit_length() > 8 * SCALAR_BYTES:
            raise ValueError
        return ec.EllipticCurvePublicNumbers(x, y, ec.SECP384R1()).public_key()
    except ValueError as error:
        remedy = "Make one: `az keyvault key create --kty EC-HSM --curve P-384 --ops sign verify`."
        raise BundleRefused("The key is not an EC key of P-384", remedy) from error
