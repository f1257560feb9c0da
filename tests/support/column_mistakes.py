"""Mistakes with the keys of encrypted columns: each changes one thing in a `cji columns` command that would succeed."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from cji_client.columns.keys_file import save_keys
from cji_core.format.keys import new_signing_key, save_private_key
from cji_core.jose import key_id, public_jwk
from tests.support import column_keys
from tests.support.encrypted_values import CEK, COLUMNS_TOML, encrypted_value, pem, private_file
from tests.support.rsa_keys import rsa_key

__all__ = ["COLUMN_MISTAKES"]

_MASTER: Final = rsa_key(bits=2048)


def _rewrap(folder: Path, *, value: bytes | None = None, description: str = COLUMNS_TOML) -> list[str]:
    """The command that would succeed, with other things where they are given."""
    made = value or encrypted_value(_MASTER)
    (folder / "columns.toml").write_text(description.replace('"016e00"', f'"{made.hex()}"'))
    (folder / "cek-digests.txt").write_text(f"{hashlib.sha384(CEK).hexdigest()}  # CEK_Identity\n")
    private_file(folder / "cmk.pem", pem(_MASTER))
    save_private_key(new_signing_key(), folder / "columns-signing.key", passphrase=None)
    kek = column_keys.worker_key().public_key().rsa_key
    (folder / "kek.jwk").write_text(public_jwk(kek))
    files = {
        "master-key": "cmk.pem",
        "digests": "cek-digests.txt",
        "kek": "kek.jwk",
        "signing-key": "columns-signing.key",
    }
    options = {
        **{name: f"{folder}/{file}" for name, file in files.items()},
        "kek-id": f"https://kv.vault.azure.net/keys/cji/{'ab' * 16}",
        "thumbprint": key_id(kek),
        "submitter": key_id(new_signing_key().public_key()),
        "ori": "GA0600000",
        "purpose": "C",
        "until": f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}",
    }
    given = [part for name, text in options.items() for part in (f"--{name}", text)]
    return ["columns", "rewrap", f"{folder}/columns.toml", *given]


def _master_key(folder: Path, bits: int) -> list[str]:
    command = _rewrap(folder)
    private_file(folder / "cmk.pem", pem(rsa.generate_private_key(65537, bits)))
    return command


def _changed_value(folder: Path) -> list[str]:
    value = bytearray(encrypted_value(_MASTER))
    value[-1] ^= 1
    return _rewrap(folder, value=bytes(value))


def _check(folder: Path, *, signer: int = 0, created: datetime | None = None) -> list[str]:
    begin = created or datetime.now(UTC).replace(microsecond=0)
    stated = column_keys.statement(created=begin, not_after=begin + timedelta(days=30))
    save_keys(column_keys.sealed(stated), folder / "persons.keys.json")
    public = column_keys.agency_key(signer).public_key()
    form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    (folder / "columns-signing.key.pub").write_bytes(public.public_bytes(*form))
    return ["columns", "check", f"{folder}/persons.keys.json", "--signing-key", f"{folder}/columns-signing.key.pub"]


COLUMN_MISTAKES: Final[dict[str, Callable[[Path], list[str]]]] = {
    "the column master key is another one": lambda at: _master_key(at, 2048),
    "the column master key has another size": lambda at: _master_key(at, 3072),
    "the ENCRYPTED_VALUE of a column key was changed": _changed_value,
    "the ENCRYPTED_VALUE of a column key was cut": lambda at: _rewrap(at, value=encrypted_value(_MASTER)[:-1]),
    "the key path in ENCRYPTED_VALUE is another one": lambda at: _rewrap(
        at, value=encrypted_value(_MASTER, path="https://other.vault.azure.net/keys/CMK/1")
    ),
    "the provider of a column key is another one": lambda at: _rewrap(
        at, description=COLUMNS_TOML.replace('"azure_key_vault"', '"cng"')
    ),
    "a column key is not in the list of digests": lambda at: _rewrap(
        at, value=encrypted_value(_MASTER, cek=bytes(reversed(CEK)))
    ),
    "the type of a column is not supported": lambda at: _rewrap(
        at, description=COLUMNS_TOML.replace("nvarchar(60)", "sql_variant")
    ),
    "a column of the database has none of the records": lambda at: _rewrap(
        at, description=COLUMNS_TOML.replace('record = "last"', 'record = ""')
    ),
    "the statement of column keys has expired": lambda at: _check(at, created=datetime(2026, 1, 1, tzinfo=UTC)),
    "the statement of column keys is signed by another key": lambda at: _check(at, signer=1),
}
"""By name; each would succeed without its one change."""
