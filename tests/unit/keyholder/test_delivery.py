"""AU-5: a destination that does not get the trail raises one alert, stops jobs if so configured, and ends the alert."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cji_core.errors import Reason
from cji_core.format.configuration.worker import AuditDeliverySection
from cji_core.trail import DeliveryOverdue, DeliveryResumed, Record, WorkerStopped
from cji_core.trail.delivered import write_position
from cji_core.trail.trail import START, Position, after
from cji_worker.keyholder.delivery import EVERY_S, LEAST_ALERT_S, DeliveryWatch
from cji_worker.trail.file import AuditFile
from tests.support.refusals import refused

NOW = datetime(2026, 11, 24, 15, 0, 0, tzinfo=UTC)


class Drill:
    """A trail, the deliverer's file on one destination, a watch, and a clock for all of them."""

    def __init__(self, folder: Path, *, on_failure: str = "stop", most: int = 900) -> None:
        self.folder, self.seconds = folder, 0.0
        self.path = folder / "audit.log"
        self.audit = AuditFile(self.path, worker="worker-1", clock=self.now)
        section = AuditDeliverySection(
            state=str(folder),
            required=("sentinel",),
            on_failure=on_failure,  # type: ignore[arg-type]
            max_undelivered_seconds=most,
        )
        self.watch = DeliveryWatch(
            section, trail=self.path, audit=self.audit, clock=self.now, monotonic=lambda: self.seconds
        )

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def line(self) -> None:
        self.audit.append(WorkerStopped(jobs_completed=0))

    def deliver(self) -> None:
        write_position(self.folder, "sentinel", self.positions()[-1])

    def positions(self) -> list[Position]:
        return [START, *(position for position, _ in after(self.path, START))]

    def wait(self, seconds: float) -> None:
        """Look at every beat."""
        for _ in range(int(seconds * 2)):
            self.seconds += 0.5
            self.watch.follow()

    def alerts(self) -> list[Record]:
        found = [record for _, record in after(self.path, START)]
        return [record for record in found if isinstance(record.event, DeliveryOverdue | DeliveryResumed)]


@pytest.fixture
def drill(tmp_path: Path) -> Drill:
    return Drill(tmp_path)


def test_au5_a_dead_sink_alerts_and_stops_jobs(drill: Drill) -> None:
    drill.line()
    drill.deliver()
    drill.line()
    drill.wait(890)
    drill.watch.require()
    drill.wait(20)
    with refused(Reason.AUDIT_UNAVAILABLE):
        drill.watch.require()
    assert [type(each.event) for each in drill.alerts()] == [DeliveryOverdue]
    event = drill.alerts()[0].event
    assert isinstance(event, DeliveryOverdue)
    assert (event.destination, event.cause, event.admits_jobs) == ("sentinel", "late", False)
    assert 900 <= event.seconds <= 900 + EVERY_S
    print(f"AU-5: alert {event.seconds} s after the oldest line that was not delivered")


def test_the_alert_comes_once_and_its_end_once(drill: Drill) -> None:
    drill.line()
    drill.wait(2000)
    drill.deliver()
    drill.wait(10)
    drill.watch.require()
    assert [type(each.event) for each in drill.alerts()] == [DeliveryOverdue, DeliveryResumed]
    assert drill.watch.report()[0].overdue is False


def test_alert_alone_admits_jobs(tmp_path: Path) -> None:
    drill = Drill(tmp_path, on_failure="alert")
    drill.line()
    drill.wait(1000)
    drill.watch.require()
    assert drill.watch.report()[0].overdue
    (alert,) = drill.alerts()
    assert isinstance(alert.event, DeliveryOverdue)
    assert alert.event.admits_jobs


def test_a_false_claim_stops_jobs_within_seconds(drill: Drill) -> None:
    drill.line()
    last = drill.positions()[-1]
    write_position(drill.folder, "sentinel", Position(seq=last.seq + 1, hash=last.hash, offset=last.offset))
    drill.wait(EVERY_S + 1)
    with refused(Reason.AUDIT_UNAVAILABLE):
        drill.watch.require()
    (alert,) = drill.alerts()
    assert isinstance(alert.event, DeliveryOverdue)
    assert alert.event.cause == "contradicted"


def test_who_flips_the_file_adds_two_lines_a_minute(drill: Drill) -> None:
    drill.line()
    last = drill.positions()[-1]
    lie = Position(seq=last.seq + 1, hash=last.hash, offset=last.offset)
    for number in range(60):
        write_position(drill.folder, "sentinel", lie if number % 2 else drill.positions()[-1])
        drill.wait(EVERY_S)
    minutes = 60 * EVERY_S / 60
    assert 2 <= len(drill.alerts()) <= 2 * minutes * 60 / LEAST_ALERT_S + 2


def test_nothing_to_deliver_is_nothing_overdue(drill: Drill) -> None:
    drill.line()
    drill.deliver()
    drill.wait(5000)
    drill.watch.require()
    assert drill.alerts() == []
    assert drill.watch.report()[0].waits_s == 0


def test_without_a_section_nothing_is_required(tmp_path: Path) -> None:
    drill = Drill(tmp_path)
    watch = DeliveryWatch(None, trail=drill.path, audit=drill.audit)
    watch.follow()
    watch.require()
    assert watch.report() == ()
