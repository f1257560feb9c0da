"""The outcome of a transform on one column."""

from dataclasses import dataclass

import pyarrow as pa

from cji_core.format.records.column import Ints
from cji_core.operations.status_codes import RowCode


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Outcome:
    """A transformed column of the input's length and type, and the rows whose values did not fit, by code."""

    array: pa.Array
    faults: tuple[tuple[RowCode, Ints], ...] = ()
