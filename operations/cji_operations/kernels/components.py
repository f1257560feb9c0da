"""Connected components of a graph."""

import numpy as np

from cji_core.format.records.column import Ints


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
