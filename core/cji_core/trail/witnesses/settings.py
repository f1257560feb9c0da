"""`[log]` of `audit.toml`: the agency's log of its trails, `docs/witnesses.md`. Closed and strict."""

from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from cji_core.documents import convert
from cji_core.errors import StartupError
from cji_core.https import SYSTEM_ROOTS
from cji_core.trail.delivery import DeliveryFile

_REMEDY: Final = "Compare it with docs/witnesses.md."

FilePath = Annotated[str, Meta(min_length=1, max_length=1024)]
Interval = Annotated[int, Meta(ge=60, le=86_400)]


class LogTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table.

    `policy` is the file with the log's address, its keys and its witnesses; `earlier_policies` are those that it
    replaced, for receipts of their time. `token_file` has the submitter's token. `interval_seconds` is the least time
    between two checkpoints.
    """

    policy: FilePath
    earlier_policies: Annotated[tuple[FilePath, ...], Meta(max_length=16)] = ()
    token_file: FilePath
    ca_file: FilePath = SYSTEM_ROOTS
    interval_seconds: Interval = 600


def log_table(delivery: DeliveryFile, *, folder: Path) -> LogTable | None:
    """Check the table; relative paths are relative to `folder`, that of `audit.toml`. Raises StartupError."""
    if delivery.log is None:
        return None
    try:
        table: LogTable = convert(delivery.log, LogTable)
    except msgspec.ValidationError as error:
        raise StartupError(f"[log]: {error}", _REMEDY) from error
    return msgspec.structs.replace(
        table,
        policy=str(folder / table.policy),
        earlier_policies=tuple(str(folder / each) for each in table.earlier_policies),
        token_file=str(folder / table.token_file),
        ca_file=str(folder / table.ca_file),
    )
