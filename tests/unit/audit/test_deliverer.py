"""The loops of the deliverer: none holds up another, delays grow within bounds, a changed trail stops them all."""

import fcntl
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from cji_attestation import AZURE_US
from cji_core.command import build
from cji_core.trail import ChainError
from cji_core.trail.delivery import Delivered, DeliveryError
from cji_simulator.raw import until
from cji_worker.deliverer.deliverer import FIRST_S, MOST_S, Deliverer, TrailChangedError
from cji_worker.service_rights import ports
from tests.support.paths import ROOT
from tests.support.sink_faults import Trail
from tests.support.tlog_site import Delivery, Machine
from tests.support.tlog_site import site as log_site


class Sent:
    """A destination whose every attempt is `attempt`, which is told its number."""

    def __init__(self, name: str, attempt: Callable[[int], int]) -> None:
        self.name, self._attempt, self.attempts = name, attempt, 0

    def advance(self) -> Delivered:
        self.attempts += 1
        return Delivered(seq=self._attempt(self.attempts), hash="0" * 96)


def raising(error: Exception) -> Callable[[int], int]:
    def attempt(_: int) -> int:
        raise error

    return attempt


@given(failures=st.integers(1, 10_000), chance=st.floats(0, 1), asked=st.floats(0, 300))
def test_delays_grow_within_bounds(failures: int, chance: float, asked: float) -> None:
    delay = Deliverer([], chance=lambda: chance).delay(failures, asked)
    assert delay >= asked
    assert FIRST_S / 2 <= delay <= max(MOST_S, asked)
    if not asked:
        assert delay >= min(MOST_S, FIRST_S * 2 ** min(failures - 1, 10)) / 2


def test_a_dead_and_a_stuck_destination_hold_up_no_other() -> None:
    never = threading.Event()
    stuck = Sent("stuck", lambda _: int(never.wait()))
    dead = Sent("dead", raising(DeliveryError("no connection")))
    broken = Sent("broken", raising(ZeroDivisionError()))
    done = threading.Event()

    def last(number: int) -> int:
        if number == 50:
            done.set()
        return min(number, 50)

    deliverer = Deliverer([stuck, dead, broken, Sent("well", last)], first_s=0.001, most_s=0.002)
    thread = threading.Thread(target=deliverer.run, daemon=True)
    thread.start()
    assert done.wait(60)
    until(lambda: dead.attempts > 1 and broken.attempts > 1)
    deliverer.stop()
    assert stuck.attempts == 1
    never.set()
    thread.join(60)
    assert not thread.is_alive()


def test_a_changed_trail_stops_every_destination() -> None:
    fault = ChainError(line=7, field="hash", detail="another line is in its place")
    others = Sent("other", lambda _: 1)
    deliverer = Deliverer([others, Sent("sink", raising(fault))])
    with pytest.raises(TrailChangedError, match="audit line 7: hash"):
        deliverer.run()
    before = others.attempts
    time.sleep(0.02)
    assert others.attempts == before


def test_once_names_those_that_are_behind() -> None:
    dead = Sent("dead", raising(DeliveryError("HTTP 503")))
    well = Sent("well", lambda number: min(number, 3))
    assert Deliverer([dead, well]).once() == ["dead"]
    assert (dead.attempts, well.attempts) == (1, 4)


def test_ports_are_those_of_the_services() -> None:
    assert ports([]) == set()
    assert ports(["https://a.example", "https://b.example:8443"]) == {443, 8443, 53}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    Trail(tmp_path / "audit.log").grow(5)
    (tmp_path / "state").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "audit.toml").write_text(
        f'trail = "audit.log"\nstate = "state"\n[[sinks]]\nname = "shipper"\nkind = "file"\n'
        f'path = "{tmp_path}/out/events.jsonl"\nmapping = "asim"\n'
    )
    return tmp_path


def deliver(site: Path) -> subprocess.CompletedProcess[str]:
    """The command, confined as in production."""
    command = [
        sys.executable,
        "-m",
        "cji_core.command",
        "audit",
        "deliver",
        "--config",
        str(site / "audit.toml"),
        "--once",
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_delivers_and_names_a_changed_trail(site: Path) -> None:
    done = deliver(site)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (site / "out/events.jsonl").read_text().splitlines()]
    assert [row["AdditionalFields"]["seq"] for row in rows] == [1, 2, 3, 4, 5]
    lines = (site / "audit.log").read_bytes().splitlines(keepends=True)
    (site / "audit.log").write_bytes(b"".join(lines[:3]))
    changed = deliver(site)
    assert changed.returncode == 3
    assert "audit line 5: end: the trail ends before this line" in changed.stderr
    assert "investigate" in changed.stderr
    assert len((site / "out/events.jsonl").read_text().splitlines()) == 5


def test_the_command_hands_checkpoints_to_the_log(tmp_path: Path) -> None:
    (tmp_path / "worker").mkdir()
    trail = Machine(folder=tmp_path / "worker").trail.write(3)
    note = trail.checkpoint()
    with log_site(tmp_path, count=2, quorum=2) as agency:
        made = Delivery(agency, tmp_path / "worker", trail.path)
        made.attest(trail.key)
        done = deliver(tmp_path / "worker")
    assert done.returncode == 0, done.stderr
    (record,) = made.records.glob("*.json")
    assert json.loads(record.read_text())["offer"]["note"].encode() == note


def test_the_command_says_who_is_behind(site: Path) -> None:
    (site / "out/events.jsonl").mkdir()
    result = deliver(site)
    assert result.returncode == 4
    assert "not everything was delivered to shipper" in result.stderr


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('name = "shipper"', 'name = "../shipper"', "a name has"),
        ('name = "shipper"\n', "", "a name has"),
        ("[[sinks]]", "[[sources]]", "sources"),
        ('state = "state"', 'state = "nowhere"', "cannot be written"),
        ('[[sinks]]\nname = "shipper"', '[[witnesses]]\nname = "shipper"', "witnesses"),
    ],
)
def test_a_configuration_that_is_not_one_is_refused(site: Path, old: str, new: str, why: str) -> None:
    text = (site / "audit.toml").read_text()
    assert old in text
    (site / "audit.toml").write_text(text.replace(old, new))
    result = refused(site)
    assert result.exit_code == 2
    assert why in result.output


def test_two_deliverers_do_not_share_a_state(site: Path) -> None:
    with (site / "state" / "deliver.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = refused(site)
    assert result.exit_code == 2
    assert "Another process delivers" in result.output


def refused(site: Path) -> Result:
    """The command in this process, for refusals that come before it gives up its rights."""
    return CliRunner().invoke(build(AZURE_US), ["audit", "deliver", "--config", str(site / "audit.toml")])
