"""The approval of a scheduled event: only what the broker sees itself lets one through.

An approval starts an event at once, for every machine that it names. The probe asks for it, and it is the process that
answers the network, so its word is not enough. The service must list the event as one that ends or interrupts this
machine and no other, and cji-drain.service, which is root's, must have left its file: `drained`, or `delivered` for an
event after which the disks are gone.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from cji_core.https import Response
from cji_core.metadata import EVENTS, INSTANCE
from cji_worker.probe.notice import DELIVERED, DRAIN, DRAINED, NoticeError, machine_name, notices

_OK: Final = 200


class Approvals:
    """Decides over approvals by questions to the service, which `ask` sends. Serves all threads."""

    def __init__(self, ask: Callable[[str], Response], drain: Path = DRAIN) -> None:
        self._ask, self._drain = ask, drain

    def due(self, event: str) -> bool:
        """Whether this machine has drained for the event, and no other waits for it.

        Raises NoticeError where the service gives no usable answer, and what `ask` raises.
        """
        if not self._left(DRAINED):
            return False
        name = machine_name(self._found(INSTANCE))
        own = [each for each in notices(self._found(EVENTS), name) if each.event == event and each.alone]
        return len(own) == 1 and (not own[0].final or self._left(DELIVERED))

    def _left(self, name: str) -> bool:
        return (self._drain / name).exists()

    def _found(self, target: str) -> bytes:
        reply = self._ask(target)
        if reply.status != _OK:
            raise NoticeError(f"status {reply.status}")
        return reply.body
