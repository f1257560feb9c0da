"""Rules of fields that a job header and a statement on column keys share. What breaks one is a MalformedError.

A message has one encoding: ascending fields, shortest varints, no repeated singular field, no default value, no unknown
field. Other bytes are refused.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp

from cji_core.format.job.limits import LIMITS
from cji_core.format.job.texts import BadTextError, require_text
from cji_core.pairs import ML_KEM_BYTES
from cji_core.suites import Suite
from cji_core.wire.v1 import worker_pb2

THUMBPRINT_BYTES: Final = 32
PURPOSE: Final = re.compile(r"[A-Z0-9]{1,3}")
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
SCHEMA: Final = re.compile(r"[a-z][a-z0-9_.]{0,47}/[0-9]{1,4}(\.[0-9]{1,4}){0,2}")
COLUMN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
SUITES: Final = {worker_pb2.CLASSICAL_1: Suite.CLASSICAL_1, worker_pb2.HYBRID_1: Suite.HYBRID_1}
SUITE_VALUES: Final = {suite: value for value, suite in SUITES.items()}
# Key Vault and Managed HSM: https://{host}[:{port}]/keys/{name}/{version}; names and versions as Azure restricts them.
_KEK_ID: Final = re.compile(
    r"https://[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::[1-9][0-9]{0,4})?"
    r"/keys/[A-Za-z0-9-]{1,127}/[0-9a-f]{32}"
)

_M = TypeVar("_M", bound=Message)


class MalformedError(Exception):
    """The broken rule. Travels in `__cause__` of a Refusal only and contains no text from the message."""


def require(holds: object, rule: str) -> None:
    """Raise MalformedError unless the rule holds."""
    if not holds:
        raise MalformedError(rule)


def distinct(values: Sequence[object], rule: str) -> None:
    """Raise MalformedError if a value occurs twice."""
    require(len(set(values)) == len(values), rule)


def ascending(values: Sequence[Any], rule: str) -> None:
    """Raise MalformedError unless each value is greater than the one before it."""
    require(all(one < other for one, other in pairwise(values)), rule)


def decode(kind: type[_M], data: bytes) -> _M:
    """The message with this one encoding, of at most the length of a header."""
    require(0 < len(data) <= LIMITS.header_bytes, "message length")
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise MalformedError("not protobuf") from error
    # Without its unknown fields, a message encodes back to the same bytes only if those were the canonical ones.
    message.DiscardUnknownFields()
    require(message.SerializeToString(deterministic=True) == data, "not canonical, or unknown fields")
    return message


def require_kek_id(text: str) -> None:
    """A name of a key; it is compared, never contacted."""
    require(len(text) <= LIMITS.url_bytes and _KEK_ID.fullmatch(text), "kek_id")


def require_wrapped_key(wrapped: bytes, suite: Suite, rule: str) -> None:
    """The length of a wrapped key of this suite."""
    rsa_bytes = len(wrapped) - (ML_KEM_BYTES if suite is Suite.HYBRID_1 else 0)
    require(LIMITS.wrapped_dek_min_bytes <= rsa_bytes <= LIMITS.wrapped_dek_max_bytes, rule)


def require_printable(text: str) -> str:
    """A text that people wrote."""
    try:
        return require_text(text)
    except BadTextError as error:
        raise MalformedError(str(error)) from error


def moment(stamp: Timestamp) -> datetime:
    """The time of a timestamp, in UTC."""
    require(0 <= stamp.nanos < 1_000_000_000, "nanos")
    try:
        return datetime.fromtimestamp(stamp.seconds, tz=UTC).replace(microsecond=stamp.nanos // 1000)
    except (ValueError, OverflowError, OSError) as error:
        raise MalformedError("seconds") from error


def timestamp(aware: datetime) -> Timestamp:
    """The timestamp of an aware time. ValueError for a naive one."""
    if aware.tzinfo is None:
        raise ValueError("naive time")
    stamp = Timestamp()
    stamp.FromDatetime(aware)
    return stamp
