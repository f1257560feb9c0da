"""Names as they are written, word by word: surnames, given names, suffixes."""

from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow
from cji_core.format.records.column import Bytes, Ints, Text, read
from cji_operations.kernels.suffixes import SUFFIXES

_MOST_WORDS: Final = 3  # of a surname, behind the first
_WRITTEN: Final = [
    (f"{case}{stop}", number)
    for name, number in SUFFIXES.items()
    for case in sorted({name, name.lower(), name.capitalize()})
    for stop in ("", ".")
]
_NAMES: Final = arrow.from_texts((name for name, _ in _WRITTEN), pa.binary())
_NUMBERS: Final = np.array([0, *(number for _, number in _WRITTEN)], np.uint8)


class Phrases:
    """n texts, read word by word; words are separated by blanks."""

    def __init__(self, text: Text) -> None:
        self._text, blank = text, text.data == ord(" ")
        self._blanks, self._letters = np.flatnonzero(blank), np.flatnonzero(~blank)
        self._at = text.starts

    @classmethod
    def of(cls, array: pa.Array) -> Self:
        """From the beginning of each value."""
        return cls(_window(read(array)))

    def bounds(self) -> tuple[Ints, Ints]:
        """(begin, end) int64[n] of the next word of each text, which is empty at its end."""
        begin = _next(self._letters, self._at, self._text)
        self._at = _next(self._blanks, begin, self._text)
        return begin, self._at

    def next(self) -> pa.Array:
        """binary[n]: the next word of each text, null at its end."""
        return _piece(self._text, *self.bounds())


def before_comma(whole: pa.Array) -> tuple[pa.Array, pa.Array]:
    """(binary[n] before the first comma, binary[n] behind it, with the comma as a blank); both null without one."""
    text = _window(read(whole))
    ends = text.starts + text.lengths
    comma = _next(np.flatnonzero(text.data == ord(",")), text.starts, text)
    named = comma < ends
    behind = Text(
        data=np.where(text.data == ord(","), np.uint8(ord(" ")), text.data), starts=comma, lengths=ends - comma
    )
    return _piece(text, text.starts, np.where(named, comma, text.starts)), _piece(behind, comma, ends)


def suffixes(array: pa.Array) -> Bytes:
    """uint8[n]: the number of each value in SUFFIXES, 0 of any other; a full stop makes no difference."""
    found: Bytes = _NUMBERS[arrow.numbers(pc.index_in(array, _NAMES).fill_null(-1)) + 1]
    return found


def without_suffix(array: pa.Array) -> tuple[pa.Array, Bytes]:
    """(binary[n]: surnames without a suffix behind their first word; uint8[n]: its number, 0 for none)."""
    text = _window(read(array))
    found, ends = np.zeros(len(text.lengths), np.uint8), text.starts + text.lengths
    if not (text.data == ord(" ")).any():
        return array, found
    phrases, cut = Phrases(text), ends
    phrases.bounds()
    begin, end = phrases.bounds()
    for _ in range(_MOST_WORDS):
        number, following = suffixes(_piece(text, begin, end)), phrases.bounds()
        last = (number > 0) & (following[0] == following[1])
        found, cut = np.where(last, number, found), np.where(last, begin, cut)
        begin, end = following
    return _piece(text, text.starts, cut), found


def _window(text: Text) -> Text:
    """The same values without the data before and behind them, of which a slice of a column has much."""
    first, last = int(text.starts.min(initial=len(text.data))), int((text.starts + text.lengths).max(initial=0))
    return Text(data=text.data[first:last], starts=text.starts - first, lengths=text.lengths)


def _next(positions: Ints, start: Ints, text: Text) -> Ints:
    """int64[n]: the first of the ascending `positions` from start[i] on, or the end of value i."""
    found = np.append(positions, len(text.data))[np.searchsorted(positions, start)]
    next_: Ints = np.minimum(found, text.starts + text.lengths)
    return next_


def _piece(text: Text, start: Ints, end: Ints) -> pa.Array:
    """binary[n]: data[start : end] of each value, null where that is nothing."""
    lengths = np.maximum(end - start, 0)
    which = np.repeat(np.arange(len(start)), lengths)
    before = np.cumsum(lengths) - lengths
    return arrow.from_bytes(text.data[np.arange(len(which)) + (start - before)[which]], lengths, pa.binary())
