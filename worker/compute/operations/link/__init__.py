"""Probabilistic record linkage: the operation `link`."""

from worker.compute.operations.link.linkage import Linked, bind, link
from worker.compute.operations.link.model import Comparison, Condition, Key, Level, Model, Rule
from worker.compute.operations.link.parameters import Link
from worker.compute.operations.link.splink_import import UnsupportedModelError, from_splink

__all__ = [
    "Comparison",
    "Condition",
    "Key",
    "Level",
    "Link",
    "Linked",
    "Model",
    "Rule",
    "UnsupportedModelError",
    "bind",
    "from_splink",
    "link",
]
