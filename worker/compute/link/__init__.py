"""Probabilistic record linkage: `link` and what a job says about it."""

from worker.compute.link.model import Comparison, Condition, Key, Level, Model, Parameters, Rule, check
from worker.compute.link.operation import NO_BLOCKING_KEY, Linked, bind, link

__all__ = [
    "NO_BLOCKING_KEY",
    "Comparison",
    "Condition",
    "Key",
    "Level",
    "Linked",
    "Model",
    "Parameters",
    "Rule",
    "bind",
    "check",
    "link",
]
