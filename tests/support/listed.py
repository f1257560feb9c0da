"""A simulated worker whose processes list the modules that they load: `python -m tests.support.listed CONFIG`.

Its processes are `listed_process`; what lists is outside of the product, which has no hook.
"""

import os
import sys
from pathlib import Path
from typing import Any, Final

from cji_simulator import worker as simulated
from cji_worker import supervisor
from tests.support.listed_process import FOLDER, PART
from tests.support.with_tests import import_tests

__all__ = ["PROGRAM", "main"]

PROGRAM: Final = ("-m", "tests.support.listed")
_PROCESS: Final = "tests.support.listed_process"
_ROOT: Final = Path(__file__).resolve().parents[2]


class _Supervisor(supervisor.Supervisor):
    def _spawn(self, name: str, module: str, *args: Any, **options: Any) -> None:
        supervisor.ENVIRONMENT = {  # type: ignore[misc]
            **supervisor.ENVIRONMENT,
            FOLDER: os.environ[FOLDER],
            "PYTHONPATH": str(_ROOT),
            PART: f"{name} {module}",
        }
        super()._spawn(name, _PROCESS, *args, **options)


def main() -> int:
    """Run the worker."""
    import_tests()
    simulated.Supervisor = _Supervisor  # type: ignore[attr-defined]
    return simulated.main()


if __name__ == "__main__":
    sys.exit(main())
