"""`cji` in a process of its own that stops at a phase of a job until it is told to go on. Everything in it is real.

    python -m tests.support.paused_cji TRUST.json PHASE SAYS HEARS ARGUMENT...

At its phase it writes a byte to the descriptor SAYS and reads one from HEARS. A phase "-" never comes.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from cji_attestation import Trust
from cji_client import connection, kept, received, sending, transport
from cji_client.verbs.job import outputs
from cji_core.command import build
from cji_core.command import output as files
from cji_core.wire.v1 import worker_pb2

PHASES: Final = (
    *("before connect", "during evidence", "before the first byte", "during upload", "waiting", "segments"),
    *("before the receipt", "settling", "writing", "renaming"),
)
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
        case "settling":
            pause.before(kept, "complete_result")
        case "writing":
            pause.before(outputs, "write_result")
        case "renaming":
            pause.before(files, "_settle")


def main() -> None:
    trust, phase, says, hears, *arguments = sys.argv[1:]
    stop_at(phase, Pause(int(says), int(hears)))
    build(msgspec.json.decode(Path(trust).read_bytes(), type=Trust))(arguments, prog_name="cji")


if __name__ == "__main__":
    main()
