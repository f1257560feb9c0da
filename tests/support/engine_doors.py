"""A worker's door with the socket for tasks behind it, without a worker, and the files by which an engine knows it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.format.configuration.fleet import FleetSection, PoolLedgerSection
from cji_core.format.configuration.worker import load
from cji_engine.certificates import AUTHORITY
from cji_simulator.certificates import Credential, authority, leaf, pem, private_pem
from cji_simulator.door import Door
from cji_simulator.ports import free_port
from tests.support.worker_configs import WORKER_CONFIG

__all__ = ["NAME", "TasksDoor", "pool_authority", "tasks_door"]

NAME: Final = "cji.agency.example"
_URL: Final = "https://b.example"


@dataclass(frozen=True, slots=True, kw_only=True)
class TasksDoor:
    """Where it listens, for the engine and for submitters; `roots`, and a submitter's certificate and key."""

    port: int
    submitters: int
    roots: Path
    submitter: Path


def pool_authority() -> Credential:
    """An authority of the doors of a pool."""
    return authority("pool", ec.generate_private_key(ec.SECP384R1()))


@contextmanager
def tasks_door(
    folder: Path, engine: Path, tasks_socket: Path, *, ca: Credential | None = None, port: int = 0
) -> Iterator[TasksDoor]:
    """In `folder`, which other users may enter; `engine` is the folder of the engine's authority, `ca` the pool's."""
    ca = ca or pool_authority()
    (folder / "node-roots.pem").write_bytes(pem(ca.certificate))
    for name in ("server", "submitter"):
        key = ec.generate_private_key(ec.SECP384R1())
        (folder / f"{name}.pem").write_bytes(pem(leaf(name, key, ca, hosts=[NAME]).certificate))
        (folder / f"{name}.key").write_bytes(private_pem(key))
    (folder / "engine-roots.pem").write_bytes((engine / f"{AUTHORITY}.pem").read_bytes())
    (folder / "worker.toml").write_text(WORKER_CONFIG)
    for path in folder.iterdir():
        if path.is_file():
            path.chmod(0o644)
    port, submitters = port or free_port(), free_port()
    config = load(folder / "worker.toml")
    listen = msgspec.structs.replace(
        config.listen,
        host="127.0.0.1",
        port=submitters,
        socket=str(folder / "door" / "front.sock"),
        certificate=str(folder / "server.pem"),
        private_key=str(folder / "server.key"),
        client_roots=str(folder / "node-roots.pem"),
    )
    fleet = FleetSection(
        blob_url=_URL,
        queue_url=_URL,
        tasks_socket=str(tasks_socket),
        engine_roots=str(folder / "engine-roots.pem"),
        engine_port=port,
    )
    ledger = PoolLedgerSection(kind="pool", blob_url=_URL)
    with Door(msgspec.structs.replace(config, listen=listen, fleet=fleet, ledger=ledger), log=folder / "door.log"):
        yield TasksDoor(
            port=port, submitters=submitters, roots=folder / "node-roots.pem", submitter=folder / "submitter.pem"
        )
