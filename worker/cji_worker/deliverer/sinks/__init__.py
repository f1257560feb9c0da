"""Sinks: destinations that get every event of a trail. One file per kind; `sinks` makes them of their tables."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from cji_core.errors import StartupError
from cji_core.trail.delivery import DeliveryFile
from cji_worker.deliverer.sinks.batch import Carrier
from cji_worker.deliverer.sinks.event_hubs import EventHubs, EventHubsTable
from cji_worker.deliverer.sinks.file import FileLines, FileTable
from cji_worker.deliverer.sinks.http import CLOUDS, Azure, Cloud, managed_identity
from cji_worker.deliverer.sinks.journald import Journald, JournaldTable
from cji_worker.deliverer.sinks.monitor import Monitor, MonitorTable
from cji_worker.deliverer.sinks.sink import Sink

__all__ = ["CLOUDS", "Azure", "Cloud", "Needs", "Sink", "managed_identity", "needs", "sinks"]

Table = MonitorTable | EventHubsTable | JournaldTable | FileTable
_KINDS: Final[dict[str, type[Table]]] = {
    "monitor": MonitorTable,
    "event_hubs": EventHubsTable,
    "journald": JournaldTable,
    "file": FileTable,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Services by URL that sinks use, and folders that they write to."""

    urls: tuple[str, ...]
    folders: tuple[str, ...]


def needs(found: DeliveryFile) -> Needs:
    """Services and folders of the `[[sinks]]` of a configuration. Raises StartupError for one that is not valid."""
    tables = [_table(each) for each in found.sinks]
    urls = [table.endpoint for table in tables if isinstance(table, MonitorTable)]
    urls += [table.namespace for table in tables if isinstance(table, EventHubsTable)]
    folders = [str(Path(table.path).parent) for table in tables if isinstance(table, FileTable)]
    return Needs(urls=tuple(urls), folders=tuple(folders))


def sinks(found: DeliveryFile, azure: Azure) -> list[Sink]:
    """A destination for each of `[[sinks]]`. Raises StartupError."""
    return [
        Sink(table.name, _carrier(table, azure), table.mapping, trail=Path(found.trail), state=Path(found.state))
        for table in map(_table, found.sinks)
    ]


def _table(found: dict[str, Any]) -> Table:
    kind = found.get("kind")
    if kind not in _KINDS:
        raise StartupError(
            f"The sink {found.get('name')!a} has an unknown kind", f"Use one of {', '.join(_KINDS)}; see docs/audit.md."
        )
    try:
        return msgspec.convert(found, type=_KINDS[kind])
    except msgspec.ValidationError as error:
        raise StartupError(
            f"The sink {found.get('name')!a} is not valid: {error}", "Compare it with docs/audit.md."
        ) from error


def _carrier(table: Table, azure: Azure) -> Carrier:
    match table:
        case MonitorTable():
            return Monitor(table, azure)
        case EventHubsTable():
            return EventHubs(table, azure)
        case JournaldTable():
            return Journald(table)
        case FileTable():
            return FileLines(table)
