"""`screen`: inquiries against a reference in memory, by the rules of NCIC and III; scored hits, never a match."""

from cji_operations.screen.candidates import Limits
from cji_operations.screen.index import MAX_RECORDS, Index, build, memory
from cji_operations.screen.search import HitClass, Outcome, Screened, run

__all__ = [
    "MAX_RECORDS",
    "HitClass",
    "Index",
    "Limits",
    "Outcome",
    "Screened",
    "build",
    "memory",
    "run",
]
