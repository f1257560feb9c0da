"""When the incidents of a chunk happened, and when and by whom they were cleared."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from cji_core.format.records.column import Bools, Ints
from cji_operations.aggregate.units import isin
from cji_operations.nibrs.segments import Chunk
from cji_operations.nibrs.table import Table

_ADULT: Final = 18
_EXCEPTIONAL: Final = ("A", "B", "C", "D", "E")
_NEVER: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Incidents:
    """Of each report: `months` of the incident and of its clearance (0: not known), whether it is cleared, and how."""

    months: Ints
    cleared: Bools
    cleared_months: Ints
    under_18: Bools


def read_incidents(chunk: Chunk) -> Incidents:
    """When each incident happened, and when and by whom it was cleared."""
    admin, arrestees, offenders = chunk.table("admin"), chunk.table("arrestees"), chunk.table("offenders")
    m = chunk.table("reports").n
    months, exceptional_months = np.zeros(m, np.int64), np.zeros(m, np.int64)
    exceptional = np.zeros(m, np.bool_)
    months[admin.up] = np.maximum(admin.column("date"), 0) // 100
    exceptional[admin.up] = isin(admin.column("cleared"), "cleared", _EXCEPTIONAL)
    exceptional_months[admin.up] = np.maximum(admin.column("cleared_date"), 0) // 100
    arrested = np.zeros(m, np.bool_)
    arrested[arrestees.up] = True
    dated = arrestees.column("arrest_date") > 0
    earliest = np.full(m, _NEVER)
    np.minimum.at(earliest, arrestees.up[dated], arrestees.column("arrest_date")[dated])
    arrest_months = np.where(earliest < _NEVER, earliest // 100, 0)
    return Incidents(
        months=months,
        cleared=exceptional | arrested,
        cleared_months=np.where(exceptional, exceptional_months, arrest_months),
        under_18=np.where(exceptional, _only_under_18(offenders, m), _only_under_18(arrestees, m)),
    )


def _only_under_18(persons: Table, m: int) -> Bools:
    """bool[m]: somebody in the report is of age 1 to 17, and nobody of 18 or more."""
    age = persons.column("age")
    young, adult = np.zeros(m, np.bool_), np.zeros(m, np.bool_)
    young[persons.up[(age > 0) & (age < _ADULT)]] = True
    adult[persons.up[age >= _ADULT]] = True
    return young & ~adult
