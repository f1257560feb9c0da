"""`screen`: inquiries against a reference in memory, by the rules of NCIC and III; scored hits, never a match."""

from worker.compute.operations.screen.candidates import Limits
from worker.compute.operations.screen.index import MAX_RECORDS, SHOWN, Index, build, memory
from worker.compute.operations.screen.search import (
    HITS,
    MAX_HITS,
    OUTCOMES,
    HitClass,
    Outcome,
    Screen,
    Screened,
    check,
    run,
)
from worker.compute.tables.screening import Model, Rules

__all__ = [
    "HITS",
    "MAX_HITS",
    "MAX_RECORDS",
    "OUTCOMES",
    "SHOWN",
    "HitClass",
    "Index",
    "Limits",
    "Model",
    "Outcome",
    "Rules",
    "Screen",
    "Screened",
    "build",
    "check",
    "memory",
    "run",
]
