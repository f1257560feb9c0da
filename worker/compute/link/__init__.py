"""Probabilistic record linkage: `link` and what a job says about it."""

from worker.compute.link.model import Comparison, Condition, Key, Level, Model, Parameters, Rule, check
from worker.compute.link.operation import Linked, bind, link
from worker.compute.link.splink import UnsupportedModelError, from_splink

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
