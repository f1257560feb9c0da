"""The parts of an event that OCSF events and ASIM rows share: its meaning, and its caller's address."""

import ipaddress
from typing import NamedTuple

from cji_core.trail.events import Event
from cji_core.trail.meaning import HOST_RESTORED, Meaning
from cji_core.trail.worker_events import HostChanged


def meaning(event: Event) -> Meaning:
    """The row of an event."""
    if isinstance(event, HostChanged) and not event.unmet:
        return HOST_RESTORED
    return event.meaning


class Endpoint(NamedTuple):
    """The parts of an event's `source`; `name` is the whole text if it has no address."""

    ip: str | None
    port: int | None
    name: str | None


def endpoint(source: str) -> Endpoint:
    """Read `ipv4:ADDRESS:PORT` or `ipv6:[ADDRESS]:PORT`, as the front writes it."""
    family, _, rest = source.partition(":")
    host, _, port = rest.rpartition(":")
    try:
        if family not in {"ipv4", "ipv6"} or not port.isascii() or not port.isdigit():
            raise ValueError
        return Endpoint(str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))), int(port), None)
    except ValueError:
        return Endpoint(None, None, source)
