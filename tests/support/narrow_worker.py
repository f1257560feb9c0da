"""A simulated worker with the cells of `narrow_zygote`: this module in place of `cji_simulator.worker`."""

import subprocess
import sys
from typing import Any, Final

from cji_simulator.worker import main
from tests.support.paths import ROOT

PROGRAM: Final = ("-m", "tests.support.narrow_worker")
_ZYGOTE, _NARROW = "cji_worker.cell.zygote", "tests.support.narrow_zygote"


class _Popen(subprocess.Popen[bytes]):
    """Starts the narrow zygote when the supervisor starts its own."""

    def __init__(self, command: list[str], **options: Any) -> None:
        if _ZYGOTE in command:
            at = command.index(_ZYGOTE)
            folders = f"{command[at + 1]}:{ROOT}"  # from which it may import: `cji_worker.launch`
            command = [*command[:at], _NARROW, folders, *command[at + 2 :]]
        super().__init__(command, **options)


if __name__ == "__main__":
    subprocess.Popen = _Popen  # type: ignore[assignment,misc]
    sys.exit(main())
