"""Reads the persons of a batch, and keeps what was wrong with their values.

Names are compared by their letters (`kernels.letters`): case, blanks, hyphens and apostrophes make no difference, so
O'BRIEN is O BRIEN, and bytes of other encodings are read as Windows-1252. Accents do not hinder a search.
The surname is `last`, or what is before the comma of NAM; the given name is `first`, or the first word behind it; the
middle name is the first word of `middle`, or the second behind the comma. A suffix is read from `suffix`, from the
words behind the given name, or from the end of the surname, to which it does not belong: SMITH JR, JOHN is SMITH.

Identifiers are compared by their letters and digits. One without a digit other than 0 (UNKNOWN, 000000000) is a
placeholder and not used, nor is a Social Security number that was never issued; else it would hide the person whom a
search by name finds. A driver's licence (OLN) counts together with its state (OLS).
"""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import RowStatus, Status, arrow, dates
from cji_core.format.records.column import Bools, Bytes, Ints, pack, read
from cji_core.operations.status_codes import ValueCode
from cji_operations.kernels import letters, predicates
from cji_operations.kernels.strings import Words, only, words
from cji_operations.screen.descriptors import IDENTIFIERS, SOCIAL, Identifier, Names, People
from cji_operations.screen.names import Phrases, before_comma, suffixes, without_suffix

_MAX_NAME: Final = 64  # bytes; NAM has 30 at most
_MAX_IDENTIFIER: Final = 32  # bytes as written; the longest, OLN, has 20
_WORDS: Final = 4  # behind the comma: given name, two middle names, suffix
_X: Final = ord("X")


def _bytes(start: str, stop: str) -> range:
    return range(ord(start), ord(stop) + 1)


def _table(kept: range) -> Bytes:
    """uint8[256]: each byte as it is compared, 0 where it is not."""
    table = np.zeros(256, np.uint8)
    table[kept] = kept
    for letter in _bytes("A", "Z"):
        table[letter] = table[letter | 0x20] = letter
    return table


_LETTERS: Final = _table(range(0))
_LETTERS_AND_DIGITS: Final = _table(_bytes("0", "9"))


def read_people(batch: pa.RecordBatch) -> People:
    """The persons of a batch of `person/1` or `hotfile/1`, whatever columns it has. Never raises for values."""
    reader = _Reader(batch)
    last, first, middle, suffix = reader.names()
    date, digits = reader.born()
    return People(
        last=last,
        first=first,
        middle=middle,
        suffix=suffix,
        date=date,
        digits=digits,
        sex=reader.one_letter("SEX"),
        race=reader.one_letter("RAC"),
        identifiers={name: reader.identifier(name) for name in IDENTIFIERS},
        status=reader.status,
    )


class _Reader:
    """Reads columns one after the other and keeps what was wrong with them."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch, self._n = batch, batch.num_rows
        self.status = RowStatus.all_ok(self._n)

    def _column(self, name: str) -> pa.Array | None:
        if name not in self._batch.schema.names:
            return None
        return self._batch.column(self._batch.schema.names.index(name)).view(pa.binary())

    def _wrong(self, name: str, wrong: Bools, code: ValueCode, status: Status = Status.PARTLY_USED) -> None:
        column = self._batch.schema.names.index(name)
        self.status = self.status.found(np.flatnonzero(wrong), status=status, code=code, column=column)

    # ------------------------------------------------------------------ names

    def names(self) -> tuple[Names, Names, Names, Bytes]:
        last, first, middle, named = (self._column(name) for name in ("last", "first", "middle", "suffix"))
        suffix = np.zeros(self._n, np.uint8) if named is None else suffixes(named)
        if last is not None:
            last, own = without_suffix(last)
            suffix = np.where(suffix, suffix, own)
        if middle is not None:
            middle = Phrases.of(middle).next()
        whole = self._column("NAM")
        if whole is not None:
            surname, given, second, own = self._split(whole)
            last, first, middle = _either(last, surname), _either(first, given), _either(middle, second)
            suffix = np.where(suffix, suffix, own)
        return self._names("last", last), self._names("first", first), self._names("middle", middle), suffix

    def _split(self, whole: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array, Bytes]:
        """(surname, given name, middle name, suffix) of `LAST, FIRST MIDDLE SUFFIX`, null where there is no comma."""
        surname, behind = before_comma(whole)
        self._wrong("NAM", read(whole).filled & ~arrow.present(behind), ValueCode.WRONG_FORM)
        surname, own = without_suffix(surname)
        phrases = Phrases.of(behind)
        given, *further = (phrases.next() for _ in range(_WORDS))
        numbers = [suffixes(word) for word in further]
        middle = pc.if_else(arrow.from_numpy(numbers[0] == 0), further[0], pa.scalar(None, pa.binary()))
        for number in numbers:
            own = np.where(own, own, number)
        return surname, given, middle, own

    def _names(self, name: str, array: pa.Array | None) -> Names:
        if array is None:
            return Names.none(self._n)
        source = name if name in self._batch.schema.names else "NAM"
        return Names.of(self._cut(source, array, _MAX_NAME))

    def _cut(self, name: str, array: pa.Array, most: int) -> pa.Array:
        """The first `most` bytes of each value: one row must not decide how wide the matrix of all words is."""
        long = read(array).lengths > most
        if not long.any():
            return array
        self._wrong(name, long, ValueCode.WRONG_LENGTH)
        return letters.cut(array, most)

    # ------------------------------------------------------------------ dates and codes

    def born(self) -> tuple[Ints, Bytes]:
        column = self._column("DOB")
        if column is None:
            return np.zeros(self._n, np.int64), np.full((self._n, 8), _X, np.uint8)
        text = read(column)
        parsed = dates.parse(text)
        self._wrong("DOB", text.filled & ~parsed.fits, ValueCode.NOT_A_DATE)
        date = parsed.number * parsed.whole
        digits = parsed.digits
        if not parsed.fits.all():
            digits = np.where(parsed.fits[:, None], digits, np.uint8(_X))
        return date.astype(np.int64), digits

    def one_letter(self, name: str) -> Bytes:
        column = self._column(name)
        if column is None:
            return np.zeros(self._n, np.uint8)
        text = read(column)
        short = text.lengths == 1
        letters = np.zeros(self._n, np.uint8)
        letters[short] = _LETTERS[text.data[text.starts[short]]]
        self._wrong(name, text.filled & (letters == 0), ValueCode.NOT_IN_TABLE)
        return letters

    # ------------------------------------------------------------------ identifiers

    def identifier(self, name: str) -> Identifier:
        column = self._column(name)
        if column is not None and name == "OLN":
            state = self._column("OLS")
            column = None if state is None else pc.binary_join_element_wise(state, column, pa.scalar(b"", pa.binary()))
        if column is None:
            return Identifier(words=_NO_WORDS, whole=np.empty(0, np.bool_), code=np.full(self._n, -1))
        written, code = words(self._cut(name, column, _MAX_IDENTIFIER))
        compared = only(written, _LETTERS_AND_DIGITS)
        if name == "SOC":
            text = read(_array(compared))
            _, whole, form = predicates.numbers(text, SOCIAL)
            never = predicates.social_never_issued(text)
            self._wrong(name, np.append(never, [False])[code], ValueCode.NEVER_ISSUED)
            usable = form & ~never
        else:
            form = written.lengths < _MAX_IDENTIFIER
            form &= ((compared.data > ord("0")) & (compared.data <= ord("9"))).any(axis=1)
            usable, whole = form, form
        self._wrong(name, np.append(~form, [False])[code], ValueCode.WRONG_FORM)
        compared, again = words(_array(compared))  # what became equal is one
        code = np.append(np.where(usable, again, -1), -1)[code]
        kept = np.zeros(len(compared), np.bool_)
        kept[again[whole]] = True
        return Identifier(words=compared, whole=kept, code=code)


_NO_WORDS: Final = Words(data=np.empty((0, 0), np.uint8), lengths=np.empty(0, np.int64))


def _either(first: pa.Array | None, second: pa.Array) -> pa.Array:
    """The first that is not empty, row by row."""
    if first is None:
        return second
    missing = pc.fill_null(pc.equal(pc.binary_length(first), 0), True)
    return pc.if_else(missing, second, first)


def _array(compared: Words) -> pa.Array:
    return pack(np.ascontiguousarray(compared.data), compared.lengths, pa.binary())
