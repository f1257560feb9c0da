"""Probabilistic record linkage: the operation `link`."""

from cji_operations.link.evaluation import Bin, Curve, Quality, calibration, cluster_quality, curve
from cji_operations.link.linkage import Linked, bind, link
from cji_operations.link.score import log2_odds

__all__ = [
    "Bin",
    "Curve",
    "Linked",
    "Quality",
    "bind",
    "calibration",
    "cluster_quality",
    "curve",
    "link",
    "log2_odds",
]
