"""`screen`: inquiries against a reference in memory, by the rules of NCIC and III; scored hits, never a match."""

from worker.compute.operations.screen.candidates import Limits
from worker.compute.operations.screen.index import MAX_RECORDS, Index, build, memory
from worker.compute.operations.screen.parameters import MAX_HITS, Screen
from worker.compute.operations.screen.search import HitClass, Outcome, Screened, run
from worker.compute.tables.screening import Model, Rules

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
