"""m of every level from pairs that people decided on.

A labelled pair of one person counts as the listed pairs that it stands for. Some stand for many and others for few, so
k of them say as much as fewer pairs of equal weight would: (sum of weights)² / (sum of their squares), after L. Kish,
"Survey Sampling" (1965). Beside so many pairs the m of the job counts as PRIOR_PAIRS further ones. A level that a
pair does not have, because a value is missing or another level settles it, says nothing.

u is not learnt from labels: those are of listed pairs, strangers that blocking brought together because they look
alike, while u is that of two records taken at random, which the records themselves show.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from cji_operations.link.dependence import Levels

Floats = npt.NDArray[np.float64]

PRIOR_PAIRS: Final = 20.0
"""The m of the job counts as this number of labelled pairs."""


def worth(each: Floats) -> float:
    """The number of pairs of equal weight that say as much as pairs that stand for `each`, float64[k], others."""
    squares = float((each**2).sum())
    return float(each.sum()) ** 2 / squares if squares else 0.0


def labelled_m(levels: Levels, each: Floats, m: Sequence[Floats]) -> list[Floats]:
    """M of every comparison, from levels int8[k, c] of labelled pairs of one person; `m` is that of the job."""
    weights = each * (worth(each) / max(float(each.sum()), 1e-300))
    found = list[Floats]()
    for column, before in zip(levels.T, m, strict=True):
        present = column >= 0
        counted = np.bincount(column[present], weights[present], len(before)) + PRIOR_PAIRS * before / before.sum()
        found.append(counted / counted.sum())
    return found
