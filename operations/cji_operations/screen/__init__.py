"""`screen`: inquiries against a reference in memory, by the rules of NCIC and III; scored hits, never a match."""

from cji_operations.screen.candidates import Limits
from cji_operations.screen.index import MAX_RECORDS, Index, build, memory
from cji_operations.screen.parameters import MAX_HITS, Screen
from cji_operations.screen.search import HitClass, Outcome, Screened, run
from cji_operations.tables.screening import Model, Rules

__all__ = [
    "MAX_HITS",
    "MAX_RECORDS",
    "HitClass",
    "Index",
    "Limits",
    "Model",
    "Outcome",
    "Rules",
    "Screen",
    "Screened",
    "build",
    "memory",
    "run",
]
