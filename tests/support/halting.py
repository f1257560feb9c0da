"""A simulated worker whose processes halt at a named step: `python -m tests.support.halting CONFIG`.

Its processes are `halted_process`; `Gate` is the test's side. What halts is outside of the product, which has no hook.
"""

import mmap
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cji_simulator import worker as simulated
from cji_simulator.raw import until

from tests.support.halted_process import HALTED, IDLE, MAY_GO_ON, NAME_BYTES, PAGE, PART, STATE, padded, page_of
from tests.support.shifted_clock import SHIFT
from tests.support.steps import Step
from worker import children, supervisor
from worker.memory import heap_environment

__all__ = ["PROGRAM", "Gate", "main"]

PROGRAM: Final = ("-m", "tests.support.halting")
_PROCESS: Final = "tests.support.halted_process"
_ROOT: Final = Path(__file__).resolve().parents[2]


class Gate:
    """Halts a worker at one step at a time. `path` is a new file of one page."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(mmap.PAGESIZE))
        self._page = page_of(str(path))
        self.variable = f"{PAGE}={path}"
        """For the worker's environment."""

    def arm(self, step: Step) -> None:
        """Halt at the next time that this step is reached."""
        self._page[STATE] = IDLE
        self._page[:NAME_BYTES] = padded(str(step))

    def wait(self) -> None:
        """Wait until a process halts."""
        until(lambda: self._page[STATE] == HALTED, seconds=60)

    def open(self) -> None:
        """Let it go on, and halt nothing."""
        self._page[:NAME_BYTES] = bytes(NAME_BYTES)
        self._page[STATE] = MAY_GO_ON


class _Supervisor(supervisor.Supervisor):
    def _spawn(self, name: str, module: str, *args: Any, **options: Any) -> None:
        inherited = {name: os.environ[name] for name in (PAGE, SHIFT) if name in os.environ}
        children.ENVIRONMENT = {  # type: ignore[misc]
            **children.ENVIRONMENT,
            **inherited,
            "PYTHONPATH": str(_ROOT),
            PART: f"{name} {module}",
        }
        super()._spawn(name, _PROCESS, *args, **options)


def _with(library: str, environment: Callable[[], dict[str, str]]) -> Callable[[], dict[str, str]]:
    def both() -> dict[str, str]:
        made = environment()
        return {**made, "LD_PRELOAD": f"{made['LD_PRELOAD']} {library}"}

    return both


def main() -> int:
    """Run the worker."""
    simulated.Supervisor = _Supervisor  # type: ignore[attr-defined]
    if library := os.environ.get("LD_PRELOAD"):
        children.ENVIRONMENT = {**children.ENVIRONMENT, "LD_PRELOAD": library}  # type: ignore[misc]
        children.heap_environment = _with(library, heap_environment)  # type: ignore[attr-defined]
    return simulated.main()


if __name__ == "__main__":
    sys.exit(main())
