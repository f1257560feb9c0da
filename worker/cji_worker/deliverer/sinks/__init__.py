"""Sinks: destinations that get every event of a trail. One file per kind; `sinks` makes them of their tables."""

from pathlib import Path

from cji_core.format.configuration.sinks import EventHubsTable, FileTable, JournaldTable, MonitorTable, Table, table_of
from cji_core.trail.delivery import DeliveryFile
from cji_worker.deliverer.sinks.batch import Carrier
from cji_worker.deliverer.sinks.event_hubs import EventHubs
from cji_worker.deliverer.sinks.file import FileLines
from cji_worker.deliverer.sinks.journald import Journald
from cji_worker.deliverer.sinks.monitor import Monitor
from cji_worker.deliverer.sinks.sink import Sink
from cji_worker.service_https import CLOUDS, Azure, Cloud

__all__ = ["CLOUDS", "Azure", "Cloud", "Sink", "sinks"]


def sinks(found: DeliveryFile, azure: Azure) -> list[Sink]:
    """A destination for each of `[[sinks]]`. Raises StartupError."""
    return [
        Sink(table.name, _carrier(table, azure), table.mapping, trail=Path(found.trail), state=Path(found.state))
        for table in map(table_of, found.sinks)
    ]


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
