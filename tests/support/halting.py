"""A simulated worker whose processes halt at a named step: `python -m tests.support.halting CONFIG`.

Its processes are `halted_process`; `gate.Gate` is the test's side, not imported here, since each start would pay
for it. What halts is outside of the product, which has no hook.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cji_simulator import worker as simulated
from cji_worker import supervisor
from cji_worker.memory import heap_environment
from tests.support.halted_process import PAGE, PART
from tests.support.shifted_clock import SHIFT
from tests.support.with_tests import import_tests

__all__ = ["PROGRAM", "main"]

PROGRAM: Final = ("-m", "tests.support.halting")
_PROCESS: Final = "tests.support.halted_process"
_ROOT: Final = Path(__file__).resolve().parents[2]


class _Supervisor(supervisor.Supervisor):
    def _spawn(self, name: str, module: str, *args: Any, **options: Any) -> None:
        inherited = {name: os.environ[name] for name in (PAGE, SHIFT) if name in os.environ}
        supervisor.ENVIRONMENT = {  # type: ignore[misc]
            **supervisor.ENVIRONMENT,
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
    import_tests()
    simulated.Supervisor = _Supervisor  # type: ignore[attr-defined]
    if library := os.environ.get("LD_PRELOAD"):
        supervisor.ENVIRONMENT = {**supervisor.ENVIRONMENT, "LD_PRELOAD": library}  # type: ignore[misc]
        supervisor.heap_environment = _with(library, heap_environment)  # type: ignore[attr-defined]
    return simulated.main()


if __name__ == "__main__":
    sys.exit(main())
