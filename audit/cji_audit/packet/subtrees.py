"""The subtrees of a trail's Merkle tree that proofs need, in memory that hardly grows with the trail.

While the lines are read, the root of each block of 256 lines is kept, with those above it and the byte where the block
begins: a quarter of a byte for each line. A proof needs smaller subtrees of a few blocks as well. So a proof is made
twice: to learn which ones, whose blocks are then read again, and to have them.

Of the lines that were pruned, the tree has the peaks; no proof of a later line needs another subtree of them.
"""

from array import array
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Final, TypeVar

from cji_core.trail.merkle import HASH_BYTES, Frontier, Subtree, leaf_hash

_LEVEL: Final = 8
"""Of a block's root."""
_BLOCK: Final = 1 << _LEVEL
Lines = Callable[[int], Iterator[bytes]]
"""The lines of the trail from an offset on."""
_Nodes = dict[tuple[int, int], bytes]
"""By first leaf and level."""
T = TypeVar("T")


class Subtrees:
    """Append every line with the nodes that it completes, then ask for lines and proofs."""

    def __init__(self, before: Frontier | None = None, *, offset: int = 0) -> None:
        """After the lines under these peaks, which were pruned, and which end at a byte of the trail."""
        before = before or Frontier()
        self.size = before.size
        self._end = offset
        self._begun = before.size % _BLOCK, before.peaks[len(before.peaks) - (before.size % _BLOCK).bit_count() :]
        self._first_block = before.size >> _LEVEL
        self._offsets = array("Q")
        self._small: _Nodes = {}
        self._levels = [bytearray() for _ in range(_LEVEL, before.size.bit_length())]
        self._first = [(before.size >> level) & ~1 for level in range(_LEVEL, before.size.bit_length())]
        """The number of the first node of each level: an even one, so that every pair is complete."""
        start = 0
        for level, peak in zip(before.levels(), before.peaks, strict=True):
            if level < _LEVEL:
                self._small[start, level] = peak
            else:
                self._levels[level - _LEVEL] += peak
            start += 1 << level

    def append(self, line: bytes, completed: list[bytes]) -> None:
        """The next line, with the nodes that it completes in the tree (`Frontier.append`)."""
        if self.size % _BLOCK == 0 or not self._offsets:
            self._offsets.append(self._end)
        self._end += len(line)
        self.size += 1
        for level, node in enumerate(completed[_LEVEL:]):
            if level == len(self._levels):
                self._levels.append(bytearray())
                self._first.append(0)
            self._levels[level] += node

    def lines(self, numbers: AbstractSet[int], read: Lines) -> dict[int, bytes]:
        """Lines by their numbers, from a second reading of the same bytes."""
        blocks = {(number - 1) >> _LEVEL for number in numbers}
        found = (each for block in sorted(blocks) for each in self._block(block, read))
        return {number: line for number, line in found if number in numbers}

    def proven(self, make: Callable[[Subtree], T], read: Lines) -> T:
        """The result of `make` with the subtrees that it asks for."""
        asked = set[tuple[int, int]]()

        def ask(start: int, level: int) -> bytes:
            asked.add((start, level))
            return b""

        make(ask)
        small = self._small | self._read_again({each for each in asked if each[1] < _LEVEL} - self._small.keys(), read)
        return make(lambda start, level: small[start, level] if level < _LEVEL else self._node(start, level))

    def _node(self, start: int, level: int) -> bytes:
        at = ((start >> level) - self._first[level - _LEVEL]) * HASH_BYTES
        return bytes(self._levels[level - _LEVEL][at : at + HASH_BYTES])

    def _read_again(self, wanted: AbstractSet[tuple[int, int]], read: Lines) -> _Nodes:
        found: _Nodes = {}
        for block in sorted({start >> _LEVEL for start, _ in wanted}):
            tree = Frontier(*self._begun) if block == self._first_block else Frontier()
            for number, line in self._block(block, read):
                for level, node in enumerate(tree.append(leaf_hash(line))):
                    if (key := ((number - 1) >> level << level, level)) in wanted:
                        found[key] = node
        return found

    def _block(self, block: int, read: Lines) -> Iterator[tuple[int, bytes]]:
        """The lines of a block that are there, with their numbers."""
        first = block << _LEVEL if block > self._first_block else (block << _LEVEL) + self._begun[0]
        last = min(self.size, (block + 1) << _LEVEL)
        lines = read(self._offsets[block - self._first_block])
        return enumerate(islice(lines, last - first), first + 1)
