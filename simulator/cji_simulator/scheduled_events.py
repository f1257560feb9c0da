"""Azure's scheduled events of a scale set: every kind, through every state that Azure documents.

An event is announced (`Scheduled`), started when it is approved or `NotBefore` has passed, and gone when it is over or
was cancelled. Every machine of the set sees and may approve the events of all.
Source: learn.microsoft.com, "Azure Metadata Service: Scheduled Events for Linux VMs".
"""

import itertools
import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Final

__all__ = ["KINDS", "LEAST_NOTICE_S", "ScheduledEvents"]

LEAST_NOTICE_S: Final = {"Freeze": 900, "Reboot": 900, "Redeploy": 600, "Preempt": 30, "Terminate": 900}
"""The shortest time between announcement and start; of Terminate as the scale set's profile has it, 5 to 15 minutes."""
KINDS: Final = tuple(LEAST_NOTICE_S)


@dataclass(slots=True, kw_only=True)
class _Event:
    kind: str
    resources: tuple[str, ...]
    not_before: datetime
    source: str
    started: bool = False
    id: str = field(default_factory=lambda: str(uuid.uuid4()).upper())


class ScheduledEvents:
    """The events of one scale set."""

    def __init__(self) -> None:
        self._events: dict[str, _Event] = {}
        self._incarnation = itertools.count(1)
        self._current = next(self._incarnation)
        self.approved: list[str] = []
        """Ids that a machine approved, in their order."""

    def announce(self, kind: str, *resources: str, source: str = "Platform", started: bool = False) -> str:
        """Schedule an event for the machines of these names; its id. A failed host starts one at once."""
        not_before = datetime.now(UTC) + timedelta(seconds=LEAST_NOTICE_S[kind])
        event = _Event(kind=kind, resources=resources, not_before=not_before, source=source, started=started)
        self._events[event.id] = event
        self._changed()
        return event.id

    def start(self, event_id: str) -> None:
        """Its time has come."""
        self._events[event_id].started = True
        self._changed()

    def remove(self, event_id: str) -> None:
        """It is over, or was cancelled: Azure distinguishes neither."""
        del self._events[event_id]
        self._changed()

    def state(self, event_id: str) -> str:
        """Scheduled, Started, or nothing for an event that is gone."""
        event = self._events.get(event_id)
        return "" if event is None else "Started" if event.started else "Scheduled"

    def document(self) -> bytes:
        """The answer to a GET."""
        events = [
            {
                "EventId": each.id,
                "EventType": each.kind,
                "ResourceType": "VirtualMachine",
                "Resources": list(each.resources),
                "EventStatus": "Started" if each.started else "Scheduled",
                "NotBefore": "" if each.started else format_datetime(each.not_before, usegmt=True),
                "Description": "Host server is undergoing maintenance.",
                "EventSource": each.source,
                "DurationInSeconds": 9 if each.kind == "Freeze" else -1,
            }
            for each in self._events.values()
        ]
        return json.dumps({"DocumentIncarnation": self._current, "Events": events}).encode()

    def approve(self, body: bytes) -> bool:
        """A POST: start the events that it names. False for a body that Azure refuses."""
        try:
            wanted = [each["EventId"] for each in json.loads(body)["StartRequests"]]
        except (ValueError, KeyError, TypeError):
            return False
        for event_id in wanted:
            if event_id not in self._events:
                return False
            self.approved.append(event_id)
            self.start(event_id)
        return True

    def _changed(self) -> None:
        self._current = next(self._incarnation)
