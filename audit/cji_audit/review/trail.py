"""One trail of the review: its lines' order in time, its anchors and checkpoints, and the worker that wrote it."""

from collections import Counter
from datetime import datetime
from typing import Final

from cji_audit.review.model import Anchors, Checkpoints, Place, TrailState
from cji_audit.review.receipts import ReceiptChain
from cji_audit.review.sightings import Sightings
from cji_audit.review.window import Window
from cji_core.trail.chain import GENESIS, Record
from cji_core.trail.checkpoint import CheckpointError, parse_checkpoint
from cji_core.trail.events import JobAdmitted
from cji_core.trail.merkle import Frontier
from cji_core.trail.pruned import Pruned

MOST_OPEN: Final = 10_000
"""Jobs without an end that are remembered; a worker has at most 64 cells."""


class TrailReview:
    """The state of one trail while its lines are read in order."""

    def __init__(self, number: int, window: Window, sightings: Sightings, pruned: Pruned | None = None) -> None:
        """`pruned` is what stays of lines that were pruned, before the first one here."""
        self.number, self._window, self._see = number, window, sightings
        self.worker = ""
        self.jobs: dict[str, tuple[JobAdmitted, str, int]] = {}
        self.receipts = ReceiptChain(sightings, pruned=pruned is not None)
        self.running: bool | None = None
        self.started: dict[str, str] = {}
        self.stopped_at = ""
        self.unmet: frozenset[str] = frozenset()
        self.tree = Frontier() if pruned is None else pruned.tree()
        self._first_seq = self.tree.size + 1
        self._first_hash, self._hash = "" if pruned is None else pruned.first_hash, GENESIS.hash
        self._first, self._last = "", ""
        self._place = Place(trail=number, line=0)
        self._events: Counter[str] = Counter()
        self._versions: dict[str, None] = {}
        self._anchor: int | None = None
        self._anchor_line = self._anchors = 0
        self._resumed = False
        self._checkpoints = self._compared = 0
        self._checkpoint_size: int | None = None
        self._silence = 0

    def line(self, record: Record, kind: str, *, in_week: bool) -> Place:
        """Any line; returns its place."""
        place, time = Place(trail=self.number, line=record.seq), record.time
        if record.seq == self._first_seq:
            self.worker, self._first = record.worker, time
            self._first_hash = self._first_hash or record.hash
        elif record.worker != self.worker and in_week:
            self._see.see("mixed_workers", f"{self.worker} and {record.worker}", place, time)
        if time < self._last and in_week:
            self._see.see("clock_went_back", record.worker, place, time, detail=f"from {self._last} to {time}")
        if in_week:
            self._events[kind] += 1
        if self._last < self._window.ends:
            self._gap(time, running=self.running is not False and kind != "worker_started")
        self._last, self._hash, self._place = time, record.hash, place
        return place

    def anchored(self, record: Record, counter: int, place: Place, *, in_week: bool) -> None:
        """`trail_anchored`."""
        if in_week:
            self._anchors += 1
            if self._anchor is not None and counter <= self._anchor:
                after = "after a resumption" if self._resumed else "without a resumption before it"
                detail = f"anchor {counter} follows {self._anchor}, {after}"
                self._see.see("anchor_went_back", record.worker, place, record.time, detail=detail)
        self._anchor, self._anchor_line, self._resumed = counter, record.seq, False

    def resumed(self) -> None:
        """`trail_resumed`."""
        self._resumed = True

    def checkpoint(self, record: Record, note: str, place: Place, *, in_week: bool) -> None:
        """`trail_checkpoint`: compare its root with the lines before it, as long as they are at hand."""
        self._checkpoints += in_week
        fault = ""
        try:
            found = parse_checkpoint(note.encode())
        except CheckpointError as error:
            fault = f"it cannot be read: {error}"
        else:
            self._checkpoint_size = found.size
            if found.size != self.tree.size:
                fault = f"it is for {found.size} lines, and {self.tree.size} precede it"
            elif found.root != self.tree.root():
                fault = f"the root of the first {found.size} lines is another one"
            else:
                self._compared += 1
        if fault and in_week:
            self._see.see("checkpoint_differs", record.worker, place, record.time, detail=fault)

    def start(self, digests: dict[str, str]) -> list[str]:
        """`worker_started`; returns the names of what changed since the start before."""
        changed = [name for name, digest in digests.items() if self.started.get(name, digest) != digest]
        self.started |= digests
        return changed

    def stopped_for(self, time: str) -> str:
        """For a start at this time, how long the worker had been stopped; empty if it had not stopped."""
        if self.running is not False:
            return ""
        return f", after {_minutes(self.stopped_at, time)} minutes"

    def version(self, version: str) -> None:
        """A version that ran in the week."""
        if len(self._versions) < 100:
            self._versions[version] = None

    def finish(self, *, complete: bool) -> TrailState:
        """The state after the last line, with the findings that need it."""
        if complete and self._last < self._window.ends:
            self._gap(self._window.ends, running=bool(self.running))
        size, subject = self.tree.size, self.worker
        lines_in_week = self._events.total()
        if not lines_in_week:
            self._see.state("no_lines", subject, detail=f"the last line is from {self._last}")
        if self._last < self._window.ends:
            after = size - self._anchor_line
            if self._anchor is not None and after > 0:
                detail = f"{after} lines after anchor {self._anchor}"
                self._see.state("not_anchored", subject, detail=detail, count=after)
        if self._checkpoint_size is not None and lines_in_week and not self._checkpoints:
            self._see.state("no_checkpoint", subject)
        for admitted, time, line in self.jobs.values():
            if self._window.has(time):
                place = Place(trail=self.number, line=line)
                self._see.see("unfinished", f"{subject}, {admitted.submitter}", place, time)
        return TrailState(
            worker=self.worker,
            first_hash=self._first_hash or GENESIS.hash,
            lines=size,
            hash=self._hash,
            root=self.tree.root().hex(),
            first=self._first,
            last=self._last,
            week_lines=lines_in_week,
            events=dict(self._events),
            versions=tuple(self._versions),
            anchors=Anchors(in_week=self._anchors, last=self._anchor, lines_after=size - self._anchor_line),
            checkpoints=Checkpoints(in_week=self._checkpoints, compared=self._compared, size=self._checkpoint_size),
            receipts=self.receipts.in_week,
            silence_minutes=self._silence,
        )

    def _gap(self, time: str, *, running: bool) -> None:
        """The minutes of the week between the line before and `time`; silence if the worker ran meanwhile."""
        begins, ends = self._window.begins, self._window.ends
        start, until = max(self._last, begins), min(time, ends)
        if not self._last or not running or until <= start or until[:16] == start[:16]:
            return
        minutes = _minutes(start, until)
        self._silence = max(self._silence, minutes)
        if self._see.exceeds("silence", minutes):
            self._see.see("silence", self.worker, self._place, start, detail=f"{minutes} minutes from {start}")


def _minutes(start: str, end: str) -> int:
    """Whole minutes between two times."""
    return int((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds() // 60)
