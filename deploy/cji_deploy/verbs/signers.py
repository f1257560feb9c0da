"""The P-384 key of somebody who signs at a desk: in a file, in Key Vault, or in a PKCS#11 token."""

from pathlib import Path
from typing import Final

import click

from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.signatures import FileSigner, Signer
from cji_core.command.common import FILE, signing_key

VAULT: Final = click.option(
    "--vault-key",
    metavar="ID",
    help="https://VAULT.vault.azure.net/keys/NAME/VERSION, EC-HSM P-384; with your own sign-in.",
)
TOKEN: Final = click.option("--pkcs11", "pkcs11_file", type=FILE, help="TOML file that names your key in a token.")


def signer(key_file: Path | None, vault_key: str | None, pkcs11_file: Path | None = None) -> Signer:
    """The one key of those that an option names. Raises BundleRefused or SpecError."""
    if sum(each is not None for each in (key_file, vault_key, pkcs11_file)) != 1:
        raise BundleRefused("One key signs: in a file, or in a vault", "Give either the file of a key or --vault-key.")
    if key_file is not None:
        return FileSigner(signing_key(key_file))
    if pkcs11_file is not None:
        from cji_core.pkcs11 import TokenP384, token_table  # noqa: PLC0415 - an extra

        table = token_table(pkcs11_file)
        return TokenP384(Path(table.pkcs11), token=table.token, label=table.label, pin=table.pin)
    # Microsoft's clients, for those who sign by a vault
    from cji_deploy.vault_signer import VaultSigner, own_sign_in  # noqa: PLC0415

    assert vault_key is not None  # noqa: S101 - one of them is given
    return VaultSigner(vault_key, credential=own_sign_in())
