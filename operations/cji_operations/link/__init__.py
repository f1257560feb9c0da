"""Probabilistic record linkage: the operation `link`."""

from cji_operations.link.evaluation import Curve, Quality, calibration, calibration_error, cluster_quality, curve
from cji_operations.link.false_share import FalseShare, false_share
from cji_operations.link.linkage import Linked, link
from cji_operations.link.score import log2_odds

__all__ = [
    "Curve",
    "FalseShare",
    "Linked",
    "Quality",
    "calibration",
    "calibration_error",
    "cluster_quality",
    "curve",
    "false_share",
    "link",
    "log2_odds",
]
