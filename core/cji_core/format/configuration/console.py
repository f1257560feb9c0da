"""The configuration of the console: one frozen value from `console.toml`. docs/console.md explains every key."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from cji_core.documents import toml
from cji_core.errors import StartupError
from cji_core.format.configuration.machine import VM_ID, machine_in, named
from cji_core.hosts import is_loopback

LISTEN: Final = ("127.0.0.1:9464",)
MAX_BYTES: Final = 64 << 10
MAX_LISTENERS: Final = 4
_UNIX: Final = "unix:"
_PATH_BYTES: Final = 100

_Path: TypeAlias = Annotated[str, Meta(min_length=1, max_length=1024)]
_Name: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")]
_MachineName: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9{][A-Za-z0-9._{}-]{0,62}\Z")]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all sections."""


class OtlpSection(_Section, frozen=True, kw_only=True):
    """Metrics, and traces if there is a `trail`, to an OpenTelemetry collector on this machine."""

    endpoint: Annotated[str, Meta(max_length=128)] = "http://127.0.0.1:4318"
    """Its OTLP/HTTP address, without a path."""
    instance: _Name
    """`service.instance.id` of everything that is sent."""
    interval_seconds: Annotated[int, Meta(ge=1, le=3600)] = 60
    trail: _Path | None = None
    """The audit trail, read only; each job in it becomes a span."""

    def __post_init__(self) -> None:
        found = urlsplit(self.endpoint)
        host = found.hostname or ""
        if found.scheme != "http" or not is_loopback(host) or self.endpoint != f"http://{found.netloc}":
            raise ValueError(f"otlp.endpoint {self.endpoint!a} is not http://127.0.0.1:PORT or http://[::1]:PORT")
        if found.port is None or "@" in found.netloc:
            raise ValueError("otlp.endpoint has no port, or a user")


class MonitorSection(_Section, frozen=True, kw_only=True):
    """Metrics as rows of Log Analytics, by a data collection rule. A console that sends them does nothing else."""

    endpoint: Annotated[str, Meta(min_length=1, max_length=1024)]
    """Logs ingestion endpoint of the data collection endpoint."""
    rule: Annotated[str, Meta(pattern=r"^dcr-[0-9a-f]{32}\Z")]
    """Immutable id of the data collection rule."""
    client_id: Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")]
    """An identity that may publish to this rule, and nothing else."""
    cloud: Annotated[str, Meta(min_length=1, max_length=64)] = "azure-us"
    machine: _MachineName = VM_ID
    """The name of the machine in its rows; `{vm_id}` stands for the id of the machine."""
    interval_seconds: Annotated[int, Meta(ge=10, le=300)] = 60
    """Alerts ask for rows of the last minutes, and for one within 15 of them."""


class ConsoleConfig(_Section, frozen=True, kw_only=True):
    """The whole configuration."""

    status_socket: _Path
    """`status_socket` of worker.toml."""
    listen: Annotated[tuple[str, ...], Meta(min_length=1, max_length=MAX_LISTENERS)] | None = None
    """Addresses of page and metrics: `127.0.0.1:PORT`, `[::1]:PORT` or `unix:PATH`; by default `LISTEN`."""
    certificate: _Path | None = None
    """`listen.certificate` of worker.toml, to show when it ends."""
    reviews: _Path | None = None
    """Folder of signed weekly reviews, one folder for each ISO week."""
    review_days: Annotated[int, Meta(ge=1, le=31)] = 7
    """Days after the end of a week within which its review is signed."""
    delivery: _Path | None = None
    """`state` of audit.toml: how far sinks and the log are."""
    fleet: _Path | None = None
    """`fleet.state` of worker.toml: the queue of the pool, and what became of tickets."""
    disk: _Path | None = None
    """A folder on the disk of the trail, to show how full that is."""
    otlp: OtlpSection | None = None
    monitor: MonitorSection | None = None

    def __post_init__(self) -> None:
        if self.monitor is not None and (self.listen is not None or self.otlp is not None):
            raise ValueError("monitor stands beside listen or otlp: what sends to Azure has no listener and no trail")

    @property
    def addresses(self) -> tuple[str, ...]:
        """Of page and metrics; none for a console that sends."""
        return () if self.monitor is not None else self.listen or LISTEN


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpAddress:
    """A loopback address and port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixAddress:
    """A path of a Unix socket."""

    path: str


def address(text: str) -> TcpAddress | UnixAddress:
    """An entry of `listen`. Raises ValueError for one that is reachable from elsewhere, or none at all."""
    if text.startswith(_UNIX):
        path = text.removeprefix(_UNIX)
        if not path.startswith("/") or len(path.encode()) > _PATH_BYTES:
            raise ValueError(f"listen: {text!a} is not unix: and an absolute path of at most {_PATH_BYTES} bytes")
        return UnixAddress(path=path)
    host, _, port = text.rpartition(":")
    if not is_loopback(host.strip("[]")) or not port.isdecimal() or not port.isascii() or not 0 < int(port) < 1 << 16:
        raise ValueError(f"listen: {text!a} is not a loopback address in numbers, with a port")
    return TcpAddress(host=host.strip("[]"), port=int(port))


def load(path: Path) -> ConsoleConfig:
    """Read and check a configuration; its relative paths are relative to its folder. Raises StartupError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise StartupError(f"The configuration {path} is larger than 64 KiB", "Name the right file with --config.")
        found = toml(data, ConsoleConfig)
        for each in found.addresses:
            address(each)
        machine = None if found.monitor is None else named(found.monitor.machine, machine_in(path.resolve().parent))
    except OSError as error:
        raise StartupError(f"The configuration {path} cannot be read", "Name a readable file with --config.") from error
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        what = f"The configuration {path} is not valid: {error}"
        raise StartupError(what, "Compare it with docs/console.md.") from error
    if found.monitor is not None:
        found = msgspec.structs.replace(found, monitor=msgspec.structs.replace(found.monitor, machine=machine))
    return _with_absolute_paths(found, path.resolve().parent)


def _with_absolute_paths(found: ConsoleConfig, folder: Path) -> ConsoleConfig:
    def absolute(name: str | None) -> str | None:
        return None if name is None else str(folder / name)

    otlp = found.otlp
    return msgspec.structs.replace(
        found,
        status_socket=str(folder / found.status_socket),
        certificate=absolute(found.certificate),
        reviews=absolute(found.reviews),
        delivery=absolute(found.delivery),
        fleet=absolute(found.fleet),
        disk=absolute(found.disk),
        otlp=None if otlp is None else msgspec.structs.replace(otlp, trail=absolute(otlp.trail)),
    )
