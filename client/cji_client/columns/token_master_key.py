"""A master key that stays in a PKCS#11 token. Needs the extra `pkcs11` of cji-client."""

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from cji_client.columns.rsa_keys import rsa_bytes, rsa_verified
from cji_core.errors import SpecError
from cji_core.pkcs11 import TokenKey, token_explained


class TokenMasterKey(TokenKey):
    """A master key in a PKCS#11 token, which must do OAEP with SHA-1; the public half there verifies."""

    def __init__(self, library: Path, **options: Any) -> None:
        super().__init__(library, **options)
        if not isinstance(self.public, rsa.RSAPublicKey):
            self.close()
            raise SpecError(f"{self.label} is not an RSA key")
        self.where, self.url, self.size = self.label, None, rsa_bytes(self.public, self.label)
        self._verifying = self.public

    def verify(self, sha256: bytes, signature: bytes) -> bool:
        """As `MasterKey.verify`."""
        return rsa_verified(self._verifying, sha256, signature)

    def unwrap(self, ciphertext: bytes) -> bytes | None:
        """As `MasterKey.unwrap`."""
        import pkcs11  # noqa: PLC0415 - an extra

        parameters = (pkcs11.Mechanism.SHA_1, pkcs11.MGF.SHA1, None)
        with token_explained(self.label):
            try:
                opened = self.private.decrypt(
                    ciphertext, mechanism=pkcs11.Mechanism.RSA_PKCS_OAEP, mechanism_param=parameters
                )
            except (pkcs11.exceptions.EncryptedDataInvalid, pkcs11.exceptions.EncryptedDataLenRange):
                return None
        return bytes(opened)
