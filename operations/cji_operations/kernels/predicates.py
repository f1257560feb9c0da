"""Tests of values for the rules of `ncic.toml`: whole columns, one bool a value.

Every function takes the column as `Text` and marks the values that are wrong in one way. A missing value is never
wrong. A test that presumes another one (on the length, for example) leaves that one to the caller.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools, Bytes, Ints, Text
from cji_core.format.records.lines import matrix

_A, _Z, _0, _9, _X = (np.uint8(ord(c)) for c in "AZ09X")
_SOCIAL: Final = 9
_VIN: Final = 17
# 49 CFR 565.15(c): values of letters and weights of positions
_VIN_VALUE: Final = np.zeros(256, np.int64)
for _letters, _values in (("0123456789", "0123456789"), ("ABCDEFGHJKLMNPRSTUVWXYZ", "12345678123457923456789")):
    _VIN_VALUE[np.frombuffer(_letters.encode(), np.uint8)] = [int(v) for v in _values]
_VIN_WEIGHT: Final = np.array([8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2])
_VIN_CHECK: Final = np.frombuffer(b"0123456789X", np.uint8)
_NAMES: Final = "-' "
"""Signs in names."""


def alphabet(letters: str, also: str = "") -> Bools:
    """bool[256]: bytes that are allowed; `letters` has A for capitals and 9 for digits."""
    allowed = np.zeros(256, np.bool_)
    if "A" in letters:
        allowed[_A : _Z + 1] = True
    if "9" in letters:
        allowed[_0 : _9 + 1] = True
    allowed[np.frombuffer(also.encode("ascii"), np.uint8)] = True
    return allowed


def wrong_length(text: Text, characters: Ints, least: int, most: int) -> Bools:
    """Fewer than `least` characters or more than `most`."""
    return text.filled & ((characters < least) | (characters > most))


def has_illegal_bytes(text: Text, allowed: Bools) -> Bools:
    """With a byte that is not allowed."""
    before = np.zeros(len(text.data) + 1, np.int64)
    np.cumsum(~allowed[text.data], out=before[1:])
    wrong: Bools = before[text.starts + text.lengths] > before[text.starts]
    return wrong & text.filled


def outside(text: Text, digits: int, low: int, high: int) -> tuple[Bools, Bools]:
    """(not `digits` digits with X for unknown ones, a number without X outside of low..high)."""
    values, whole, form = numbers(text, digits)
    return text.filled & ~form, whole & ((values < low) | (values > high))


def numbers(text: Text, digits: int) -> tuple[Ints, Bools, Bools]:
    """(int64[n] values, bool[n] without an unknown digit, bool[n] of `digits` digits or X)."""
    columns, form = _fixed(text, digits)
    known = (columns >= _0) & (columns <= _9)
    form &= (known | (columns == _X)).all(axis=1)
    whole = form & known.all(axis=1)
    values = (columns - _0).astype(np.int64) @ 10 ** np.arange(digits - 1, -1, -1)
    return values, whole, form


def shape(text: Text, pattern: str) -> Bools:
    """Not of the shape: A a capital, 9 a digit, N either."""
    columns, form = _fixed(text, len(pattern))
    for position, kind in enumerate(pattern):
        form &= alphabet({"A": "A", "9": "9", "N": "A9"}[kind])[columns[:, position]]
    wrong: Bools = text.filled & ~form
    return wrong


def social_form(text: Text) -> Bools:
    """Not nine digits, X for unknown ones."""
    wrong: Bools = text.filled & ~numbers(text, _SOCIAL)[2]
    return wrong


def social_never_issued(text: Text) -> Bools:
    """Of a known area 000, 666 or 9xx, group 00 or serial 0000 (20 CFR 422.103; SSA, "SSN randomization")."""
    columns, form = _fixed(text, _SOCIAL)
    area, group, serial = columns[:, :3], columns[:, 3:5], columns[:, 5:]
    never = _is(area, b"000") | _is(area, b"666") | (area[:, 0] == _9) | _is(group, b"00") | _is(serial, b"0000")
    wrong: Bools = form & never & ~social_form(text)
    return wrong


def name_parts(text: Text) -> Bools:
    """With something other than capitals, hyphens, apostrophes and blanks."""
    return has_illegal_bytes(text, alphabet("A", _NAMES))


def names(text: Text) -> Bools:
    """Not `LAST, FIRST MIDDLE SUFFIX` in capitals: one comma, something on both sides, no blank at either end of it."""
    wrong = has_illegal_bytes(text, alphabet("A", _NAMES + ","))
    is_comma = np.zeros(len(text.data) + 1, np.int64)
    np.cumsum(text.data == ord(","), out=is_comma[1:])
    wrong |= is_comma[text.starts + text.lengths] - is_comma[text.starts] != 1
    good = np.flatnonzero(text.filled & ~wrong)
    if len(good):
        commas = np.flatnonzero(text.data == ord(","))
        at = commas[np.searchsorted(commas, text.starts[good])]
        first, last = text.starts[good], text.starts[good] + text.lengths[good] - 1
        blank = text.data == ord(" ")
        edge = blank[first] | blank[last] | (at == first) | (at == last)
        after = np.minimum(at + 1, last)
        edge |= blank[np.maximum(at - 1, first)] | (blank[after] & (after == last))
        wrong[good] = edge
    return wrong & text.filled


def vin_check_digit(text: Text) -> Bools:
    """Of 17 characters, with another check digit at the ninth than the rest gives (49 CFR 565.15(c))."""
    columns, form = _fixed(text, _VIN)
    remainder = (_VIN_VALUE[columns] @ _VIN_WEIGHT) % 11
    wrong: Bools = form & (_VIN_CHECK[remainder] != columns[:, 8])
    return wrong


def _fixed(text: Text, width: int) -> tuple[Bytes, Bools]:
    """(uint8[n, width], bool[n]: the value has exactly that width)."""
    n = len(text.lengths)
    return matrix(text, np.arange(n), width), text.lengths == width


def _is(columns: Bytes, value: bytes) -> Bools:
    same: npt.NDArray[np.bool_] = (columns == np.frombuffer(value, np.uint8)).all(axis=1)
    return same
