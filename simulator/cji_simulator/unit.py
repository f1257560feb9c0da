"""The worker that `cji-simulator up` runs, started again as its systemd unit and its machine would.

| event | then |
|---|---|
| the machine reboots | the worker is killed, and started in the new boot |
| the worker ends with status 76: another start in this boot | the machine reboots |
| it ends with another status but 0 | it is started again after a pause, as by Restart=on-failure; here one second |
| a reset is asked for | `run` returns |
"""

import threading
import time
from collections.abc import Callable
from typing import Final, Literal

from cji_core.errors import RebootError
from cji_simulator.endpoints import UnitReport
from cji_simulator.simulation import Simulation
from cji_simulator.worker import Worker, WorkerDied

__all__ = ["run"]

_LOOK_S: Final = 0.2
_PAUSE_S: Final = 1.0


def run(
    simulation: Simulation,
    start: Callable[[Callable[[], bool]], Worker],
    *,
    stop: threading.Event,
    ready: Callable[[Worker], None],
) -> None:
    """Run the worker until `stop` is set or a reset is asked for. Raises WorkerDied if its first start fails.

    `start` makes the worker; it gets what ends a start that takes too long. `ready` is called once, when it serves.
    """
    boot = simulation.unit.boot

    def over() -> bool:
        unit = simulation.unit
        return stop.is_set() or unit.reset or unit.boot != boot

    def report(state: Literal["starting", "serving", "ended"]) -> None:
        simulation.report_unit(UnitReport(boot=boot, state=state))

    report("starting")
    worker = start(over)
    try:
        report("serving")
        ready(worker)
        while not stop.wait(_LOOK_S):
            unit, status = simulation.unit, worker.process.poll()
            if unit.reset:
                return
            if unit.boot == boot and status is None:
                continue
            worker.kill()
            if unit.boot == boot and status == RebootError.status:
                simulation.reboot()
            elif unit.boot == boot:
                report("ended")
                if status == 0:
                    _until(over)
                    continue
                if stop.wait(_PAUSE_S):
                    return
            boot = simulation.unit.boot
            report("starting")
            try:
                worker.start()
            except WorkerDied:
                continue  # `worker` has ended with a status that decides what follows
            report("serving")
    finally:
        worker.stop()


def _until(over: Callable[[], bool]) -> None:
    while not over():
        time.sleep(_LOOK_S)
