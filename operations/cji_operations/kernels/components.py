"""Connected components of a graph, and of one whose edges come in portions."""

from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Ints

PORTION: Final = 1 << 20
"""Edges at once."""


def components(n: int, left: Ints, right: Ints) -> Ints:
    """int64[n]: the lowest node in the component of each node.

    left, right: int64[m], the edges, nodes from 0 to n - 1. Every round hooks the higher of two roots to the lower and
    halves all ways (Y. Shiloach, U. Vishkin, "An O(log n) parallel connectivity algorithm", J. Algorithms 3, 1982).
    """
    root = np.arange(n, dtype=np.int64)
    while len(left):
        a, b = root[left], root[right]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        while not np.array_equal(above := root[root], root):
            root = above
        apart = root[left] != root[right]
        left, right = left[apart], right[apart]
    return root


def forest(left: npt.NDArray[np.uint32], right: npt.NDArray[np.uint32]) -> tuple[Ints, Ints]:
    """(int64[k], int64[k]): edges of the same components, one less than each has nodes: to its lowest node."""
    nodes, place = np.unique(np.concatenate((left, right)), return_inverse=True)
    root = components(len(nodes), place[: len(left)], place[len(left) :])
    others = np.flatnonzero(root != np.arange(len(nodes)))
    return nodes[root[others]].astype(np.int64), nodes[others].astype(np.int64)


class Components:
    """The components of `n` nodes, below 2**32, in four bytes for each; `join` as often as there are edges."""

    def __init__(self, n: int) -> None:
        self._root = np.arange(n, dtype=np.uint32)

    def join(self, left: npt.NDArray[np.uint32], right: npt.NDArray[np.uint32]) -> None:
        """Add edges. The work does not grow with `n`."""
        for start in range(0, len(left), PORTION):
            one, other = (self._find(side[start : start + PORTION]) for side in (left, right))
            lower, higher = forest(one, other)
            self._root[higher] = lower.astype(np.uint32)

    def _find(self, nodes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
        root = self._root[nodes]
        while not np.array_equal(above := self._root[root], root):
            root = above
        self._root[nodes] = root
        return root

    def members(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        """(uint32[k], uint32[k]): all nodes of components of several nodes, ascending, and the lowest of each one's."""
        root = self._root
        for start in range(0, len(root), PORTION):
            self._find(np.arange(start, min(start + PORTION, len(root)), dtype=np.uint32))
        several = np.zeros(len(root), np.bool_)
        for start in range(0, len(root), PORTION):
            some = root[start : start + PORTION]
            others = np.flatnonzero(some != np.arange(start, start + len(some), dtype=np.uint32))
            several[start + others] = True
            several[some[others]] = True
        nodes = np.flatnonzero(several).astype(np.uint32)
        return nodes, root[nodes]
