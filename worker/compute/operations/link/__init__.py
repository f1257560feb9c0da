"""Probabilistic record linkage: the operation `link`."""

from worker.compute.operations.link.linkage import Linked, bind, link
from worker.compute.operations.link.model import Comparison, Condition, Key, Level, Model, Parameters, Rule, check
from worker.compute.operations.link.splink_import import UnsupportedModelError, from_splink

__all__ = [
    "Comparison",
    "Condition",
    "Key",
    "Level",
    "Linked",
    "Model",
    "Parameters",
    "Rule",
    "UnsupportedModelError",
    "bind",
    "check",
    "from_splink",
    "link",
]
