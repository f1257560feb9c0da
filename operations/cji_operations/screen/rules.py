"""The rules and weights of a search as numpy uses them; `tables.screening` has them as they are written."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools, Bytes
from cji_core.operations.tables.screening import UNKNOWN, Model


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Equivalence:
    """A table of codes as numpy looks things up in it.

    number uint8[256]: of each code in ASCII from 0 on, that of U for what is not in the table; searched bool[c, c]:
    an inquiry of one searches records of the other.
    """

    number: Bytes
    searched: Bools
    unknown: int

    @classmethod
    def of(cls, table: Mapping[str, str]) -> Self:
        """Of `Rules.sex` or `Rules.race`."""
        codes = list(table)
        number = np.full(256, codes.index(UNKNOWN), np.uint8)
        number[[ord(code) for code in codes]] = np.arange(len(codes))
        searched = np.array([[other in table[code] for other in codes] for code in codes])
        return cls(number=number, searched=searched, unknown=codes.index(UNKNOWN))


Weights = Mapping[str, npt.NDArray[np.float64]]


def weights(model: Model) -> Weights:
    """For each field the bits of each of its LEVELS; 0 of a value that is missing."""
    return {
        field: np.array([*(math.log2(chance.m / chance.u) for chance in levels.values()), 0.0])
        for field, levels in model.levels.items()
    }
