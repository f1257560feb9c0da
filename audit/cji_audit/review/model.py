"""The report of one week, `review.json`: its schema, and its one encoding.

Members are in the order of their definition, keys of objects are sorted, times are UTC, amounts are counts. `Volume`
counts ciphertext bytes; rows and subjects are those of the results. A `Place` is a line of a trail: `trail` is its
position in `trails`, from 0; lines count from 1.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from cji_audit.errors import AuditError
from cji_audit.review.settings import Settings
from cji_core.digests import Hex64, Hex96
from cji_core.documents import OneForm
from cji_core.strict import StrictError
from cji_core.trail.fields import Count, Utc
from cji_core.trail.rules import Severity

MAX_BYTES: Final = 64 * 1024 * 1024
VERSION: Final = 1


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all parts of a report."""


class Volume(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Amounts of one group. Jobs count in the week of their admission, results in that of their completion.

    Rows and subjects are stated by the cells of the jobs.
    """

    jobs: Count = 0
    completed: Count = 0
    failed: Count = 0
    off_hours: Count = 0
    rows_in: Count = 0
    rows_out: Count = 0
    bytes_in: Count = 0
    bytes_out: Count = 0
    chri_rows_out: Count = 0
    subjects_out: Count = 0


class Group(_Part, frozen=True, kw_only=True):
    """One row of a table: an agency, or an agency and its operator (null if the attribution did not open)."""

    key: tuple[str | None, ...]
    volume: Volume


class Table(_Part, frozen=True, kw_only=True):
    """The groups with the most rows released; `others` is the sum of `more` further ones."""

    groups: tuple[Group, ...]
    more: Count
    others: Volume


class Refusals(_Part, frozen=True, kw_only=True):
    """Refused jobs and calls of one submitter (null if unknown) for one Reason."""

    submitter: str | None
    reason: str
    count: Count


class Slot(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The jobs admitted in, and the rows released in, one local hour of one day: 168 from Monday 00:00."""

    jobs: Count = 0
    rows_out: Count = 0


class Place(_Part, frozen=True, kw_only=True):
    """A line of a trail."""

    trail: Count
    line: Count


class Finding(_Part, frozen=True, kw_only=True):
    """Something for the reviewer, in the order of severity. `rule` names its entry in `cji_core.trail.rules`.

    `places` are the first lines of the `count` that it is about, within `first` and `last`.
    """

    id: str
    rule: str
    severity: Severity
    subject: str
    detail: str
    count: Count
    first: Utc | None
    last: Utc | None
    places: tuple[Place, ...]


class Check(_Part, frozen=True, kw_only=True):
    """A rule that was applied. `below` is the largest amount that stayed below `threshold`.

    `more` findings of this rule are not in the report, only in this number. `not_checked` states why a rule was not
    applied.
    """

    rule: str
    findings: Count
    more: Count = 0
    threshold: float | None = None
    below: float | None = None
    not_checked: str | None = None


class Anchors(_Part, frozen=True, kw_only=True):
    """The anchors of the week: their number, the last one in all lines read, and the lines after it."""

    in_week: Count
    last: Count | None
    lines_after: Count


class Checkpoints(_Part, frozen=True, kw_only=True):
    """The checkpoints in the trail: of the week, in all lines read, and the size of the last one.

    Their roots were compared with the lines; their signatures were not.
    """

    in_week: Count
    compared: Count
    size: Count | None


class TrailState(_Part, frozen=True, kw_only=True):
    """One trail: `lines` were read and form one chain, whose last line has `hash`; `root` is their Merkle root.

    `first_hash` is the hash of line 1, `first` the time of the first line that is there; lines with times in the week
    are `week_lines`.
    """

    worker: str
    first_hash: Hex96
    lines: Count
    hash: Hex96
    root: Hex64
    first: Utc
    last: Utc
    week_lines: Count
    events: dict[str, Count]
    versions: tuple[str, ...]
    anchors: Anchors
    checkpoints: Checkpoints
    receipts: Count
    silence_minutes: Count


class KnownHead(_Part, frozen=True, kw_only=True):
    """A line that somebody else has seen: a destination of the trail, a checkpoint's holder, or an earlier review.

    `hash` is that of the line, or `root` the Merkle root of the lines up to it.
    """

    source: str
    kind: Literal["destination", "checkpoint", "review"]
    worker: str | None
    line: Count
    hash: Hex96 | None = None
    root: Hex64 | None = None


class HeadState(_Part, frozen=True, kw_only=True):
    """The comparison of a known head with the trails: the same line, another one, one that was pruned, or none."""

    head: KnownHead
    state: Literal["same", "differs", "missing", "pruned"]
    lines_behind: Count | None


class ReceiptState(_Part, frozen=True, kw_only=True):
    """A folder of receipts, compared with the completions of the week.

    `matched` receipts are those of events of the week; `others` come from workers whose trail was not given.
    """

    matched: Count
    without_event: Count
    events_without_receipt: Count
    others: Count
    unreadable: Count


class Confirmed(_Part, frozen=True, kw_only=True):
    """A receipt whose counts a recipient has confirmed, by its line: `key` signed that `recipient` counted the same."""

    job_id: str
    worker: str
    recipient: str
    key: str
    confirmed: Utc
    place: Place


class ConfirmationState(_Part, frozen=True, kw_only=True):
    """A folder of confirmations, compared with the receipts of all lines that were read.

    `more` are confirmed and not listed, `differing` state other counts, `others` are about receipts of no trail here.
    """

    confirmed: tuple[Confirmed, ...]
    more: Count
    differing: Count
    refused: Count
    others: Count


class Report(_Part, frozen=True, kw_only=True):
    """The report. It follows from trails up to `lines`, settings, heads, receipts and confirmations, no more."""

    version: Annotated[int, Meta(ge=VERSION, le=VERSION)]
    software: str
    week: str
    begins: Utc
    ends: Utc
    complete: bool
    settings: Settings
    trails: Annotated[tuple[TrailState, ...], Meta(min_length=1)]
    findings: tuple[Finding, ...]
    checks: tuple[Check, ...]
    total: Volume
    agencies: Table
    operators: Table
    purposes: Table
    submitters: Table
    operations: Table
    slots: Annotated[tuple[Slot, ...], Meta(min_length=168, max_length=168)]
    refusals: tuple[Refusals, ...]
    refused: Count
    new: dict[str, tuple[str, ...]]
    heads: tuple[HeadState, ...]
    receipts: ReceiptState | None
    confirmations: ConfirmationState | None


class ReportError(AuditError):
    """Bytes that are not a report in its one encoding; the text names the member."""

    code = "review-report-invalid"
    remedy = "Make the report again from the trail."


_FORM: Final = OneForm(Report, limit=MAX_BYTES, order="deterministic", end=b"\n")


def encode(report: Report) -> bytes:
    """The one encoding of a report: compact JSON and a line feed."""
    return _FORM.encode(report)


def decode(data: bytes) -> Report:
    """The report in these bytes, of at most 64 MiB. Raises ReportError unless they are its one encoding."""
    try:
        return _FORM.decode(data)
    except StrictError as error:
        raise ReportError(f"not a report: {str(error)[:200]}") from error
