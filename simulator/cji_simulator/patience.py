"""How a tester waits for a cell: as a client does, by the retry hint of OVERLOADED, and not for ever."""

import time
from typing import Final

from cji_client.errors import WorkerRefused
from cji_core.errors import Reason

__all__ = ["Patience"]

_LIMIT_S: Final = 60.0


class Patience:
    """The patience of one caller."""

    def __init__(self) -> None:
        self._end = time.monotonic() + _LIMIT_S

    def waits(self, refused: Exception | None) -> bool:
        """Whether the call should be made again; returns when it is time to."""
        if not isinstance(refused, WorkerRefused) or refused.reason is not Reason.OVERLOADED:
            return False
        time.sleep(refused.retry_after or 0.0)
        return time.monotonic() < self._end
