"""One admitted job that runs in a cell."""

from dataclasses import dataclass
from datetime import datetime

from worker.compute.operation import Reference
from worker.keyholder.admission import Admission
from worker.keyholder.cells import Cell

__all__ = ["Running"]


@dataclass(slots=True, kw_only=True)
class Running:
    """A job in a cell; `over` once its end was decided."""

    call: int
    correlation_id: str
    admission: Admission
    cell: Cell
    started: float
    """time.monotonic"""
    admitted_at: datetime
    reference: Reference | None
    slot: int
    over: bool = False
