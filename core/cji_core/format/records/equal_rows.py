"""Equal rows of several columns: finding repeats, and numbering distinct rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Bytes, Ints


def repeats(columns: Sequence[npt.NDArray[Any]], usable: Bools) -> Bools:
    """bool[n]: an earlier usable row has the same value in every column. Rows that are not usable are False.

    columns[0] is of numbers from 0, the groups within which rows may repeat.
    """
    found = np.zeros(len(usable), np.bool_)
    if not len(found):
        return found
    # only rows in a group of several can repeat; most submissions have hardly any
    candidates = np.flatnonzero(usable & (np.bincount(columns[0])[columns[0]] > 1))
    parts = [column[candidates] for column in columns]
    order = np.lexsort(parts[::-1])  # stable, so equal rows stay in order
    same = np.ones(max(len(order) - 1, 0), np.bool_)
    for part in parts:
        same &= part[order[1:]] == part[order[:-1]]
    found[candidates[order[1:][same]]] = True
    return found


def numbered(rows: Bytes) -> Ints:
    """int64[n]: a number for each row of uint8[n, width], equal for equal rows; from 0, in order of appearance."""
    return arrow.numbers(pc.dictionary_encode(arrow.from_rows(rows)).indices).astype(np.int64)
