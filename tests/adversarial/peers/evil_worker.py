"""A simulated worker with evil cells: this module in place of `cji_simulator.worker`."""

import os
import subprocess
import sys
from typing import Any, Final

from cji_simulator.worker import main
from tests.support.with_tests import import_tests

PROGRAM: Final = ("-m", "tests.adversarial.peers.evil_worker")
_ZYGOTE, _EVIL = "cji_worker.cell.zygote", "tests.adversarial.peers.evil_zygote"


class _Popen(subprocess.Popen[bytes]):
    """Starts the evil zygote when the supervisor starts its own."""

    def __init__(self, command: list[str], **options: Any) -> None:
        super().__init__([_EVIL if part == _ZYGOTE else part for part in command], **options)


if __name__ == "__main__":
    # as the journal of systemd: no limit on the size of files concerns it
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=sys.stderr) as journal:
        assert journal.stdin is not None
        os.dup2(journal.stdin.fileno(), sys.stderr.fileno())
        journal.stdin.close()
        import_tests()
        subprocess.Popen = _Popen  # type: ignore[assignment,misc]
        status = main()
        os.close(sys.stderr.fileno())
    sys.exit(status)
