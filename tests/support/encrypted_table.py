"""A table with encrypted columns and its keys, sealed for a worker, in a folder: the start of a job on it."""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cji_client.prepared import Prepared, Records, prepare
from cji_client.seal import SealedJob
from cji_client.spec import InputSpec, JobSpec
from cji_core.format.columns import ColumnEncryption, ColumnKeys, ColumnRight
from cji_core.format.envelope import WrappingKey, signer_thumbprint
from cji_core.format.keys import PinnedKey
from cji_core.jose import SigningKey, key_id, public_jwk
from cji_core.operations.link import Link
from cji_core.strict import b64url
from cji_core.suites import Suite
from tests.support.column_keys import CEKS, KEYS, column, sealed, statement
from tests.support.job_specs import KEK_ID
from tests.support.rsa_keys import rsa_key

__all__ = ["COLUMNS", "NOW", "EncryptedTable"]

NOW: Final = datetime.now(UTC).replace(microsecond=0)
COLUMNS: Final = (
    column("SOC", "nvarchar(60)", rights=frozenset({ColumnRight.OPEN})),
    column("last", "nvarchar(60)", rights=frozenset({ColumnRight.OPEN, ColumnRight.SEAL})),
    column(
        "person_token",
        "nvarchar(60)",
        encryption=ColumnEncryption.RANDOMIZED,
        rights=frozenset({ColumnRight.SEAL}),
    ),
)


@dataclass(frozen=True, kw_only=True)
class EncryptedTable:
    """A columns.toml with its keys in a folder, and who may use them."""

    folder: Path
    signing: SigningKey

    def statement(self, *, cek: bytes = CEKS[0], wrapping: WrappingKey | None = None, **changes: Any) -> ColumnKeys:
        """The keys, of which there is one, with these values of a statement instead."""
        values: dict[str, Any] = {
            "submitters": [signer_thumbprint(self.signing.public_key(), Suite.CLASSICAL_1)],
            "kek_id": KEK_ID,
            "originating_ori": "CA0190000",
            "keys": (replace(KEYS[0], cek_sha384=hashlib.sha384(cek).digest()),),
            "columns": COLUMNS,
            "created": NOW - timedelta(days=1),
            "not_after": NOW + timedelta(days=30),
            **changes,
        }
        return sealed(statement(**values), ceks=(cek,), wrapping=wrapping)

    def write(self, keys: ColumnKeys, **members: str) -> None:
        own = {
            "statement": b64url(keys.statement.data),
            "wrapped_key": b64url(keys.wrapped_key),
            "sealed_keys": b64url(keys.sealed_keys),
            "signature": b64url(keys.signature),
        }
        (self.folder / "persons.keys.json").write_text(json.dumps({**own, **members}))

    @property
    def columns(self) -> Path:
        return self.folder / "columns.toml"

    def spec(self, **changes: Any) -> JobSpec:
        values: dict[str, Any] = {
            "audience": "pool",
            "originating_ori": "CA0190000",
            "requesting_ori": "CA0190000",
            "operator_id": "op",
            "requestor": "r",
            "reason": "r",
            "purpose_code": "C",
            "kek_id": KEK_ID,
            "kek_thumbprint": key_id(rsa_key(bits=3072).public_key()),
            "recipients": (public_jwk(rsa_key(bits=3072).public_key()),),
            "input": InputSpec(schema="person/1", columns=self.columns, rename={"id": "record_id"}),
            "operations": (Link(),),
            "valid_hours": 2,
            **changes,
        }
        return JobSpec(**values)

    def seal(self, prepared: Prepared) -> SealedJob:
        jwk = public_jwk(rsa_key(bits=3072).public_key())
        kek = PinnedKey.check(KEK_ID, jwk, expected=prepared.spec.kek_thumbprint)
        return prepared.seal(kek, self.signing)

    def sealed(self, records: Records, **changes: Any) -> SealedJob:
        return self.seal(prepare(records, self.spec(**changes)))
