"""`aggregate`: tables of counts that give nobody away, and the FBI's Return A from NIBRS."""

from worker.compute.operations.aggregate.cell_table import CELLS, CELLS_SCHEMA, Aggregate, Key, check, run
from worker.compute.operations.aggregate.return_a import (
    ACCOUNTING,
    ACCOUNTING_SCHEMA,
    RETURN_A,
    RETURN_A_SCHEMA,
    return_a,
)

__all__ = [
    "ACCOUNTING",
    "ACCOUNTING_SCHEMA",
    "CELLS",
    "CELLS_SCHEMA",
    "RETURN_A",
    "RETURN_A_SCHEMA",
    "Aggregate",
    "Key",
    "check",
    "return_a",
    "run",
]
