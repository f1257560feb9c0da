"""X13: the trail and the vTPM's counter, wherever a crash or a rollback left them; with a real TPM behind it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from tpm2_pytss import ESAPI

from cji_attestation.evidence.tpm_counter import NvCounter
from cji_core.errors import Reason, StartupError
from cji_core.trail import TrailAnchored, TrailRefused, WorkerStopped, read
from cji_simulator.faults import Kind, Service
from cji_simulator.raw import until
from cji_simulator.simulation import Simulation
from cji_worker.keyholder import anchor as anchor_module
from cji_worker.keyholder.anchor import Anchor, anchor_again, establish
from cji_worker.trail.file import AuditFile
from tests.support.audit_events import opened
from tests.support.refusals import refused
from tests.support.simulations import simulated

_INDICES: Iterator[int] = count(0x01A00000, 2)
Open = Callable[[], AbstractContextManager[NvCounter]]


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSS2_LOG", "all+NONE")


@pytest.fixture
def index() -> int:
    return next(_INDICES)


@pytest.fixture
def counter(simulation: Simulation, index: int) -> Open:
    return partial(NvCounter, simulation.trust.tcti, index)


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[AuditFile]:
    with opened(tmp_path / "audit.jsonl") as audit:
        audit.begin()
        yield audit


def begun(trail: AuditFile, counter: Open) -> int:
    """As a worker does whose TPM others use too."""
    return establish(trail, counter, alone=False)


def value(counter: Open) -> int | None:
    with counter() as tpm:
        return tpm.value()


def followed(running: Anchor) -> Anchor:
    running.follow()
    return running


def events(trail: AuditFile) -> list[object]:
    """After the one that begins it."""
    return [read(line).event for line in trail._path.read_bytes().splitlines(keepends=True)[1:]]


def refusal(trail: AuditFile, counter: Open) -> tuple[str, TrailRefused]:
    with refused(Reason.AUDIT_UNAVAILABLE) as caught:
        begun(trail, counter)
    assert isinstance(caught.value, StartupError)
    last = events(trail)[-1]
    assert isinstance(last, TrailRefused)
    return caught.value.what, last


def test_a_new_trail_begins_a_new_counter(trail: AuditFile, counter: Open) -> None:
    first = begun(trail, counter)
    assert events(trail) == [TrailAnchored(counter=first)]
    assert value(counter) == first
    assert begun(trail, counter) == first
    assert len(events(trail)) == 1


def test_a_crash_before_the_increment_is_finished(trail: AuditFile, counter: Open) -> None:
    first = begun(trail, counter)
    trail.append(TrailAnchored(counter=first + 1))
    assert begun(trail, counter) == first + 1
    assert value(counter) == first + 1


def test_a_crash_before_the_first_increment_is_finished(trail: AuditFile, counter: Open) -> None:
    with counter() as tpm:
        announced = tpm.highest() + 1
    trail.append(TrailAnchored(counter=announced))
    assert begun(trail, counter) == announced


def test_x13_a_counter_ahead_of_the_trail_is_refused(trail: AuditFile, counter: Open) -> None:
    first = begun(trail, counter)
    with counter() as tpm:
        tpm.increment()
    what, event = refusal(trail, counter)
    assert "lines are missing" in what
    assert event == TrailRefused(compared_with="counter", expected=first, found=first + 1)


def test_x13_a_trail_ahead_of_the_counter_is_another_tpms(trail: AuditFile, counter: Open) -> None:
    first = begun(trail, counter)
    trail.append(TrailAnchored(counter=first + 2))
    what, event = refusal(trail, counter)
    assert "another TPM" in what
    assert (event.expected, event.found) == (first + 2, first)


def test_x13_an_empty_trail_beside_a_counter_is_refused(trail: AuditFile, counter: Open, tmp_path: Path) -> None:
    first = begun(trail, counter)
    with opened(tmp_path / "fresh.jsonl") as fresh:
        fresh.begin()
        what, event = refusal(fresh, counter)
    assert "has no anchor" in what
    assert (event.expected, event.found) == (None, first)


def test_x13_a_counter_that_was_removed_is_refused_for_good(
    trail: AuditFile, counter: Open, simulation: Simulation, index: int
) -> None:
    first = begun(trail, counter)
    with ESAPI(simulation.trust.tcti) as tpm:
        tpm.nv_undefine_space(tpm.tr_from_tpmpublic(index))
    for _ in range(2):
        _, event = refusal(trail, counter)
        assert event.expected == first
        assert event.found is not None
        assert event.found > first


def test_a_new_trail_on_a_used_tpm_asks_a_person(
    trail: AuditFile, counter: Open, tmp_path: Path, simulation: Simulation
) -> None:
    """Trail, replay ledger and counter of an earlier worker were removed: only the TPM remembers them."""
    with counter() as tpm:
        highest = tpm.highest()
    with refused(Reason.AUDIT_UNAVAILABLE) as caught:
        establish(trail, counter, alone=True)
    assert isinstance(caught.value, StartupError)
    assert "cji audit resume" in caught.value.remedy
    assert events(trail) == [TrailRefused(compared_with="tpm", expected=1, found=highest + 1)]
    with refused(Reason.AUDIT_UNAVAILABLE):  # the next start has not begun it
        trail.began = False
        establish(trail, counter, alone=True)
    assert value(counter) is None
    decided = anchor_again(trail, counter)
    assert establish(trail, counter, alone=True) == decided
    with opened(tmp_path / "pool.jsonl") as other:  # a pool ledger knows the ids of a machine that was replaced
        other.begin()
        assert establish(other, partial(NvCounter, simulation.trust.tcti, next(_INDICES)), alone=False) > decided


def test_lines_of_an_earlier_start_without_an_anchor_are_refused(tmp_path: Path, counter: Open) -> None:
    """A first line that was copied from another machine would give this trail its identity."""
    with opened(tmp_path / "a.jsonl") as first:
        first.begin()
        first_line = first._path.read_bytes()
    (tmp_path / "b.jsonl").write_bytes(first_line)
    with opened(tmp_path / "b.jsonl") as copy:
        copy.begin()
        assert copy.identity == read(first_line).hash
        with refused(Reason.AUDIT_UNAVAILABLE) as caught:
            begun(copy, counter)
    assert "no anchor" in getattr(caught.value, "what", "")


def test_a_tpm_that_never_had_a_counter_needs_nobody(tmp_path: Path) -> None:
    with simulated(tmp_path / "fresh") as machine, opened(tmp_path / "audit.jsonl") as audit:
        audit.begin()
        counter = partial(NvCounter, machine.trust.tcti, 0x01800C10)
        first = establish(audit, counter, alone=True)
        assert value(counter) == first


def test_an_operator_anchors_again(trail: AuditFile, counter: Open) -> None:
    begun(trail, counter)
    with counter() as tpm:
        found = [tpm.increment() for _ in range(3)][-1]
    refusal(trail, counter)
    assert anchor_again(trail, counter) == found + 1
    assert begun(trail, counter) == found + 1


def test_a_tpm_that_does_not_answer_starts_no_worker(trail: AuditFile, counter: Open, simulation: Simulation) -> None:
    simulation.fault(Service.TPM, Kind.RETRY)
    with refused(Reason.AUDIT_UNAVAILABLE) as caught:
        begun(trail, counter)
    assert "cannot be used" in getattr(caught.value, "what", "")


def test_lines_are_anchored_together_and_once(trail: AuditFile, counter: Open) -> None:
    first = begun(trail, counter)
    running = Anchor(trail, counter, value=first)
    running.follow()
    assert len(events(trail)) == 1  # an idle worker does not count
    for number in range(10):
        trail.append(WorkerStopped(jobs_completed=number))
    running.follow()
    running.follow()
    assert [e for e in events(trail) if isinstance(e, TrailAnchored)][1:] == [TrailAnchored(counter=first + 1)]
    until(lambda: value(counter) == first + 1)
    until(lambda: followed(running).value == first + 1)
    trail.append(WorkerStopped(jobs_completed=10))
    running.finish()
    assert value(counter) == first + 2
    assert begun(trail, counter) == first + 2


def test_a_stop_during_an_increment_anchors_the_last_lines(trail: AuditFile, counter: Open) -> None:
    first, may_count = begun(trail, counter), threading.Event()

    def open_when_allowed() -> AbstractContextManager[NvCounter]:
        may_count.wait()
        return counter()

    running = Anchor(trail, open_when_allowed, value=first)
    trail.append(WorkerStopped(jobs_completed=0))
    running.follow()
    trail.append(WorkerStopped(jobs_completed=1))
    threading.Timer(0.5, may_count.set).start()
    running.finish()
    assert events(trail)[-1] == TrailAnchored(counter=first + 2)
    assert begun(trail, counter) == first + 2


def test_x13_a_tpm_that_fails_for_long_makes_it_overdue(
    trail: AuditFile, counter: Open, simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anchor_module, "OVERDUE_S", 1.0)
    running = Anchor(trail, counter, value=begun(trail, counter))
    simulation.fault(Service.TPM, Kind.RETRY)
    trail.append(WorkerStopped(jobs_completed=0))
    running.follow()
    assert not running.overdue
    until(lambda: running.overdue)
    simulation.clear_faults()
    until(lambda: not followed(running).overdue)
    running.finish()


def test_x13_a_counter_that_is_moved_meanwhile_ends_the_worker(trail: AuditFile, counter: Open) -> None:
    first = begun(trail, counter)
    running = Anchor(trail, counter, value=first)
    with counter() as tpm:
        tpm.increment()  # once is as good as our own
        tpm.increment()
    trail.append(WorkerStopped(jobs_completed=0))
    with refused(Reason.AUDIT_UNAVAILABLE):
        for _ in range(100):
            running.follow()
            time.sleep(0.02)
