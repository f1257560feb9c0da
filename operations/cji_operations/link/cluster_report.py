"""The report of `link` on clusters: how well each one holds together, and the matches that join none.

clusters  of each cluster of several records: its row in the records (its first record) and record id, rows, pairs that
          there can be, those that are listed, cohesion (the mean weight of all of them); and its weakest record, which
          has the lowest mean weight with the others: row, whether that is one of link_to, id, and the mean weight.
          Pairs are of records; of a record and of equal ones, the first row is shown
bridges   pairs that match while their records are in different clusters: left, right, record ids, weight, probability,
          the cluster of each (null: a record of link_to that is alone), the mean weight across the two clusters; by
          falling weight
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.format.records import arrow
from cji_core.format.records.column import Ints
from cji_core.operations.link.outputs import BRIDGES, CLUSTERS
from cji_operations.kernels.average_linkage import Sizes
from cji_operations.link.clusters import LEAST, Clusters
from cji_operations.link.rows import Rows, batch, parts
from cji_operations.link.score import probability
from cji_operations.link.units import Units

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ClusterReport:
    """The outputs of one job; `least` is the weight from which a pair is a match.

    root int64[n]: the lowest row of the cluster of each row.
    """

    clusters: Clusters
    units: Units
    root: Ints
    rows: Rows
    least: float

    def batches(self) -> dict[str, Iterator[pa.RecordBatch]]:
        """The parts by name."""
        return {CLUSTERS.name: self._clusters(), BRIDGES.name: self._bridges()}

    def _clusters(self) -> Iterator[pa.RecordBatch]:
        root, rows, first = self.clusters.root, self.rows, self.units.first
        sizes, copies = self.clusters.sizes, self.clusters.copies
        total, listed = self._inside()
        several = np.flatnonzero((sizes.all[root] > 1) & (self.clusters.together | (copies == 1)))
        mean = _mean(total[several], listed[several], self._others(sizes)[several])
        order = np.lexsort((mean, root[several]))
        starts = np.flatnonzero(np.diff(root[several][order], prepend=-1))
        weakest, weakest_mean = several[order[starts]], mean[order[starts]]
        heads = root[weakest]
        n = len(root)
        of_cluster, listed = _sums(root, total * copies, n) / 2, _sums(root, listed * copies, n).astype(np.int64) // 2
        row_counts = np.bincount(self.root, minlength=len(self.root))
        for part in parts(len(heads)):
            head, row = heads[part], first[weakest[part]]
            possible = sizes.within(head)
            yield batch(
                CLUSTERS,
                rows.numbered(first[head]),
                rows.named(first[head]),
                row_counts[first[head]],
                possible,
                listed[head],
                _mean(of_cluster[head], listed[head], possible),
                rows.positions(row),
                rows.of_second(row),
                rows.named(row),
                weakest_mean[part],
            )

    def _inside(self) -> tuple[Floats, Ints]:
        """(float64[u], int64[u]): sum and number of the listed weights of a record of each unit with its cluster's."""
        root, pairs, copies, own = self.clusters.root, self.clusters.pairs, self.clusters.copies, self.clusters.own
        inside = np.flatnonzero(root[pairs.left] == root[pairs.right])
        left, right, weight, n = pairs.left[inside], pairs.right[inside], pairs.weight[inside], len(root)
        of_left, of_right = copies[left], copies[right]
        one, others = np.concatenate((left, right)), np.concatenate((of_right, of_left))
        total = _sums(one, np.concatenate((weight, weight)) * others, n)
        listed = _sums(one, others, n).astype(np.int64)
        known = np.flatnonzero(own >= LEAST)
        total[known] += own[known] * (copies[known] - 1)
        listed[known] += copies[known] - 1
        return total, listed

    def _others(self, sizes: Sizes) -> Ints:
        """int64[u]: how many records of its cluster a record of each unit can be in a pair with."""
        root, second = self.clusters.root, self.clusters.second
        if sizes.second is None or second is None:
            return sizes.all[root] - 1
        return np.where(second, sizes.all[root] - sizes.second[root], sizes.second[root])

    def _bridges(self) -> Iterator[pa.RecordBatch]:
        root, rows, pairs, copies = self.clusters.root, self.rows, self.clusters.pairs, self.clusters.copies
        first = self.units.first
        left, right = root[pairs.left], root[pairs.right]
        code = (np.minimum(left, right) << 32) | np.maximum(left, right)
        bridges = np.flatnonzero((pairs.weight >= self.least) & (left != right))
        bridges = bridges[np.argsort(-pairs.weight[bridges], kind="stable")]
        across = np.unique(code[bridges])
        at = np.searchsorted(across[:-1], code)
        listed = np.flatnonzero(across[at] == code) if len(across) else np.empty(0, np.int64)
        stands_for = copies[pairs.left[listed]] * copies[pairs.right[listed]]
        total = _sums(at[listed], pairs.weight[listed] * stands_for, len(across))
        number = _sums(at[listed], stands_for, len(across)).astype(np.int64)
        mean = _mean(total, number, self.clusters.sizes.across(across >> 32, across & 0xFFFFFFFF))
        for part in parts(len(bridges)):
            which = bridges[part]
            weight = pairs.weight[which]
            of_left, of_right = first[pairs.left[which]], first[pairs.right[which]]
            right_root = first[right[which]]
            yield batch(
                BRIDGES,
                rows.numbered(of_left),
                rows.positions(of_right),
                rows.named(of_left),
                rows.named(of_right),
                weight,
                probability(weight),
                rows.numbered(first[left[which]]),
                arrow.from_numpy(rows.numbered(right_root), pa.uint64(), valid=~rows.of_second(right_root)),
                mean[at[which]],
            )


def _sums(groups: npt.NDArray[Any], weights: npt.NDArray[Any], n: int) -> Floats:
    """float64[n]: the sum of the weights of each group."""
    found: Floats = np.bincount(groups, weights, n).astype(np.float64, copy=False)
    return found


def _mean(total: Floats, listed: Ints, possible: Ints) -> Floats:
    """float64[k]: the mean weight of `possible` pairs, of which `listed` ones have this total."""
    found: Floats = (total + (possible - listed) * LEAST) / possible
    return found
