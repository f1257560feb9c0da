"""Keys: in files, in a vault (extra `vault`), in a PKCS#11 token (extra `pkcs11`)."""

from typing import TYPE_CHECKING

from cji_core.lazy import lazy

if TYPE_CHECKING:
    from cji_client.pkcs11_keys import TokenDecrypter, TokenSigner
    from cji_client.signers import Decrypter, KeyDecrypter, KeySigner, Signer
    from cji_client.vault_keys import VaultDecrypter, VaultSigner
    from cji_core.format.keys import (
        PinnedKey,
        ProjectKey,
        load_project_key,
        load_recipient_key,
        load_signing_key,
        new_project_key,
        new_recipient_key,
        new_signing_key,
        save_private_key,
        save_project_key,
    )
else:  # a program with keys in files loads nothing for tokens and vaults
    __getattr__ = lazy(__name__)

__all__ = [
    "Decrypter",
    "KeyDecrypter",
    "KeySigner",
    "PinnedKey",
    "ProjectKey",
    "Signer",
    "TokenDecrypter",
    "TokenSigner",
    "VaultDecrypter",
    "VaultSigner",
    "load_project_key",
    "load_recipient_key",
    "load_signing_key",
    "new_project_key",
    "new_recipient_key",
    "new_signing_key",
    "save_private_key",
    "save_project_key",
]
