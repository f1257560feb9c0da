"""A simulated worker with evil cells: `evil_worker.py CONFIG`, in place of `-m cji_simulator.worker`."""

import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from cji_simulator.worker import main

PROGRAM: Final = (str(Path(__file__).resolve()),)
_ZYGOTE: Final = ["-m", "worker.cell.zygote"]


class _Popen(subprocess.Popen[bytes]):
    """Starts the evil zygote when the supervisor starts its own."""

    def __init__(self, command: list[str], **options: Any) -> None:
        at = command.index(_ZYGOTE[0])
        if command[at : at + 2] == _ZYGOTE:
            command = [*command[:at], str(Path(__file__).with_name("evil_zygote.py")), *command[at + 2 :]]
        super().__init__(command, **options)


if __name__ == "__main__":
    subprocess.Popen = _Popen  # type: ignore[assignment,misc]
    sys.exit(main())
