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
import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Final, NewType, cast

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from cji_core.errors import Reason, Refusal, RetryLater, Stage
from cji_core.format.job.limits import LIMITS
from cji_core.format.job.ori import ORI_PREFIXES, is_ori
from cji_core.format.job.texts import BadTextError, require_text
from cji_core.jose import key_id, parse_recipient
from cji_core.pairs import ML_KEM_BYTES
from cji_core.suites import Suite
from cji_core.wire.v1 import worker_pb2

JobId = NewType("JobId", bytes)

VERSION: Final = 1
JOB_ID_BYTES: Final = 16
THUMBPRINT_BYTES: Final = 32

_PURPOSE: Final = re.compile(r"[A-Z0-9]{1,3}")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SCHEMA: Final = re.compile(r"[a-z][a-z0-9_.]{0,47}/[0-9]{1,4}(\.[0-9]{1,4}){0,2}")
# Key Vault and Managed HSM: https://{host}[:{port}]/keys/{name}/{version}; names and versions as Azure restricts them.
_KEK_ID: Final = re.compile(
    r"https://[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::[1-9][0-9]{0,4})?"
    r"/keys/[A-Za-z0-9-]{1,127}/[0-9a-f]{32}"
)


_SUITES: Final = {worker_pb2.CLASSICAL_1: Suite.CLASSICAL_1, worker_pb2.HYBRID_1: Suite.HYBRID_1}
_BOX_BYTES: Final = 28  # that a box is longer than its plaintext
_MOST_BLOCKS: Final = LIMITS.attribution_max_bytes // LIMITS.attribution_block_bytes


class SizeClass(IntEnum):
    """How the lengths of outputs depend on the data; the numbers are those of the proto."""

    EXACT = 1
    POWER_OF_TWO = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class InputPart:
    """One input table, in `shards` parts; `rows_declared` is of all of them. Only the records may have several."""

    name: str
    schema: str
    rows_declared: int | None = None
    shards: int = 1


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

    @property
    def input_schemas(self) -> dict[str, str]:
        """The schema id of each input by its name, in part order."""
        return {part.name: part.schema for part in self.inputs}

    @property
    def parts(self) -> tuple[InputPart, ...]:
        """The input of each part, by the number of the part: side tables, then the shards of the records."""
        *sides, records = self.inputs
        return (*sides, *(records,) * records.shards)

    def __repr__(self) -> str:
        return f"Header(job_id={self.job_id.hex()})"


class _MalformedError(Exception):
    """Internal: the broken rule. Travels in `__cause__` only and contains no text from the header."""


def parse(data: bytes, *, ori_prefixes: AbstractSet[str] = ORI_PREFIXES) -> Header:
    """Return the header that `data` (at most 32 KiB) encodes.

    Raises Refusal(MALFORMED_HEADER) for any other bytes; `__cause__` names the rule for developers.
    """
    try:
        return _header(data, _message(data), ori_prefixes)
    except _MalformedError as error:
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


def _message(data: bytes) -> worker_pb2.JobHeader:
    _require(0 < len(data) <= LIMITS.header_bytes, "header length")
    message = worker_pb2.JobHeader()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise _MalformedError("not protobuf") from error
    # Without its unknown fields, a message encodes back to the same bytes only if those were the canonical ones.
    message.DiscardUnknownFields()
    _require(message.SerializeToString(deterministic=True) == data, "not canonical, or unknown fields")
    return message


def _header(data: bytes, message: worker_pb2.JobHeader, prefixes: AbstractSet[str]) -> Header:
    _require(message.version == VERSION, "version")
    _require(len(message.job_id) == JOB_ID_BYTES and any(message.job_id), "job_id")
    _require(is_ori(message.originating_ori, prefixes), "originating_ori")
    _require(is_ori(message.requesting_ori, prefixes), "requesting_ori")
    _require(_PURPOSE.fullmatch(message.purpose_code) is not None, "purpose_code")
    kek = message.kek_id
    _require(len(kek) <= LIMITS.url_bytes and _KEK_ID.fullmatch(kek) is not None, "kek_id")
    _require(message.suite in _SUITES, "suite")
    suite = _SUITES[message.suite]
    rsa_bytes = len(message.wrapped_dek) - (ML_KEM_BYTES if suite is Suite.HYBRID_1 else 0)
    _require(LIMITS.wrapped_dek_min_bytes <= rsa_bytes <= LIMITS.wrapped_dek_max_bytes, "wrapped_dek")
    blocks, rest = divmod(len(message.sealed_attribution) - _BOX_BYTES, LIMITS.attribution_block_bytes)
    _require(rest == 0 and 1 <= blocks <= _MOST_BLOCKS, "sealed_attribution")
    _require(len(message.submitter) == THUMBPRINT_BYTES, "submitter")
    _require(len(message.send_key) in (0, THUMBPRINT_BYTES), "send_key")
    _require(int(message.size_class) in SizeClass.__members__.values(), "size_class")
    _require(message.HasField("created") and message.HasField("not_after"), "times")
    operations = tuple(message.operations)
    return Header(
        data=bytes(data),
        sha384=hashlib.sha384(data).digest(),
        job_id=JobId(message.job_id),
        audience=_text(message.audience),
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
        kek_id=kek,
        wrapped_dek=message.wrapped_dek,
        recipients=_recipients(message, suite),
        created=_time(message.created),
        not_after=_time(message.not_after),
        size_class=SizeClass(message.size_class),
    )


def _inputs(message: worker_pb2.JobHeader) -> tuple[InputPart, ...]:
    _require(1 <= len(message.inputs) <= LIMITS.parts, "number of inputs")
    for part in message.inputs:
        _require(_NAME.fullmatch(part.name) is not None, "input name")
        _require(_SCHEMA.fullmatch(part.schema) is not None, "input schema")
        # one shard is written as none, so that equal values have equal bytes
        _require(part.shards != 1 and part.shards <= LIMITS.shards, "shards")
    _distinct([part.name for part in message.inputs], "input names")
    _require(not any(part.shards for part in message.inputs[:-1]), "shards of a side table")
    return tuple(
        InputPart(
            name=part.name,
            schema=part.schema,
            rows_declared=part.rows_declared if part.HasField("rows_declared") else None,
            shards=part.shards or 1,
        )
        for part in message.inputs
    )


def _operation_names(operations: tuple[worker_pb2.Operation, ...]) -> tuple[str, ...]:
    _require(1 <= len(operations) <= LIMITS.operations, "number of operations")
    names = tuple(operation.WhichOneof("operation") for operation in operations)
    _require(all(names), "operation not set")
    return cast("tuple[str, ...]", names)


def _recipients(message: worker_pb2.JobHeader, suite: Suite) -> tuple[Recipient, ...]:
    _require(1 <= len(message.recipients) <= LIMITS.recipients, "number of recipients")
    for recipient in message.recipients:
        try:
            thumbprint = key_id(parse_recipient(recipient.jwk, suite))
        except ValueError as error:
            raise _MalformedError("recipient JWK") from error
        _require(recipient.key_id == thumbprint, "recipient key_id")
    _distinct([recipient.key_id for recipient in message.recipients], "recipients")
    return tuple(Recipient(key_id=recipient.key_id, jwk=recipient.jwk) for recipient in message.recipients)


def _text(text: str) -> str:
    try:
        return require_text(text)
    except BadTextError as error:
        raise _MalformedError(str(error)) from error


def _time(stamp: Timestamp) -> datetime:
    _require(0 <= stamp.nanos < 1_000_000_000, "nanos")
    try:
        return datetime.fromtimestamp(stamp.seconds, tz=UTC).replace(microsecond=stamp.nanos // 1000)
    except (ValueError, OverflowError, OSError) as error:
        raise _MalformedError("seconds") from error


def _distinct(values: list[str], rule: str) -> None:
    _require(len(set(values)) == len(values), rule)


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise _MalformedError(rule)
