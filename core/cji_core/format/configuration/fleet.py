"""The sections of worker.toml for a pool of workers: jobs by reference, and the pool ledger.

They name every account, container and queue that a worker uses: no ticket, blob, job or task can name another.
"""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

import msgspec
from msgspec import Meta

StorageUrl = Annotated[str, Meta(pattern=r"^https://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?(/[a-z0-9]{3,24})?\Z")]
"""Of a storage account; Azurite has the account's name as a path."""
Container = Annotated[str, Meta(pattern=r"^[a-z0-9](-?[a-z0-9]){2,62}\Z")]
"""Name of a container or queue."""
ClientId = Annotated[str, Meta(pattern=r"^[0-9a-fA-F-]{36}\Z")]
_Path = Annotated[str, Meta(min_length=1, max_length=1024)]
_SocketPath = Annotated[str, Meta(min_length=1, max_length=100)]
ENGINE_PORT: Final = 8444
"""That of cji-door.socket as shipped."""
RENEWALS: Final = 3
"""Renewals of a lease before it ends."""


class FleetSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Jobs by reference: their ciphertext in Blob Storage, a ticket for each on a queue. Read by front and fleet."""

    socket: _SocketPath = "/run/cji-fleet/front.sock"
    """Unix socket of the front for the fleet process, in a folder that only the fleet's group may enter."""
    tasks_socket: _SocketPath | None = None
    """Unix socket of the fleet process for the engine of this node, in a folder that only the engine's group may enter.
    Without it, this node runs no tasks of jobs in parts."""
    engine_roots: _Path | None = None
    """PEM certificates of the engine's authority: the door then takes tasks from an engine on another machine."""
    engine_port: Annotated[int, Meta(ge=1, le=65535)] = ENGINE_PORT
    """Port of the door for them, beside that of `[listen]`."""
    blob_url: StorageUrl
    queue_url: StorageUrl
    jobs: Container = "jobs"
    results: Container = "results"
    shuffle: Container = "shuffle"
    queue: Container = "jobs"
    poison_queue: Container = "jobs-poison"
    client_id: ClientId | None = None
    """Client id of the user-assigned identity, if the machine has several."""
    ca_file: _Path | None = None
    """PEM file of the authorities of these services. Default: the system's."""
    state: _Path = "/var/lib/cji-fleet"
    """Folder of the fleet process: its unfinished attempts and its metrics."""
    lease_seconds: Annotated[int, Meta(ge=3, le=3600)] = 60
    """Time after which the ticket of a worker that is gone is visible again; renewed three times in it."""
    drain_seconds: Annotated[int, Meta(ge=0, le=3600)] = 60
    """Time that running attempts get to finish after SIGTERM, before their tickets are given back."""
    poll_seconds: Annotated[float, Meta(ge=0.05, le=60)] = 1.0
    """Pause between two looks at an empty queue."""

    def __post_init__(self) -> None:
        if self.engine_roots is not None and self.tasks_socket is None:
            raise ValueError("engine_roots needs tasks_socket, to which the door passes the engine's tasks on")

    def below(self, folder: Path) -> Self:
        """The section with absolute paths; relative ones are relative to `folder`."""
        return msgspec.structs.replace(
            self,
            socket=str(folder / self.socket),
            engine_roots=None if self.engine_roots is None else str(folder / self.engine_roots),
            tasks_socket=None if self.tasks_socket is None else str(folder / self.tasks_socket),
            state=str(folder / self.state),
            ca_file=None if self.ca_file is None else str(folder / self.ca_file),
        )


class PoolLedgerSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The replay ledger of a whole pool, in a container of Blob Storage. Read by the keyholder."""

    kind: Literal["pool"]
    blob_url: StorageUrl
    container: Container = "ledger"
    client_id: ClientId | None = None
    """Client id of the user-assigned identity, if the machine has several."""
    ca_file: _Path | None = None
    """PEM file of the authorities of this service. Default: the system's."""
    seconds: Annotated[int, Meta(ge=1, le=30)] = 10
    """Longest time for which a job waits for its turn, and of one exchange with the service."""
    floors: Container | None = None
    """The container of the pool's floors, without which no bundle comes into force without a restart."""
    tries: Annotated[int, Meta(ge=1, le=100)] = 5
    """Attempts that a job may have in the pool, whichever workers begin them. All workers of a pool have one number."""

    def below(self, folder: Path) -> Self:
        """The section with absolute paths; relative ones are relative to `folder`."""
        return msgspec.structs.replace(self, ca_file=None if self.ca_file is None else str(folder / self.ca_file))
