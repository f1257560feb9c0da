"""One trail of the review: what its lines show that depends on the week, and the facts that the report has of it."""

from collections import Counter

from cji_audit.review.findings import Findings
from cji_audit.review.model import Anchors, Checkpoints, Place, TrailState
from cji_audit.review.week import Window
from cji_core.trail.chain import GENESIS, Record
from cji_core.trail.events import JobCompleted
from cji_core.trail.rules import Finding, Watcher
from cji_core.trail.rules.machine import minutes_between
from cji_core.trail.worker_events import TrailAnchored, TrailCheckpoint, WorkerStarted


class TrailReview:
    """The state of one trail while its lines are read in order. Its rules are the watcher's."""

    def __init__(self, number: int, window: Window, findings: Findings, watcher: Watcher) -> None:
        self.number, self._window, self._findings, self.watcher = number, window, findings, watcher
        pruned = watcher.pruned
        self.worker = ""
        self._first_seq = watcher.tree.size + 1
        self._first_hash = "" if pruned is None else pruned.first_hash
        self._hash, self._first, self._last = GENESIS.hash, "", ""
        self._place = Place(trail=number, line=0)
        self._events: Counter[str] = Counter()
        self._versions: dict[str, None] = {}
        self._anchor: int | None = None
        self._anchor_line = self._silence = 0

    def line(self, line: bytes, record: Record, *, in_week: bool) -> Place:
        """Examine a line; those of the week have findings. Returns its place."""
        place, time, event = Place(trail=self.number, line=record.seq), record.time, record.event
        if record.seq == self._first_seq:
            self.worker, self._first = record.worker, time
            self._first_hash = self._first_hash or record.hash
        if self._last < self._window.ends:
            was_up = self.watcher.state.is_up is not False
            self._gap(time, running=was_up and not isinstance(event, WorkerStarted))
        for finding in self.watcher.see(line, record):
            if in_week:
                self._keep(finding)
        if isinstance(event, TrailAnchored):
            self._anchor, self._anchor_line = event.counter, record.seq
        if in_week:
            self._events[event.kind] += 1
            if isinstance(event, WorkerStarted) and len(self._versions) < 100:
                self._versions[event.version] = None
        self._last, self._hash, self._place = time, record.hash, place
        return place

    def finish(self, *, complete: bool) -> TrailState:
        """The state after the last line, with the findings that need it."""
        watcher, state = self.watcher, self.watcher.state
        if complete and self._last < self._window.ends:
            self._gap(self._window.ends, running=bool(state.is_up))
        size, subject = watcher.tree.size, self.worker
        lines_in_week = self._events.total()
        after = size - self._anchor_line
        checkpoints_in_week = self._events[_CHECKPOINT]
        if not lines_in_week:
            self._findings.state("no_lines", subject, detail=f"the last line is from {self._last}")
        if self._last < self._window.ends and self._anchor is not None and after > 0:
            self._findings.state(
                "not_anchored", subject, detail=f"{after} lines after anchor {self._anchor}", count=after
            )
        if state.checkpoint_size is not None and lines_in_week and not checkpoints_in_week:
            self._findings.state("no_checkpoint", subject)
        for job in state.running.values():
            if self._window.has(job.time):
                place = Place(trail=self.number, line=job.line)
                self._findings.see("unfinished", f"{subject}, {job.submitter}", place, job.time)
        for finding in watcher.end():
            if self._window.has(finding.time):
                self._keep(finding)
        return TrailState(
            worker=self.worker,
            first_hash=self._first_hash or GENESIS.hash,
            lines=size,
            hash=self._hash,
            root=watcher.tree.root().hex(),
            first=self._first,
            last=self._last,
            week_lines=lines_in_week,
            events=dict(self._events),
            versions=tuple(self._versions),
            anchors=Anchors(in_week=self._events[_ANCHOR], last=self._anchor, lines_after=after),
            checkpoints=Checkpoints(in_week=checkpoints_in_week, compared=watcher.compared, size=state.checkpoint_size),
            receipts=self._events[_COMPLETED],
            silence_minutes=self._silence,
        )

    def _keep(self, finding: Finding) -> None:
        place = Place(trail=self.number, line=finding.line)
        self._findings.see(
            finding.rule, finding.subject, place, finding.time, detail=finding.detail, count=finding.count
        )

    def _gap(self, time: str, *, running: bool) -> None:
        """The minutes of the week between the line before and `time`; silence if the worker ran meanwhile."""
        begins, ends = self._window.begins, self._window.ends
        start, until = max(self._last, begins), min(time, ends)
        if not self._last or not running or until <= start or until[:16] == start[:16]:
            return
        minutes = minutes_between(start, until)
        self._silence = max(self._silence, minutes)
        if self._findings.exceeds("silence", minutes):
            self._findings.see("silence", self.worker, self._place, start, detail=f"{minutes} minutes from {start}")


_ANCHOR, _CHECKPOINT, _COMPLETED = (
    str(kind.__struct_config__.tag) for kind in (TrailAnchored, TrailCheckpoint, JobCompleted)
)
