"""Azure's scheduled events, as a machine reads them at its metadata service, by the broker.

A scale set with a terminate notification lists an instance here, up to 15 minutes before it deletes it; an eviction is
listed too. Every instance of the set sees the events of all, so a machine looks for its own name.
Source: learn.microsoft.com, "Scheduled Events for Linux VMs" and "Terminate notification for scale set instances".
"""

from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from cji_core.documents import decode
from cji_core.https import ExchangeError
from cji_core.metadata import BROKER, EVENTS, HEADERS, INSTANCE, base_of, client
from cji_core.strict import StrictError
from cji_worker.errors import WorkerError

_EXCHANGE_S: Final = 10.0
_OK: Final = 200
_MAX_BYTES: Final = 256 << 10
_ENDS: Final = frozenset({"Terminate", "Preempt"})
_Text = Annotated[str, Meta(max_length=1024)]


class NoticeError(WorkerError):
    """The metadata service gave no usable answer; the argument is the reason."""

    code = "notice-failed"
    remedy = "Check that cji-broker.socket is active, and that cji-broker.service reaches the metadata service."


class _Event(msgspec.Struct, frozen=True):
    EventId: Annotated[str, Meta(min_length=1, max_length=128)]
    EventType: _Text
    Resources: Annotated[tuple[_Text, ...], Meta(max_length=1000)] = ()


class _Events(msgspec.Struct, frozen=True):
    Events: Annotated[tuple[_Event, ...], Meta(max_length=1000)]


class _Compute(msgspec.Struct, frozen=True):
    name: Annotated[str, Meta(min_length=1, max_length=128)]


_T = TypeVar("_T", bound=msgspec.Struct)


def ending(events: bytes, name: str) -> str | None:
    """Id of the event that ends the machine `name`, from the service's document. Raises NoticeError."""
    for event in _decoded(events, _Events).Events:
        if event.EventType in _ENDS and name in event.Resources:
            return event.EventId
    return None


class Metadata:
    """The metadata service of this machine. `address` is another one in tests only."""

    def __init__(self, address: str = BROKER) -> None:
        self._base = base_of(address)
        self._client = client(address, seconds=_EXCHANGE_S, limit=_MAX_BYTES)
        self._name: str | None = None

    def look(self) -> str | None:
        """Id of the event that ends this machine, None without one. Blocks up to 20 s. Raises NoticeError."""
        if self._name is None:
            self._name = _decoded(self._get(INSTANCE), _Compute).name
        return ending(self._get(EVENTS), self._name)

    def _get(self, path: str) -> bytes:
        try:
            found = self._client.exchange("GET", self._base + path, headers=HEADERS)
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
