"""`cji` in a process of its own that stops at a phase of a job until it is told to go on. Everything in it is real.

    python -m tests.support.paused_cji TRUST.json PHASE SAYS HEARS ARGUMENT...

At its phase it writes a byte to the descriptor SAYS and reads one from HEARS. A phase "-" never comes. Storage is the
simulator's Azurite, with its identity.

`Paused` starts such a process.
"""

import os
import re
import select
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from cji_attestation import Trust
from cji_client import by_reference, connection, kept, received, sending, transport
from cji_client.verbs.job import outputs
from cji_core.command import build
from cji_core.command import output as files
from cji_core.pool.queue import Queue
from cji_core.pool.store import Blobs
from cji_core.wire.v1 import worker_pb2
from tests.support.azurite import StorageCredential
from tests.support.paths import ROOT

PHASES: Final = (
    *("before connect", "during evidence", "before the first byte", "during upload", "waiting", "segments"),
    *("before the receipt", "settling", "writing", "renaming"),
)
REFERENCE_PHASES: Final = ("uploading", "before the ticket", "polling", "downloading")
"""Of a job by reference, which has `writing` and `renaming` too."""
_SECONDS: Final = 60
_UPLOADED: Final = 3
"""Messages before the stop during the upload."""


class Pause:
    """The stop, once."""

    def __init__(self, says: int, hears: int) -> None:
        self._says, self._hears = says, hears
        self._passed = False

    def here(self) -> None:
        if not self._passed:
            self._passed = True
            os.write(self._says, b"!")
            os.read(self._hears, 1)

    def before(self, owner: Any, name: str, *, when: Callable[..., bool] = lambda *_, **__: True) -> None:
        """Stop before a call of this function to which `when` applies."""
        real = getattr(owner, name)

        def stopped(*arguments: Any, **options: Any) -> Any:
            if when(*arguments, **options):
                self.here()
            return real(*arguments, **options)

        setattr(owner, name, stopped)


def stop_at(phase: str, pause: Pause) -> None:
    """Place the stop."""
    messages = [0]

    def sent(number: int) -> bool:
        messages[0] += 1
        return messages[0] == number

    def comes(kind: str) -> Callable[..., bool]:
        return lambda _, message: message.WhichOneof("message") == kind

    match phase:
        case "before connect":
            pause.before(connection.Connection, "attest")
        case "during evidence":
            pause.before(transport, "verify_attestation")
        case "before the first byte":
            pause.before(sending.Sender, "__next__", when=lambda _: sent(1))
        case "during upload":
            pause.before(sending.Sender, "__next__", when=lambda _: sent(_UPLOADED))
        case "waiting":
            pause.before(worker_pb2, "Finish")  # all else is sent, and the worker waits as well
        case "segments":
            pause.before(received.Collector, "take", when=comes("segment"))
        case "before the receipt":
            pause.before(received.Collector, "take", when=comes("done"))
        case "uploading":
            pause.before(Blobs, "stage")
        case "before the ticket":
            pause.before(Queue, "send")
        case "polling":
            pause.before(by_reference, "look")
        case "downloading":
            pause.before(by_reference, "segments")
        case "settling":
            pause.before(kept, "complete_result")
        case "writing":
            pause.before(outputs, "write_result")
        case "renaming":
            pause.before(files, "_settle")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a process of `cji` ended."""

    status: int
    text: str

    @property
    def next(self) -> list[str]:
        """The command that was printed as the next one, without the name of the program."""
        (found,) = re.findall(r"Next: `cji ([^`]+)`", self.text)
        return shlex.split(found)

    @property
    def job(self) -> str:
        """The id of the job that the last message is about."""
        (found,) = re.findall(r"Job ([0-9a-f]{32}): ", self.text)
        return str(found)


class Paused:
    """A process of `cji` that has come to its phase, with this state folder."""

    def __init__(
        self, phase: str, arguments: Sequence[str], *, trust: Path, state: Path, wrap: Sequence[str] = ()
    ) -> None:
        """`wrap` is a command that starts the process."""
        hears, self._tell = os.pipe()
        self._told, says = os.pipe()
        command = [*wrap, sys.executable, "-m", "tests.support.paused_cji"]
        self.process = subprocess.Popen(
            [*command, str(trust), phase, str(says), str(hears), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(says, hears),
            cwd=ROOT,
            env={**os.environ, "XDG_STATE_HOME": str(state)},
            text=True,
        )
        os.close(hears)
        os.close(says)
        if phase != "-":
            assert select.select([self._told], [], [], _SECONDS)[0], "the phase never came"
            assert os.read(self._told, 1), self.process.communicate()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def go_on(self) -> Ended:
        """Let it go on; how it ends."""
        os.write(self._tell, b"!")
        return self.ended()

    def ended(self) -> Ended:
        """How it ends, where it is."""
        out, err = self.process.communicate(timeout=_SECONDS)
        os.close(self._tell)
        os.close(self._told)
        assert "Traceback" not in err, err
        return Ended(status=self.process.returncode, text=out + err)


def main() -> None:
    trust, phase, says, hears, *arguments = sys.argv[1:]
    vars(by_reference)["default_credential"] = StorageCredential
    stop_at(phase, Pause(int(says), int(hears)))
    build(msgspec.json.decode(Path(trust).read_bytes(), type=Trust))(arguments, prog_name="cji")


if __name__ == "__main__":
    main()
