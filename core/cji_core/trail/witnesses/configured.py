"""From `[[witnesses]]` tables to destinations. Importing this loads the clients of all kinds."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from cji_core.azure_client import Identity, managed_identity
from cji_core.errors import StartupError
from cji_core.tlog.policy import load_policy
from cji_core.trail.delivery import DeliveryFile
from cji_core.trail.witnesses.agency_log import LogWitness
from cji_core.trail.witnesses.blob import BlobWitness
from cji_core.trail.witnesses.confidential_ledger import LedgerWitness
from cji_core.trail.witnesses.destination import Witness, WitnessDestination
from cji_core.trail.witnesses.file_copy import FileWitness
from cji_core.trail.witnesses.keys import read_keys
from cji_core.trail.witnesses.scitt import ScittWitness
from cji_core.trail.witnesses.settings import BlobTable, FileTable, LedgerTable, LogTable, ScittTable, Table, tables


def _now() -> datetime:
    return datetime.now(UTC)


def witness_for(
    table: Table,
    *,
    identity: Identity = managed_identity,
    clock: Callable[[], datetime] = _now,
    trail: Path | None = None,
    receipt_keys: Path | None = None,
) -> Witness:
    """The witness of a table. Nothing is read or connected yet. The agency's log needs the trail, to submit."""
    if isinstance(table, LogTable):
        return LogWitness(table, trail=trail, evidence=receipt_keys)
    if isinstance(table, FileTable):
        return FileWitness(table, clock=clock)
    if isinstance(table, BlobTable):
        return BlobWitness(table, identity=identity)
    if isinstance(table, LedgerTable):
        return LedgerWitness(table, identity=identity, clock=clock)
    return ScittWitness(table, clock=clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Use that witnesses make of the machine: files and folders to read, folders to write, services by URL."""

    read: tuple[str, ...]
    write: tuple[str, ...]
    urls: tuple[str, ...]


def needs(delivery: DeliveryFile, *, folder: Path) -> Needs:
    """The needs of the `[[witnesses]]` tables. Raises StartupError."""
    read, write, urls = [delivery.receipt_keys] if delivery.receipt_keys else [], [], []
    for table in tables(delivery.witnesses, folder=folder):
        match table:
            case LogTable():
                urls.append(load_policy(Path(table.policy)).file.url)
                read += [table.policy, *table.earlier_policies, table.token_file, table.ca_file]
            case FileTable():
                write.append(table.folder)
            case BlobTable():
                urls.append(table.account_url)
                read.append(table.ca_file)
            case LedgerTable():
                urls.append(table.url)
                read.append(table.service_certificate)
            case ScittTable():
                urls.append(table.url)
                files = (table.ca_file, table.key_file, table.issuer_key, table.service_key, table.token_file)
                read += [each for each in files if each is not None]
    return Needs(read=tuple(read), write=tuple(write), urls=tuple(urls))


def records_of(state: Path, name: str) -> Path:
    """The folder of a witness's records under the deliverer's state."""
    return state / "witnesses" / name


def make_folders(delivery: DeliveryFile, *, folder: Path) -> None:
    """Make the folders of all records, which a confined process cannot. Raises StartupError."""
    for table in tables(delivery.witnesses, folder=folder):
        records = records_of(Path(delivery.state), table.name)
        try:
            records.mkdir(mode=0o750, parents=True, exist_ok=True)
        except OSError as error:
            raise StartupError(
                f"The folder {records} cannot be made ({error.strerror})", "Give the state folder to this user."
            ) from error


def witnesses(delivery: DeliveryFile, *, folder: Path, identity: Identity) -> tuple[WitnessDestination, ...]:
    """A destination for each `[[witnesses]]` table; `folder` is that of `audit.toml`. Raises StartupError."""
    return tuple(
        WitnessDestination(
            witness_for(
                table, identity=identity, trail=Path(delivery.trail), receipt_keys=Path(delivery.receipt_keys or "")
            ),
            name=table.name,
            trail=Path(delivery.trail),
            records=records_of(Path(delivery.state), table.name),
            keys=partial(read_keys, Path(delivery.receipt_keys or "")),
            interval=table.interval_seconds,
            state=Path(delivery.state),
        )
        for table in tables(delivery.witnesses, folder=folder)
    )
