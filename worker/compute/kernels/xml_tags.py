"""Tags of XML rows at the speed of numpy: where each tag and text is, how deep, and under which parent.

It reads rows of a regular form only: one element a row, from its `<` to its `>`; names of at most NAME_BYTES and no
more than DEEPEST levels; no comment, processing instruction, CDATA section, declaration or `&`; `<` and `>` only around
tags; at most one attribute in a tag. Any other row is reported, never guessed at: the caller hands it to a parser of
all of XML. A regular row that is not well-formed in other ways (characters, names) is read as it stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from worker.compute.kernels.column import Bools, Bytes, Ints

PAD: Final = 64
"""So many bytes must follow the last row: names and attributes are read in words that may reach beyond."""

NAME_BYTES: Final = 56
DEEPEST: Final = 16

_WORD: Final = 8
_WORDS: Final = NAME_BYTES // _WORD
_OPEN, _CLOSE, _SLASH, _EQUALS, _AMPERSAND = (ord(character) for character in "<>/=&")
_BLANK: Final = 32
_MASKS: Final = np.array([(1 << 8 * kept) - 1 for kept in range(_WORD + 1)], np.uint64)
_MULTIPLIERS: Final = np.array([0x9E3779B97F4A7C15 * (2 * k + 1) % (1 << 64) for k in range(_WORDS)], np.uint64)
_SLOT_BITS: Final = 13
_FACTORS: Final = tuple(np.uint64(0xD6E8FEB86659FD93 * (2 * k + 1) % (1 << 64)) for k in range(256))

Array = npt.NDArray[Any]


def _places(hashes: Array, factor: np.uint64) -> Array:
    return (hashes * factor) >> np.uint64(64 - _SLOT_BITS)


class Names:
    """A list of distinct names, to number the tags that have them; other names are -1."""

    def __init__(self, names: Sequence[str]) -> None:
        joined = "".join(names).encode() + bytes(PAD)
        lengths = np.array([len(name) for name in names])
        self._hashes = hashes_of(np.frombuffer(joined, np.uint8), np.cumsum(lengths) - lengths, lengths)
        self._multiplier = next(
            factor for factor in _FACTORS if len(set(_places(self._hashes, factor).tolist())) == len(names)
        )
        self._slots = np.full(1 << _SLOT_BITS, -1, np.int16)
        self._slots[_places(self._hashes, self._multiplier)] = np.arange(len(names))

    def numbers(self, hashes: Array) -> npt.NDArray[np.int16]:
        """int16[n]: the number of each name in the list, or -1."""
        found = self._slots[_places(hashes, self._multiplier)]
        return np.where((found >= 0) & (self._hashes[found] == hashes), found, np.int16(-1))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Tags:
    """`t` opening and empty tags, in order.

    row, depth (1: the row's own element), parent (its tag, or -1), name (of `Names`) int[t]; leaf bool[t]: it has no
    element inside, and its text is data[text_starts : text_starts + text_lengths]; name_ends, ends int64[t]: its
    attribute, if any, lies between.
    """

    row: Ints
    depth: Array
    parent: Ints
    name: npt.NDArray[np.int16]
    leaf: Bools
    text_starts: Ints
    text_lengths: Ints
    name_ends: Ints
    ends: Ints
    with_attribute: Ints


def irregular(data: Bytes, bounds: Ints) -> Bools:
    """bool[r]: rows data[bounds[i] : bounds[i + 1]] that `tags` cannot read by their characters alone."""
    marks, rows, firsts = _marks(data, bounds)
    found = np.zeros(len(bounds) - 1, np.bool_)
    counts = np.diff(firsts)
    found[(counts == 0) | (counts % 2 == 1)] = True
    odd = (np.arange(len(marks)) - firsts[rows]) & 1
    found[rows[data[marks] != np.where(odd, np.uint8(_CLOSE), np.uint8(_OPEN))]] = True
    filled = np.flatnonzero(counts)
    found[filled] |= marks[firsts[filled]] != bounds[filled]
    found[filled] |= marks[firsts[filled + 1] - 1] != bounds[filled + 1] - 1
    ampersands = np.flatnonzero(data[: bounds[-1]] == _AMPERSAND)
    found[np.searchsorted(bounds, ampersands, "right") - 1] = True
    return found


def tags(data: Bytes, bounds: Ints, names: Names) -> tuple[Tags, Bools]:
    """The tags of r regular rows, and bool[r]: those that are irregular in other ways. `data` goes on for PAD."""
    raw = _raw(data, bounds)
    bad, row = raw.bad, raw.row
    starts, name_ends = raw.opens + 1 + raw.ending, raw.closes - raw.alone
    with_attribute = _attributes(data, bounds, raw)
    name_ends[with_attribute] = _first_blank(data, starts[with_attribute], name_ends[with_attribute])
    lengths = name_ends - starts
    second = data[raw.opens + 1]
    odd = (second == ord("!")) | (second == ord("?")) | (lengths < 1) | (lengths > NAME_BYTES)
    bad[row[odd | (data[name_ends - 1] <= _BLANK)]] = True
    bad[row[with_attribute[raw.ending[with_attribute]]]] = True
    depth = _depths(raw)
    if bad.any():  # what follows needs rows in which every tag is closed
        return _none(), bad
    hashes = hashes_of(data, starts, lengths)
    _match(hashes, depth, raw)
    opening = ~raw.ending
    kept, place = np.flatnonzero(opening), np.cumsum(opening) - 1
    parents = _parents(depth, opening & ~raw.alone)[kept]
    after = np.minimum(kept + 1, len(row) - 1)
    alone = raw.alone[kept]
    leaf = alone | raw.ending[after]
    found = Tags(
        row=row[kept],
        depth=depth[kept],
        parent=np.where(parents >= 0, place[parents], -1),
        name=names.numbers(hashes[kept]),
        leaf=leaf,
        text_starts=raw.closes[kept] + 1,
        text_lengths=np.where(leaf & ~alone, raw.opens[after] - raw.closes[kept] - 1, 0),
        name_ends=name_ends[kept],
        ends=raw.closes[kept] - alone,
        with_attribute=place[with_attribute],
    )
    return found, bad


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class _Raw:
    """All tags, from opens to closes, of rows; ending: `</a>`, alone: `<a/>`. `bad` bool[r] is filled on the way."""

    opens: Ints
    closes: Ints
    row: Ints
    ending: Bools
    alone: Bools
    bad: Bools


def _raw(data: Bytes, bounds: Ints) -> _Raw:
    marks, rows, _ = _marks(data, bounds)
    opens, closes = marks[0::2], marks[1::2]
    ending = data[opens + 1] == _SLASH
    return _Raw(
        opens=opens,
        closes=closes,
        row=rows[0::2],
        ending=ending,
        alone=(data[closes - 1] == _SLASH) & ~ending,
        bad=np.zeros(len(bounds) - 1, np.bool_),
    )


def _none() -> Tags:
    none = np.empty(0, np.int64)
    return Tags(
        **dict.fromkeys(("row", "depth", "parent", "text_starts", "text_lengths", "name_ends", "ends"), none),
        name=none.astype(np.int16),
        leaf=none.astype(np.bool_),
        with_attribute=none,
    )


def _marks(data: Bytes, bounds: Ints) -> tuple[Ints, Ints, Ints]:
    """Where `<` and `>` are, the row of each, and the first of each row."""
    text = data[: bounds[-1]]
    marks = np.flatnonzero((text == _OPEN) | (text == _CLOSE))
    firsts = np.searchsorted(marks, bounds)
    return marks, np.repeat(np.arange(len(bounds) - 1), np.diff(firsts)), firsts


def _attributes(data: Bytes, bounds: Ints, raw: _Raw) -> Ints:
    """The tags with an attribute; rows of tags with several are bad."""
    equals = np.flatnonzero(data[: bounds[-1]] == _EQUALS)
    of = np.searchsorted(raw.opens, equals, "right") - 1
    of = of[equals < raw.closes[of]]
    several = of[1:] == of[:-1]
    raw.bad[raw.row[of[1:][several]]] = True
    return of[np.append(True, ~several)[: len(of)]]


def _first_blank(data: Bytes, starts: Ints, ends: Ints) -> Ints:
    """The first blank behind a name; where it has none within NAME_BYTES, `ends`."""
    windows = np.ndarray((len(data) - PAD + 1, PAD), np.uint8, data, strides=(1, 1))[starts]
    blank = windows <= _BLANK
    first = starts + blank.argmax(axis=1)
    return np.where(blank.any(axis=1) & (first < ends), first, ends)


def hashes_of(data: Bytes, starts: Ints, lengths: Ints) -> Array:
    """uint64[n]: of names, padded with zeros to NAME_BYTES."""
    words = np.ndarray((len(data) - _WORD + 1,), "<u8", data, strides=(1,))
    found = words[starts] & _MASKS[np.minimum(lengths, _WORD)]
    found *= _MULTIPLIERS[0]
    for k in range(1, _WORDS):
        rows = np.flatnonzero(lengths > k * _WORD)
        if not len(rows):
            break
        word = words[starts[rows] + k * _WORD] & _MASKS[np.minimum(lengths[rows] - k * _WORD, _WORD)]
        mixed = (found[rows] ^ (found[rows] >> np.uint64(29))) + word * _MULTIPLIERS[k]
        found[rows] = mixed
    return found ^ (found >> np.uint64(32))


def _depths(raw: _Raw) -> npt.NDArray[np.int32]:
    """How deep each tag is, from 1; rows that are not one element, or too deep, are bad."""
    row, ending, alone, bad = raw.row, raw.ending, raw.alone, raw.bad
    steps = np.where(ending, -1, np.where(alone, 0, 1)).astype(np.int32)
    level = np.cumsum(steps, dtype=np.int32)
    firsts = np.flatnonzero(np.append(True, row[1:] != row[:-1])[: len(row)])
    lasts = np.append(firsts[1:], len(row)) - 1
    base = np.zeros(len(bad), np.int32)
    base[row[firsts]] = level[firsts] - steps[firsts]
    depth: npt.NDArray[np.int32] = level - base[row] + (ending | alone)
    outermost = depth == 1
    whole = outermost[firsts] & ~alone[firsts] & ~ending[firsts] & outermost[lasts] & ending[lasts]
    bad[row[firsts[~whole]]] = True
    outermost[firsts] = outermost[lasts] = False
    bad[row[outermost | (depth < 1) | (depth > DEEPEST)]] = True
    return depth


def _match(hashes: Array, depth: Array, raw: _Raw) -> None:
    """Rows in which a tag is closed by another name are bad. At one depth, opening and closing tags take turns."""
    order = np.argsort(depth.astype(np.uint8), kind="stable")
    order = order[~raw.alone[order]]
    differs = hashes[order[0::2]] != hashes[order[1::2]]
    raw.bad[raw.row[order[0::2][differs]]] = True


def _parents(depth: Array, opening: Bools) -> Ints:
    """For each tag the opening tag around it, or -1."""
    parent = np.full(len(depth), -1)
    place = np.arange(len(depth))
    for level in range(2, int(depth.max(initial=1)) + 1):
        around = np.maximum.accumulate(np.where((depth == level - 1) & opening, place, -1))
        inside = np.flatnonzero(depth == level)
        parent[inside] = around[inside]
    return parent
