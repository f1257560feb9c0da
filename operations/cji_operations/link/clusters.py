"""Clusters of records: which ones there are, by the weights of pairs.

By average linkage, a cluster is a claim about every pair in it: a pair that was not compared, or whose probability is
below 0.02, counts with the weight of that probability, strong evidence against. Two clusters are joined if a pair
across them is a match and the mean weight across them is not below the stop; so a pair for a clerk joins nothing.
Components of matches make no such claim: one wrong pair joins two families.

What two records have in common decides about equal records too. One unit stands for many of these: they are in one
cluster if they weigh enough for a match, or if the unit is joined with another one. Marks keep records apart: two
values of a column that has one for each person, or one source that has no duplicates.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from cji_core.format.records.column import Bools, Ints
from cji_core.operations.link.declaration import Link
from cji_operations.kernels.average_linkage import Marks, Sizes, average_linkage
from cji_operations.kernels.components import components
from cji_operations.link.score import Floats, Pairs, log2_odds
from cji_operations.link.units import Units

LEAST: Final = log2_odds(0.02)
"""The weight from which a pair counts, whatever the threshold for a clerk, and the weight that any other pair has."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Clusters:
    """root int64[u]: the lowest unit of the cluster of each unit; copies int64[u]: the records of each.

    together bool[u]: the records of a unit are in one cluster. `pairs` are those of different units from LEAST on, and
    own float64[u] is the weight of two records of one unit, NaN where there are none or the weight is low. Where two
    tables are linked, second bool[u] marks the units of the second one.
    """

    root: Ints
    copies: Ints
    together: Bools
    second: Bools | None
    pairs: Pairs
    own: Floats

    @property
    def sizes(self) -> Sizes:
        """Records of each cluster."""
        return Sizes.of(self.root, self.second, self.copies)


def cluster(
    pairs: Pairs,
    units: Units,
    second: Bools | None,
    marks: Marks | None,
    parameters: Link,
    *,
    names: Ints | None = None,
) -> Clusters:
    """The clusters of all units, of pairs that are in order; names int64[u] as of `average_linkage`."""
    match, n = log2_odds(parameters.match), len(units.first)
    own = _own(pairs, units)
    listed = pairs.from_weight(LEAST)
    copies, one_each = units.copies, np.zeros(n, np.bool_)
    if marks is not None:
        one_each = (marks.bits != 0).any(axis=0)  # equal records of one source are not one person's
        copies[one_each] = 1
    left, right = listed.left.astype(np.int64), listed.right.astype(np.int64)
    by_components = parameters.linkage == "components"
    if by_components and marks is None:
        matches = np.flatnonzero(listed.weight >= match)
        root = components(n, left[matches], right[matches])
    else:
        root = average_linkage(
            n,
            left,
            right,
            listed.weight,
            match=match,
            stop=match if by_components else parameters.cluster_stop,
            unlisted=LEAST,
            second=second,
            copies=copies if (copies > 1).any() else None,
            marks=marks,
            single=by_components,
            names=names,
        )
    joined = np.bincount(root, minlength=n)[root] > 1
    together = ~one_each & ((own >= match) | joined)
    return Clusters(root=root, copies=copies, together=together, second=second, pairs=listed, own=own)


def _own(pairs: Pairs, units: Units) -> Floats:
    """float64[u]: the weight of any two records of a unit: that of the unit with an equal one; NaN if not listed."""
    unit, twin = units.twins
    found = np.full(len(units.first), np.nan)
    code = (pairs.left.astype(np.int64) << 32) | pairs.right
    wanted = (np.minimum(unit, twin) << 32) | np.maximum(unit, twin)
    at = np.minimum(np.searchsorted(code, wanted), len(code) - 1)
    there = np.flatnonzero(code[at] == wanted) if len(code) else at[:0]
    found[unit[there]] = pairs.weight[at[there]]
    return found
