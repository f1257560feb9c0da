"""The metrics of the fleet process: a file in its state folder, every ten seconds, which `cji console` exports."""

from pathlib import Path
from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import Meta

from cji_core.documents import decode
from cji_core.strict import StrictError

NAME: Final = "metrics.json"
EVERY_S: Final = 10.0
MAX_AGE_S: Final = 60
"""An older file is that of a process that is gone or hangs."""
_MAX_BYTES: Final = 4096
_Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]

Outcome = Literal[
    "published",
    "superseded",
    "done",
    "not_begun",
    "failed",
    "given_back",
    "poisoned",
    "refused",
    "lease_lost",
    "interrupted",
]
"""The fate of a ticket that was taken."""
OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)


class Metrics(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lengths of the queues, the age of the oldest visible ticket in seconds, attempts that run; `at` in Unix seconds.

    `outcomes` counts tickets since the start of the process.
    """

    at: _Count
    queue_length: _Count
    oldest_seconds: _Count
    poison_length: _Count
    running: _Count
    outcomes: dict[Outcome, _Count]


def write(folder: Path, metrics: Metrics) -> None:
    """Replace the file. Raises OSError."""
    path = folder / NAME
    temporary = path.with_name(f"{NAME}.new")
    temporary.write_bytes(msgspec.json.encode(metrics))
    temporary.replace(path)


def read(folder: Path, *, now: float) -> Metrics | None:
    """The contents of the file, if it is current at `now` (Unix seconds)."""
    try:
        with (folder / NAME).open("rb") as file:
            found = decode(file.read(_MAX_BYTES), Metrics, limit=_MAX_BYTES)
    except (OSError, StrictError):
        return None
    return found if abs(now - found.at) <= MAX_AGE_S else None
