"""The facts of a packet, which were read from trails, receipts and files. Everything else is computed from them.

Digests are lower-case hexadecimal. Lines are numbers of a trail's lines, from 1. No fact is a value of a record or a
key; operators and requestors occur only in the lines of the trail that a packet includes.
"""

import hashlib
from datetime import date, timedelta
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

VERSION: Final = 1


class Fact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all facts."""


class Period(Fact, frozen=True, kw_only=True):
    """The days that a packet is about, both included, in UTC."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError("the period ends before it begins")
        if self.first.year < 2000 or self.last.year > 8999:
            raise ValueError("the period is not within the years 2000 to 8999")

    @property
    def start(self) -> str:
        """Its first moment, as the trail writes times."""
        return f"{self.first}T00:00:00.00Z"

    @property
    def end(self) -> str:
        """The first moment after it."""
        return f"{self.last + timedelta(days=1)}T00:00:00.00Z"

    def contains(self, time: str) -> bool:
        """Whether a time of the trail is in it."""
        return self.start <= time < self.end

    @property
    def weeks(self) -> tuple[str, ...]:
        """The ISO weeks that begin and end in it, as `2026-W48`."""
        first = self.first + timedelta(days=-self.first.weekday() % 7)
        count = max(0, (self.last - first).days + 1) // 7
        return tuple(f"{y}-W{w:02}" for y, w, _ in ((first + timedelta(weeks=i)).isocalendar() for i in range(count)))


class File(Fact, frozen=True, kw_only=True):
    """A file by its name, without its folder."""

    name: str
    size: int
    sha256: str
    sha384: str

    @classmethod
    def of(cls, name: str, data: bytes) -> "File":
        """The facts of these bytes."""
        digests = hashlib.sha256(data).hexdigest(), hashlib.sha384(data).hexdigest()
        return cls(name=name, size=len(data), sha256=digests[0], sha384=digests[1])


class Seen(Fact, frozen=True, kw_only=True):
    """How often a value occurred in the period, and on which lines first and last."""

    count: int
    first: int
    last: int


class Incident(Fact, frozen=True, kw_only=True):
    """Something in the period that a check must not find. `topic` is that check's, `rule` names what found it.

    `what` has only our own words.
    """

    topic: str
    rule: str
    line: int
    what: str


class Line(Fact, frozen=True, kw_only=True):
    """A line that the packet includes, with the proof that it is in the trail: RFC 9162 §2.1.3."""

    number: int
    sha256: str
    proof: tuple[str, ...]


class Trail(Fact, frozen=True, kw_only=True):
    """One worker's trail. `lines` counts those that verified; `broken` names the first one that did not.

    `first_line` is the first that is there; those before it were pruned, the last of them written at `pruned_until`,
    and a line records that.
    """

    file: str
    worker: str
    identity: str
    """Hash of its first line, also of one that was pruned; it names the trail in the agency's log."""
    first_line: int
    lines: int
    size: int
    sha256: str
    """Of the lines that verified."""
    pruned_until: str
    """Empty if no line was pruned."""
    first_time: str
    last_time: str
    head: str
    root: str
    """Merkle root over all lines, from the first ever written."""
    roots: dict[str, str]
    """The root at each size that a checkpoint names."""
    in_period: int
    broken: str
    in_force: dict[str, str]
    """At the end of the period, by the last start or reload: code, configuration, policy, version, profile."""
    seen: dict[str, dict[str, Seen]]
    """Values by the field of their event, such as `attested.region`."""
    unlisted: dict[str, int]
    """Fields with more values than are listed, and how often another value occurred."""
    incidents: tuple[Incident, ...]
    unlisted_incidents: dict[str, int]
    included: tuple[Line, ...]


class Configuration(Fact, frozen=True, kw_only=True):
    """worker.toml: its digest, and the values that a packet shows. Secrets are not among them."""

    file: File
    values: dict[str, str]


class Linted(Fact, frozen=True, kw_only=True):
    """A policy and its weaknesses, each as `error RP12 title`; `name` is how tokens or releases name it."""

    file: File
    name: str
    text: str
    findings: tuple[str, ...]


class Key(Fact, frozen=True, kw_only=True):
    """A key of the vault, as `az keyvault key show` prints it."""

    file: File
    kid: str
    kty: str
    bits: int
    exportable: bool
    enabled: bool
    created: str
    expires: str
    operations: tuple[str, ...]
    policy: Linted | None
    policy_immutable: bool


class Sbom(Fact, frozen=True, kw_only=True):
    """A bill of materials in CycloneDX JSON; `product` is the version of cji-worker in it."""

    file: File
    spec: str
    components: int
    repeated: tuple[str, ...]
    product: str


class Tests(Fact, frozen=True, kw_only=True):
    """Test results in JUnit XML: totals, and the outcome of each test that `controls` names."""

    file: File
    total: int
    failed: int
    skipped: int
    outcomes: dict[str, Literal["passed", "failed", "skipped"]]


class Deviation(Fact, frozen=True, kw_only=True):
    """A requirement that a resource does not meet, or of which the export shows nothing."""

    requirement: str
    resource: str
    state: Literal["failed", "not run"]
    found: str


class Deployment(Fact, frozen=True, kw_only=True):
    """The deployment as it was exported, compared with what deploy/ describes."""

    files: tuple[File, ...]
    holds: int
    deviations: tuple[Deviation, ...]
    resources: dict[str, tuple[str, ...]]
    """Names by type, which is in lower case, without resources inside of others."""


class Authorization(Fact, frozen=True, kw_only=True):
    """An authorization of the provider's system, as the agency states it."""

    title: str
    granted: date
    href: str = ""


class Agency(Fact, frozen=True, kw_only=True):
    """The agency's own statements about itself and the provider, for OSCAL."""

    file: File
    name: str
    namespace: str
    """Of properties that OSCAL does not define, and of all ids; empty for the product's."""
    provider: str
    authorization: Authorization | None


class HeldReceipt(Fact, frozen=True, kw_only=True):
    """A receipt that a submitter kept. `line` is where the trail has it, 0 for nowhere."""

    file: File
    sha384: str
    worker: str
    ended: str
    sequence: int
    fault: str
    """Why it does not verify; empty if it does."""
    key_id: str
    line: int
    counts: str = "stated by the cell"
    """Of rows and subjects: whose word they are."""
    counted: str = ""
    """The counts that a recipient counted otherwise, or the fault of its confirmation; empty for neither."""


class ReviewHead(Fact, frozen=True, kw_only=True):
    """The lines of one trail that a review is about: their number, the hash of the last one, and their Merkle root."""

    worker: str
    lines: int
    hash: str
    root: str


class Review(Fact, frozen=True, kw_only=True):
    """A signed weekly review. `ended` is the end of its week, `digest` what a worker records of it.

    `worker`, `line` and `recorded` are where and when a trail records it; empty and 0 for nowhere.
    """

    file: File
    week: str
    reviewer: str
    signed: str
    ended: str
    digest: str
    heads: tuple[ReviewHead, ...]
    fault: str
    key_id: str
    worker: str = ""
    line: int = 0
    recorded: str = ""


class Checkpoint(Fact, frozen=True, kw_only=True):
    """A signed checkpoint that was kept outside the machine."""

    file: File
    origin: str
    size: int
    root: str
    fault: str
    key_id: str


class LogEntry(Fact, frozen=True, kw_only=True):
    """An entry of the agency's log about a trail, whose identity is `trail`, with its proof.

    `log` is the log's origin, `log_size` the entries under its checkpoint. `consistency` leads from the entry's
    checkpoint to the root of the trail: RFC 9162 §2.1.4. `last_time` is that of the last line under the entry, and
    `stopped` says that the worker had stopped with the lines under it. `waiting_since` is the time of the first later
    line other than an anchor or a checkpoint, empty without one.
    """

    file: File
    trail: str
    log: str
    index: int
    log_size: int
    checkpoint: Checkpoint
    fault: str
    consistency: tuple[str, ...] = ()
    last_time: str = ""
    stopped: bool = False
    waiting_since: str = ""


class Disposed(Fact, frozen=True, kw_only=True):
    """Sealed data of one job that was deleted: the number of its record, and the receipt of the job, if it has one.

    `kept` blobs the service refused to delete; `erased` says that it kept none and lists nothing more of them.
    """

    record: int
    job: str
    area: str
    time: str
    receipt_sha384: str
    blobs: int
    kept: int
    erased: bool


class Retention(Fact, frozen=True, kw_only=True):
    """The retention log of a pool: its records up to the first that is refused, for `fault`."""

    file: File
    records: int
    head: str
    fault: str
    findings: tuple[str, ...]
    """Records that break a rule."""
    signers: tuple[str, ...]
    on_hold: tuple[str, ...]
    disposed: tuple[Disposed, ...]


class Machine(Fact, frozen=True, kw_only=True):
    """Evidence of a machine, as it was appraised when the packet was made."""

    file: File
    refused: str
    """The check that failed; empty if the evidence was accepted."""
    cloud: str
    simulated: bool
    tee: str
    product: str
    measurement: str
    pcrs: tuple[str, ...]
    """Of the vTPM, SHA-256, from PCR 0 on."""
    evidence_sha384: str
    line: int
    """The line that attests it, 0 for none."""
    receipt_key: str
    """RFC 7638 thumbprint, and the name of receipts' signatures."""
    appraised_at: str
    time_by: str
    checks: int
    unchecked: tuple[str, ...]
    stamped: bool = False
    """Whether a timestamp proves its time: without one nobody can appraise it in some years."""


class Material(Fact, frozen=True, kw_only=True):
    """Everything. None stands for what was not given, which is a gap; an empty list for a folder without such files."""

    version: Annotated[int, Meta(ge=VERSION, le=VERSION)] = VERSION
    product: str
    period: Period
    catalog: File
    trails: Annotated[tuple[Trail, ...], Meta(min_length=1)]
    configuration: Configuration | None = None
    policy: File | None = None
    keys: tuple[Key, ...] = ()
    maa_policy: Linted | None = None
    manifest: File | None = None
    sbom: Sbom | None = None
    tests: Tests | None = None
    receipts: tuple[HeldReceipt, ...] | None = None
    reviews: tuple[Review, ...] | None = None
    checkpoints: tuple[Checkpoint, ...] | None = None
    log: tuple[LogEntry, ...] | None = None
    machines: tuple[Machine, ...] = ()
    retention: Retention | None = None
    deployment: Deployment | None = None
    agency: Agency | None = None
