"""When what a pool stores of a job has to go: rules, and a verdict about each area of a job. No clock, no network.

    [storage]                            # of the pool, as in client.toml
    blob_url = "https://cjiexample.blob.core.windows.net"
    [keep]                               # days after the job's end
    input_days = 7                       # header and sealed parts
    result_days = 30                     # sealed results
    proof_days = 400                     # receipt, failure receipt, evidence; never before the others

    area    container  blobs
    input   jobs       {job}/...
    result  results    {job}/{attempt}/...
    proof   results    {job}/receipt, failure, progress, evidence/...

* A job's time begins at the latest of all that states one: the creation of each of its blobs by the service's clock,
  and the end in its receipt or failure receipt, or without one the last moment of its header. What lies in the account
  is not trusted, so a false statement can only lengthen the time.
* A day is 86 400 seconds. The service states creations in whole seconds, cut off, so each counts as a second later.
* `now` is the earlier of two clocks, the service's and this machine's (`earlier`): a clock that is wrong alone deletes
  nothing before its time.
* A hold is stronger than everything, and doubt than a rule: a receipt that cannot be read keeps the job.

    held     LEGAL_HOLD       Azure's legal hold is on one of its blobs
             HOLD_INCOMPLETE  the log has the job on hold, and a blob of it came later: `hold` again
    refused  UNREADABLE       receipt, failure receipt or header is not one of this job
             IMMUTABLE        a policy of Azure's protects a blob until its end
    kept     KEPT             its time is not over
             OTHERS_FIRST     a proof, while inputs or results of its job are there
    due      DUE
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import msgspec
from msgspec import Meta

from cji_audit.errors import AuditError
from cji_audit.retention.records import Area, Since
from cji_core.documents import toml
from cji_core.format.configuration.fleet import Container, StorageUrl

AREAS: Final[tuple[Area, ...]] = ("input", "result", "proof")
MAX_BYTES: Final = 64 * 1024
_SECOND: Final = timedelta(seconds=1)
_NEVER: Final = datetime.max.replace(tzinfo=UTC)
_PROOF: Final = frozenset({"receipt", "failure", "progress"})
_HEX: Final = frozenset("0123456789abcdef")
_Days = Annotated[int, Meta(ge=1, le=36_500)]
_File = Annotated[str, Meta(min_length=1, max_length=1024)]

Why = Literal["LEGAL_HOLD", "HOLD_INCOMPLETE", "KEPT", "DUE", "UNREADABLE", "IMMUTABLE", "OTHERS_FIRST"]
State = Literal["due", "kept", "held", "refused"]


class DisposalRulesError(AuditError):
    """The file with the rules cannot be used."""

    code = "disposal-rules-invalid"
    remedy = "Correct the file at the place that the message names; docs/how-to/retention.md explains it."


class _Storage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    blob_url: StorageUrl
    jobs: Container = "jobs"
    results: Container = "results"
    records: Container = "retention"
    ca_file: _File | None = None


class Keep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Days for each area."""

    input_days: _Days
    result_days: _Days
    proof_days: _Days

    def __post_init__(self) -> None:
        if self.proof_days < max(self.input_days, self.result_days):
            raise ValueError("proof_days must be at least input_days and result_days")

    def days(self, area: Area) -> int:
        """Those of one area."""
        return {"input": self.input_days, "result": self.result_days, "proof": self.proof_days}[area]


class Disposal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file: which storage, which rules, the folder with the copy of the log, whose records count."""

    storage: _Storage
    keep: Keep
    log: _File = "retention-log"
    signers: Annotated[tuple[_File, ...], Meta(min_length=1, max_length=64)]

    def below(self, folder: Path) -> Self:
        """The same with absolute paths; relative ones are relative to `folder`."""
        storage = self.storage
        if storage.ca_file is not None:
            storage = msgspec.structs.replace(storage, ca_file=str(folder / storage.ca_file))
        signers = tuple(str(folder / each) for each in self.signers)
        return msgspec.structs.replace(self, storage=storage, log=str(folder / self.log), signers=signers)


def load_disposal(path: Path) -> Disposal:
    """The file of rules. Raises DisposalRulesError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DisposalRulesError(f"{path.name} cannot be read ({error.strerror})") from error
    return parse_disposal(data, path.name).below(path.absolute().parent)


def parse_disposal(data: bytes, name: str) -> Disposal:
    """The rules in these bytes. Raises DisposalRulesError."""
    if len(data) > MAX_BYTES:
        raise DisposalRulesError(f"{name} is larger than 64 KiB")
    try:
        return toml(data, Disposal)
    except (ValueError, RecursionError) as error:
        raise DisposalRulesError(f"{name} is not usable: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One version of a blob, or a snapshot, as the service lists it.

    `created` is that of the version. `held` is Azure's legal hold, `immutable` a policy that has not ended.
    """

    container: str
    name: str
    version: str | None = None
    snapshot: str | None = None
    etag: str
    size: int
    created: datetime
    held: bool = False
    immutable: bool = False

    @property
    def job(self) -> str:
        """The first part of its name."""
        return self.name.partition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The end of a job, as its receipt or failure receipt states it."""

    at: datetime
    by: Literal["receipt", "failure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Everything that is stored of one job. `unreadable`: there is an end or a header that cannot be read."""

    id: str
    stored: tuple[Stored, ...]
    end: End | None = None
    not_after: datetime | None = None
    unreadable: bool = False

    def of(self, area: Area, *, jobs: str) -> tuple[Stored, ...]:
        """The blobs of one area, in the order of their names, snapshots before the blob that they are of."""
        found = (each for each in self.stored if area_of(each, jobs=jobs) == area)
        return tuple(sorted(found, key=lambda e: (e.name, e.snapshot is None, e.version or "", e.snapshot or "")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """About one area of a job, whose blobs are `stored`."""

    job: Job
    area: Area
    stored: tuple[Stored, ...]
    state: State
    why: Why
    days: int
    since: datetime
    since_by: Since
    until: datetime


def is_job(text: str) -> bool:
    """Whether it is the id of a job, by which names of blobs begin."""
    return len(text) == 32 and _HEX.issuperset(text)


def area_of(stored: Stored, *, jobs: str) -> Area:
    """The area of a blob, by its container and name."""
    if stored.container == jobs:
        return "input"
    second = stored.name.split("/", 2)[1]
    return "proof" if second in _PROOF or second == "evidence" else "result"


def beginning(job: Job) -> tuple[datetime, Since]:
    """When the job's time begins, and what states that."""
    latest, by = max(each.created for each in job.stored) + _SECOND, "created"
    stated: tuple[datetime, str] | None = None
    if job.end is not None:
        stated = job.end.at, job.end.by
    elif job.not_after is not None:
        stated = job.not_after, "not_after"
    if stated is not None and stated[0] >= latest:
        latest, by = stated
    return latest, by  # type: ignore[return-value]  # the texts are those of Since


def ending(since: datetime, days: int) -> datetime:
    """The first moment at which it may go."""
    try:
        return since + timedelta(days=days)
    except OverflowError:
        return _NEVER


def earlier(service: datetime, local: datetime) -> datetime:
    """The time that counts: the earlier one."""
    return min(service, local)


def judge(job: Job, keep: Keep, *, on_hold: Collection[str], jobs: str, now: datetime) -> Iterator[Verdict]:
    """A verdict about each area that has blobs. `on_hold` are the jobs that the log has on hold."""
    since, by = beginning(job)
    areas = {area: found for area in AREAS if (found := job.of(area, jobs=jobs))}
    for area, stored in areas.items():
        until = ending(since, keep.days(area))
        state, why = _state(job, stored, now >= until, on_hold=on_hold, alone=area != "proof" or len(areas) == 1)
        yield Verdict(
            job=job,
            area=area,
            stored=stored,
            state=state,
            why=why,
            days=keep.days(area),
            since=since,
            since_by=by,
            until=until,
        )


def _state(
    job: Job, stored: Sequence[Stored], is_over: bool, *, on_hold: Collection[str], alone: bool
) -> tuple[State, Why]:
    if job.id in on_hold:
        return "held", "LEGAL_HOLD" if all(each.held for each in stored) else "HOLD_INCOMPLETE"
    if any(each.held for each in job.stored):
        return "held", "LEGAL_HOLD"
    if job.unreadable:
        return "refused", "UNREADABLE"
    if not is_over:
        return "kept", "KEPT"
    if any(each.immutable for each in stored):
        return "refused", "IMMUTABLE"
    return ("due", "DUE") if alone else ("kept", "OTHERS_FIRST")


def by_job(stored: Iterable[Stored]) -> dict[str, list[Stored]]:
    """The blobs of each job; those whose name does not begin with one are left alone."""
    found: dict[str, list[Stored]] = {}
    for each in stored:
        if is_job(each.job) and each.name.count("/"):
            found.setdefault(each.job, []).append(each)
    return found
