"""The Merkle tree over the lines of a trail: RFC 9162 §2.1 with SHA-256.

Leaf `i` is line `i + 1` with its line feed. A tree is named by its size and its root: two trees with the same root have
the same lines, an inclusion proof shows that one line is in a tree, and a consistency proof that a tree continues an
earlier one, both without the other lines.

    leaf hash = SHA-256(00 ‖ line)      node hash = SHA-256(01 ‖ left ‖ right)

A tree of `size` leaves splits at the largest power of two below `size`. Its complete subtrees, largest first, are its
*peaks*; `Frontier` keeps only them, so a tree can be continued with at most 63 hashes.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from cji_core.errors import CoreError

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256().digest()
MAX_SIZE: Final = (1 << 63) - 1

Subtree = Callable[[int, int], bytes]
"""`subtree(start, level)`: the root of the complete subtree over the leaves `start` to `start + 2**level`."""


class ProofError(CoreError):
    """A proof does not fit the roots that it is for."""

    code = "proof-invalid"
    remedy = "Make the proof again from the whole trail."


def leaf_hash(line: bytes) -> bytes:
    """The hash of a leaf, 32 bytes."""
    return hashlib.sha256(b"\0" + line).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees, 32 bytes."""
    return hashlib.sha256(b"\1" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: its size, and its peaks."""

    __slots__ = ("peaks", "size")

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        """Raises ValueError unless there are as many peaks as a tree of this size has."""
        if not 0 <= size <= MAX_SIZE or len(peaks) != size.bit_count() or any(len(p) != HASH_BYTES for p in peaks):
            raise ValueError("peaks of another size")
        self.size, self.peaks = size, list(peaks)

    def levels(self) -> list[int]:
        """The level of each peak."""
        return [level for level in range(self.size.bit_length() - 1, -1, -1) if self.size >> level & 1]

    def append(self, leaf: bytes) -> list[bytes]:
        """Add a leaf by its hash; return the roots of the complete subtrees that end with it, from the leaf upwards."""
        completed, size = [leaf], self.size
        while size & 1:
            completed.append(node_hash(self.peaks.pop(), completed[-1]))
            size >>= 1
        self.peaks.append(completed[-1])
        self.size += 1
        return completed

    def root(self) -> bytes:
        """The root of the tree as it is now."""
        if not self.peaks:
            return EMPTY_ROOT
        node = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            node = node_hash(peak, node)
        return node

    def encode(self) -> bytes:
        """Size and peaks as bytes, for `decode`."""
        return self.size.to_bytes(8, "big") + b"".join(self.peaks)

    @classmethod
    def decode(cls, data: bytes) -> "Frontier":
        """The frontier that `encode` wrote. Raises ValueError."""
        size, rest = int.from_bytes(data[:8], "big"), data[8:]
        if len(data) < 8 or len(rest) % HASH_BYTES:
            raise ValueError("not a frontier")
        return cls(size, [rest[i : i + HASH_BYTES] for i in range(0, len(rest), HASH_BYTES)])


def root_of(start: int, end: int, subtree: Subtree) -> bytes:
    """The root over the leaves `start` to `end`, from complete subtrees; `start` is a multiple of a power >= its size.

    Raises ValueError for a range without leaves.
    """
    if not 0 <= start < end:
        raise ValueError("no leaves")
    size = end - start
    if size & (size - 1) == 0:
        return subtree(start, size.bit_length() - 1)
    split = _split(size)
    return node_hash(root_of(start, start + split, subtree), root_of(start + split, end, subtree))


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """The hashes that lead from leaf `index` (from 0) to the root of the tree of `size` leaves: RFC 9162 §2.1.3.1."""
    if not 0 <= index < size:
        raise ValueError("no such leaf")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(root_of(middle, end, subtree))
            end = middle
        else:
            path.append(root_of(start, middle, subtree))
            start = middle
    path.reverse()
    return path


def consistency_proof(earlier: int, size: int, subtree: Subtree) -> list[bytes]:
    """The hashes that show that the tree of `size` leaves continues that of `earlier` leaves: RFC 9162 §2.1.4.1."""
    if not 0 < earlier <= size:
        raise ValueError("no such trees")
    path: list[bytes] = []
    start, end, whole = 0, size, True
    while earlier != end:
        middle = start + _split(end - start)
        if earlier <= middle:
            path.append(root_of(middle, end, subtree))
            end = middle
        else:
            path.append(root_of(start, middle, subtree))
            start, whole = middle, False
    if not whole:
        path.append(root_of(start, end, subtree))
    path.reverse()
    return path


def range_proof(first: int, end: int, size: int, subtree: Subtree) -> list[bytes]:
    """The roots of all that is left and right of the leaves `first` to `end`, in order, for `verify_range`."""
    if not 0 <= first < end <= size:
        raise ValueError("no such leaves")
    path: list[bytes] = []

    def visit(start: int, stop: int) -> None:
        if stop <= first or end <= start:
            path.append(root_of(start, stop, subtree))
        elif start < first or end < stop:
            middle = start + _split(stop - start)
            visit(start, middle)
            visit(middle, stop)

    visit(0, size)
    return path


def verify_range(
    leaves: Iterable[bytes], *, first: int, end: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Return if `leaves` (leaf hashes) are all the leaves `first` to `end` of this tree. Raises ProofError.

    The tree is split as in its definition (RFC 9162 §2.1.1): a part without any of the leaves is the next hash of the
    proof, a part of nothing else is computed from them.
    """
    if not 0 <= first < end <= size <= MAX_SIZE:
        raise ProofError("no such leaves")
    _require_hashes(proof)
    hashes, given = iter(proof), iter(leaves)

    def visit(start: int, stop: int) -> bytes:
        if stop <= first or end <= start:
            return _next(hashes, "too few hashes")
        if first <= start and stop <= end:
            tree = Frontier()
            for _ in range(start, stop):
                tree.append(_next(given, "too few lines"))
            return tree.root()
        middle = start + _split(stop - start)
        return node_hash(visit(start, middle), visit(middle, stop))

    found = visit(0, size)
    if next(given, None) is not None:
        raise ProofError("too many lines")
    if next(hashes, None) is not None:
        raise ProofError("too many hashes")
    if found != root:
        raise ProofError("the lines are not in this tree")


def root_from_inclusion(leaf: bytes, *, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root of the tree that has `leaf` (a leaf hash) as leaf `index` by this proof. Raises ProofError."""
    if not 0 <= index < size <= MAX_SIZE:
        raise ProofError("no such leaf")
    _require_hashes(proof)
    node = leaf
    for each, left in _climb(index, size - 1, proof):
        node = node_hash(each, node) if left else node_hash(node, each)
    return node


def verify_inclusion(leaf: bytes, *, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Return if `leaf` (a leaf hash) is leaf `index` of this tree: RFC 9162 §2.1.3.2. Raises ProofError."""
    if root_from_inclusion(leaf, index=index, size=size, proof=proof) != root:
        raise ProofError("the line is not in this tree")


def verify_consistency(*, earlier: int, earlier_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Return if the tree of `size` leaves continues that of `earlier` leaves: RFC 9162 §2.1.4.2. Raises ProofError."""
    if not 0 < earlier <= size:
        raise ProofError("no such trees")
    _require_hashes(proof)
    if earlier == size:
        if proof or earlier_root != root:
            raise ProofError("two trees of one size differ")
        return
    path = list(proof)
    if earlier & (earlier - 1) == 0:
        path.insert(0, earlier_root)
    if not path:
        raise ProofError("too few hashes")
    at, last = earlier - 1, size - 1
    while at & 1:
        at >>= 1
        last >>= 1
    old = new = path[0]
    for each, left in _climb(at, last, path[1:]):
        old = node_hash(each, old) if left else old
        new = node_hash(each, new) if left else node_hash(new, each)
    if old != earlier_root or new != root:
        raise ProofError("the later tree does not continue the earlier one")


def _split(size: int) -> int:
    """The largest power of two below `size`, which is at least 2."""
    return 1 << ((size - 1).bit_length() - 1)


def _climb(at: int, last: int, proof: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each hash from node `at` of a level up to the root, and whether it is the left one; `last` is the last node."""
    for each in proof:
        if not last:
            raise ProofError("too many hashes")
        left = bool(at & 1) or at == last
        yield each, left
        if left:
            while at and not at & 1:
                at >>= 1
                last >>= 1
        at >>= 1
        last >>= 1
    if last:
        raise ProofError("too few hashes")


def _next(hashes: Iterator[bytes], missing: str) -> bytes:
    found = next(hashes, None)
    if found is None:
        raise ProofError(missing)
    return found


def _require_hashes(proof: Sequence[bytes]) -> None:
    if len(proof) > 2 * MAX_SIZE.bit_length() or any(len(each) != HASH_BYTES for each in proof):
        raise ProofError("not a list of hashes")
