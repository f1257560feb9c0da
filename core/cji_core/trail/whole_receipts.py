"""Receipts of lines that are given in their order, made whole: for those that have a few lines, and no watcher."""

from collections.abc import Iterable, Iterator
from contextlib import suppress

import msgspec

from cji_core.trail.compact import ReceiptError
from cji_core.trail.events import Event, JobAdmitted, JobCompleted
from cji_core.trail.short_receipts import Stated, whole


class WholeReceipts:
    """The admissions so far, and the last whole receipt, which say the rest of a short one."""

    def __init__(self) -> None:
        self._admitted: dict[str, JobAdmitted] = {}
        self._base: Stated | None = None

    def take(self, event: Event) -> Stated | None:
        """The receipt of the next event, if it has one that can be read."""
        if isinstance(event, JobAdmitted):
            self._admitted[event.job_id] = event
        if not isinstance(event, JobCompleted):
            return None
        with suppress(ReceiptError):
            found = whole(event, self._admitted.get(event.job_id), self._base)
            if isinstance(event.receipt, str):
                self._base = found
            return found
        return None


def with_whole_receipts(events: Iterable[Event]) -> Iterator[Event]:
    """The events with whole receipts, as far as these can be read."""
    receipts = WholeReceipts()
    for event in events:
        found = receipts.take(event)
        yield event if found is None else msgspec.structs.replace(event, receipt=found.compact)
