"""Trails of several segments, some of them old enough to be pruned, and the pruning of one."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cji_core.trail import HoldPlaced, TrailPruned
from cji_core.trail.pruned import Pruned
from cji_core.trail.segments import segment_path
from cji_core.trail.worker_events import TrailStarted
from cji_worker.trail.file import AuditFile
from cji_worker.trail.retention import Candidate, Survey, survey
from tests.support.audit_events import ledger_of
from tests.support.trails import Writer

__all__ = ["NOW", "OLD", "ends_of", "opened_at", "prune", "split", "two_years"]

OLD: Final = datetime(2024, 11, 4, 8, 0, tzinfo=UTC)
RECENT: Final = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
NOW: Final = datetime(2026, 11, 26, 8, 0, tzinfo=UTC)


def split(lines: Sequence[bytes], path: Path, *ends: int) -> Path:
    """Write closed segments that end with these lines, and the rest as the current file; return its path."""
    first = 1
    for last in ends:
        segment = segment_path(path, first, last)
        segment.write_bytes(b"".join(lines[first - 1 : last]))
        segment.chmod(0o640)
        first = last + 1
    path.write_bytes(b"".join(lines[first - 1 :]))
    path.chmod(0o640)
    return path


def two_years(*, jobs: int = 6, identified: bool = False) -> Writer:
    """Two starts in 2024 with some jobs each, then one in 2026; the first two end with a checkpoint and an anchor."""
    writer = Writer(now=OLD)
    if identified:
        writer.add(TrailStarted(nonce="07" * 32))
    for start in range(3):
        if start == 2:
            writer.now = RECENT
        writer.start(new_key=False)
        for number in range(start * jobs, (start + 1) * jobs):
            writer.job(number, fails=number % 3 == 2)
            if number % 2:
                writer.checkpoint()
        writer.stop()
    return writer


def ends_of(writer: Writer) -> tuple[int, ...]:
    """The last line of each start but the last."""
    starts = [number for number, line in enumerate(writer.lines, 1) if b'"kind":"worker_started"' in line]
    return tuple(start - 1 for start in starts[1:])


def opened_at(path: Path, now: datetime = NOW) -> AuditFile:
    """The trail as its worker opens it."""
    return AuditFile(path, worker="worker-1", clock=lambda: now, ledger=ledger_of(path))


def prune(path: Path, *, through: int = 0) -> tuple[Pruned, Survey]:
    """Remove the segments until the `through`-th, as `cji audit prune` does, without asking whether it may."""
    found = survey(path)
    candidate: Candidate = found.candidates[through]
    with opened_at(path) as audit:
        audit.append(pruned_event(found.first, candidate.pruned))
        audit.prune(candidate.pruned)
    return candidate.pruned, found


def pruned_event(first: int, pruned: Pruned) -> TrailPruned:
    return TrailPruned(
        first=first,
        last=pruned.last,
        root=pruned.tree().root().hex(),
        kept_sha384=pruned.sha384(),
        operator_id="jdoe",
        explanation="schedule 7",
    )


def held(name: str = "case-7", *, first: int = 1, last: int | None = None) -> HoldPlaced:
    return HoldPlaced(name=name, first=first, last=last, operator_id="jdoe", explanation="court order")
