"""From `[log]` of `audit.toml` to the destination of a trail's checkpoints."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cji_core.errors import StartupError
from cji_core.tlog.policy import load_policy
from cji_core.trail.delivery import LOG, DeliveryFile
from cji_core.trail.witnesses.agency_log import LogWitness
from cji_core.trail.witnesses.destination import LogDestination
from cji_core.trail.witnesses.keys import read_keys
from cji_core.trail.witnesses.settings import log_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Use that the log makes of the machine: files and folders to read, services by URL."""

    read: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()


def needs(delivery: DeliveryFile, *, folder: Path) -> Needs:
    """The needs of `[log]`. Raises StartupError."""
    table = log_table(delivery, folder=folder)
    if table is None:
        return Needs()
    read = (str(delivery.evidence), table.policy, *table.earlier_policies, table.token_file, table.ca_file)
    file = load_policy(Path(table.policy)).file
    if table.interval_seconds >= file.max_delay_seconds:
        raise StartupError(
            f"[log] delivers every {table.interval_seconds} s, and the policy allows {file.max_delay_seconds} s in all",
            "Lower interval_seconds well below the policy's max_delay_seconds.",
        )
    return Needs(read=read, urls=(file.url,))


def records_of(state: Path) -> Path:
    """The folder of the log's proofs under the deliverer's state."""
    return state / LOG


def make_folder(delivery: DeliveryFile) -> None:
    """Make the folder of the log's proofs, which a confined process cannot. Raises StartupError."""
    records = records_of(Path(delivery.state))
    try:
        if delivery.log is not None:
            records.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise StartupError(
            f"The folder {records} cannot be made ({error.strerror})", "Give the state folder to this user."
        ) from error


def log_destination(delivery: DeliveryFile, *, folder: Path) -> LogDestination | None:
    """The destination of `[log]`, if there is one; `folder` is that of `audit.toml`. Raises StartupError."""
    table = log_table(delivery, folder=folder)
    if table is None:
        return None
    trail, keys = Path(delivery.trail), delivery.evidence
    return LogDestination(
        LogWitness(table, trail=trail, evidence=keys),
        trail=trail,
        records=records_of(Path(delivery.state)),
        keys=partial(read_keys, keys),
        interval=table.interval_seconds,
        state=Path(delivery.state),
    )
