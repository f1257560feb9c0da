"""Types of columns: from those that files, databases and data frames have to those of a schema.

Nothing is rounded, cut or guessed. A column is cast if each of its values has one meaning in the wanted type: encodings
that only save memory are undone, days become `YYYYMMDD` in columns of dates, whole numbers become their digits, and
words of yes and no become flags. Everything else is refused, with the type that was found and the one that is wanted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from cji_client.date_formats import shape_of
from cji_client.errors import ColumnTypeError, SpecError
from cji_client.places import Place, from_zero
from cji_core.format.records import Column
from cji_core.format.records.arrow import from_texts

Function: TypeAlias = Callable[[pa.Array], pa.Array]

_NO: Final = ("false", "f", "no", "n", "0")
_YES: Final = ("true", "t", "yes", "y", "1")
_WORDS: Final = from_texts([*_NO, *_YES], pa.utf8())
_EXACT: Final = 1 << 53
"""Up to this every whole number is a float of its own (IEEE 754 binary64)."""


class ValueMisfit(Exception):  # noqa: N818 - it carries a place, and becomes a SpecError
    """The value at `index` cannot be cast."""

    def __init__(self, index: int, found: str) -> None:
        super().__init__(index)
        self.index = index
        self.found = found


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """How one column of the input becomes one of the schema; `note` is for the submitter, if there is something.

    In a refusal `label` stands for the name, `describe` for the type; `remedy` is for exactly this column.
    """

    name: str
    wanted: pa.DataType
    note: str
    function: Function
    label: str = ""
    describe: str = ""
    remedy: str | None = None
    number: pa.DataType | None = None
    """The type of whole numbers that are sent as their digits."""

    def apply(self, column: pa.Array, first_row: int, place: Place = from_zero) -> pa.Array:
        """The column in the wanted type; SpecError names the first row that does not fit."""
        try:
            cast = self.function(column)
            cast.validate(full=True)
        except ValueMisfit as unfit:
            raise self._refusal(first_row + unfit.index, unfit.found, place) from None
        except (pa.ArrowException, ValueError, OverflowError):
            index = _first_unfit(self.function, column)
            raise self._refusal(first_row + index, f"a value that is not valid {column.type}", place) from None
        return cast

    def _refusal(self, row: int, found: str, place: Place) -> SpecError:
        wanted = self.describe or str(self.wanted)
        return ColumnTypeError(
            f"{place(row)}, column {self.label or self.name}: found {found}, wanted {wanted}",
            column=self.name,
            found=found,
            wanted=wanted,
            row=row,
            remedy=self.remedy,
        )


def cast_of(found: pa.DataType, column: Column) -> Cast:
    """The cast of a column of type `found`; SpecError if the schema's column cannot be made of it."""
    kind = plain_type(found)
    text = kind in (pa.string(), pa.binary())
    wanted = kind if kind in column.types else column.types[0]
    note = ""
    function: Function
    if kind in column.types:
        function = _nothing
    elif column.date and pa.types.is_date(kind):
        function = _days
    elif column.date and pa.types.is_timestamp(kind):
        note, function = "the day of each timestamp is sent, its time is not", _days
    elif wanted == pa.string() and pa.types.is_integer(kind):
        note, function = "numbers are sent as text, without leading zeros", _digits
    elif wanted == pa.string() and (pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        note, function = "numbers are sent as text, without leading zeros", _whole
    elif wanted == pa.bool_() and text:
        function = _flag
    elif text or (pa.types.is_integer(kind) and pa.types.is_integer(wanted)):
        function = _as(wanted)
    else:
        raise ColumnTypeError(
            f"column {column.name}: found {found}, wanted {_one_of(column)}",
            column=column.name,
            found=str(found),
            wanted=_one_of(column),
            remedy=f"Change the type of {column.name}, or drop it in [input].",
        )
    return Cast(
        name=column.name,
        wanted=wanted,
        note=note,
        function=lambda array: function(decoded(array, kind)),
        number=kind if function in (_digits, _whole) and not column.date else None,
    )


def _one_of(column: Column) -> str:
    types = " or ".join(str(kind) for kind in column.types)
    return f"{types} (a date)" if column.date else types


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type without encodings that only save memory: dictionaries, runs, views, 64-bit offsets, extension types."""
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if pa.types.is_string_view(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_binary_view(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    return kind


def decoded(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The array in its `plain_type`, `kind`."""
    while array.type != kind:
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        elif pa.types.is_run_end_encoded(array.type):
            array = pc.run_end_decode(array)
        elif pa.types.is_dictionary(array.type):
            array = decoded(array.dictionary, kind).take(array.indices)
        else:
            array = array.cast(kind)
    return array


def _nothing(array: pa.Array) -> pa.Array:
    return array


def _as(wanted: pa.DataType) -> Function:
    return lambda array: array.cast(wanted)


def _days(array: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(array.type):
        local = array if array.type.tz is None else pc.local_timestamp(array)
        array = pc.floor_temporal(local, unit="day").cast(pa.date32())
    days = array.cast(pa.date32()).cast(pa.string())
    _require(pc.equal(pc.binary_length(days), len("1982-02-14")), days, "a year outside of 0001 to 9999")
    return pc.replace_substring(days, "-", "")


def _digits(array: pa.Array) -> pa.Array:
    return array.cast(pa.string())


def _whole(array: pa.Array) -> pa.Array:
    if pa.types.is_decimal(array.type):
        _require(pc.equal(pc.floor(array), array), array, "a number with a fraction")
        return array.cast(pa.decimal256(min(array.type.precision, 76), 0)).cast(pa.string())
    numbers = array.cast(pa.float64())
    exact = pc.and_(pc.equal(pc.floor(numbers), numbers), pc.less_equal(pc.abs(numbers), float(_EXACT)))
    _require(exact, numbers, "a number that is not whole")
    return numbers.cast(pa.int64()).cast(pa.string())


def _flag(array: pa.Array) -> pa.Array:
    words = pc.utf8_lower(pc.utf8_trim_whitespace(array.cast(pa.string())))
    places = pc.index_in(words, _WORDS)
    known = pc.is_valid(places)
    missing = pc.fill_null(pc.equal(pc.binary_length(words), 0), fill_value=True)
    bad = pc.invert(pc.or_(known, missing))
    index = pc.index(bad, value=True).as_py()
    if index >= 0:
        raise ValueMisfit(index, f"{shape_of(array.cast(pa.string())[index].as_py())} (9 a digit, A a letter)")
    return pc.greater_equal(places, len(_NO))


def _require(fits: pa.Array, values: pa.Array, found: str) -> None:
    """Refuse the first value that does not fit; a missing one fits."""
    index = pc.index(pc.if_else(pc.is_valid(values), fits, None), value=False).as_py()
    if index >= 0:
        raise ValueMisfit(index, found)


def _first_unfit(function: Function, array: pa.Array) -> int:
    """The first value that `function` does not take, by halves: every shorter beginning is sound."""
    low, high = 0, len(array)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _fails(function, array.slice(low, middle - low)) else (middle, high)
    return low


def _fails(function: Function, array: pa.Array) -> bool:
    try:
        function(array).validate(full=True)
    except (ValueMisfit, pa.ArrowException, ValueError, OverflowError):
        return True
    return False
