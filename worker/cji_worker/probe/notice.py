"""Azure's scheduled events, as a machine reads and approves them at its metadata service, by the broker.

    kind        what happens                        notice         here
    Freeze      a pause of seconds, memory stays    15 min         nothing
    Reboot      memory is lost, disks stay          15 min         drain, approve when drained
    Redeploy    another host, disks stay            10 min         drain, approve when drained
    Preempt     deleted                             30 s           drain, approve when the trail is delivered
    Terminate   deleted                             5 to 15 min    drain, approve when the trail is delivered

Every instance of a scale set sees the events of all, so a machine looks for its own name. An approval is for all
machines that an event names: one that names others too is never approved, because they may still drain. After a reboot
its event is listed as started for minutes: such a one is over for this machine. Without approval an event starts when
its notice ends. An event may be cancelled, and a Reboot may turn out as a pause: then it is no longer listed, and the
machine is still there.

Source: learn.microsoft.com, "Azure Metadata Service: Scheduled Events for Linux VMs" and "Terminate notification for
Azure Virtual Machine Scale Set instances".
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from cji_core.documents import decode
from cji_core.https import ExchangeError
from cji_core.metadata import BROKER, EVENTS, HEADERS, INSTANCE, base_of, client, start_request
from cji_core.strict import StrictError
from cji_worker.errors import WorkerError

EXCHANGE_S: Final = 10.0
_OK: Final = 200
_MAX_BYTES: Final = 256 << 10
_ENDS: Final = frozenset({"Terminate", "Preempt"})
_INTERRUPTS: Final = frozenset({"Reboot", "Redeploy"})
_SCHEDULED: Final = "Scheduled"
DRAIN: Final = Path("/run/cji-drain")
"""The folder of cji-drain.service. Root alone writes it, and a process without a right to files sees what is in it."""
DRAINED: Final = "drained"
"""File of cji-drain.service: fleet process and worker have stopped."""
DELIVERED: Final = "delivered"
"""File of cji-drain.service: so has everything in the trail left the machine that must."""
_Text = Annotated[str, Meta(max_length=1024)]


class NoticeError(WorkerError):
    """The metadata service gave no usable answer; the argument is the reason."""

    code = "notice-failed"
    remedy = "Check that cji-broker.socket is active, and that cji-broker.service reaches the metadata service."


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """An event for which this machine drains. `final`: it does not come back, and neither do its disks.

    `alone`: the event names no other machine, so an approval interrupts nobody else.
    """

    event: str
    final: bool
    alone: bool


class _Event(msgspec.Struct, frozen=True):
    EventId: Annotated[str, Meta(pattern=r"^[0-9A-Za-z-]{1,64}$")]
    EventType: _Text
    Resources: Annotated[tuple[_Text, ...], Meta(max_length=1000)] = ()
    EventStatus: _Text = _SCHEDULED


class _Events(msgspec.Struct, frozen=True):
    Events: Annotated[tuple[_Event, ...], Meta(max_length=1000)]


class _Compute(msgspec.Struct, frozen=True):
    name: Annotated[str, Meta(min_length=1, max_length=128)]


_T = TypeVar("_T", bound=msgspec.Struct)


def notices(events: bytes, name: str) -> tuple[Notice, ...]:
    """The events for which the machine `name` drains, the final ones first. Raises NoticeError."""
    own = [each for each in _decoded(events, _Events).Events if name in each.Resources]
    ends = [each for each in own if each.EventType in _ENDS]
    others = [each for each in own if each.EventType in _INTERRUPTS and each.EventStatus == _SCHEDULED]
    return tuple(
        Notice(event=each.EventId, final=each in ends, alone=set(each.Resources) == {name}) for each in (*ends, *others)
    )


def listed(events: bytes) -> frozenset[str]:
    """Ids of all events, whatever their state. Raises NoticeError."""
    return frozenset(each.EventId for each in _decoded(events, _Events).Events)


def machine_name(instance: bytes) -> str:
    """The name under which events know this machine. Raises NoticeError."""
    return _decoded(instance, _Compute).name


class Metadata:
    """The metadata service of this machine. `address` is another one in tests only. Calls block up to 20 s."""

    def __init__(self, address: str = BROKER) -> None:
        self._base = base_of(address)
        self._client = client(address, seconds=EXCHANGE_S, limit=_MAX_BYTES)
        self._name: str | None = None

    def look(self) -> tuple[tuple[Notice, ...], frozenset[str]]:
        """The events for which this machine drains, and the ids of all that are listed. Raises NoticeError."""
        if self._name is None:
            self._name = machine_name(self._got("GET", INSTANCE))
        events = self._got("GET", EVENTS)
        return notices(events, self._name), listed(events)

    def approve(self, event: str) -> None:
        """Let an event start before its notice ends, which the broker grants once drained. Raises NoticeError."""
        self._got("POST", EVENTS, start_request(event))

    def _got(self, method: str, path: str, body: bytes | None = None) -> bytes:
        headers = HEADERS if body is None else {**HEADERS, "Content-Type": "application/json"}
        try:
            found = self._client.exchange(method, self._base + path, headers=headers, body=body)
        except ExchangeError as error:
            raise NoticeError(str(error)) from error
        if found.status != _OK:
            raise NoticeError(f"status {found.status}, {len(found.body)} bytes")
        return found.body


def _decoded(data: bytes, kind: type[_T]) -> _T:
    try:
        return decode(data, kind, limit=_MAX_BYTES)
    except StrictError as error:
        raise NoticeError("not understood") from error
