"""The job header: bytes in, a typed and frozen `Header` or a Refusal out.

Contract and invariants
* `Header.data` holds exactly the bytes sent, and `sha384` their digest; the signature and every AAD cover these bytes.
  The header is parsed once. It is encoded again only for comparison: anything but the one canonical encoding (ascending
  fields, shortest varints, no repeated singular field, no default value, no unknown field) is refused.
* Every fault in the bytes themselves is MALFORMED_HEADER without a position: text from a header never reaches an error.
  Invalid times are EXPIRED, another pool is AUDIENCE_MISMATCH.
* A Header is a request, not an authorisation: signature, policy and replay ledger are checked later, elsewhere.
* `kek_id` and every other name in a header is compared, never contacted.

Source of the rules: docs/format.md §1.
"""

import hashlib
import math
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final, NewType, cast

from google.protobuf.descriptor import FieldDescriptor

from cji_core.errors import Reason, Refusal, RetryLater, Stage
from cji_core.format.columns.statement import (
    ColumnEncryptionKey,
    ColumnKeys,
    ColumnKeyStatement,
    read_column_keys,
)
from cji_core.format.job.fields import (
    COLUMN,
    NAME,
    PURPOSE,
    SCHEMA,
    SUITES,
    THUMBPRINT_BYTES,
    MalformedError,
    ascending,
    decode,
    distinct,
    moment,
    require,
    require_kek_id,
    require_printable,
    require_wrapped_key,
)
from cji_core.format.job.limits import LIMITS
from cji_core.format.job.ori import ORI_PREFIXES, is_ori
from cji_core.jose import recipient_key_id
from cji_core.suites import Suite
from cji_core.wire.v1 import worker_pb2

JobId = NewType("JobId", bytes)

VERSION: Final = 1
JOB_ID_BYTES: Final = 16

_BOX_BYTES: Final = 28  # that a box is longer than its plaintext
_MOST_BLOCKS: Final = LIMITS.attribution_max_bytes // LIMITS.attribution_block_bytes


class SizeClass(IntEnum):
    """How the lengths of outputs depend on the data; the numbers are those of the proto."""

    EXACT = 1
    POWER_OF_TWO = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class InputPart:
    """One input table, in `shards` parts; `rows_declared` is of all of them. Only the records may have several.

    `sealed_columns` are those whose values are cells; `column_keys` is the position of their keys in the header's.
    """

    name: str
    schema: str
    rows_declared: int | None = None
    shards: int = 1
    sealed_columns: tuple[str, ...] = ()
    column_keys: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedOutput:
    """A column of an output that is sealed as the column `as_column` of the statement at position `column_keys`."""

    output: str
    column: str
    column_keys: int
    as_column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """A recipient of the results: a public JWK of the job's suite and its RFC 7638 thumbprint."""

    key_id: str
    jwk: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Header:
    """A well-formed job header. It names no person: `sealed_attribution` does, to who has the data key."""

    data: bytes
    sha384: bytes
    job_id: JobId
    audience: str
    originating_ori: str
    requesting_ori: str
    sealed_attribution: bytes
    suite: Suite
    submitter: bytes
    """Thumbprint of the key that signs these bytes."""
    send_key: bytes | None
    """Thumbprint of the key that signs admissions, in place of the submitter's."""
    purpose_code: str
    inputs: tuple[InputPart, ...]
    operations: tuple[worker_pb2.Operation, ...]
    operation_names: tuple[str, ...]
    kek_id: str
    wrapped_dek: bytes
    recipients: tuple[Recipient, ...]
    created: datetime
    not_after: datetime
    size_class: SizeClass
    column_keys: tuple[ColumnKeys, ...] = ()
    sealed_outputs: tuple[SealedOutput, ...] = ()

    @property
    def input_schemas(self) -> dict[str, str]:
        """The schema id of each input by its name, in part order."""
        return {part.name: part.schema for part in self.inputs}

    @property
    def parts(self) -> tuple[InputPart, ...]:
        """The input of each part, by the number of the part: side tables, then the shards of the records."""
        *sides, records = self.inputs
        return (*sides, *(records,) * records.shards)

    @property
    def used_column_keys(self) -> dict[ColumnKeyStatement, tuple[ColumnEncryptionKey, ...]]:
        """The statements of its column keys, each with the keys of the columns that the job opens or seals."""
        named = {number: set[int]() for number in range(len(self.column_keys))}
        columns = [(part.column_keys, name) for part in self.inputs for name in part.sealed_columns]
        columns += [(output.column_keys, output.as_column) for output in self.sealed_outputs]
        for number, name in columns:
            if (stated := self.column_keys[number].statement.column(name)) is not None:
                named[number].add(stated.key)
        statements = [each.statement for each in self.column_keys]
        return {each: tuple(each.keys[key] for key in sorted(named[n])) for n, each in enumerate(statements)}

    def __repr__(self) -> str:
        return f"Header(job_id={self.job_id.hex()})"


def parse(data: bytes, *, ori_prefixes: AbstractSet[str] = ORI_PREFIXES) -> Header:
    """Return the header that `data` (at most 32 KiB) encodes.

    Raises Refusal(MALFORMED_HEADER) for any other bytes; `__cause__` names the rule for developers.
    """
    try:
        return _header(data, decode(worker_pb2.JobHeader, data), ori_prefixes)
    except MalformedError as error:
        raise Refusal(Reason.MALFORMED_HEADER, stage=Stage.OPEN) from error


def check_times(header: Header, now: datetime) -> None:
    """Raise Refusal(EXPIRED) unless created <= now + 60 s, now <= not_after, and both lie within 24 hours.

    A header that will be valid within an hour is NOT_READY, with the time until then: this clock may be slow.

    `now` is aware. The skew applies to `created` only: the submitter chose `not_after` with a margin, and a captured
    header must not outlive it.
    """
    lifetime = header.not_after - header.created
    if not timedelta(0) < lifetime <= LIMITS.lifetime:
        raise Refusal(Reason.EXPIRED, stage=Stage.ADMIT)
    early = header.created - LIMITS.skew - now
    if timedelta(0) < early <= LIMITS.early:
        after_ms = int(early.total_seconds() * 1000) + 1
        raise RetryLater(Reason.NOT_READY, stage=Stage.ADMIT, after_ms=after_ms)
    if early > LIMITS.early or now > header.not_after:
        raise Refusal(Reason.EXPIRED, stage=Stage.ADMIT)


def check_parts(header: Header) -> None:
    """Raise Refusal(LIMIT_EXCEEDED) for a job of more parts than Run takes."""
    if len(header.parts) > LIMITS.parts:
        raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.ADMIT)


def check_audience(header: Header, audience: str) -> None:
    """Raise Refusal(AUDIENCE_MISMATCH) unless the header was made for exactly this worker pool."""
    if header.audience != audience:
        raise Refusal(Reason.AUDIENCE_MISMATCH, stage=Stage.ADMIT)


def _header(data: bytes, message: worker_pb2.JobHeader, prefixes: AbstractSet[str]) -> Header:
    require(message.version == VERSION, "version")
    require(len(message.job_id) == JOB_ID_BYTES and any(message.job_id), "job_id")
    require(is_ori(message.originating_ori, prefixes), "originating_ori")
    require(is_ori(message.requesting_ori, prefixes), "requesting_ori")
    require(PURPOSE.fullmatch(message.purpose_code) is not None, "purpose_code")
    require_kek_id(message.kek_id)
    require(message.suite in SUITES, "suite")
    suite = SUITES[message.suite]
    require_wrapped_key(message.wrapped_dek, suite, "wrapped_dek")
    blocks, rest = divmod(len(message.sealed_attribution) - _BOX_BYTES, LIMITS.attribution_block_bytes)
    require(rest == 0 and 1 <= blocks <= _MOST_BLOCKS, "sealed_attribution")
    require(len(message.submitter) == THUMBPRINT_BYTES, "submitter")
    require(len(message.send_key) in (0, THUMBPRINT_BYTES), "send_key")
    require(int(message.size_class) in SizeClass.__members__.values(), "size_class")
    require(message.HasField("created") and message.HasField("not_after"), "times")
    operations = tuple(message.operations)
    column_keys = _column_keys(message, prefixes)
    return Header(
        data=bytes(data),
        sha384=hashlib.sha384(data).digest(),
        job_id=JobId(message.job_id),
        audience=require_printable(message.audience),
        originating_ori=message.originating_ori,
        requesting_ori=message.requesting_ori,
        sealed_attribution=message.sealed_attribution,
        suite=suite,
        submitter=message.submitter,
        send_key=message.send_key or None,
        purpose_code=message.purpose_code,
        inputs=_inputs(message),
        operations=operations,
        operation_names=_operation_names(operations),
        kek_id=message.kek_id,
        wrapped_dek=message.wrapped_dek,
        recipients=_recipients(message, suite),
        created=moment(message.created),
        not_after=moment(message.not_after),
        size_class=SizeClass(message.size_class),
        column_keys=column_keys,
        sealed_outputs=_sealed_outputs(message),
    )


def _inputs(message: worker_pb2.JobHeader) -> tuple[InputPart, ...]:
    require(1 <= len(message.inputs) <= LIMITS.parts, "number of inputs")
    for part in message.inputs:
        require(NAME.fullmatch(part.name) is not None, "input name")
        require(SCHEMA.fullmatch(part.schema) is not None, "input schema")
        # one shard is written as none, so that equal values have equal bytes
        require(part.shards != 1 and part.shards <= LIMITS.shards, "shards")
        require(len(part.sealed_columns) <= LIMITS.sealed_columns, "number of sealed columns")
        require(all(COLUMN.fullmatch(name) for name in part.sealed_columns), "name of a sealed column")
        ascending(part.sealed_columns, "order of sealed columns")
        require(part.sealed_columns or not part.column_keys, "column keys without sealed columns")
    distinct([part.name for part in message.inputs], "input names")
    require(not any(part.shards for part in message.inputs[:-1]), "shards of a side table")
    return tuple(
        InputPart(
            name=part.name,
            schema=part.schema,
            rows_declared=part.rows_declared if part.HasField("rows_declared") else None,
            shards=part.shards or 1,
            sealed_columns=tuple(part.sealed_columns),
            column_keys=part.column_keys,
        )
        for part in message.inputs
    )


def _column_keys(message: worker_pb2.JobHeader, prefixes: AbstractSet[str]) -> tuple[ColumnKeys, ...]:
    """The column keys, each of them used; the lengths of what such a job sends back never follow its data."""
    most = LIMITS.column_statements
    require(len(message.column_keys) <= most, "number of column keys")
    used = {part.column_keys for part in message.inputs if part.sealed_columns}
    used |= {output.column_keys for output in message.sealed_outputs}
    require(used == set(range(len(message.column_keys))), "column keys that are used")
    require(not message.column_keys or message.size_class == worker_pb2.POWER_OF_TWO, "size_class with column keys")
    found = tuple(read_column_keys(each, prefixes) for each in message.column_keys)
    distinct([each.statement.sha384 for each in found], "a statement twice")
    return found


def _sealed_outputs(message: worker_pb2.JobHeader) -> tuple[SealedOutput, ...]:
    require(len(message.sealed_outputs) <= LIMITS.sealed_columns, "number of sealed outputs")
    for each in message.sealed_outputs:
        require(NAME.fullmatch(each.output), "name of a sealed output")
        require(COLUMN.fullmatch(each.column) and COLUMN.fullmatch(each.as_column), "column of a sealed output")
    ascending([(each.output, each.column) for each in message.sealed_outputs], "order of sealed outputs")
    return tuple(
        SealedOutput(output=each.output, column=each.column, column_keys=each.column_keys, as_column=each.as_column)
        for each in message.sealed_outputs
    )


def _operation_names(operations: tuple[worker_pb2.Operation, ...]) -> tuple[str, ...]:
    require(1 <= len(operations) <= LIMITS.operations, "number of operations")
    names = tuple(operation.WhichOneof("operation") for operation in operations)
    require(all(names), "operation not set")
    for operation, name in zip(operations, names, strict=True):
        fields = getattr(operation, cast("str", name)).ListFields()
        doubles = [value for field, value in fields if field.type == FieldDescriptor.TYPE_DOUBLE]
        # some libraries leave -0.0 out as the default, others do not: equal values would have two encodings
        require(all(math.isfinite(value) and (value or math.copysign(1, value) > 0) for value in doubles), "number")
    return cast("tuple[str, ...]", names)


def _recipients(message: worker_pb2.JobHeader, suite: Suite) -> tuple[Recipient, ...]:
    require(1 <= len(message.recipients) <= LIMITS.recipients, "number of recipients")
    for recipient in message.recipients:
        try:
            thumbprint = recipient_key_id(recipient.jwk, suite)
        except ValueError as error:
            raise MalformedError("recipient JWK") from error
        require(recipient.key_id == thumbprint, "recipient key_id")
    distinct([recipient.key_id for recipient in message.recipients], "recipients")
    return tuple(Recipient(key_id=recipient.key_id, jwk=recipient.jwk) for recipient in message.recipients)
