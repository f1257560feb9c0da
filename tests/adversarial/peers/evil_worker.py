"""A simulated worker with evil cells: this module in place of `cji_simulator.worker`."""

import subprocess
import sys
from typing import Any, Final

from cji_simulator.worker import main

PROGRAM: Final = ("-m", "tests.adversarial.peers.evil_worker")
_ZYGOTE, _EVIL = "worker.cell.zygote", "tests.adversarial.peers.evil_zygote"


class _Popen(subprocess.Popen[bytes]):
    """Starts the evil zygote when the supervisor starts its own."""

    def __init__(self, command: list[str], **options: Any) -> None:
        super().__init__([_EVIL if part == _ZYGOTE else part for part in command], **options)


if __name__ == "__main__":
    subprocess.Popen = _Popen  # type: ignore[assignment,misc]
    sys.exit(main())
