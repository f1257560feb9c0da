"""A master key that stays in Azure Key Vault or a Managed HSM. Needs the extra `vault` of cji-client."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from cji_client.columns.errors import ColumnKeyRefused
from cji_client.columns.rsa_keys import rsa_bytes
from cji_client.vault_keys import VaultKey, vault_explained
from cji_core.errors import SpecError


class VaultMasterKey(VaultKey):
    """A master key in a vault. The identity needs `keys/get` and `keys/unwrapKey`."""

    def __init__(self, key_id: str, **options: Any) -> None:
        super().__init__(key_id, **options)
        n, e = (int.from_bytes(value or b"", "big") for value in (self.jwk.n, self.jwk.e))
        try:
            public = rsa.RSAPublicNumbers(e, n).public_key()
        except ValueError:
            raise SpecError(f"{key_id} is not an RSA key") from None
        self.where, self.url, self.size = key_id, key_id, rsa_bytes(public, key_id)

    def verify(self, sha256: bytes, signature: bytes) -> bool:
        """As `MasterKey.verify`."""
        from azure.keyvault.keys.crypto import SignatureAlgorithm  # noqa: PLC0415 - an extra

        with vault_explained(self.key_id):
            return bool(self.client.verify(SignatureAlgorithm.rs256, sha256, signature).is_valid)

    def unwrap(self, ciphertext: bytes) -> bytes | None:
        """As `MasterKey.unwrap`."""
        from azure.keyvault.keys.crypto import KeyWrapAlgorithm  # noqa: PLC0415

        refused = ColumnKeyRefused("not under this key", remedy="")
        try:
            with vault_explained(self.key_id, bad_request=refused):
                return self.client.unwrap_key(KeyWrapAlgorithm.rsa_oaep, ciphertext).key
        except ColumnKeyRefused:
            return None
