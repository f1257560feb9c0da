"""Given names that may be the same person's: BILL and WILLIAM, LIZ and BETH (both for ELIZABETH).

The table is data/nicknames.csv. A form may stand for several names, and relation is not passed on: BERT is related to
ALBERT and to HERBERT, which are not related to each other.
"""

from importlib.resources import files

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Ints, pack
from cji_operations.kernels.strings import Words, fold


def roots(words: Words) -> Ints:
    """int64[k]: the number of each given name for `related`, -1 of one that the table does not have.

    ASCII case does not matter.
    """
    names = pack(fold(words.data), words.lengths, pa.binary())
    found = pc.index_in(names, value_set=_NAMES).fill_null(-1)
    return arrow.numbers(found).astype(np.int64)


def related(a: Ints, b: Ints) -> Bools:
    """bool[n]: both are names of the table, and the same, or one for the other, or both forms of one name.

    a, b: int64[n] as `roots` gives them.
    """
    found: Bools = _RELATED[a, b]
    return found


def _read() -> tuple[pa.Array, Bools]:
    """(binary[m] names; bool[m + 1, m + 1] which are related, the last row and column, -1, with none)."""
    lines = (files(__package__) / "data/nicknames.csv").read_text("ascii").splitlines()
    groups = [line.replace(",", " ").split() for line in lines if not line.startswith("#")][1:]
    number = {name: i for i, name in enumerate(sorted({name for group in groups for name in group}))}
    table = np.zeros((len(number) + 1, len(number) + 1), np.bool_)
    for group in groups:
        members = [number[name] for name in group]
        for member in members:
            table[member, members] = True
    return arrow.from_texts(number, pa.binary()), table


_NAMES, _RELATED = _read()
