"""An event on its way to a sink, in one of three mappings, and the batches that it travels in."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from cji_core.format.configuration.sinks import MappingName
from cji_core.trail.chain import Record
from cji_core.trail.event_id import event_id
from cji_core.trail.meaning import Severity
from cji_core.trail.trail import Position
from cji_worker.deliverer.sinks.asim import to_asim
from cji_worker.deliverer.sinks.mapping import meaning
from cji_worker.deliverer.sinks.ocsf import to_ocsf


def to_native(record: Record, uid: str) -> dict[str, Any]:
    """The line itself, with its id."""
    found: dict[str, Any] = {"event_id": uid, **msgspec.to_builtins(record)}
    return found


MAPPINGS: Final[Mapping[MappingName, Callable[[Record, str], dict[str, Any]]]] = {
    "native": to_native,
    "ocsf": to_ocsf,
    "asim": to_asim,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One event: its id, its line, its meaning to a watcher, and its mapped form as JSON."""

    id: str
    record: Record
    severity: Severity
    data: bytes


def outgoing(record: Record, mapping: MappingName) -> Outgoing:
    """The event of a line, mapped."""
    uid = event_id(record)
    return Outgoing(
        id=uid,
        record=record,
        severity=meaning(record.event).severity,
        data=msgspec.json.encode(MAPPINGS[mapping](record, uid)),
    )


class Carrier(Protocol):
    """Takes batches to one kind of sink."""

    max_bytes: int
    """Of all encoded events together, with a comma each. A single event may be larger."""
    max_events: int

    def encode(self, event: Outgoing) -> bytes:
        """The event in the form of this sink."""

    def send(self, batch: list[bytes]) -> None:
        """Hand over encoded events, and return once they are accepted. Raises DeliveryError; then none may count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Encoded events in the order of the trail, and the position of the last one."""

    events: list[bytes]
    last: Position


def next_batch(
    lines: Iterator[tuple[Position, Record]], carrier: Carrier, mapping: MappingName, *, max_events: int
) -> Batch | None:
    """As many events as one batch may hold; None if there are none. Raises ChainError or OSError."""
    events: list[bytes] = []
    last, size = None, 0
    for position, record in lines:
        encoded = carrier.encode(outgoing(record, mapping))
        if events and size + len(encoded) + 1 > carrier.max_bytes:
            break
        events.append(encoded)
        last, size = position, size + len(encoded) + 1
        if len(events) >= max_events:
            break
    return None if last is None else Batch(events=events, last=last)
