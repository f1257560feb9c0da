"""The review of one week: one pass over each trail, every line verified, and the report that follows from it.

Memory is bounded by the different names in the trails (at most `groups.MOST_NAMES` of a kind), not by their lines.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal

from cji_audit.errors import AuditError
from cji_audit.review.confirmations import Confirmations, Sources, not_checked
from cji_audit.review.findings import Findings
from cji_audit.review.groups import FirstUse, name_of
from cji_audit.review.hours import zone_named
from cji_audit.review.jobs import Jobs
from cji_audit.review.model import VERSION, HeadState, KnownHead, Place, Report, TrailState
from cji_audit.review.receipt_folder import ReceiptFolder
from cji_audit.review.settings import Settings
from cji_audit.review.trail import TrailReview
from cji_audit.review.week import Week, Window
from cji_core.trail.chain import ChainError, Record
from cji_core.trail.events import Attested, CallsRefused, JobAdmitted, JobCompleted, JobEnded, JobRefused
from cji_core.trail.known_lines import KnownLines
from cji_core.trail.rules import Watcher, has_rule
from cji_core.trail.rules.state import Admission
from cji_core.trail.short_receipts import Stated
from cji_core.trail.trail import opened, pruned_of, verified

_STEP: Final = 20_000


class ReviewError(AuditError):
    """Trails that cannot be reviewed together. The text names the file and the fault."""

    code = "review-not-made"
    remedy = "Correct the input that the message names."


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Everything but trails and receipts that a report follows from."""

    week: Week
    settings: Settings
    software: str
    complete: bool
    heads: tuple[KnownHead, ...] = ()


def review(
    trails: Sequence[Path],
    context: Context,
    *,
    receipts: Path | None = None,
    confirmations: Sources | None = None,
    upto: Sequence[TrailState] = (),
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """The report of a week. With `upto`, the trails are exactly these, and are read up to the lines that they had.

    `progress` is called with the bytes that were read since it was called last. Raises ReviewError for trails that do
    not verify or cannot be reviewed together, OSError, or ValueError for a folder of receipts that is too large.
    """
    run = _Run(context, ReceiptFolder(receipts) if receipts else None, confirmations)
    ordered = sorted((*_first(path), path) for path in trails)
    for (_, first, path), (_, following, other) in pairwise(ordered):
        if first == following:
            raise ReviewError(f"{path} and {other} are the same trail")
    limits = {state.first_hash: state for state in upto}
    for worker, first, path in ordered:
        if limits and first not in limits:
            raise ReviewError(f"{path} is a trail of {worker} that is not in the report")
    if missing := limits.keys() - {first for _, first, _ in ordered}:
        workers = ", ".join(sorted(limits[first].worker for first in missing))
        raise ReviewError(f"the report is about trails that were not given: {workers}")
    for number, (_, first, path) in enumerate(ordered):
        run.read(number, path, progress, lines=limits[first].lines if limits else None)
    return run.report()


class _Run:
    """One review while it reads."""

    def __init__(self, context: Context, receipts: ReceiptFolder | None, confirmations: Sources | None) -> None:
        self._context, self._receipts = context, receipts
        limits = context.settings.thresholds
        self._window = Window(context.week, context.settings.time_zone, limits.baseline_weeks)
        self._findings = Findings()
        self._findings.limit("silence", limits.silence_minutes)
        self._confirmations = Confirmations(confirmations, self._findings) if confirmations else None
        self._jobs = Jobs(self._window, context.settings, self._findings)
        self._risks, self._attested_earlier = FirstUse(), False
        self._trails: list[TrailState] = []
        self._known: list[KnownLines] = []

    def read(self, number: int, path: Path, progress: Callable[[int], None], *, lines: int | None) -> None:
        """Read one trail, or its first lines."""
        known = KnownLines(head.line for head in self._context.heads)
        begins, ends, done = self._window.begins, self._window.ends, 0
        stack = ExitStack()
        try:
            files = stack.enter_context(opened(path))
            trail = TrailReview(number, self._window, self._findings, Watcher.after(files.pruned))
            running, tree = trail.watcher.state.running, trail.watcher.tree
            known.begin(tree.size)
            if files.pruned is not None and known.wants(tree.size):
                known.take(tree.size, line_hash=files.pruned.head.hash, root=tree.root().hex())
            for line, record in files.verified():
                event, in_week = record.event, begins <= record.time < ends
                admission = running.get(event.job_id) if isinstance(event, JobCompleted | JobEnded) else None
                place = trail.line(line, record, in_week=in_week)
                self._event(record, admission, trail.watcher.receipt, place, in_week=in_week)
                if known.wants(record.seq):
                    known.take(record.seq, line_hash=record.hash, root=tree.root().hex())
                done += len(line)
                if record.seq % _STEP == 0:
                    progress(done)
                    done = 0
                if record.seq == lines:
                    break
        except ChainError as error:
            raise ReviewError(f"{path}: {error}") from error
        finally:
            stack.close()
        if lines is not None and tree.size != lines:
            raise ReviewError(f"{path} has {tree.size} lines; the report is about {lines}")
        progress(done)
        self._trails.append(trail.finish(complete=self._context.complete))
        self._known.append(known)

    def report(self) -> Report:
        """The report, after the last trail."""
        heads = tuple(self._head(head) for head in self._context.heads)
        self._jobs.finish()
        self._finish_risks()
        self._not_checked()
        workers = frozenset(trail.worker for trail in self._trails)
        receipts = self._receipts.finish(self._window, workers, self._findings) if self._receipts else None
        confirmations = self._confirmations.finish() if self._confirmations else None
        jobs, groups = self._jobs, self._jobs.groups
        return Report(
            version=VERSION,
            software=self._context.software,
            week=str(self._context.week),
            begins=self._window.begins,
            ends=self._window.ends,
            complete=self._context.complete,
            settings=self._context.settings,
            trails=tuple(self._trails),
            findings=self._findings.findings(),
            checks=self._findings.checks(),
            total=jobs.total,
            agencies=groups["agency"].table(),
            operators=groups["operator"].table(),
            purposes=groups["purpose"].table(),
            submitters=groups["submitter"].table(),
            operations=groups["operation"].table(),
            slots=tuple(jobs.slots),
            refusals=jobs.refusals(),
            refused=jobs.refused.total(),
            new={kind: tuple(name_of(key) for key, *_ in names.new()) for kind, names in jobs.names.items()},
            heads=heads,
            receipts=receipts,
            confirmations=confirmations,
        )

    def _event(
        self, record: Record, admission: Admission | None, receipt: Stated | None, place: Place, *, in_week: bool
    ) -> None:
        """Add a line to the sums of the week. An earlier version did not keep all of an admission."""
        event, admitted = record.event, admission if admission is not None and admission.line else None
        match event:
            case JobAdmitted():
                self._jobs.admitted(record, event, place, in_week=in_week)
            case JobCompleted():
                if in_week:
                    self._jobs.completed(record, event, admitted, place)
                elif record.time < self._window.begins:
                    self._jobs.released_before(record, event, admitted)
                if self._confirmations and receipt is not None:
                    self._confirmations.completed(record, event, receipt, place)
                if self._receipts:
                    self._receipts.completed(record, event, receipt, place, self._findings, in_week=in_week)
            case JobEnded() if in_week:
                self._jobs.ended(record, event, admitted, place)
            case JobRefused() | CallsRefused() if in_week:
                self._jobs.refused_job(record, event, place)
            case Attested():
                self._attested(record, event, place, in_week=in_week)
            case _ if in_week and not has_rule(type(event)):
                self._findings.see("unknown_kind", event.kind, place, record.time)

    def _attested(self, record: Record, event: Attested, place: Place, *, in_week: bool) -> None:
        is_earlier = record.time < self._window.begins
        self._attested_earlier |= is_earlier
        for name in event.accepted_advisories:
            if in_week:
                self._risks.in_week((record.worker, name), record.time, place)
            elif is_earlier:
                self._risks.earlier((record.worker, name))

    def _finish_risks(self) -> None:
        """The accepted advisories that are new."""
        if not self._attested_earlier and self._risks.week:
            self._findings.not_checked("new_risk", "the trails have no earlier attestation to compare with")
            return
        for key, time, place in self._risks.new():
            self._findings.see("new_risk", " ".join(map(str, key)), place, time)

    def _head(self, head: KnownHead) -> HeadState:
        """Compare a known head with the trails of its worker, or with all of them if it names none."""
        asked = [i for i, trail in enumerate(self._trails) if head.worker in (None, trail.worker)]
        answers = {i: self._known[i].compare(head.line, line_hash=head.hash, root=head.root) for i in asked}
        if head.line == 0:
            return HeadState(head=head, state="same", lines_behind=None)
        for i, answer in answers.items():
            if answer == "same":
                return HeadState(head=head, state="same", lines_behind=self._trails[i].lines - head.line)
        if "pruned" in answers.values() and "differs" not in answers.values():
            return HeadState(head=head, state="pruned", lines_behind=None)
        state: Literal["differs", "missing"] = "differs" if "differs" in answers.values() else "missing"
        what = "another line" if state == "differs" else "no line"
        detail = f"it has line {head.line} of {head.worker or 'a worker'}; the trail has {what} of this number"
        self._findings.state("head_differs", f"{head.kind} {head.source}", detail=detail)
        return HeadState(head=head, state=state, lines_behind=None)

    def _not_checked(self) -> None:
        if not self._receipts:
            for rule in ("receipt_without_event", "event_without_receipt", "receipt_copy", "unreadable_receipt"):
                self._findings.not_checked(rule, "no folder of receipts was given")
            self._findings.not_checked("other_workers", "no folder of receipts was given")
        if not self._confirmations:
            not_checked(self._findings)
        if not self._context.heads:
            self._findings.not_checked("head_differs", "neither checkpoints nor states nor earlier reviews were given")
        if all(trail.checkpoints.size is None for trail in self._trails):
            for rule in ("no_checkpoint", "checkpoint_differs"):
                self._findings.not_checked(rule, "the trails contain no checkpoints")


def first_week(trail: Path, time_zone: str) -> Week:
    """The week of the first line of a trail. Raises ReviewError or OSError."""
    return Week.of(datetime.fromisoformat(_first_line(trail).time), zone_named(time_zone))


def identity_of(path: Path) -> str:
    """The hash of the first line of a trail, pruned or not. Raises ReviewError, ChainError or OSError."""
    return _first(path)[1]


def _first(path: Path) -> tuple[str, str]:
    """Worker and hash of the first line, which tell one trail from another."""
    record = _first_line(path)
    pruned = pruned_of(path)
    return record.worker, record.hash if pruned is None else pruned.first_hash


def _first_line(path: Path) -> Record:
    try:
        for _, record in verified(path):
            return record
    except ChainError as error:
        raise ReviewError(f"{path}: {error}") from error
    raise ReviewError(f"{path} has no line")
