"""The record of a retention log: what was put on hold, released, deleted and purged; when, by whom, and why.

    records/0000000000, records/0000000001, ...      without gaps, each created once and never changed
    record = compact JWS, `typ` "cji-retention+jws" (`cji_core.trail.compact`)

* `previous_sha384` is `digest` of the record before, 96 zeros in the first one: records form a chain.
* A deletion has two records: `deletion` states what is about to be deleted and why, before anything is; `deleted` the
  outcome of each blob. So a run that was cut short leaves a `deletion` without its `deleted`, which the next completes.
* A hold is put on the blobs before it is recorded, and recorded as released before it is taken off: a command that is
  cut short leaves too much on hold.
* `principal` and `tenant` are those of the token that did it, as Azure's own log has them; `request_id` is that of the
  service's answer, under which its log has the deletion.
"""

import hashlib
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from cji_core.digests import Hex32, Hex96
from cji_core.format.configuration.fleet import Container, StorageUrl
from cji_core.jose import SigningKey, VerifyingKey, signing_input
from cji_core.pairs import SigningPair
from cji_core.suites import Suite
from cji_core.trail.compact import SignedClaims
from cji_core.trail.fields import Count, Text, Token, Url, Utc, Uuid

FIRST_PREVIOUS: Final = "0" * 96
MAX_BLOBS: Final = 100
"""Of one deletion; more of a job are deleted by several."""
MAX_JOBS: Final = 500
MAX_PURGED: Final = 1000
Area = Literal["input", "result", "proof"]
Since = Literal["created", "receipt", "failure", "not_after"]
Case = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
Days = Annotated[int, Meta(ge=1, le=36_500)]
Number = Annotated[int, Meta(ge=0, le=9_999_999_999)]
_Name = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}/[A-Za-z0-9/._-]{1,255}\Z")]
_Tag = Annotated[str, Meta(pattern=r"^[!-~]{1,128}\Z")]
_Jobs = Annotated[tuple[Hex32, ...], Meta(min_length=1, max_length=MAX_JOBS)]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all values of a record: unknown members are refused."""


class Hold(_Strict, frozen=True, kw_only=True, tag_field="kind", tag="hold"):
    """These jobs are on hold for this case; every version of their blobs that was there has Azure's legal hold."""

    case: Case
    jobs: _Jobs
    versions: Count


class Release(_Strict, frozen=True, kw_only=True, tag_field="kind", tag="release"):
    """The case holds these jobs no longer. Azure's legal hold is then taken off those that no other case holds."""

    case: Case
    jobs: _Jobs


class Doomed(_Strict, frozen=True, kw_only=True):
    """One version of a blob, or a snapshot, that is about to be deleted: its ciphertext by ETag and size."""

    container: Container
    name: _Name
    version: _Tag | UnsetType = UNSET
    snapshot: _Tag | UnsetType = UNSET
    etag: _Tag
    size: Count


class Deletion(_Strict, frozen=True, kw_only=True, tag_field="kind", tag="deletion"):
    """The blobs of one job that are about to be deleted, and the rule: `days` after `since`, which `since_by` names.

    `receipt_sha384` and `failure_sha384` are digests of header and payload of the job's end, as `receipt_sha384` of a
    trail; a job without one had no end. `kek_id` is the key under which its inputs were sealed.
    """

    job: Hex32
    area: Area
    days: Days
    since: Utc
    since_by: Since
    until: Utc
    header_sha384: Hex96 | UnsetType = UNSET
    receipt_sha384: Hex96 | UnsetType = UNSET
    failure_sha384: Hex96 | UnsetType = UNSET
    kek_id: Url | UnsetType = UNSET
    blobs: Annotated[tuple[Doomed, ...], Meta(min_length=1, max_length=MAX_BLOBS)]


class Outcome(_Strict, frozen=True, kw_only=True):
    """The end of one blob of the deletion, in its place.

    `deleted` by the request of this id; `absent`: it was gone before; `kept`: the service refused, `why` names it.
    `recoverable_until` is when the service erases what it keeps of it, by its own list; left out if it keeps nothing.
    """

    state: Literal["deleted", "absent", "kept"]
    request_id: Token | UnsetType = UNSET
    why: Literal["LEGAL_HOLD", "IMMUTABLE", "CHANGED", "LEASED", "REFUSED"] | UnsetType = UNSET
    recoverable_until: Utc | UnsetType = UNSET


class Deleted(_Strict, frozen=True, kw_only=True, tag_field="kind", tag="deleted"):
    """The outcome of the deletion in record `of`, blob by blob."""

    of: Number
    outcomes: Annotated[tuple[Outcome, ...], Meta(min_length=1, max_length=MAX_BLOBS)]


class Purged(_Strict, frozen=True, kw_only=True, tag_field="kind", tag="purged"):
    """The service lists nothing more of what these deletions deleted, neither as a blob nor as something deleted."""

    of: Annotated[tuple[Number, ...], Meta(min_length=1, max_length=MAX_PURGED)]


Act: TypeAlias = Hold | Release | Deletion | Deleted | Purged


class Record(_Strict, frozen=True, kw_only=True):
    """All that a record states. `time` is the storage service's; `operator` and `explanation` are its maker's."""

    version: Annotated[int, Meta(ge=1, le=1)]
    suite: Suite
    number: Number
    previous_sha384: Hex96
    account: StorageUrl
    time: Utc
    principal: Uuid
    tenant: Uuid
    operator: Text
    explanation: Text
    act: Act


_records: Final = SignedClaims("cji-retention+jws", Record)


def suite_of(key: SigningKey) -> Suite:
    """The suite that a key signs in: a pair in hybrid-1."""
    return Suite.HYBRID_1 if isinstance(key, SigningPair) else Suite.CLASSICAL_1


def sign_record(record: Record, key: SigningKey) -> str:
    """The compact JWS. Raises ValueError if a member does not fit its type, the key its suite, or it is too long."""
    return _records.sign(record, key)


def record_unverified(document: str) -> Record:
    """The record of a document whose signature was verified before. Raises ReceiptError."""
    return _records.unverified(document)


def verify_record(document: str, key: VerifyingKey) -> Record:
    """The record, if this key signed it. Raises ReceiptError."""
    return _records.verify(document, key=key, differences=lambda _: ())


def digest(document: str) -> str:
    """The digest that the next record names: of header and payload."""
    return hashlib.sha384(signing_input(document)).hexdigest()
