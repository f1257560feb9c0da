"""The check of `cji doctor` on the agency's log, by the deliverer's records and the pinned policy."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from cji_core.command.findings import NotOk
from cji_core.tlog.keys import LOG_TYPES, new_signers
from cji_core.tlog.policy import Policy
from cji_core.trail.delivered import write_position
from cji_core.trail.trail import START, after
from cji_core.trail.witnesses.records import Records, Witnessed
from cji_worker.verbs.log_check import check_log
from tests.support.log_records import ORIGIN, WITNESSES, entry, policy
from tests.support.sink_faults import Trail
from tests.support.tlog_site import write_policy

NOW = 1_793_000_000
AT = datetime.fromtimestamp(NOW, UTC)
DELAY = timedelta(seconds=3600)
"""max_delay_seconds of the policy."""


class Machine:
    """A trail of which the log has the first three lines, and the deliverer's files about it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.config = folder, folder / "audit.toml"
        self.trail = Trail(folder / "audit.log")
        self.config.write_text(
            'trail = "audit.log"\nstate = "state"\nreceipt_keys = "keys"\n'
            '[log]\npolicy = "policy.toml"\ntoken_file = "token"\n'
        )
        (folder / "state").mkdir()
        self.pin(policy())
        self.grow(3, at=AT)
        self.deliver(entry(self.lines, 3, at=NOW))

    @property
    def lines(self) -> list[bytes]:
        return self.trail.path.read_bytes().splitlines(keepends=True)

    def pin(self, pinned: Policy) -> None:
        write_policy(self.folder / "policy.toml", pinned)

    def grow(self, count: int, *, at: datetime) -> None:
        self.trail.grow(count, time=f"{at:%Y-%m-%dT%H:%M:%S}.00Z")

    def deliver(self, record: Witnessed) -> None:
        Records(self.folder / "state" / "log").add(record)
        self.reach(record.offer.checkpoint().size)

    def reach(self, line: int) -> None:
        places = [position for position, _ in after(self.trail.path, START)]
        write_position(self.folder / "state", "log", places[line - 1])

    def refused(self, now: datetime = AT) -> NotOk:
        with pytest.raises(NotOk) as found:
            check_log(self.config, now=now)
        assert found.value.remedy
        return found.value


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_trail_whose_lines_the_log_has(machine: Machine) -> None:
    """An idle worker's checkpoint may be old: no line waits. Neither does a line within the published delay."""
    shown = f"{ORIGIN} has 3 lines, cosigned by a quorum at 2026-10-26T07:33:20.00Z"
    assert check_log(machine.config, now=AT + timedelta(days=30)) == shown
    machine.grow(1, at=AT + timedelta(days=2))
    assert check_log(machine.config, now=AT + timedelta(days=2) + DELAY) == shown


def test_a_line_that_waits_too_long(machine: Machine) -> None:
    machine.grow(1, at=AT + timedelta(days=2))
    found = machine.refused(AT + timedelta(days=2, seconds=1) + DELAY).found
    assert found.startswith("late: the newest cosigned checkpoint has 3 lines")
    assert found.endswith("the next line waits for 3601 s, and max_delay_seconds is 3600")


def test_a_log_that_has_nothing(machine: Machine) -> None:
    (machine.folder / "state" / "log" / f"{3:020}.json").unlink()
    assert "has no record" in machine.refused().found


def test_a_quorum_that_is_missing(machine: Machine) -> None:
    machine.grow(1, at=AT)
    machine.deliver(entry(machine.lines, 4, at=NOW, witnesses=WITNESSES[:2]))
    assert "cosigned by 2 of 3 witnesses" in machine.refused().found


def test_another_log_than_the_pinned_one(machine: Machine) -> None:
    machine.pin(policy(log=new_signers(ORIGIN, LOG_TYPES)))
    assert "not signed by the log's key" in machine.refused().found


def test_a_policy_that_cannot_be_read(machine: Machine) -> None:
    (machine.folder / "policy.toml").unlink()
    assert "policy.toml cannot be read" in machine.refused().found


def test_files_that_contradict_each_other(machine: Machine) -> None:
    """The file of the destination names a line that no proof covers, or one that the trail does not have."""
    machine.grow(1, at=AT)
    machine.reach(4)
    assert "does not fit" in machine.refused().found
    machine.trail.path.write_bytes(b"".join(machine.lines[:3]))
    assert "does not fit" in machine.refused().found


def test_a_trail_without_the_lines_that_the_log_has(machine: Machine) -> None:
    """Neither a trail and a file that lost the same lines, nor a trail that is gone, nor another one, is in order."""
    whole = machine.trail.path.read_bytes()
    machine.trail.path.write_bytes(b"".join(machine.lines[:2]))
    machine.reach(2)
    assert "the log has 3 lines, and the trail does not" in machine.refused().found
    machine.trail.path.unlink()
    (machine.folder / "state" / "log.delivered").unlink()
    assert "the log has 3 lines, and the trail does not" in machine.refused().found
    Trail(machine.trail.path).grow(3, time="2026-11-24T15:00:00.12Z")
    machine.reach(3)
    assert "the log has 3 lines, and the trail does not" in machine.refused().found
    machine.trail.path.write_bytes(whole)
    machine.reach(3)
    assert check_log(machine.config, now=AT)


def test_a_damaged_record(machine: Machine) -> None:
    path = machine.folder / "state" / "log" / f"{3:020}.json"
    record = entry(machine.lines, 3, at=NOW)
    other = msgspec.structs.replace(record.receipt, trail="ab" * 48)
    path.write_bytes(msgspec.structs.replace(record, receipt=other).encode())
    assert "does not verify" in machine.refused().found
    path.write_bytes(b"{}\n")
    assert "the newest record" in machine.refused().found


def test_a_deliverer_without_a_log(machine: Machine) -> None:
    machine.config.write_text('trail = "audit.log"\nstate = "state"\n[[sinks]]\nname = "j"\nkind = "journald"\n')
    found = machine.refused()
    assert (found.state, "has no [log]" in found.found) == ("warning", True)
