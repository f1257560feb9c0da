"""Clusters by average linkage: a cluster is a claim about every pair in it, so one strong pair cannot join two groups.

R. R. Sokal, C. D. Michener, "A statistical method for evaluating systematic relationships", Univ. Kansas Sci. Bull. 38
(1958) 1409-1438. The weight between two clusters is the mean weight of the pairs across them, and a pair that is not
listed has a weight of its own. In every round, all pairs of clusters that are each other's best are joined; joining
never makes another pair's weight higher than the higher one of its parts, so this is greedy linkage, in few rounds.
Weights are compared to 1/16 bit, and equal ones in a scattered order, so that no chain of weights makes many rounds.

A node may stand for several that are equal. Single linkage takes the highest weight across two clusters for the mean
one. Marks keep nodes apart, whatever weighs for joining them: with those of one label, or with any shared bit.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools, Ints
from cji_operations.kernels.hashing import mixed

Floats = npt.NDArray[np.float64]

STEPS: Final = 16
"""Weights are compared in this part of their unit."""
_NONE: Final = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Edges:
    """`e` pairs of clusters with a listed pair across them: a < b int64[e], the lowest nodes of both.

    total float64[e], listed int64[e], best float64[e]: sum, number and maximum of the listed weights.
    """

    a: Ints
    b: Ints
    total: Floats
    listed: Ints
    best: Floats

    def __len__(self) -> int:
        return len(self.a)

    @classmethod
    def of(cls, left: Ints, right: Ints, weight: Floats, copies: Ints | None) -> Self:
        """Of listed pairs of nodes, with the number of records that each node stands for."""
        listed = np.ones(len(left), np.int64) if copies is None else copies[left] * copies[right]
        total = weight if copies is None else weight * listed
        return cls(a=np.minimum(left, right), b=np.maximum(left, right), total=total, listed=listed, best=weight)

    def some(self, which: Bools | Ints) -> Self:
        """These edges."""
        return type(self)(
            a=self.a[which], b=self.b[which], total=self.total[which], listed=self.listed[which], best=self.best[which]
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Marks:
    """Reasons to keep nodes apart: different labels int64[l, n], -1 for none, and shared bits uint64[w, n]."""

    labels: Ints
    bits: npt.NDArray[np.uint64]

    def copy(self) -> Self:
        """Marks that are changed while clusters are joined."""
        return type(self)(labels=self.labels.copy(), bits=self.bits.copy())

    def allow(self, a: Ints, b: Ints) -> Bools:
        """bool[e]: two clusters, by their lowest nodes, may be one."""
        found = np.ones(len(a), np.bool_)
        for label in self.labels:
            found &= (label[a] == label[b]) | (label[a] < 0) | (label[b] < 0)
        for bit in self.bits:
            found &= (bit[a] & bit[b]) == 0
        return found

    def join(self, a: Ints, b: Ints) -> None:
        """Give the marks of b to a."""
        self.labels[:, a] = np.maximum(self.labels[:, a], self.labels[:, b])
        self.bits[:, a] |= self.bits[:, b]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Sizes:
    """Nodes of each cluster, int64[n], by its lowest one: all, and those of the second table where there are two."""

    all: Ints
    second: Ints | None

    @classmethod
    def of(cls, root: Ints, second: Bools | None, copies: Ints | None = None) -> Self:
        """The sizes of the clusters in which root int64[n] is the lowest node of each node.

        copies int64[n]: how many nodes each stands for; None for one.
        """

        def added(which: Ints | Bools | slice) -> Ints:
            of_node = None if copies is None else copies[which]
            return np.bincount(root[which], of_node, len(root)).astype(np.int64, copy=False)

        return cls(all=added(slice(None)), second=None if second is None else added(second))

    def across(self, a: Ints, b: Ints) -> Ints:
        """int64[e]: how many pairs there can be across two clusters; two nodes of one of two tables form none."""
        found: Ints = self.all[a] * self.all[b]
        if self.second is None:
            return found
        of_a, of_b = self.second[a], self.second[b]
        return found - of_a * of_b - (self.all[a] - of_a) * (self.all[b] - of_b)

    def within(self, a: Ints) -> Ints:
        """int64[e]: how many pairs there can be in a cluster."""
        if self.second is None:
            return self.all[a] * (self.all[a] - 1) // 2
        return self.second[a] * (self.all[a] - self.second[a])

    def join(self, a: Ints, b: Ints) -> None:
        """Move the nodes of b to a; no cluster is named twice."""
        self.all[a] += self.all[b]
        if self.second is not None:
            self.second[a] += self.second[b]


def average_linkage(
    n: int,
    left: Ints,
    right: Ints,
    weight: Floats,
    *,
    match: float,
    stop: float,
    unlisted: float,
    second: Bools | None = None,
    copies: Ints | None = None,
    marks: Marks | None = None,
    single: bool = False,
    names: Ints | None = None,
) -> Ints:
    """int64[n]: the lowest node in the cluster of each node.

    left, right: int64[m], nodes from 0 to n - 1, no pair twice, none of one node; weight float64[m]. Two clusters are
    joined if the mean weight of the pairs across them is at least `stop`, and the highest one at least `match`;
    `unlisted`, at most `stop`, is the weight of a pair that is not listed. second bool[n] marks the nodes of the second
    of two tables, whose pairs have a node of each. copies int64[n]: how many nodes each stands for. With `single`, the
    highest weight across two clusters takes the place of the mean. names int64[n], ascending: the numbers of the nodes
    in a larger graph, of which this is some components; then the result is that of the larger graph.
    """
    root = np.arange(n, dtype=np.int64)
    sizes = Sizes.of(root, second, copies)
    marks = None if marks is None else marks.copy()
    edges = _Edges.of(left, right, weight, copies)
    scratch = np.empty((2, n), np.int64)
    while len(edges):
        if marks is not None:
            edges = edges.some(marks.allow(edges.a, edges.b))
        possible = sizes.across(edges.a, edges.b)
        mean = edges.best if single else (edges.total + (possible - edges.listed) * unlisted) / possible
        open_ = np.flatnonzero(_open(edges, mean >= stop, n) & _open(edges, edges.best >= match, n))
        edges, mean = edges.some(open_), mean[open_]
        strong = np.flatnonzero((mean >= stop) & (edges.best >= match))
        if not len(strong):
            break
        best = strong[_mutual_best(edges.a[strong], edges.b[strong], mean[strong], scratch, names)]
        a, b = edges.a[best], edges.b[best]
        root[b] = a
        sizes.join(a, b)
        if marks is not None:
            marks.join(a, b)
        edges = _contracted(edges, a, b, root)
    while not np.array_equal(above := root[root], root):
        root = above
    return root


def _open(edges: _Edges, which: Bools, n: int) -> Bools:
    """bool[e]: both clusters have such an edge; one without gets none, whatever its neighbours are joined with."""
    has = np.zeros(n, np.bool_)
    has[edges.a[which]] = True
    has[edges.b[which]] = True
    both: Bools = has[edges.a] & has[edges.b]
    return both


def _mutual_best(a: Ints, b: Ints, mean: Floats, scratch: Ints, names: Ints | None) -> Bools:
    """bool[e]: the edge is the best one of both its clusters; `scratch` int64[2, n] is overwritten."""
    rank = np.rint(mean * STEPS).astype(np.int64)
    highest = _highest(scratch[0], a, b, rank, rank)
    of_a, of_b = rank == highest[a], rank == highest[b]
    order = scattered(a, b) if names is None else scattered(names[a], names[b])
    first = _highest(scratch[1], a, b, np.where(of_a, order, _NONE), np.where(of_b, order, _NONE))
    found: Bools = of_a & of_b & (order == first[a]) & (order == first[b])
    return found


def _highest(found: Ints, a: Ints, b: Ints, key_a: Ints, key_b: Ints) -> Ints:
    """`found` with the highest key of every node in a and b."""
    found[a] = _NONE
    found[b] = _NONE
    np.maximum.at(found, a, key_a)
    np.maximum.at(found, b, key_b)
    return found


def scattered(a: Ints, b: Ints) -> Ints:
    """int64[e]: a number for each pair of nodes below 2**32, no two alike, in no visible order.

    SplitMix64's finaliser is a bijection.
    """
    return mixed((a.astype(np.uint64) << np.uint64(32)) | b.astype(np.uint64)).view(np.int64)


def _contracted(edges: _Edges, a: Ints, b: Ints, root: Ints) -> _Edges:
    """The edges after the clusters b were joined to a: those within one are gone, those of one pair are one."""
    joined = np.zeros(len(root), np.bool_)
    joined[a] = True
    joined[b] = True
    touched = joined[edges.a] | joined[edges.b]
    rest, moved = edges.some(~touched), edges.some(touched)
    one, other = root[moved.a], root[moved.b]
    code = (np.minimum(one, other) << 32) | np.maximum(one, other)
    apart = np.flatnonzero(one != other)
    order = apart[np.argsort(code[apart], kind="stable")]  # sums are added in one order, whatever the machine
    code = code[order]
    starts = np.flatnonzero(np.diff(code, prepend=-1))
    number = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(code)))
    code = code[starts]
    return _Edges(
        a=np.concatenate((rest.a, code >> 32)),
        b=np.concatenate((rest.b, code & 0xFFFFFFFF)),
        total=np.concatenate((rest.total, np.bincount(number, moved.total[order], len(starts)))),
        listed=np.concatenate((rest.listed, np.bincount(number, moved.listed[order], len(starts)).astype(np.int64))),
        best=np.concatenate(
            (rest.best, np.maximum.reduceat(moved.best[order], starts) if len(starts) else rest.best[:0])
        ),
    )
