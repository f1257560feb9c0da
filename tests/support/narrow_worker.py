"""A simulated worker with the cells of `narrow_zygote`: this module in place of `cji_simulator.worker`."""

import subprocess
import sys
from typing import Any, Final

from cji_simulator.worker import main

PROGRAM: Final = ("-m", "tests.support.narrow_worker")
_ZYGOTE, _NARROW = "cji_worker.cell.zygote", "tests.support.narrow_zygote"


class _Popen(subprocess.Popen[bytes]):
    """Starts the narrow zygote when the supervisor starts its own."""

    def __init__(self, command: list[str], **options: Any) -> None:
        super().__init__([_NARROW if part == _ZYGOTE else part for part in command], **options)


if __name__ == "__main__":
    subprocess.Popen = _Popen  # type: ignore[assignment,misc]
    sys.exit(main())
