"""Persons as both sides of a search see them: name, date of birth, sex, race and identifiers of every row."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records import RowStatus
from cji_core.format.records.column import Bools, Bytes, Ints
from cji_operations.kernels import nicknames, phonetics
from cji_operations.kernels.strings import Words

Codes = npt.NDArray[np.signedinteger[Any]]

IDENTIFIERS: Final = ("SOC", "FBI", "MNU", "SID", "OLN")
COLUMNS: Final = ("NAM", "last", "first", "middle", "suffix", "DOB", "SEX", "RAC", *IDENTIFIERS, "OLS")
"""The columns that a person is read from."""

NO_SOUND: Final = -1
SOCIAL: Final = 9
_X: Final = ord("X")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Names:
    """A column of names: k distinct words, and code int[n], which of them a row has, -1 where there is none."""

    words: Words
    code: Codes

    @cached_property
    def sound(self) -> Ints:
        """int64[k]: Soundex as a number below 26 * 7**3, or NO_SOUND of a word without a letter from A to Z."""
        soundex = phonetics.soundex(self.words).astype(np.int64)
        number = soundex[:, 0] - ord("A")
        for position in (1, 2, 3):
            number = number * 7 + soundex[:, position] - ord("0")
        return np.where(soundex[:, 0] > 0, number, NO_SOUND)

    @cached_property
    def roots(self) -> Ints:
        """int64[k]: what `nicknames.related` compares."""
        return nicknames.roots(self.words)

    def sounds(self) -> Ints:
        """int64[n]: the sound of each row's name."""
        return np.append(self.sound, NO_SOUND)[self.code]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Identifier:
    """A column of identifiers: the distinct ones; which of them are `whole`, bool[k]; code int[n], -1 for none.

    One with unknown digits is not whole; no search goes by it, but it is compared on what is known.
    """

    words: Words
    whole: Bools
    code: Codes

    def usable(self) -> Bools:
        """bool[n]: there is one to search by."""
        return np.append(self.whole, [False])[self.code]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class People:
    """`n` persons. date int64[n]: the date of birth as YYYYMMDD, 0 where it is not whole.

    suffix uint8[n]: a number of `names.SUFFIXES`, 0 where there is none;
    digits uint8[n, 8]: the date with X for unknown digits, all X where there is none; sex, race uint8[n]: the code in
    ASCII, 0 where there is none; identifiers by column name; status: what was wrong with values.
    """

    last: Names
    first: Names
    middle: Names
    suffix: Bytes
    date: Ints
    digits: Bytes
    sex: Bytes
    race: Bytes
    identifiers: Mapping[str, Identifier]
    status: RowStatus

    def __len__(self) -> int:
        return len(self.date)

    def dated(self) -> Bools:
        """bool[n]: the year of birth is known, or month and day are."""
        known = self.digits != _X
        dated: Bools = known[:, :4].all(axis=1) | known[:, 4:].all(axis=1)
        return dated
