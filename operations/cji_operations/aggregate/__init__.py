"""`aggregate`: tables of counts that give nobody away, and the FBI's Return A from NIBRS."""

from cji_operations.aggregate.cell_table import run
from cji_operations.aggregate.return_a import return_a

__all__ = ["return_a", "run"]
