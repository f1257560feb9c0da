"""The `[[sinks]]` tables of `audit.toml`: destinations that get every event of a trail. docs/audit.md explains them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from cji_core.documents import convert
from cji_core.errors import StartupError
from cji_core.format.configuration.worker import DestinationName
from cji_core.trail.delivery import DeliveryFile

MappingName = Literal["native", "ocsf", "asim"]
Text = Annotated[str, Meta(min_length=1, max_length=1024)]


class SinkTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`name` is that of its file in the state folder; `mapping` is the form of its events."""

    name: DestinationName
    mapping: MappingName = "native"


class MonitorTable(SinkTable, frozen=True, kw_only=True):
    """A sink of this kind; `deliverer.sinks.monitor` explains it."""

    kind: Literal["monitor"]
    endpoint: Text
    rule: Annotated[str, Meta(pattern=r"^dcr-[0-9a-f]{32}\Z")]
    stream: Annotated[str, Meta(pattern=r"^(Custom|Microsoft)-[A-Za-z0-9_-]{1,90}\Z")]
    cloud: Text = "azure-us"
    client_id: Text | None = None


class EventHubsTable(SinkTable, frozen=True, kw_only=True):
    """A sink of this kind; `deliverer.sinks.event_hubs` explains it."""

    kind: Literal["event_hubs"]
    namespace: Text
    hub: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,255}\Z")]
    cloud: Text = "azure-us"
    client_id: Text | None = None


class JournaldTable(SinkTable, frozen=True, kw_only=True):
    """A sink of this kind; `deliverer.sinks.journald` explains it."""

    kind: Literal["journald"]
    socket: Annotated[str, Meta(min_length=1, max_length=107)] = "/run/systemd/journal/socket"


class FileTable(SinkTable, frozen=True, kw_only=True):
    """A sink of this kind; `deliverer.sinks.file` explains it."""

    kind: Literal["file"]
    path: Annotated[str, Meta(pattern=r"^/", max_length=1024)]


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
    tables = [table_of(each) for each in found.sinks]
    urls = [table.endpoint for table in tables if isinstance(table, MonitorTable)]
    urls += [table.namespace for table in tables if isinstance(table, EventHubsTable)]
    folders = [str(Path(table.path).parent) for table in tables if isinstance(table, FileTable)]
    return Needs(urls=tuple(urls), folders=tuple(folders))


def table_of(found: dict[str, Any]) -> Table:
    """The table of a sink. Raises StartupError for one that is not valid."""
    kind = found.get("kind")
    if kind not in _KINDS:
        raise StartupError(
            f"The sink {found.get('name')!a} has an unknown kind", f"Use one of {', '.join(_KINDS)}; see docs/audit.md."
        )
    try:
        return convert(found, _KINDS[kind])
    except msgspec.ValidationError as error:
        raise StartupError(
            f"The sink {found.get('name')!a} is not valid: {error}", "Compare it with docs/audit.md."
        ) from error
