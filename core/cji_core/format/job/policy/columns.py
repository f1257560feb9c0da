"""The decision on sealed columns: which statements on column keys a job may use, and for what, before a key is opened.

    1 the policy lists the statement's digest for the originating agency under this submitter
    2 the agency's pinned key signed it, and what is sealed with it
    3 it names the originating agency, the purpose, and the key that signed the header
    4 it is for the job's key and suite, is not of the future, and lasts as long as the job
    5 sealed columns of inputs: stated with the right OPEN and with the class of the schema's column
    6 sealed outputs: sealed as a column that is stated with the right SEAL; a deterministic one is looked up among
      opened values, so each deterministic column that is opened under its key is stated with the right COMPARE
    7 an opened column meets values of its class that came unsealed only where it is stated with the right COMPARE
    8 no opened column outlives its job: none is in a reference that stays resident

Any of them denies the job as COLUMN_KEYS. `__cause__` names the broken one for an operator who has the header. Rules 3
to 8 need no policy: a client applies them to its own header before it sends anything.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography.exceptions import InvalidSignature

from cji_core.data_classes import DataClass
from cji_core.errors import CoreError, Denied, DeniedBy
from cji_core.format.columns.sealing import verify_statement
from cji_core.format.columns.statement import (
    ColumnEncryption,
    ColumnKeys,
    ColumnKeyStatement,
    ColumnRight,
    StatedColumn,
)
from cji_core.format.job.header import Header, InputPart
from cji_core.format.job.limits import LIMITS
from cji_core.format.records import SCHEMAS
from cji_core.jose import VerifyingKey


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedColumns:
    """The statements on column keys that a policy grants of an agency, by SHA-384, and the key that signs them all."""

    signing_key: VerifyingKey
    statements: frozenset[bytes]


class ReferenceUse(Protocol):
    """The resident reference of a job, as its plan has it."""

    @property
    def side(self) -> str:
        """Name of its side table, which the job brings or not."""

    @property
    def schema(self) -> str:
        """Schema of its records."""

    @property
    def seconds(self) -> int:
        """How long it stays after the job; 0 if the job only uses it."""


class ColumnKeysError(CoreError):
    """The broken rule on column keys, in fixed words, and the column's name. A worker has it in `__cause__` only."""

    code = "column-keys"
    remedy = "Compare the statement (`cji columns check`) with header and policy."


def authorise_columns(
    header: Header, granted: SealedColumns | None, *, reference: ReferenceUse | None, now: datetime
) -> None:
    """Return if the job may use the keys that it carries. Raises Denied.

    `granted` is that of the header's originating agency under its submitter, `now` is aware.
    """
    try:
        for keys in header.column_keys:
            _check_grant(keys, granted)
        require_column_use(header, reference=reference, now=now)
    except ColumnKeysError as error:
        raise Denied(DeniedBy.COLUMN_KEYS) from error


def require_column_use(header: Header, *, reference: ReferenceUse | None, now: datetime) -> None:
    """Return if a header keeps to the statements in it: rules 3 to 8. Raises ColumnKeysError. `now` is aware."""
    for keys in header.column_keys:
        _check_statement(keys.statement, header, now)
    for part in header.inputs:
        _check_input(part, header, reference)
    looked_up = set[bytes]()
    for output in header.sealed_outputs:
        statement = header.column_keys[output.column_keys].statement
        stated = statement.column(output.as_column)
        if stated is None or ColumnRight.SEAL not in stated.rights:
            raise ColumnKeysError(f"a result may not be sealed so: {output.as_column}")
        looked_up |= _deterministic_key(stated, statement)
    for part in header.inputs:
        _check_look_ups(part, header, looked_up)


def _check_grant(keys: ColumnKeys, granted: SealedColumns | None) -> None:
    """Rules 1 and 2; nothing is verified for a statement that is not granted."""
    if granted is None or keys.statement.sha384 not in granted.statements:
        raise ColumnKeysError("the policy does not list the statement")
    try:
        verify_statement(keys, granted.signing_key)
    except InvalidSignature:
        raise ColumnKeysError("the policy's signing_key did not sign the statement") from None


def _check_statement(statement: ColumnKeyStatement, header: Header, now: datetime) -> None:
    """Rules 3 and 4."""
    _require(statement.originating_ori == header.originating_ori, "the statement is of another agency")
    _require(header.purpose_code in statement.purpose_codes, "the statement is for other purposes")
    _require(header.submitter in statement.submitters, "the statement is for other submitters")
    _require(statement.kek_id == header.kek_id, "the statement is for another key of a worker")
    _require(statement.suite is header.suite, "the statement is of another suite")
    _require(statement.created <= now + LIMITS.skew, "the statement is of the future")
    _require(header.not_after <= statement.not_after, "the statement ends before the job may")


def _check_input(part: InputPart, header: Header, reference: ReferenceUse | None) -> None:
    """Rules 5, 7 and 8 for one input."""
    if not part.sealed_columns:
        return
    if reference is not None and reference.seconds and reference.side == part.name:
        raise ColumnKeysError("a reference with sealed columns may not stay resident")
    statement = header.column_keys[part.column_keys].statement
    unsealed = set(_unsealed_elsewhere(part, header, reference))
    for name in part.sealed_columns:
        _check_column(name, part.schema, statement, unsealed)


def _check_column(name: str, schema: str, statement: ColumnKeyStatement, unsealed: set[DataClass]) -> None:
    stated, column = statement.column(name), SCHEMAS[schema].columns.get(name)
    if stated is None or column is None:
        raise ColumnKeysError(f"a sealed column is not stated, or not one of the schema: {name}")
    _require(stated.data_class is column.data_class, f"a column has another class of data: {name}")
    _require(ColumnRight.OPEN in stated.rights, f"a column may not be opened: {name}")
    compared = ColumnRight.COMPARE in stated.rights or stated.data_class not in unsealed
    _require(compared, f"a column without the right compare may not meet unsealed values: {name}")


def _check_look_ups(part: InputPart, header: Header, looked_up: set[bytes]) -> None:
    """Rule 6 for one input: its values under these keys are compared with results, which a submitter may choose."""
    for name in part.sealed_columns:
        statement = header.column_keys[part.column_keys].statement
        stated = statement.column(name)
        if stated is not None and _deterministic_key(stated, statement) & looked_up:
            allowed = ColumnRight.COMPARE in stated.rights
            _require(allowed, f"a result may not be looked up in a column without the right compare: {name}")


def _deterministic_key(stated: StatedColumn, statement: ColumnKeyStatement) -> set[bytes]:
    """The digest of a deterministic column's key; none of another column."""
    if stated.encryption is not ColumnEncryption.DETERMINISTIC:
        return set()
    return {statement.keys[stated.key].cek_sha384}


def _unsealed_elsewhere(part: InputPart, header: Header, reference: ReferenceUse | None) -> Iterator[DataClass]:
    """The classes of columns that other inputs, or a reference that is resident already, may have unsealed."""
    others = [(each.schema, frozenset(each.sealed_columns)) for each in header.inputs if each is not part]
    if reference is not None and reference.side not in header.input_schemas:
        others.append((reference.schema, frozenset()))
    for schema, sealed in others:
        yield from (column.data_class for name, column in SCHEMAS[schema].columns.items() if name not in sealed)


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise ColumnKeysError(rule)
