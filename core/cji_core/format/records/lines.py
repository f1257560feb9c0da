"""Lines of a flat file: where they are, and fixed-width matrices of them.

A line ends with LF or CRLF; bytes behind the last LF are a line of their own. Line ends are not part of a line.
"""

from typing import Final

import numpy as np

from cji_core.format.records.column import Bytes, Ints, Text

BLANK: Final = np.uint8(ord(" "))
_LF, _CR = np.uint8(ord("\n")), np.uint8(ord("\r"))


def split(data: Bytes) -> Text:
    """The lines of `data` uint8[]; a view, nothing is copied."""
    ends = np.flatnonzero(data == _LF)
    if len(data) and data[-1] != _LF:
        ends = np.append(ends, len(data))
    starts = np.zeros_like(ends)
    starts[1:] = ends[:-1] + 1
    return _without(Text(data=data, starts=starts, lengths=ends - starts), _CR)


def trimmed(text: Text) -> Text:
    """The same values without the LF, CRLF or CR that they may end with."""
    if not len(text.data):
        return text
    last = text.data[np.maximum(text.starts + text.lengths - 1, 0)]
    return _without(_without(text, _LF), _CR) if ((last == _LF) | (last == _CR)).any() else text


def _without(text: Text, end: np.uint8) -> Text:
    if not len(text.data):
        return text
    last = text.data[np.maximum(text.starts + text.lengths - 1, 0)]
    return Text(data=text.data, starts=text.starts, lengths=text.lengths - ((last == end) & (text.lengths > 0)))


def matrix(text: Text, rows: Ints, width: int) -> Bytes:
    """uint8[len(rows), width]: the first `width` bytes of each value, shorter ones filled up with blanks."""
    starts, lengths = text.starts[rows], np.minimum(text.lengths[rows], width)
    limit = max(len(text.data) - width, 0)
    if (starts <= limit).all() and len(text.data) >= width:
        out = _places(text.data, width)[starts]
    else:  # values near the end are read from a copy of the end that goes on in blanks
        end = _places(np.concatenate((text.data[limit:], np.full(width, BLANK))), width)
        out = np.empty(len(rows), f"V{width}")
        near = starts >= limit
        out[near] = end[np.minimum(starts[near] - limit, len(end) - 1)]
        if not near.all():
            out[~near] = _places(text.data, width)[starts[~near]]
    filled: Bytes = out.view(np.uint8).reshape(-1, width)
    shortest = int(lengths.min(initial=width))
    if shortest < width:  # what was read behind a short value belongs to the next one
        filled[:, shortest:][np.arange(shortest, width) >= lengths[:, None]] = BLANK
    return filled


def slots(lines: Bytes, base: int, count: int, step: int) -> tuple[Ints, Bytes]:
    """The slots in use of a group that repeats: `count` slots of `step` bytes from column `base` on.

    A slot is in use when a byte of it is not blank. Returns the row of each, int64[k], in the order of rows and
    slots, and its bytes, uint8[k, step].
    """
    n, width = lines.shape
    word = min(1 << (step.bit_length() - 1), 8)  # whole words are compared, the last of which may overlap
    used = np.zeros((n, count), np.bool_)
    for offset in {*range(0, step - word, word), step - word} if n else ():
        words = np.ndarray((n, count), f"<u{word}", lines, base + offset, (width, step))
        used |= words != int.from_bytes(bytes([BLANK]) * word, "little")
    positions = np.flatnonzero(used)  # several times faster than nonzero of two dimensions
    rows, slot = np.divmod(positions, count)
    found = _places(lines.reshape(-1), step)[rows * width + base + slot * step] if n else np.empty(0, f"V{step}")
    return rows, found.view(np.uint8).reshape(-1, step)


def _places(data: Bytes, width: int) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    """Every position of `data` seen as one item of `width` bytes."""
    return np.ndarray((len(data) - width + 1,), f"V{width}", np.ascontiguousarray(data), strides=(1,))
