"""Hash tiles, C2SP tlog-tiles: the complete subtrees of each eighth level of a tree, 256 hashes in a tile.

    tile/0/x001/x234/067        256 leaf hashes, from leaf 1234067 * 256 on
    tile/0/x001/x234/067.p/5    the first five of them, of a tree that ends there
    tile/1/000                  256 roots of full tiles of level 0

`completed` and `subtrees` keep and find these hashes; Merkle proofs are made of them.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from cji_core.trail.checkpoint import CheckpointError
from cji_core.trail.merkle import HASH_BYTES, MAX_SIZE, Frontier, Subtree, node_hash

HEIGHT: Final = 8
WIDTH: Final = 1 << HEIGHT
MAX_LEVEL: Final = 7
"""Of a tree of at most 2^63 - 1 leaves. The specification allows 63, above which no tile is served here."""
_PATH: Final = re.compile(
    r"tile/(?P<level>0|[1-9][0-9]?|entries)/(?P<index>(?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A tile by its place. `level` is None for a bundle of entries; `width` is 256 for a full one."""

    level: int | None
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """The path below the log's prefix."""
        digits = f"{self.index:03d}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
        place = "/".join([*(f"x{each}" for each in groups[:-1]), groups[-1]])
        level = "entries" if self.level is None else self.level
        return f"tile/{level}/{place}" + ("" if self.width == WIDTH else f".p/{self.width}")

    @property
    def first(self) -> int:
        """The number of its first hash, or entry, within its level."""
        return self.index * WIDTH

    def is_in(self, size: int) -> bool:
        """Whether a tree of this size has all of it."""
        return self.first + self.width <= size >> (HEIGHT * (self.level or 0))


def parse_path(path: str) -> Tile:
    """The tile of a path. Raises CheckpointError unless it is written in its one form."""
    found = _PATH.fullmatch(path)
    if found is None:
        raise CheckpointError("not the path of a tile")
    level = None if found["level"] == "entries" else int(found["level"])
    width = int(found["width"] or WIDTH)
    tile = Tile(level=level, index=int(found["index"].replace("/", "").replace("x", "")), width=width)
    if (level or 0) > MAX_LEVEL or width > WIDTH or tile.path != path or tile.first + width > MAX_SIZE:
        raise CheckpointError("not the path of a tile")
    return tile


def tiles_of(size: int, *, since: int = 0) -> Iterator[Tile]:
    """The hash tiles of a tree that one of `since` leaves does not have, from level 0 up."""
    for level in range(MAX_LEVEL + 1):
        end, begin = size >> (HEIGHT * level), since >> (HEIGHT * level)
        if not end:
            return
        for index in range(begin // WIDTH, -(-end // WIDTH)):
            width = min(WIDTH, end - index * WIDTH)
            if index * WIDTH + width > begin:
                yield Tile(level=level, index=index, width=width)


def entry_bundles(size: int, *, since: int = 0) -> Iterator[Tile]:
    """The bundles with the entries from `since` on."""
    for index in range(since // WIDTH, -(-size // WIDTH)):
        yield Tile(level=None, index=index, width=min(WIDTH, size - index * WIDTH))


def split_hashes(data: bytes, *, width: int) -> list[bytes]:
    """The hashes of a tile. Raises CheckpointError for another number of bytes."""
    if len(data) != width * HASH_BYTES:
        raise CheckpointError("a tile of another width")
    return [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)]


def encode_bundle(entries: list[bytes]) -> bytes:
    """Entries, each with its length before it."""
    return b"".join(len(each).to_bytes(2, "big") + each for each in entries)


def split_bundle(data: bytes, *, width: int) -> list[bytes]:
    """The entries of a bundle. Raises CheckpointError for another number of them, or a torn one."""
    found: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or end > len(data) or len(found) == width:
            raise CheckpointError("a bundle of other entries")
        found.append(data[at + 2 : end])
        at = end
    if len(found) != width:
        raise CheckpointError("a bundle of other entries")
    return found


def subtrees(hashes: Callable[[int, int, int], list[bytes]]) -> Subtree:
    """Complete subtrees, from `hashes(level, first, count)` of the levels of tiles."""

    def subtree(start: int, level: int) -> bytes:
        tile_level = min(level // HEIGHT, MAX_LEVEL)
        rest = level - tile_level * HEIGHT
        nodes = hashes(tile_level, start >> (tile_level * HEIGHT), 1 << rest)
        while len(nodes) > 1:
            nodes = [node_hash(nodes[i], nodes[i + 1]) for i in range(0, len(nodes), 2)]
        return nodes[0]

    return subtree


def completed(tree: Frontier, leaf: bytes) -> list[tuple[int, int, bytes]]:
    """Add a leaf hash; return level, number and hash of each subtree of a tile's level that it completes."""
    before = tree.size
    return [
        (level // HEIGHT, before >> level, node)
        for level, node in enumerate(tree.append(leaf))
        if level % HEIGHT == 0 and level // HEIGHT <= MAX_LEVEL
    ]
