"""What tests need of their machine beyond an ordinary user's rights; what is skipped says which."""

import os
from typing import Final

import pytest

from cji_worker.host.readings import Answers

SEES_PROCESSES: Final = os.geteuid() == 0
"""The worker's processes are not dumpable: only root looks into their /proc."""

sees_processes = pytest.mark.skipif(
    not SEES_PROCESSES, reason="needs root, to see descriptors, environment and namespaces of processes"
)

_LOCKABLE: Final = Answers().lockable_bytes
locks_memory = pytest.mark.skipif(
    _LOCKABLE is not None and _LOCKABLE < 256 << 20,
    reason="needs CAP_IPC_LOCK or 256 MiB of RLIMIT_MEMLOCK, for secret memory",
)
