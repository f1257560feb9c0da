"""The worker of `cji-simulator up` is started again as systemd and the machine would; here it is a shell."""

import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from cji_simulator import unit
from cji_simulator.endpoints import Unit, UnitReport
from cji_simulator.simulation import Simulation
from cji_simulator.worker import Worker, WorkerDied


@dataclass
class Machine:
    """Boots of a machine, and the worker's reports."""

    unit: Unit = field(default_factory=Unit)
    reports: list[UnitReport] = field(default_factory=list)

    def report_unit(self, report: UnitReport) -> None:
        self.reports.append(report)

    def reboot(self) -> None:
        self.unit = Unit(boot=self.unit.boot + 1, reset=self.unit.reset)


@dataclass
class Shell:
    """Each start runs the next script; one that is `None` dies before it serves."""

    scripts: list[str | None]
    after: Callable[[], None]

    def start(self) -> None:
        script = self.scripts.pop(0)
        self.process = subprocess.Popen(["sh", "-c", script or "exit 1"])
        if not self.scripts:
            self.after()
        if script is None:
            self.process.wait()
            raise WorkerDied

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    stop = kill


def played(*scripts: str | None, machine: Machine) -> list[tuple[int, str]]:
    stop = threading.Event()
    shell = Shell(list(scripts), stop.set)

    def start(given_up: Callable[[], bool]) -> Worker:
        shell.start()
        return cast("Worker", shell)

    unit.run(cast("Simulation", machine), start, stop=stop, ready=lambda _: None)
    return [(each.boot, each.state) for each in machine.reports]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "_PAUSE_S", 0.01)
    monkeypatch.setattr(unit, "_LOOK_S", 0.01)


def test_status_76_reboots_the_machine() -> None:
    machine = Machine()
    assert played("exit 76", "sleep 60", machine=machine) == [
        (0, "starting"), (0, "serving"), (1, "starting"), (1, "serving"),
    ]  # fmt: skip
    assert machine.unit.boot == 1


def test_a_crash_or_a_failed_start_starts_it_again() -> None:
    machine = Machine()
    assert [state for _, state in played("exit 1", None, "sleep 60", machine=machine)] == [
        "starting", "serving", "ended", "starting", "ended", "starting", "serving",
    ]  # fmt: skip
    assert machine.unit.boot == 0


def test_a_reboot_of_the_machine_ends_a_running_worker() -> None:
    machine = Machine()

    class Rebooted(Shell):
        def start(self) -> None:
            super().start()
            if self.scripts:
                machine.reboot()

    stop = threading.Event()
    shell: Any = Rebooted(["sleep 60", "sleep 60"], stop.set)

    def start(given_up: Callable[[], bool]) -> Worker:
        shell.start()
        return cast("Worker", shell)

    unit.run(cast("Simulation", machine), start, stop=stop, ready=lambda _: None)
    assert [(each.boot, each.state) for each in machine.reports][-2:] == [(1, "starting"), (1, "serving")]
    assert shell.process.returncode is not None


def test_a_reset_returns_and_ends_the_worker() -> None:
    machine = Machine(unit=Unit(reset=True))
    shell: Any = Shell(["sleep 60", "never"], lambda: None)

    def start(given_up: Callable[[], bool]) -> Worker:
        assert given_up()
        shell.start()
        return cast("Worker", shell)

    unit.run(cast("Simulation", machine), start, stop=threading.Event(), ready=lambda _: None)
    assert shell.process.returncode is not None


def test_the_first_start_fails_for_its_caller() -> None:
    with pytest.raises(WorkerDied):
        played(None, "never", machine=Machine())
