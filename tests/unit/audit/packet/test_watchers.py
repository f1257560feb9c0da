"""Watchers at their limits: how long something is remembered, and what a start or a decision resets."""

from datetime import UTC, datetime, timedelta

import pytest
from worker.audit.packet.watch import WATCHERS, Step

from cji_core.errors import Reason
from cji_core.trail import (
    Event,
    HostChanged,
    JobCompleted,
    KeyDropped,
    TrailAnchored,
    TrailRefused,
    TrailResumed,
    WorkerNotReady,
    WorkerReady,
    utc_hundredths,
)
from tests.support.packet_period import KEK, VOLUMES, admitted, attested, released, started
from tests.support.receipts import CLAIMS

BEGIN = datetime(2026, 10, 5, tzinfo=UTC)
ADMITTED = admitted(1, "01" * 48)
COMPLETED = JobCompleted(
    job_id=f"{1:032x}",
    header_sha384=f"{1:096x}",
    submitter="metro-pd",
    requesting_ori="WI0130000",
    purpose_code="C",
    duration_ms=1,
    volumes=VOLUMES,
    receipt="a.b.c",
)
UNWRITABLE = WorkerNotReady(reason=Reason.AUDIT_UNAVAILABLE)
READY = WorkerReady(kek_ids=(KEK,))
REFUSED = TrailRefused(compared_with="counter", expected=1, found=2)
RESUMED = TrailResumed(operator_id="jdoe", explanation="VM replaced")


def faults(topic: str, *events: tuple[float, Event], end: float = 0.0) -> list[int]:
    """The lines that the watcher of a topic names; events have their hours."""
    (watcher,) = [each for each in (make() for make in WATCHERS) if each.topic == topic]
    found = []
    for line, (hours, event) in enumerate(events, 1):
        time = utc_hundredths(BEGIN + timedelta(hours=hours))
        found += [at for at, _ in watcher.see(Step(line=line, time=time, event=event, receipt=None))]
    return found + [at for at, _ in watcher.end(utc_hundredths(BEGIN + timedelta(hours=end)))]


@pytest.mark.parametrize(("hours", "named"), [(1.0, [2]), (47.9, [2]), (48.1, [])])
def test_a_completed_job_is_remembered_for_two_days(hours: float, named: list[int]) -> None:
    assert faults("replays", (0, COMPLETED), (hours, COMPLETED)) == named


def test_a_receipt_whose_key_cannot_be_read_is_named() -> None:
    (watcher,) = [each for each in (make() for make in WATCHERS) if each.topic == "receipt-chain"]
    found: list[str] = []
    events: tuple[Event, ...] = started(), attested(), ADMITTED, COMPLETED
    for line, event in enumerate(events, 1):
        receipt = (CLAIMS, "0a" * 48) if event is COMPLETED else None
        step = Step(line=line, time=utc_hundredths(BEGIN), event=event, receipt=receipt)
        found += [f"{at} {what}" for at, what in watcher.see(step)]
    assert [each[0] for each in found] == ["4", "4"]
    assert "contradicts the trail: job_id" in found[0]
    assert "is not of the key that was attested" in found[1]


@pytest.mark.parametrize(("hours", "named"), [(23.9, []), (24.1, [1])])
def test_a_job_may_be_running_for_a_day(hours: float, named: list[int]) -> None:
    assert faults("outcomes", (0, ADMITTED), end=hours) == named
    assert faults("outcomes", (0, ADMITTED), (1, COMPLETED), end=hours) == []
    assert faults("outcomes", (0, COMPLETED), (1, ADMITTED), (2, ADMITTED), end=3) == [1, 3]


@pytest.mark.parametrize(("hours", "named"), [(0.9, []), (1.1, [1])])
def test_a_trail_is_writable_again_within_an_hour(hours: float, named: list[int]) -> None:
    assert faults("audit-failures", (0, UNWRITABLE), (hours, READY), end=50) == named
    assert faults("audit-failures", (0, UNWRITABLE), (0.1, UNWRITABLE), (hours, started()), end=50) == named
    assert faults("audit-failures", (0, UNWRITABLE), end=hours) == named


def test_a_decision_explains_a_refused_trail() -> None:
    assert faults("trail-incidents", (0, REFUSED), (1, RESUMED), (2, started())) == []
    assert faults("trail-incidents", (0, REFUSED), (1, started()), (2, RESUMED)) == [1]
    assert faults("trail-incidents", (0, REFUSED)) == [1]
    anchors = (0, TrailAnchored(counter=7)), (1, RESUMED), (2, TrailAnchored(counter=3)), (3, TrailAnchored(counter=3))
    assert faults("anchors", *anchors) == [4]


def test_a_start_forgets_keys_and_conditions() -> None:
    unmet = HostChanged(unmet=("bpf",))
    assert faults("host-profile", (0, unmet), (1, ADMITTED), (2, started()), (3, ADMITTED)) == [2]
    dropped = KeyDropped(kek_id=KEK, cause="expired")
    held = (0, released()), (1, ADMITTED), (2, dropped), (3, ADMITTED)
    assert faults("released-keys", *held) == [4]
    assert faults("released-keys", (0, released()), (1, started()), (2, ADMITTED)) == [3]
    assert faults("attested-machines", (0, released()), (1, attested()), (2, released())) == [1]
