"""All that the next lines of a trail are compared with. It is kept in an index, and in place of pruned lines.

A member that a state of an earlier version does not have is None: it is not known, and its rules begin to hold with the
next line that states it.
"""

import hashlib
from typing import Final

import msgspec
from msgspec import UnsetType

from cji_core.bundle_name import BundleName
from cji_core.documents import decode
from cji_core.suites import Suite
from cji_core.trail.chain import GENESIS, Head
from cji_core.trail.events import JobAdmitted
from cji_core.trail.fields import UsedColumnKeys
from cji_core.trail.receipts import FIRST_PREVIOUS

MAX_RUNNING: Final = 100_000
MAX_HOLDS: Final = 1_000
MAX_STEPS_BACK: Final = 100
MAX_COMPLETED: Final = 50_000
"""Completed jobs that are remembered, at most two days."""
MAX_CHIPS: Final = 4_096
"""Processors that are remembered: the latest."""
MAX_STATE_BYTES: Final = 16 << 20
MAX_EVIDENCE: Final = 16_384
"""Attestations that are remembered: a worker makes some 10 000 a year."""


class StepBack(msgspec.Struct, frozen=True, kw_only=True):
    """The clock of this line is earlier than that of the line before."""

    line: int
    time: str
    before: str


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A legal hold in force: its lines, and the line that placed it. `last` is None if it has all later ones too."""

    first: int
    last: int | None
    line: int
    time: str
    operator_id: str

    def covers(self, first: int, last: int) -> bool:
        """Whether any of these lines is under it."""
        return self.first <= last and (self.last is None or first <= self.last)


class Admission(msgspec.Struct, frozen=True, array_like=True):
    """A job that has not ended, as it was admitted. `line` is 0 if an earlier version kept only the first two."""

    header_sha384: str
    operator: str | None
    line: int = 0
    time: str = ""
    submitter: str = ""
    originating_ori: str = ""
    requesting_ori: str = ""
    suite: Suite | None = None
    purpose_code: str = ""
    operations: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    kek_id: str = ""
    policy_sha384: str = ""
    column_keys: str = ""
    """`digest_of` them."""

    @classmethod
    def of(cls, event: JobAdmitted, line: int, time: str) -> "Admission":
        """The members that later lines of the job are compared with."""
        return cls(
            event.header_sha384,
            event.attribution.operator_id if event.attribution else None,
            line,
            time,
            event.submitter,
            event.originating_ori,
            event.requesting_ori,
            event.suite,
            event.purpose_code,
            event.operations,
            event.recipients,
            event.kek_id,
            event.policy_sha384,
            digest_of(event.column_keys),
        )


def digest_of(used: tuple[UsedColumnKeys, ...] | UnsetType) -> str:
    """Of the column keys of a job, which are many bytes, for comparison; "" for a job without sealed columns."""
    return hashlib.sha256(msgspec.json.encode(used)).hexdigest() if used else ""


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """A line, by number and time."""

    line: int
    time: str


class State(msgspec.Struct, kw_only=True):
    """The trail so far. The defaults are those of a state of an earlier version; `State.begin` is before any line."""

    head: Head = GENESIS
    tree: bytes = bytes(8)
    time: str = ""
    latest: str = ""
    first_worker: str | None = None
    """Of the first line."""
    trail: str | None = None
    """The identity of the trail, if its first line is there and began it."""
    worker: str | None = None
    """Of the last start."""
    running: dict[str, Admission] = {}
    """Jobs that have not ended, by id."""
    completed: dict[str, str] = {}
    """Times of completed jobs by id, oldest first."""
    receipt_key: str | None = None
    """Of the last start, once a line named it."""
    sequence: int | None = 0
    """Of the last receipt; None after one that could not be read."""
    previous_sha384: str = FIRST_PREVIOUS
    base: str = ""
    """The last whole receipt, which short ones are like."""
    base_line: int = 0
    receipt_anchor: int = 0
    """Of the last receipt, 0 after a resumption."""
    anchor: int | None = None
    anchor_before_resumption: int | None = None
    policy: str | None = None
    """In force, since the last start or reload."""
    bundle: BundleName | None = None
    """The same of the configuration bundle."""
    log_policy: str | None = None
    """Of the bundle of the last start, if it had one."""
    witnesses_lost: tuple[str, ...] | None = None
    """The statements in the same bundle."""
    started: dict[str, str] = {}
    """Digests of the last start, by their members' names."""
    is_up: bool | None = None
    """Whether the worker started and did not stop."""
    stopped_at: str = ""
    unmet: tuple[str, ...] = ()
    """Conditions of the machine that do not hold."""
    keys: dict[str, int] | None = None
    """Lines by released key that was not dropped."""
    evidence: dict[str, int] | None = None
    """Lines by digest of evidence that was attested."""
    chips: dict[str, int] | None = None
    """Last lines by processor that was attested."""
    outage: Mark | None = None
    """The line at which the trail became unwritable."""
    refusal: Mark | None = None
    """A refusal of this trail that nobody explained yet."""
    checkpoints: int = 0
    checkpoint_size: int | None = None
    """Of the last checkpoint that could be read."""
    holds: dict[str, Hold] = {}
    steps_back: list[StepBack] = []
    clock_went_back: int = 0

    @classmethod
    def begin(cls) -> "State":
        """Before the first line, when nothing was stated yet."""
        return cls(policy="", keys={}, evidence={}, chips={})


def decode_state(data: bytes) -> State:
    """The state that a watcher saved. Raises StrictError."""
    return decode(data, State, limit=MAX_STATE_BYTES)
