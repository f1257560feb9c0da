"""Values of NIBRS XML as the bytes of flat fields, whole columns at once.

A value that has no flat form is never cut into one that is valid: as much of it as there is room for is kept, and the
last byte becomes MARK, which no data element allows; the edits find it. A blank value stays blank.

    text  number (zero-filled)  date  hour (of a date and time)  month  quantity  age  age_low  age_high
    and the forms of xml_values.csv, whose texts have codes
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from cji_core.format.records.column import Bools, Bytes, Ints, Text
from cji_core.format.records.lines import BLANK, matrix
from cji_core.format.records.nibrs.data import read_data
from cji_core.format.records.nibrs.xml_tags import NAME_BYTES, Names, hashes_of

MARK: Final = np.uint8(ord("?"))

_ZERO, _DASH, _DOT, _T = (np.uint8(ord(character)) for character in "0-.T")
_DATE, _MONTH, _HOUR = 10, 7, 13
_UNITS, _PARTS = 9, 3


@dataclass(frozen=True, slots=True, eq=False)
class _Codes:
    """Texts and their codes, uint8[n, width]."""

    texts: Names
    codes: Bytes


def _codes() -> Mapping[str, _Codes]:
    by_form: dict[str, dict[str, str]] = {}
    for row in read_data("xml_values.csv"):
        by_form.setdefault(row["form"], {})[row["text"]] = row["code"]
    made = {}
    for form, codes in by_form.items():
        width = max(map(len, codes.values()))
        joined = "".join(code.ljust(width) for code in codes.values()).encode()
        made[form] = _Codes(Names(list(codes)), np.frombuffer(joined, np.uint8).reshape(-1, width))
    return MappingProxyType(made)


_CODES: Final = _codes()


def converted(form: str, text: Text, width: int) -> Bytes:
    """uint8[n, width]: the values of `text` in a form. The bytes behind `text.data`'s values go on for PAD."""
    if form in _CODES:
        return _coded(_CODES[form], text, width)
    return _FORMS[form](text, width)


def fitted(text: Text, width: int) -> Bytes:
    """The first bytes of each value; MARK ends one that is longer."""
    out = _first(text, width)
    out[text.lengths > width, -1] = MARK
    return out


def _first(text: Text, width: int) -> Bytes:
    return matrix(text, np.arange(len(text.starts)), width)


def _or_marked(good: Bools, out: Bytes, text: Text) -> Bytes:
    """`out`, and where a value is not good, what there is of it, with MARK at its end."""
    bad = np.flatnonzero(~good & (text.lengths > 0))
    if len(bad):
        out[bad] = _first(Text(data=text.data, starts=text.starts[bad], lengths=text.lengths[bad]), out.shape[1])
        out[bad, -1] = MARK
    return out


def _coded(codes: _Codes, text: Text, width: int) -> Bytes:
    number = codes.texts.numbers(hashes_of(text.data, text.starts, np.minimum(text.lengths, NAME_BYTES)))
    good = (number >= 0) & (text.lengths <= NAME_BYTES)
    out = np.full((len(number), width), BLANK)
    out[:, : codes.codes.shape[1]] = np.where(good[:, None], codes.codes[number], BLANK)
    return _or_marked(good, out, text)


def _digits(values: Bytes) -> Bools:
    found: Bools = np.logical_and.reduce(values - _ZERO < 10, axis=1)
    return found


def _right(text: Text, width: int) -> Bytes:
    """Values of at most `width` bytes, filled up with zeros from the left."""
    first = _first(text, width)
    from_ = np.arange(width) - (width - np.minimum(text.lengths, width))[:, None]
    return np.where(from_ < 0, _ZERO, np.take_along_axis(first, np.maximum(from_, 0), axis=1))


def _number(text: Text, width: int) -> Bytes:
    out = _right(text, width)
    good = _digits(out) & (text.lengths > 0) & (text.lengths <= width)
    out[text.lengths == 0] = BLANK
    return _or_marked(good, out, text)


def _dashed(text: Text, length: int, places: tuple[int, ...]) -> tuple[Bytes, Bools]:
    """The first `length` bytes of each value without the dashes at `places`, and whether they are digits and dashes."""
    first = _first(text, length)
    kept = [place for place in range(length) if place not in places]
    good = (first[:, places] == _DASH).all(axis=1) & _digits(first[:, kept])
    return first[:, kept], good


def _date(text: Text, width: int) -> Bytes:
    """YYYY-MM-DD, or a date and time, as YYYYMMDD."""
    out, good = _dashed(text, _DATE, (4, 7))
    behind = _first(text, _DATE + 1)[:, _DATE]
    good &= (text.lengths == _DATE) | ((text.lengths > _DATE) & (behind == _T))
    return _or_marked(good, out[:, :width], text)


def _hour(text: Text, width: int) -> Bytes:
    """The hour of YYYY-MM-DDTHH:MM:SS; blank where there is no time."""
    first = _first(text, _HOUR)
    out = first[:, _HOUR - width :].copy()
    out[(text.lengths < _HOUR) | (first[:, _DATE] != _T)] = BLANK
    return out


def _month(text: Text, width: int) -> Bytes:
    """YYYY-MM as MMYYYY."""
    out, good = _dashed(text, _MONTH, (4,))
    return _or_marked(good & (text.lengths == _MONTH), np.hstack((out[:, 4:], out[:, :4]))[:, :width], text)


def _quantity(text: Text, width: int) -> Bytes:
    """A decimal number as nine digits of units and three of thousandths."""
    first = _first(text, _UNITS + 1 + _PARTS + 1)
    dots = first == _DOT
    dotted = dots.any(axis=1)
    units = np.where(dotted, dots.argmax(axis=1), text.lengths)
    parts = np.where(dotted, text.lengths - units - 1, 0)
    out = np.empty((len(first), width), np.uint8)
    out[:, :_UNITS] = _right(Text(data=text.data, starts=text.starts, lengths=units), _UNITS)
    behind = Text(data=text.data, starts=text.starts + (units + 1) * dotted, lengths=np.minimum(parts, _PARTS))
    out[:, _UNITS:] = np.where((thousandths := _first(behind, _PARTS)) == BLANK, _ZERO, thousandths)
    good = _digits(out) & (units <= _UNITS) & (parts <= _PARTS) & (text.lengths > dotted)
    out[text.lengths == 0] = BLANK
    return _or_marked(good, out, text)


def _age(text: Text, width: int) -> Bytes:
    """Years, two digits and two blanks."""
    out = np.full((len(text.starts), width), BLANK)
    years = Text(data=text.data, starts=text.starts, lengths=np.minimum(text.lengths, 2))
    out[:, :2] = _right(years, 2)
    good = _digits(out[:, :2]) & (text.lengths > 0) & (text.lengths <= 2)
    out[text.lengths == 0] = BLANK
    return _or_marked(good, out, text)


_FORMS: Final[Mapping[str, Callable[[Text, int], Bytes]]] = MappingProxyType(
    {
        "text": fitted,
        "number": _number,
        "date": _date,
        "hour": _hour,
        "month": _month,
        "quantity": _quantity,
        "age": _age,
        "age_low": _number,
        "age_high": _number,
    }
)


def put(out: Bytes, rows: Ints, column: int, values: Bytes) -> None:
    """Write `values` into rows of `out` from `column` on. A field that has another value already gets a MARK.

    `rows` ascend; blank values change nothing.
    """
    filled = (values != BLANK).any(axis=1)
    if not filled.all():
        rows, values = rows[filled], values[filled]
    if not len(rows):
        return
    width = values.shape[1]
    field = out[:, column : column + width]
    repeated = np.append(False, rows[1:] == rows[:-1])
    taken = repeated | (field[rows] != BLANK).any(axis=1)
    if not taken.any():
        field[rows] = values
        return
    field[rows[~taken]] = values[~taken]
    others, wanted = rows[taken], values[taken]
    clash = others[(field[others] != wanted).any(axis=1)]
    out[clash, column + width - 1] = MARK
