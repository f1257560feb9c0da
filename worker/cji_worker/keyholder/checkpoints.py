"""Checkpoints of the audit trail: the worker signs the Merkle tree of its lines, and the trail keeps each signature.

At start and stop, and every minute in which there were new lines other than anchors and checkpoints, `TrailCheckpoint`
is appended. It is of all lines before it. After one, a file that is large enough is closed, so every segment ends with
a checkpoint. Anyone who has one can show that a trail lacks or changed any of them: the key
is in secret memory, and the evidence names it.
"""

import time
from collections.abc import Callable
from typing import Final

from cji_core.errors import Refusal
from cji_worker.keyholder.receipts import ReceiptSigner
from cji_worker.trail.file import AuditFile

PERIOD_S: Final = 60.0


class Checkpoints:
    """Writes the checkpoints of a trail, for the main thread. `clock` is monotonic, in seconds."""

    def __init__(self, audit: AuditFile, signer: ReceiptSigner, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Write the first one. Raises Refusal(AUDIT_UNAVAILABLE)."""
        self._audit, self._signer, self._clock = audit, signer, clock
        self._write()

    def follow(self) -> None:
        """Write one if the last is a minute old and lines followed it. Call it every second."""
        if self._clock() - self._last >= PERIOD_S:
            self.finish()

    def finish(self) -> None:
        """Write one if lines followed the last. One that cannot be written is not kept for later: it would be old."""
        if not self._audit.uncovered:
            return
        try:
            self._write()
        except Refusal:
            return  # the trail is not available; a line records when it is again

    def _write(self) -> None:
        self._audit.append(self._signer.checkpoint(self._audit.tree))
        self._audit.rotate()
        self._last = self._clock()
