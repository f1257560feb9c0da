"""The threshold chart of `cji link evaluate`: precision, recall and F1 by match weight, in the design of all charts."""

from typing import Final

import numpy as np

from cji_client.charts import Chart
from cji_core.page.curves import Curve as Line
from cji_core.page.curves import curves
from cji_core.page.distributions import Mark
from cji_operations.link import Curve, log2_odds

_POINTS: Final = 400


def chart(curve: Curve, *, match: float, title: str) -> Chart:
    """The qualities between the least and the greatest weight of the pairs; the threshold `match` is marked."""
    mark = Mark(at=log2_odds(match), name=f"match {match:g}")
    weights = np.append(curve.weight[np.isfinite(curve.weight)], mark.at)
    at = np.linspace(float(weights.min()) - 0.5, float(weights.max()) + 0.5, _POINTS).tolist()
    qualities = [curve.at(weight) for weight in at]
    lines = [
        Line(name="precision", points=[(x, one.precision) for x, one in zip(at, qualities, strict=True)]),
        Line(name="recall", points=[(x, one.recall) for x, one in zip(at, qualities, strict=True)]),
        Line(name="F1", points=[(x, one.f1) for x, one in zip(at, qualities, strict=True)]),
    ]
    return Chart.of(title, curves(lines, [mark], "match weight in bits", title))
