"""Persons as both sides of a search see them: name, date of birth, sex, race and identifiers of every row."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import RowStatus, arrow
from cji_core.format.records.column import Bools, Bytes, Ints
from cji_operations.kernels import hashing, letters, nicknames, phonetics
from cji_operations.kernels.hashing import Hashes
from cji_operations.kernels.strings import Words, words

Codes = npt.NDArray[np.signedinteger[Any]]

IDENTIFIERS: Final = ("SOC", "FBI", "MNU", "SID", "OLN")
COLUMNS: Final = ("NAM", "last", "first", "middle", "suffix", "DOB", "SEX", "RAC", *IDENTIFIERS, "OLS")
"""The columns that a person is read from."""

NO_SOUND: Final = -1
_SOUNDEX: Final = 26 * 7**3
_ASCII: Final = 0x80
_DIGITS: Final = np.isin(np.arange(256), list(b"0123456789"))
SOCIAL: Final = 9
_X: Final = ord("X")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Names:
    """A column of names: k words, and code int[n], which of them a row has, -1 where there is none.

    Words are plain (`kernels.letters`), one byte a letter. folded, plain uint64[k]: equal for names that are the same,
    and for those that are the same without accents; sound int64[k]: the phonetic code, or NO_SOUND without a letter.
    """

    words: Words
    code: Codes
    folded: Hashes
    plain: Hashes
    sound: Ints

    @classmethod
    def of(cls, array: pa.Array) -> Self:
        """Of a column `utf8` or `binary`."""
        encoded = pc.dictionary_encode(array)
        written = letters.names(letters.folded(encoded.dictionary))
        if letters.has_bytes(written, _DIGITS):
            written = pc.replace_substring_regex(written, rb"[0-9]", b"")
        folded, of_value = words(written)
        code = np.append(of_value, -1)[arrow.numbers(encoded.indices.fill_null(-1))]
        plain = letters.plain(folded, blanks=False)
        without_blanks = letters.squeezed(folded)
        whole = hashing.of_bytes(without_blanks.data)
        return cls(
            words=letters.letters(plain),
            code=code,
            folded=whole,
            plain=whole if plain is without_blanks else hashing.of_bytes(plain.data),
            sound=_sound(plain),
        )

    @classmethod
    def none(cls, n: int) -> Self:
        """Of n rows without a name."""
        return cls(
            words=Words(data=np.empty((0, 0), np.uint8), lengths=np.empty(0, np.int64)),
            code=np.full(n, -1),
            folded=np.empty(0, np.uint64),
            plain=np.empty(0, np.uint64),
            sound=np.empty(0, np.int64),
        )

    @cached_property
    def roots(self) -> Ints:
        """int64[k]: what `nicknames.related` compares."""
        return nicknames.roots(self.words)

    def sounds(self) -> Ints:
        """int64[n]: the sound of each row's name."""
        return np.append(self.sound, NO_SOUND)[self.code]


def _sound(plain: Words) -> Ints:
    """int64[k]: Soundex as a number below _SOUNDEX, more for other alphabets, or NO_SOUND without a letter."""
    code = phonetics.sound(plain).astype(np.int64)
    number, other = code[:, 0] - ord("A"), np.zeros(len(code), np.int64)
    for position in (1, 2, 3):
        number = number * 7 + code[:, position] - ord("0")
    for position in range(4):
        other = other << 7 | code[:, position] & 0x7F
    return np.where(code[:, 0] >= _ASCII, _SOUNDEX + other, np.where(code[:, 0] > 0, number, NO_SOUND))


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
