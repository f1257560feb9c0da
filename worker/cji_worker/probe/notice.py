"""Azure's scheduled events, as a machine reads them at its metadata service.

A scale set with a terminate notification lists an instance here, up to 15 minutes before it deletes it; an eviction is
listed too. Every instance of the set sees the events of all, so a machine looks for its own name.
Source: learn.microsoft.com, "Scheduled Events for Linux VMs" and "Terminate notification for scale set instances".
"""

import http.client
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

IMDS: Final = "169.254.169.254"
_EVENTS: Final = "/metadata/scheduledevents?api-version=2020-07-01"
_INSTANCE: Final = "/metadata/instance/compute?api-version=2021-02-01"
_TIMEOUT_S: Final = 10.0
_MAX_BYTES: Final = 256 << 10
_ENDS: Final = frozenset({"Terminate", "Preempt"})
_Text = Annotated[str, Meta(max_length=1024)]


class NoticeError(Exception):
    """The metadata service gave no usable answer; the argument is the reason."""


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
    """The metadata service of this machine. `host` and `port` are another one's in tests only."""

    def __init__(self, host: str = IMDS, port: int = 80) -> None:
        self._host, self._port = host, port
        self._name: str | None = None

    def look(self) -> str | None:
        """Id of the event that ends this machine, None without one. Blocks up to 20 s. Raises NoticeError."""
        if self._name is None:
            self._name = _decoded(self._get(_INSTANCE), _Compute).name
        return ending(self._get(_EVENTS), self._name)

    def _get(self, path: str) -> bytes:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_S)
        try:
            connection.request("GET", path, headers={"Metadata": "true"})
            response = connection.getresponse()
            body = response.read(_MAX_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise NoticeError(type(error).__name__) from error
        finally:
            connection.close()
        if response.status != http.client.OK or len(body) > _MAX_BYTES:
            raise NoticeError(f"status {response.status}, {len(body)} bytes")
        return body


def _decoded(data: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise NoticeError("not understood") from error
