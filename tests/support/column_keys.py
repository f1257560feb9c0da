"""Statements on column keys for tests, each field of which can be another, and the keys sealed with them."""

import hashlib
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec

from cji_client.signers import KeySigner
from cji_core.format.columns import (
    ColumnEncryption,
    ColumnEncryptionKey,
    ColumnFormat,
    ColumnKeys,
    ColumnKeyStatement,
    ColumnRight,
    SqlType,
    StatedColumn,
    new_statement,
    seal_keys,
)
from cji_core.format.envelope import UnwrappingKey, WrappingKey, signer_thumbprint
from cji_core.format.records import DataClass
from cji_core.jose import SigningKey
from cji_core.suites import Suite
from tests.support.rsa_keys import rsa_key

__all__ = ["CEKS", "COLUMNS", "CREATED", "KEYS", "agency_key", "column", "sealed", "statement", "worker_key"]

CREATED: Final = datetime(2026, 11, 24, 12, tzinfo=UTC)
CEKS: Final = (bytes(range(32)), bytes(range(100, 132)))
KEYS: Final = tuple(
    ColumnEncryptionKey(
        key_path="https://agency.vault.azure.net/keys/always-encrypted/" + "5c" * 16,
        cek_sha384=hashlib.sha384(cek).digest(),
    )
    for cek in CEKS
)


def column(name: str, text: str, **changes: Any) -> StatedColumn:
    """A deterministic column that may be opened, under the first key."""
    values: dict[str, Any] = {
        "data_class": DataClass.BIOGRAPHIC,
        "encryption": ColumnEncryption.DETERMINISTIC,
        "rights": frozenset({ColumnRight.OPEN}),
        "key": 0,
        **changes,
    }
    return StatedColumn(column=name, type=SqlType.parse(text), **values)


COLUMNS: Final = (
    column("DOB", "date", encryption=ColumnEncryption.RANDOMIZED, key=1),
    column("SOC", "char(9) cp1252", rights=frozenset(ColumnRight)),
    column("last", "nvarchar(60)"),
)


_agency_keys: Final = cache(lambda _: ec.generate_private_key(ec.SECP384R1()))


def agency_key(number: int = 0) -> ec.EllipticCurvePrivateKey:
    """The signing key of the agency with this number, the same in a process."""
    return _agency_keys(number)


@cache
def worker_key() -> UnwrappingKey:
    """The worker's key, as the keyholder has it."""
    return UnwrappingKey(rsa_key(bits=3072))


def statement(*, signing_key: SigningKey | None = None, **changes: Any) -> ColumnKeyStatement:
    """A statement of `agency_key()` in classical-1, with these values of `new_statement` instead."""
    suite = changes.get("suite", Suite.CLASSICAL_1)
    values: dict[str, Any] = {
        "format": ColumnFormat.SQL_SERVER,
        "table": "cjis.dbo.Persons",
        "keys": KEYS,
        "columns": COLUMNS,
        "originating_ori": "WI0130000",
        "purpose_codes": ["C"],
        "submitters": [b"s" * 32],
        "signer": signer_thumbprint((signing_key or agency_key()).public_key(), suite),
        "suite": suite,
        "kek_id": "https://v.vault.azure.net/keys/cmk/" + "ab" * 16,
        "created": CREATED,
        "not_after": CREATED + timedelta(days=30),
        **changes,
    }
    return new_statement(**values)


def sealed(
    stated: ColumnKeyStatement | None = None,
    *,
    ceks: tuple[bytes, ...] = CEKS,
    signing_key: SigningKey | None = None,
    wrapping: WrappingKey | None = None,
) -> ColumnKeys:
    """The keys of a statement, sealed for `worker_key()` and signed by `agency_key()`."""
    return seal_keys(
        stated or statement(),
        ceks,
        wrapping=wrapping or worker_key().public_key(),
        signer=KeySigner(signing_key or agency_key()),
    )
