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

from cji_core.format.records.column import Bools, Bytes, Ints

PAD: Final = 64
"""So many bytes must follow the last row: names and attributes are read in words that may reach beyond."""

NAME_BYTES: Final = 56
DEEPEST: Final = 16

_WORD: Final = 8
_WORDS: Final = NAME_BYTES // _WORD
_OPEN, _CLOSE, _SLASH, _EQUALS, _AMPERSAND, _BANG, _QUESTION = (ord(character) for character in "<>/=&!?")
_EITHER: Final = np.uint8(0xFF ^ _OPEN ^ _CLOSE)  # without the bit in which they differ
_BLANK: Final = 32
_MASKS: Final = np.array([(1 << 8 * kept) - 1 for kept in range(_WORD + 1)], np.uint64)
_MULTIPLIERS: Final = np.array([0x9E3779B97F4A7C15 * (2 * k + 1) % (1 << 64) for k in range(_WORDS)], np.uint64)
_USUAL: Final = 3  # words of most names
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
    attribute, if any, lies between. with_attribute int64[]: the tags that have one.
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


def tags(data: Bytes, bounds: Ints, names: Names) -> tuple[Tags | None, Bools]:
    """The tags of r rows data[bounds[i] : bounds[i + 1]], or None; and bool[r]: the rows that are not regular.

    `data` goes on for PAD. The tags are None when a row is not regular; a second call may find more such rows.
    """
    marks = np.flatnonzero((data[: bounds[-1]] & _EITHER) == _OPEN)
    firsts = np.searchsorted(marks, bounds)
    bad = _irregular(data, bounds, marks, firsts)
    if bad.any():
        return None, bad
    opens, closes = marks[0::2], marks[1::2]
    row = np.repeat(np.arange(len(bad)), np.diff(firsts) // 2)
    ending = data[opens + 1] == _SLASH
    alone = (data[closes - 1] == _SLASH) & ~ending
    depth = _depths(row, ending, alone, bad)
    if bad.any():
        return None, bad
    kept = np.flatnonzero(~ending)
    alone = alone[kept]
    starts, ends = opens[kept] + 1, closes[kept] - alone
    with_one, with_several = _attributes(np.flatnonzero(data[: bounds[-1]] == _EQUALS), opens, closes)
    bad[row[with_several]] = True
    bad[row[with_one[ending[with_one]]]] = True
    with_attribute = np.searchsorted(kept, with_one[~ending[with_one]])
    name_ends = ends.copy()
    name_ends[with_attribute] = _first_blank(data, starts[with_attribute], ends[with_attribute])
    lengths = name_ends - starts
    second = data[starts]
    odd = (second == _BANG) | (second == _QUESTION) | (lengths < 1) | (lengths > NAME_BYTES)
    bad[row[kept[odd | (data[name_ends - 1] <= _BLANK)]]] = True
    if bad.any():
        return None, bad
    after = np.minimum(kept + 1, len(row) - 1)
    paired = ending[after] & ~alone
    closing = _closing(depth, ending, kept, paired, alone)
    bad[row[kept[~_closed(data, starts, lengths, opens[closing] + 2, closes[closing]) & ~alone]]] = True
    depth = depth[kept]
    found = Tags(
        row=row[kept],
        depth=depth,
        parent=_parents(depth),
        name=names.numbers(hashes_of(data, starts, lengths)),
        leaf=alone | paired,
        text_starts=closes[kept] + 1,
        text_lengths=np.where(paired, opens[after] - closes[kept] - 1, 0),
        name_ends=name_ends,
        ends=ends,
        with_attribute=with_attribute,
    )
    return (None, bad) if bad.any() else (found, bad)


def _irregular(data: Bytes, bounds: Ints, marks: Ints, firsts: Ints) -> Bools:
    """Rows in which `<` and `>` do not take turns from the first byte to the last one, and rows with `&`."""
    bad = np.zeros(len(bounds) - 1, np.bool_)
    ampersand = data[: bounds[-1]] == _AMPERSAND
    if ampersand.any():
        bad[np.searchsorted(bounds, np.flatnonzero(ampersand), "right") - 1] = True
    found = data[marks]
    counts = np.diff(firsts)
    if not (counts & 1).any() and (found[0::2] == _OPEN).all() and (found[1::2] == _CLOSE).all():
        bad |= counts == 0
    else:
        rows = np.repeat(np.arange(len(bad)), counts)
        odd = (np.arange(len(marks)) - firsts[rows]) & 1
        bad |= (counts == 0) | (counts % 2 == 1)
        bad[rows[found != np.where(odd, np.uint8(_CLOSE), np.uint8(_OPEN))]] = True
    filled = np.flatnonzero(counts)
    bad[filled] |= marks[firsts[filled]] != bounds[filled]
    bad[filled] |= marks[firsts[filled + 1] - 1] != bounds[filled + 1] - 1
    return bad


def _depths(row: Ints, ending: Bools, alone: Bools, bad: Bools) -> npt.NDArray[np.int32]:
    """How deep each tag is, from 1; rows that are not one element, or too deep, are bad."""
    steps = 1 - 2 * ending.view(np.int8) - alone.view(np.int8)
    level = np.cumsum(steps, dtype=np.int32)
    firsts = np.flatnonzero(np.append(True, row[1:] != row[:-1])[: len(row)])
    lasts = np.append(firsts[1:], len(row)) - 1
    base = np.zeros(len(bad), np.int32)
    base[row[firsts]] = level[firsts] - steps[firsts]
    depth: npt.NDArray[np.int32] = level + (ending | alone)
    if base.any():
        depth -= base[row]
    outermost = depth == 1
    whole = outermost[firsts] & ~alone[firsts] & ~ending[firsts] & outermost[lasts] & ending[lasts]
    bad[row[firsts[~whole]]] = True
    outermost[firsts] = outermost[lasts] = False
    bad[row[outermost | (depth < 1) | (depth > DEEPEST)]] = True
    return depth


def _attributes(equals: Ints, opens: Ints, closes: Ints) -> tuple[Ints, Ints]:
    """The tags with an attribute, and those of them with several; `equals` are the places of `=`."""
    of = np.searchsorted(opens, equals, "right") - 1
    of = of[equals < closes[of]]
    again = of[1:] == of[:-1]
    return of[np.append(True, ~again)[: len(of)]], of[1:][again]


def _first_blank(data: Bytes, starts: Ints, ends: Ints) -> Ints:
    """The first blank behind a name; where it has none within NAME_BYTES, `ends`."""
    windows = np.ndarray((len(data) - PAD + 1, PAD), np.uint8, data, strides=(1, 1))[starts]
    blank = windows <= _BLANK
    first = starts + blank.argmax(axis=1)
    return np.where(blank.any(axis=1) & (first < ends), first, ends)


def _closing(depth: Array, ending: Bools, kept: Ints, paired: Bools, alone: Bools) -> Ints:
    """For each kept tag the one that closes it: the next one of a leaf; at one depth, others take turns."""
    closing = np.minimum(kept + 1, len(ending) - 1)
    others = np.flatnonzero(~paired & ~alone)
    ends = ending.copy()
    ends[closing[paired]] = False
    theirs = np.flatnonzero(ends)
    mine = np.argsort(depth[kept[others]].astype(np.uint8), kind="stable")
    closing[others[mine]] = theirs[np.argsort(depth[theirs].astype(np.uint8), kind="stable")]
    return closing


def _closed(data: Bytes, starts: Ints, lengths: Ints, other_starts: Ints, other_ends: Ints) -> Bools:
    """Whether names are closed by names of the same length, first word and last word."""
    words = np.ndarray((len(data) - _WORD + 1,), "<u8", data, strides=(1,))
    first = (words[starts] ^ words[other_starts]) & _MASKS[np.minimum(lengths, _WORD)]
    last = words[np.maximum(starts + lengths - _WORD, 0)] ^ words[np.maximum(other_ends - _WORD, 0)]
    same: Bools = (first == 0) & ((last == 0) | (lengths < _WORD)) & (other_ends - other_starts == lengths)
    return same


def hashes_of(data: Bytes, starts: Ints, lengths: Ints) -> Array:
    """uint64[n]: of names, padded with zeros to NAME_BYTES."""
    words = np.ndarray((len(data) - _WORD + 1,), "<u8", data, strides=(1,))
    found = words[starts] & _MASKS[np.minimum(lengths, _WORD)]
    found *= _MULTIPLIERS[0]
    for k in range(1, _WORDS):
        left = lengths - k * _WORD
        rows: Ints | slice = slice(None)
        if k >= _USUAL:
            rows = np.flatnonzero(left > 0)
            if not len(rows):
                break
        word = words[starts[rows] + k * _WORD] & _MASKS[np.clip(left[rows], 0, _WORD)]
        part = found[rows]
        found[rows] = (part ^ (part >> np.uint64(29))) + word * _MULTIPLIERS[k]
    return found ^ (found >> np.uint64(32))


def _parents(depth: Array) -> Ints:
    """For each tag the one around it, or -1: the tag before it if that is less deep, else that of its last sibling."""
    first_child = np.append(True, depth[1:] > depth[:-1])[: len(depth)]
    order = np.argsort(depth.astype(np.uint8), kind="stable")
    at = np.where(first_child[order], np.arange(len(order)), 0)
    parent = np.empty(len(order), np.int64)
    parent[order] = order[np.maximum.accumulate(at)] - 1
    parent[depth == 1] = -1
    return parent
