"""The columns of all records as comparisons and blocking keys see them: distinct values, and which of them a row has.

Values are folded: case does not matter, nor do outer blanks. Of names, only letters and digits count, and where a part
ends: O'BRIEN is OBRIEN, GARCIA-LOPEZ is GARCIA LOPEZ. Identifiers are their letters and digits, and one without a digit
other than 0 (UNKNOWN, 000000000) is none; so is any number without a known digit (XXXXX, 0, -). A date without a known
digit is missing. A value with the digits of a date, but not of a day of the calendar (month 86), is taken for a typing
error and compared digit by digit; other values are missing. The row of either is partly used. So is that of a
placeholder, a value of the table `missing.toml`, an identifier of one digit repeated, or a Social Security number of an
area that was never issued: it is missing, as codes for unknown are, and so are values that
`frequent` finds. Without `last`, `first` or `middle`, these are made
from NAM: the text before the comma, and the words behind it. A suffix is read from its column, or else from the end of
`last` or of NAM, and does not belong to either.

Values are numbered in the order of their hashes, so that any part of the rows has them in the same order: nothing that
is made of these numbers depends on which rows are looked at together. Values are cut at MAX_BYTES.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow, dates
from cji_core.format.records.column import Bools, Bytes, Ints, read
from cji_core.format.records.equal_rows import numbered
from cji_core.operations.link.model import OF_OTHERS, Key
from cji_core.operations.tables.missing import Missing, shipped
from cji_operations.kernels import hashing, letters
from cji_operations.kernels.hashing import Hashes
from cji_operations.kernels.strings import MAX_BYTES, Words, words
from cji_operations.kernels.suffixes import AT_END, GENERATIONS
from cji_operations.link.column import UNKNOWN, Codes, Column

_NAMES: Final = frozenset(("last", "first", "middle"))
IDENTIFIERS: Final = frozenset(("SOC", "OLN", "MNU", "FBI", "SID"))
_SUFFIX: Final = AT_END.encode()
_AT_END: Final = b" " + _SUFFIX + b"$"
_ONLY: Final = b"^" + _SUFFIX + b"$"
_PARTS: Final = {
    "last": rb"^([^,]*)(?s:.*)$",
    "first": rb"^[^,]*,? *([^ ,]*)(?s:.*)$",
    "middle": rb"^[^,]*,? *[^ ,]*[ ,]*([^ ,]*)(?s:.*)$",
    "suffix": rb"(?is)^.*?[^ ,][ ,]+(" + _SUFFIX + rb")[. ]*(?:,.*)?$",
}
"""The columns that are made from others."""
_GENERATIONS: Final = arrow.from_texts(GENERATIONS, pa.binary())
_OF_GENERATION: Final = arrow.from_texts(GENERATIONS.values(), pa.binary())
_ONE_DIGIT: Final = b"^(?:" + b"|".join(b"%d{5,}" % digit for digit in range(1, 10)) + b")$"
_NO_AREA: Final = rb"^(?:000|666|9[0-9]{2})[0-9]{6}$"  # of Social Security numbers (20 CFR 422.103)
_NUMBERS: Final = IDENTIFIERS | {"postcode", "street_number", "HGT", "WGT", "OLY"}
DATES: Final = frozenset(("DOB",))
_ALL: Final = slice(None)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Table:
    """`n` rows; where two tables are linked, those from `first_of_second` on are the second one's, else it is None.

    The rows of a unit, see `units`, lie side by side: unit int64[n], ascending from 0, is None where each row is one.
    rows int64[u], ascending: the numbers of the units among all units of the job. `not_dates` bool[n] by column: there
    is a value, and it is not a date. `placeholders` bool[n] by column that has some: there is one, and the value is
    missing. bound bool[n]: which rows blocks are made of, None for all. `apart`: the column of sources; two units of
    one are never a pair.
    """

    n: int
    rows: Ints
    first_of_second: int | None
    columns: dict[str, Column]
    not_dates: dict[str, Bools]
    placeholders: dict[str, Bools] = field(default_factory=dict)
    keys: dict[Key, Codes] = field(default_factory=dict)
    unit: Ints | None = None
    bound: Bools | None = None
    apart: str = ""

    @property
    def source(self) -> Codes | None:
        """int32[n]: the source of each row, -1 without one; None where all rows can be pairs."""
        return self.columns[self.apart].code if self.apart else None

    @property
    def units(self) -> int:
        """The number of units."""
        return len(self.rows)

    @cached_property
    def starts(self) -> Ints:
        """int64[u + 1]: the first row of each unit, then n."""
        if self.unit is None:
            return np.arange(self.n + 1)
        return np.append(np.flatnonzero(np.diff(self.unit, prepend=-1)), self.n)

    def units_of(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The units of rows."""
        return rows if self.unit is None else self.unit[rows]

    def key(self, key: Key) -> Codes:
        """int32[n]: equal for rows with equal values in this form, -1 without one. Made once."""
        if key not in self.keys:
            self.keys[key] = _numbered(self.hashes(key)) if key.other else self.columns[key.column].key(key)
        return self.keys[key]

    def hashes(self, key: Key, rows: Ints | slice = _ALL) -> Hashes:
        """uint64[n]: the hash of the values in the form of the key, 0 without one. Of these rows, or all."""
        one, *others = ((column := self.columns[name]).hashes(key)[column.code[rows]] for name in key.columns)
        for other in others:  # a sum is the same for both orders
            one = np.where((one != 0) & (other != 0), hashing.mixed(one + other) | np.uint64(1), np.uint64(0))
        return one

    @property
    def second(self) -> Bools | None:
        """bool[n]: the rows of the second table; None if there is none."""
        return None if self.first_of_second is None else np.arange(self.n) >= self.first_of_second


def read_table(
    records: Sequence[pa.RecordBatch],
    side: Sequence[pa.RecordBatch],
    names: frozenset[str],
    *,
    linking: bool,
    missing: Missing | None = None,
) -> Table:
    """The named columns of records and, where two tables are linked, of the side table below them.

    A column that one of the two tables does not have has no values there. `missing` is the shipped table by default.
    """
    missing = missing or shipped()
    batches = [*records, *side] if linking else list(records)
    n = sum(batch.num_rows for batch in batches)
    columns, not_dates, placeholders = dict[str, Column](), dict[str, Bools](), dict[str, Bools]()
    for name in sorted(names):
        array = arrow.concat((_values(batch, name) for batch in batches), pa.binary())
        if name in DATES:
            columns[name], not_dates[name], nothing = _dates(array, name, missing)
        else:
            columns[name], nothing = _words(array, name, missing)
        if nothing.any():
            placeholders[name] = nothing
    first_of_second = sum(batch.num_rows for batch in records) if linking else None
    return Table(
        n=n,
        rows=np.arange(n),
        first_of_second=first_of_second,
        columns=columns,
        not_dates=not_dates,
        placeholders=placeholders,
    )


def read_ids(records: Sequence[pa.RecordBatch], side: Sequence[pa.RecordBatch], *, linking: bool) -> pa.Array:
    """The record ids of the rows of `read_table`, null where there are none."""
    batches = [*records, *side] if linking else records
    return arrow.concat((_values(batch, "record_id") for batch in batches), pa.binary())


def _values(batch: pa.RecordBatch, name: str) -> pa.Array:
    """The column, or what it can be made from, row by row where the column has nothing."""
    found = _column(batch, name)
    for other in OF_OTHERS.get(name, ()) if found is None or name == "suffix" else ():
        source = _column(batch, other)
        if source is not None:
            encoded = pc.dictionary_encode(source)
            made = _part_of(encoded.dictionary, name)
            if made.null_count < len(made):
                made = made.take(encoded.indices)
                found = made if found is None else pc.coalesce(_filled(found), made)
    return pa.nulls(batch.num_rows, pa.binary()) if found is None else found


def _column(batch: pa.RecordBatch, name: str) -> pa.Array | None:
    if name not in batch.schema.names:
        return None
    return batch.column(batch.schema.names.index(name)).view(pa.binary())


def _part_of(values: pa.Array, name: str) -> pa.Array:
    """The part of NAM, or of a surname, that is the column; null where there is none."""
    expression = _PARTS[name]
    part = pc.replace_substring_regex(values, expression, rb"\1")
    if name != "suffix":
        return part
    return pc.if_else(pc.match_substring_regex(values, expression), part, pa.scalar(None, pa.binary()))


def _filled(values: pa.Array) -> pa.Array:
    return pc.if_else(pc.greater(pc.binary_length(values), 0), values, pa.scalar(None, pa.binary()))


def _words(array: pa.Array, name: str, missing: Missing) -> tuple[Column, Bools]:
    """(the column, bool[n]: there is a placeholder).

    Distinct values are normalised, then made distinct again: there are fewer of them than rows.
    """
    encoded = pc.dictionary_encode(array)
    alike = _normal(encoded.dictionary, name)
    nothing = _is_placeholder(alike, name, missing)
    none = nothing | _among(alike, name, missing.unknown) | ~_matches(alike, _SAYS_SOMETHING)
    if name == "middle":
        none |= _matches(alike, _ONLY)
    if name in _NUMBERS:
        none |= ~_matches(alike, rb"[1-9]" if name in IDENTIFIERS else rb"[1-9A-WYZ]")
    if none.any():
        alike = pc.if_else(arrow.from_numpy(none), pa.scalar(None, pa.binary()), alike)
    if (pc.max(pc.binary_length(alike)).as_py() or 0) > MAX_BYTES:
        alike = letters.cut(alike)
    vocabulary, of_value = words(alike)
    code = _codes(encoded)
    found = column(name, vocabulary, np.append(of_value, -1).astype(np.int32)[code])
    return found, np.append(nothing, False)[code]


def _normal(values: pa.Array, name: str) -> pa.Array:
    """The values as they are compared."""
    alike = letters.folded(values)
    if name in _NAMES:
        alike = letters.names(alike)
        return pc.replace_substring_regex(alike, _AT_END, b"") if name == "last" else alike
    if name == "suffix":
        known = pc.index_in(pc.replace_substring_regex(alike, rb"[^0-9A-Z]", b""), value_set=_GENERATIONS)
        return _OF_GENERATION.take(known)
    if name in IDENTIFIERS:
        return pc.replace_substring_regex(alike, rb"[^0-9A-Z]", b"")
    return alike


def _is_placeholder(alike: pa.Array, name: str, missing: Missing) -> Bools:
    """bool[k]: a value as it is compared stands for none."""
    found = _among(alike, name, missing.placeholders)
    if name in IDENTIFIERS:
        found |= _matches(alike, _ONE_DIGIT)
    if name == "SOC":
        found |= _matches(alike, _NO_AREA)
    return found


def _among(alike: pa.Array, name: str, table: Mapping[str, Sequence[str]]) -> Bools:
    """bool[k]: a value as it is compared is one of the column's in the table."""
    listed = table.get(name)
    if not listed:
        return np.zeros(len(alike), np.bool_)
    return arrow.bools(pc.is_in(alike, value_set=_normal(arrow.from_texts(listed, pa.binary()), name)))


_SAYS_SOMETHING: Final = rb"[0-9A-Z\x80-\xff]"
"""A letter or a digit, of any alphabet."""


def _matches(alike: pa.Array, expression: bytes) -> Bools:
    return arrow.bools(pc.match_substring_regex(alike, expression).fill_null(False))


def column(name: str, vocabulary: Words, code: Codes) -> Column:
    """A column of distinct values in any order, of all rows of the job."""
    order = np.argsort(_places(vocabulary), kind="stable")
    number = np.full(len(order) + 1, -1, np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    code = number[code]
    ordered = Words(data=np.asfortranarray(vocabulary.data[order]), lengths=vocabulary.lengths[order])
    counts = np.bincount(code + np.int32(1), minlength=len(order) + 1)[1:]
    return numbered_column(name, ordered, code, counts)


def numbered_column(name: str, vocabulary: Words, code: Codes, counts: Ints) -> Column:
    """A column of distinct values in the order of their hashes."""
    return Column(
        words=vocabulary,
        code=code,
        counts=counts,
        is_number=name in _NUMBERS,
        is_date=name in DATES,
        is_name=name in _NAMES,
    )


def _numbered(hashes: Hashes) -> Codes:
    """int32[n]: equal for equal hashes, -1 for 0."""
    there = np.flatnonzero(hashes)
    found = np.full(len(hashes), -1, np.int32)
    encoded = pc.dictionary_encode(arrow.from_numpy(hashes[there]))
    found[there] = arrow.numbers(encoded.indices)
    return found


def _places(vocabulary: Words) -> Hashes:
    """uint64[k]: what values are ordered by."""
    return hashing.of_bytes(vocabulary.data) + vocabulary.lengths.astype(np.uint64)


def distinct_words(data: Bytes, lengths: Bytes) -> tuple[Words, Ints, Ints]:
    """(the k distinct values in the order of their hashes, int64[m]: which of them each is, int64[k]: one of each).

    The values are of `lengths`, at least 1, and lie in `data` one after another.
    """
    matrix, width = _matrix(data, lengths), int(lengths.max(initial=0))
    found = Words(data=matrix[:, :width], lengths=lengths.astype(np.int64))
    place = _places(found)
    order = np.argsort(place, kind="stable")  # a merge: values come in runs that are in order
    place = place[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = place[1:] != place[:-1]
    again = np.flatnonzero(~new)
    one, other = order[again - 1], order[again]
    alike = lengths[one] == lengths[other]
    for eight in matrix.view(np.uint64).T:
        alike &= eight[one] == eight[other]
    if not alike.all():  # two values of one hash: compare all bytes
        _, value = np.unique(np.column_stack((found.lengths, found.data)), axis=0, return_inverse=True)
        order = np.lexsort((value.reshape(-1), _places(found)))
        new[1:] = np.diff(value.reshape(-1)[order]) != 0
    which = np.empty(len(order), np.int64)
    which[order] = np.cumsum(new) - 1
    first = order[new]
    kept = np.asfortranarray(matrix.take(first, axis=0)[:, :width])
    return Words(data=kept, lengths=found.lengths[first]), which, first


def _matrix(data: Bytes, lengths: Bytes) -> Bytes:
    """uint8[m, w]: values that lie one after another, zero beyond their length; w is a multiple of 8."""
    width = max(-(-int(lengths.max(initial=0)) // 8), 1) * 8
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    padded = np.concatenate((data, np.zeros(width, np.uint8)))
    # every position seen as one item of `width` bytes, which numpy gathers whole
    found = (
        np.ndarray((len(data) + 1,), f"V{width}", padded, strides=(1,))[starts].view(np.uint64).reshape(-1, width // 8)
    )
    within = np.where(np.arange(width) < np.arange(width + 1)[:, None], np.uint8(0xFF), np.uint8(0)).view(np.uint64)
    found &= within.take(lengths, axis=0)
    matrix: Bytes = found.view(np.uint8)
    return matrix


def _dates(array: pa.Array, name: str, missing: Missing) -> tuple[Column, Bools, Bools]:
    """(the column, bool[n]: there is a value that is not a date, bool[n]: there is a placeholder)."""
    encoded = pc.dictionary_encode(array)
    text = read(encoded.dictionary)
    parsed, usable, digits = _parsed(encoded.dictionary)
    _, listed, of_list = _parsed(arrow.from_texts(missing.placeholders.get(name, ()), pa.binary()))
    nothing = usable & arrow.bools(pc.is_in(digits, value_set=of_list.filter(arrow.from_numpy(listed))))
    usable &= ~nothing
    number = np.full(len(usable) + 1, -1, np.int64)
    kept = np.flatnonzero(usable)
    digits = np.ascontiguousarray(parsed.digits[kept])
    group = numbered(digits)
    number[kept] = group
    k = int(group.max(initial=-1)) + 1
    vocabulary = np.zeros((k, 8), np.uint8)
    vocabulary[group] = digits
    code = _codes(encoded)
    wrong = np.append(text.filled & ~parsed.fits, False)[code]
    found = column(name, Words(data=vocabulary, lengths=np.full(k, 8)), number.astype(np.int32)[code])
    return found, wrong, np.append(nothing, False)[code]


def _parsed(values: pa.Array) -> tuple[dates.Dates, Bools, pa.Array]:
    """(the dates, bool[k]: it has the digits of one, some of which are known, its digits as `binary`)."""
    parsed = dates.parse(read(values))
    known = (parsed.digits >= ord("0")) & (parsed.digits <= ord("9"))
    usable = known.any(axis=1) & (known | (parsed.digits == UNKNOWN)).all(axis=1)
    return parsed, usable, pc.cast(arrow.from_rows(np.ascontiguousarray(parsed.digits)), pa.binary())


def _codes(encoded: pa.DictionaryArray) -> Codes:
    """int32[n]: which entry of the dictionary each row has, -1 for null."""
    return arrow.numbers(encoded.indices.fill_null(-1))
