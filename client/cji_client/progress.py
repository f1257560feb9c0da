"""Progress of a job, as its submitter sees it. No event depends on values of records."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


class Phase(enum.StrEnum):
    """The step that an event is about."""

    SEALED = "sealed"
    SENT = "sent"
    WORKING = "working"
    RECEIVED = "received"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One event.

    `bytes` is their number so far, sealed, sent or received; `stage` and `per_cent` (0 to 100) are those of WORKING.
    """

    phase: Phase
    bytes: int = 0
    stage: str = ""
    per_cent: int = 0


ProgressCallback: TypeAlias = Callable[[Progress], None]
"""Called whenever a job makes progress, possibly from another thread."""
