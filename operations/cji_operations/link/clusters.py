"""Clusters of records: which ones there are, by the weights of pairs.

By average linkage, a cluster is a claim about every pair in it: a pair that was not compared, or whose probability is
below 0.02, counts with the weight of that probability, strong evidence against. Two clusters are joined if a pair
across them is a match and the mean weight across them is not below the stop; so a pair for a clerk joins nothing.
Components of matches make no such claim: one wrong pair joins two families.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from cji_core.format.records.column import Bools, Ints
from cji_core.operations.link.declaration import Link
from cji_operations.kernels.average_linkage import average_linkage
from cji_operations.kernels.components import components
from cji_operations.link.score import Pairs, log2_odds

LEAST: Final = log2_odds(0.02)
"""The weight from which a pair counts, whatever the threshold for a clerk, and the weight that any other pair has."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Clusters:
    """root int64[n]: the lowest row of the cluster of each row. `pairs` are those from LEAST on.

    Where two tables are linked, second bool[n] marks the rows of the second one.
    """

    root: Ints
    second: Bools | None
    pairs: Pairs


def cluster(pairs: Pairs, n: int, second: Bools | None, parameters: Link) -> Clusters:
    """The clusters of `n` rows."""
    listed = pairs.from_weight(LEAST)
    if parameters.linkage == "components":
        matches = pairs.from_weight(log2_odds(parameters.match))
        root = components(n, matches.left.astype(np.int64), matches.right.astype(np.int64))
    else:
        root = average_linkage(
            n,
            listed.left.astype(np.int64),
            listed.right.astype(np.int64),
            listed.weight,
            match=log2_odds(parameters.match),
            stop=parameters.cluster_stop,
            unlisted=LEAST,
            second=second,
        )
    return Clusters(root=root, second=second, pairs=listed)
