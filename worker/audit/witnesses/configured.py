"""From `[[witnesses]]` tables to destinations. Importing this loads the clients of all kinds."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from worker.audit.delivery import DeliveryFile
from worker.audit.witnesses.azure_client import Identity, managed_identity
from worker.audit.witnesses.blob import BlobWitness
from worker.audit.witnesses.confidential_ledger import LedgerWitness
from worker.audit.witnesses.destination import Witness, WitnessDestination
from worker.audit.witnesses.file_copy import FileWitness
from worker.audit.witnesses.keys import read_keys
from worker.audit.witnesses.scitt import ScittWitness
from worker.audit.witnesses.settings import BlobTable, FileTable, LedgerTable, Table, tables


def _now() -> datetime:
    return datetime.now(UTC)


def witness_for(
    table: Table, *, identity: Identity = managed_identity, clock: Callable[[], datetime] = _now
) -> Witness:
    """The witness of a table. Nothing is read or connected yet."""
    if isinstance(table, FileTable):
        return FileWitness(table, clock=clock)
    if isinstance(table, BlobTable):
        return BlobWitness(table, identity=identity)
    if isinstance(table, LedgerTable):
        return LedgerWitness(table, identity=identity, clock=clock)
    return ScittWitness(table, clock=clock)


def records_of(state: Path, name: str) -> Path:
    """The folder of a witness's records under the deliverer's state."""
    return state / "witnesses" / name


def witnesses(
    delivery: DeliveryFile, *, folder: Path, identity: Identity = managed_identity
) -> tuple[WitnessDestination, ...]:
    """A destination for each `[[witnesses]]` table; `folder` is that of `audit.toml`. Raises StartupError."""
    return tuple(
        WitnessDestination(
            witness_for(table, identity=identity),
            name=table.name,
            trail=Path(delivery.trail),
            records=records_of(Path(delivery.state), table.name),
            keys=partial(read_keys, Path(delivery.receipt_keys or "")),
            interval=table.interval_seconds,
        )
        for table in tables(delivery.witnesses, folder=folder)
    )
