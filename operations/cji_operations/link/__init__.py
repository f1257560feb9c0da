"""Probabilistic record linkage: the operation `link`."""

from cji_operations.link.evaluation import Curve, Quality, calibration, cluster_quality, curve
from cji_operations.link.linkage import Linked, link
from cji_operations.link.score import log2_odds

__all__ = [
    "Curve",
    "Linked",
    "Quality",
    "calibration",
    "cluster_quality",
    "curve",
    "link",
    "log2_odds",
]
