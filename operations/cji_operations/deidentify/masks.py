"""Masks and ZIP prefixes over whole columns of text.

A value that does not fit is null in the result and listed with its code; a missing value (null or empty) is
null without a code.
"""

from typing import Final

import numpy as np
import pyarrow as pa

from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Bytes, Ints, Text, fixed, pack, read
from cji_core.operations.deidentify.declaration import Code
from cji_operations.deidentify.outcome import Outcome

# Three-digit ZIP areas of at most 20 000 people, which Safe Harbor has replaced by 000: 45 CFR 164.514(b)(2)(i)(B),
# as listed in the de-identification guidance of the US Department of Health and Human Services (2012, from the
# 2000 Census).
SPARSE_ZIP3: Final = tuple(
    "036 059 063 102 203 556 692 790 821 823 830 831 878 879 884 890 893".split()  # noqa: SIM905 - reads as the list
)
_IS_SPARSE: Final = np.isin(np.arange(1000), [int(prefix) for prefix in SPARSE_ZIP3])
_ZERO, _DASH = np.uint8(ord("0")), np.uint8(ord("-"))


def mask(array: pa.Array, *, keep_first: int, keep_last: int, fill: int) -> Outcome:
    """Replace every byte of every value by `fill`, but the first `keep_first` and the last `keep_last`.

    The length of a value stays. A value that is not longer than what is kept would stay whole, so it does not
    fit; neither does one whose kept bytes are not ASCII, because a cut character could follow.
    """
    text = read(array)
    filled = text.filled
    long_enough = text.lengths > keep_first + keep_last
    fits = filled & long_enough
    kept = _kept(text, np.flatnonzero(fits), keep_first, keep_last)
    cut = np.flatnonzero(fits)[kept.max(axis=0, initial=0) >= 0x80]
    if len(cut):
        fits[cut] = False
        kept = _kept(text, np.flatnonzero(fits), keep_first, keep_last)
    rows = np.flatnonzero(fits)
    lengths = np.where(fits, text.lengths, 0)
    ends = np.cumsum(lengths)
    data = np.full(int(ends[-1]) if len(ends) else 0, fill, np.uint8)
    last = ends[rows]
    first = last - lengths[rows]
    for position in range(keep_first):
        data[first + position] = kept[position]
    for position in range(keep_last):
        data[last - (keep_last - position)] = kept[keep_first + position]
    faults = (
        (Code.TOO_SHORT_TO_MASK, np.flatnonzero(filled & ~long_enough)),
        (Code.KEPT_BYTES_NOT_ASCII, cut),
    )
    return Outcome(array=arrow.from_bytes(data, lengths, array.type), faults=faults)


def _kept(text: Text, rows: Ints, keep_first: int, keep_last: int) -> Bytes:
    """uint8[keep_first + keep_last, len(rows)]: the bytes that a mask keeps, position by position."""
    starts = text.starts[rows]
    ends = starts + text.lengths[rows]
    kept = np.empty((keep_first + keep_last, len(rows)), np.uint8)
    for position in range(keep_first):
        kept[position] = text.data[starts + position]
    for position in range(keep_last):
        kept[keep_first + position] = text.data[ends - (keep_last - position)]
    return kept


def zip_prefix(array: pa.Array, *, digits: int) -> Outcome:
    """The first `digits` (1 to 3) of US ZIP codes; with 3, sparsely populated areas become 000 (SPARSE_ZIP3).

    Fitting values: 12345, 123456789, 12345-6789.
    """
    text = read(array)
    n = len(text.lengths)
    prefix = np.zeros((n, digits), np.uint8)
    fits = np.zeros(n, np.bool_)
    for width in (5, 9, 10):
        rows = np.flatnonzero(text.lengths == width)
        values = fixed(text, rows, width)
        fits[rows] = _is_zip(values)
        prefix[rows] = values[:, :digits]
    if digits == 3:
        number = (prefix - _ZERO).astype(np.int64) @ (100, 10, 1)
        prefix[fits & _IS_SPARSE[np.where(fits, number, 0)]] = _ZERO
    faults = ((Code.NOT_A_ZIP, np.flatnonzero(text.filled & ~fits)),)
    return Outcome(array=pack(prefix, fits * digits, array.type), faults=faults)


def _is_zip(values: Bytes) -> Bools:
    is_digit = values - _ZERO < 10
    if values.shape[1] == 10:
        is_digit[:, 5] = values[:, 5] == _DASH
    fits: Bools = np.logical_and.reduce(is_digit, axis=1)
    return fits
