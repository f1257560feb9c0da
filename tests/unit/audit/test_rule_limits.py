"""Rules at their limits: how long something is remembered, and what a start or a decision resets."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.errors import Reason
from cji_core.trail import (
    GENESIS,
    Event,
    HostChanged,
    JobCompleted,
    KeyDropped,
    TrailAnchored,
    TrailRefused,
    TrailResumed,
    WorkerNotReady,
    WorkerReady,
    append_record,
    read,
    sign,
    utc_hundredths,
)
from cji_core.trail.rules import RULES, Finding, Watcher
from tests.support.packet_period import KEK, VOLUMES, admitted, attested, released, started
from tests.support.receipts import CLAIMS

OTHER = ec.generate_private_key(ec.SECP384R1())
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
UNWRITABLE = WorkerNotReady(reason=Reason.AUDIT_UNAVAILABLE, condition="trail")
READY = WorkerReady(kek_ids=(KEK,))
REFUSED = TrailRefused(compared_with="counter", expected=1, found=2)
RESUMED = TrailResumed(operator_id="jdoe", explanation="VM replaced")


def findings(*events: tuple[float, Event], end: float | None = None) -> list[Finding]:
    """What the rules find in these lines; events have their hours. The trail goes on until the hour `end`."""
    watcher, head, found = Watcher(), GENESIS, list[Finding]()
    quiet = [] if end is None else [(end, WorkerReady(kek_ids=(KEK,)))]
    for hours, event in [*events, *quiet]:
        time = utc_hundredths(BEGIN + timedelta(hours=hours))
        head, line = append_record(event, head=head, time=time, worker="worker-1")
        found += watcher.see(line, read(line))
    return found + watcher.end()


def faults(topic: str, *events: tuple[float, Event], end: float | None = None) -> list[int]:
    """The lines that the rules of a topic name."""
    return [each.line for each in findings(*events, end=end) if RULES[each.rule].topic == topic]


@pytest.mark.parametrize(("hours", "named"), [(1.0, [2]), (47.9, [2]), (48.1, [])])
def test_a_completed_job_is_remembered_for_two_days(hours: float, named: list[int]) -> None:
    assert faults("replays", (0, COMPLETED), (hours, COMPLETED)) == named


def test_a_receipt_of_another_job_and_key_is_named_for_both() -> None:
    claims = msgspec.structs.replace(CLAIMS, header_sha384=ADMITTED.header_sha384, volumes=VOLUMES)
    event = msgspec.structs.replace(COMPLETED, receipt=sign(claims, OTHER))
    found = findings((0, started()), (0, attested()), (0, released()), (0, ADMITTED), (0, event))
    named = {each.rule: each.what for each in found if each.line == 5}
    assert "of another event: job_id" in named["receipt_contradicts"]
    assert "is not of the key that was attested" in named["receipt_key"]


def test_a_receipt_whose_key_cannot_be_read_is_named() -> None:
    header, *rest = sign(CLAIMS, OTHER).split(".")
    event = msgspec.structs.replace(COMPLETED, receipt=".".join((header[:-8], *rest)))
    assert [each.rule for each in findings((0, event)) if RULES[each.rule].topic == "receipt-chain"] == [
        "receipt_contradicts"
    ]


@pytest.mark.parametrize(("hours", "named"), [(23.9, []), (24.1, [1])])
def test_a_job_may_be_running_for_a_day(hours: float, named: list[int]) -> None:
    assert faults("outcomes", (0, ADMITTED), end=hours) == named
    assert faults("outcomes", (0, ADMITTED), (1, COMPLETED), end=hours) == []
    assert faults("outcomes", (0, COMPLETED), (1, ADMITTED), (2, ADMITTED), end=3) == [1, 3]


@pytest.mark.parametrize(("hours", "named"), [(0.9, []), (1.1, [1])])
def test_a_trail_is_writable_again_within_an_hour(hours: float, named: list[int]) -> None:
    assert faults("audit-failures", (0, UNWRITABLE), (hours, READY), end=50) == named
    assert faults("audit-failures", (0, UNWRITABLE), (0.1, UNWRITABLE), (hours, started()), end=50) == named
    assert faults("audit-failures", (0, UNWRITABLE), (hours, HostChanged(unmet=()))) == named


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
