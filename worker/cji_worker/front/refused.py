"""The calls that the front refuses by itself, counted until they are reported to the audit trail.

A stranger can cause as many as it likes, so a report is one message for each Reason of a period, and the table has one
entry for each Reason.
"""

from cji_core.errors import Reason
from cji_worker.ipc.messages import RefusedCalls


class RefusedCounter:
    """Counts by Reason, each with its first caller."""

    def __init__(self) -> None:
        self._found: dict[Reason, RefusedCalls] = {}

    def count(self, reason: Reason, *, source: str, identity: str) -> bool:
        """Count a call; returns whether it is the first with this Reason in the period."""
        first = self._found.get(reason)
        self._found[reason] = RefusedCalls(
            reason=reason,
            count=first.count + 1 if first else 1,
            source=first.source if first else source[:128],
            identity=first.identity if first else identity,
        )
        return first is None

    def take(self) -> list[RefusedCalls]:
        """The counts of this period; the next one begins."""
        found, self._found = list(self._found.values()), {}
        return found
