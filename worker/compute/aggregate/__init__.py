"""`aggregate`: tables of counts that give nobody away, and the FBI's Return A from NIBRS."""

from worker.compute.aggregate.findings import MEANING, Finding
from worker.compute.aggregate.table import CELLS, CELLS_SCHEMA, Aggregate, Key, check, run

__all__ = ["CELLS", "CELLS_SCHEMA", "MEANING", "Aggregate", "Finding", "Key", "check", "run"]
