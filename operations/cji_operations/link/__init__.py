"""Probabilistic record linkage: the operation `link`."""

from cji_operations.link.evaluation import Bin, Curve, Quality, calibration, cluster_quality, curve
from cji_operations.link.linkage import Linked, bind, link
from cji_operations.link.model import Comparison, Condition, Key, Level, Model, Rule
from cji_operations.link.parameters import Link
from cji_operations.link.score import log2_odds
from cji_operations.link.splink_import import UnsupportedModelError, from_splink

__all__ = [
    "Bin",
    "Comparison",
    "Condition",
    "Curve",
    "Key",
    "Level",
    "Link",
    "Linked",
    "Model",
    "Quality",
    "Rule",
    "UnsupportedModelError",
    "bind",
    "calibration",
    "cluster_quality",
    "curve",
    "from_splink",
    "link",
    "log2_odds",
]
