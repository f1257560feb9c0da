"""Reasons to keep records apart, whatever they have in common: columns with one value for each person, and sources.

Values that one record has together are taken for one value. A source without duplicates has one record of a person.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from cji_core.errors import LIMITS, Limit, Reason, Refusal, Stage
from cji_core.format.records.column import Ints
from cji_core.operations.link.declaration import Link
from cji_operations.kernels.average_linkage import Marks
from cji_operations.kernels.components import components
from cji_operations.kernels.hashing import Hashes
from cji_operations.link.columns import Table
from cji_operations.link.units import value_hashes

SOURCE: Final = 0xFF
"""In the place of a column's number: the source."""
MOST_SOURCES: Final = LIMITS[Limit.SOURCES].value or 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Marked:
    """unit int64[m], column int64[m], value uint64[m]: the value that a unit has in a column, by its hash."""

    unit: Ints
    column: Ints
    value: Hashes


def marked(table: Table, parameters: Link) -> Marked:
    """The values of the table's units."""
    columns = dict(enumerate(parameters.never_differ)) | ({SOURCE: table.apart} if table.apart else {})
    unit, column, value = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    of_row = table.units_of(np.arange(table.n))
    for number, name in columns.items():
        code = table.columns[name].code
        rows = np.flatnonzero(code >= 0)
        unit.append(table.rows[of_row[rows]])
        column.append(np.full(len(rows), number))
        value.append(value_hashes(table.columns[name], 0)[code[rows]])
    return Marked(unit=np.concatenate(unit), column=np.concatenate(column), value=np.concatenate(value))


def marks_of(found: Marked, units: int, parameters: Link) -> Marks | None:
    """The marks of all units; None where nothing keeps records apart.

    Raises: Refusal(LIMIT_EXCEEDED) at COMPUTE for more sources than MOST_SOURCES.
    """
    if not parameters.never_differ and parameters.duplicates_in_source:
        return None
    labels = np.full((len(parameters.never_differ), units), -1, np.int64)
    for number, label in enumerate(labels):
        some = found.column == number
        unit, (distinct, value) = found.unit[some], np.unique(found.value[some], return_inverse=True)
        group = components(units + len(distinct), unit, units + value)
        label[unit] = group[unit]
    some = found.column == SOURCE
    unit, (distinct, value) = found.unit[some], np.unique(found.value[some], return_inverse=True)
    if len(distinct) > MOST_SOURCES:
        raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE, limit=Limit.SOURCES)
    bits = np.zeros((-(-len(distinct) // 64), units), np.uint64)
    np.bitwise_or.at(bits, (value // 64, unit), np.uint64(1) << (value % 64).astype(np.uint64))
    return Marks(labels=labels, bits=bits)
