"""Keys of columns for a worker: opened with the agency's master keys, sealed to the worker's key, signed.

What the statement grants comes from the agency alone: from columns.toml, which it completed, from the options of
`cji columns rewrap`, and from its own list of digests. A database contributes encrypted keys, and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography.exceptions import InvalidSignature

from cji_client.columns.digests import digest_of
from cji_client.columns.errors import ColumnKeyRefused
from cji_client.columns.file import Column, ColumnsFile, Key
from cji_client.columns.master_keys import MasterKey
from cji_client.columns.opening import open_key, require_listed
from cji_client.signers import Signer
from cji_core.errors import Refusal, SpecError
from cji_core.format.columns import (
    ColumnEncryption,
    ColumnEncryptionKey,
    ColumnKeys,
    ColumnKeyStatement,
    ColumnRight,
    StatedColumn,
    new_statement,
    seal_keys,
    verify_statement,
)
from cji_core.format.envelope import signer_thumbprint
from cji_core.format.job.ori import is_ori
from cji_core.format.keys import PinnedKey
from cji_core.jose import VerifyingKey
from cji_core.strict import hex_decode
from cji_core.suites import Suite

_RIGHTS: Final = {"open": ColumnRight.OPEN, "seal": ColumnRight.SEAL, "compare": ColumnRight.COMPARE}
_ENCRYPTIONS: Final = {
    "deterministic": ColumnEncryption.DETERMINISTIC,
    "randomized": ColumnEncryption.RANDOMIZED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """The terms of use: `submitters` are thumbprints of signing keys, `not_after` is in whole seconds."""

    originating_ori: str
    purpose_codes: tuple[str, ...]
    submitters: tuple[bytes, ...]
    not_after: datetime


def rewrap(
    file: ColumnsFile,
    grant: Grant,
    *,
    masters: Sequence[MasterKey],
    digests: frozenset[str],
    kek: PinnedKey,
    signer: Signer,
    now: datetime,
) -> ColumnKeys:
    """The keys of this table, sealed for the worker with `kek` and signed; in hybrid-1 if an ML-KEM half is pinned.

    ColumnKeyRefused for a key that fails a check. Each key is opened, compared with the list, sealed and forgotten.
    """
    suite = Suite.CLASSICAL_1 if kek.ml_kem is None else Suite.HYBRID_1
    used = [key for key in file.keys if any(column.key == key.name for column in file.columns)]
    _check(grant, now)
    ceks = list[bytes]()
    for key in used:
        ceks.append(open_key(file, key, masters))
        require_listed(key, ceks[-1], digests)
    found = [digest_of(cek) for cek in ceks]
    for at, key in enumerate(used):
        if (first := found.index(found[at])) != at:
            remedy = "Give all columns under it one key."
            raise SpecError(f"{key.name} and {used[first].name} are the same key", remedy=remedy)
    statement = _statement(file, grant, used, found, kek_id=kek.kek_id, signer=signer, suite=suite, now=now)
    try:
        return seal_keys(statement, ceks, wrapping=kek.wrapping, signer=signer)
    except InvalidSignature:
        raise SpecError("the signature does not verify with the signer's public key") from None
    except ValueError:
        pair = "a pair, made with `cji key new-signing --hybrid`" if suite is Suite.HYBRID_1 else "a P-384 key"
        raise SpecError(f"the signing key does not sign in {suite}", remedy=f"Use {pair}.") from None


def verify_keys(keys: ColumnKeys, signer: VerifyingKey, *, now: datetime) -> None:
    """Return if this agency's key signed them and they are in force; else ColumnKeyRefused."""
    statement = keys.statement
    try:
        verify_statement(keys, signer)
    except InvalidSignature:
        remedy = "Do not use it. Name the public half of the key that signed it, or make it again."
        raise ColumnKeyRefused("the statement is not signed by this key", remedy=remedy) from None
    if now > statement.not_after:
        expired = f"the statement expired on {statement.not_after:%Y-%m-%d %H:%M:%S} UTC"
        raise ColumnKeyRefused(expired, remedy="Make it again with `cji columns rewrap`, and grant the new digest.")


def _check(grant: Grant, now: datetime) -> None:
    """SpecError for a grant that no statement can hold."""
    if not is_ori(grant.originating_ori):
        raise SpecError(f"{grant.originating_ori} is not an ORI", remedy="Write its nine characters, in capitals.")
    if grant.not_after <= now:
        past = f"--until {grant.not_after:%Y-%m-%d %H:%M:%S} UTC is past"
        raise SpecError(past, remedy="Name a day to come.")


def _statement(
    file: ColumnsFile,
    grant: Grant,
    used: Sequence[Key],
    digests: Sequence[str],
    *,
    kek_id: str,
    signer: Signer,
    suite: Suite,
    now: datetime,
) -> ColumnKeyStatement:
    names = [key.name for key in used]
    try:
        return new_statement(
            format=file.column_format,
            table=file.table,
            keys=[
                ColumnEncryptionKey(key_path=key.master_key, cek_sha384=hex_decode(digest))
                for key, digest in zip(used, digests, strict=True)
            ],
            columns=[_stated(file, column, names.index(column.key)) for column in file.columns],
            originating_ori=grant.originating_ori,
            purpose_codes=set(grant.purpose_codes),
            submitters=set(grant.submitters),
            signer=signer_thumbprint(signer.public_key(), suite),
            suite=suite,
            kek_id=kek_id,
            created=now.astimezone(UTC).replace(microsecond=0),
            not_after=grant.not_after,
        )
    except Refusal as error:
        raise SpecError(f"no statement can be made: {error.__cause__}", remedy="Correct the option.") from error


def _stated(file: ColumnsFile, column: Column, key: int) -> StatedColumn:
    return StatedColumn(
        column=column.record,
        type=column.sql_type,
        data_class=file.data_class(column),
        encryption=_ENCRYPTIONS[column.encryption],
        rights=frozenset(_RIGHTS[right] for right in column.rights),
        key=key,
    )
