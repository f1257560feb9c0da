"""Programs that run beside a simulation, each with a log of its own, until the block ends that started them."""

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Final

from cji_simulator.errors import SimulatorError

__all__ = ["ProgramDied", "printed", "program"]

_SECONDS: Final = 120.0
_STOP_S: Final = 10.0
_LOOK_S: Final = 0.1


class ProgramDied(SimulatorError):  # noqa: N818 - an event in a test
    """A program ended, or did not do in time what it was started for."""

    code = "program-died"
    remedy = "Read its log."


def program(
    stack: ExitStack, command: Sequence[str], log: Path, *, environment: Mapping[str, str] = MappingProxyType({})
) -> "subprocess.Popen[bytes]":
    """Start a command whose output goes to `log`; the stack ends it. `environment` has more variables for it."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, **environment}
        )
    stack.callback(_end, process)
    return process


def printed(process: "subprocess.Popen[bytes]", log: Path, wanted: re.Pattern[str]) -> str:
    """The first group of `wanted`, once the log has it. Raises ProgramDied if the program ends, or too late."""
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until and process.poll() is None:
        if found := wanted.search(log.read_text(errors="replace")):
            return found[1]
        time.sleep(_LOOK_S)
    raise ProgramDied(f"a program did not start; its reasons are in {log}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
