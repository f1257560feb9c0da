"""`link`, declared: probabilistic record linkage."""

from cji_core.operations.link.declaration import LINK, Link
from cji_core.operations.link.model import Comparison, Condition, Key, Level, Model, Rule
from cji_core.operations.link.splink_import import UnsupportedModelError, from_splink

__all__ = [
    "LINK",
    "Comparison",
    "Condition",
    "Key",
    "Level",
    "Link",
    "Model",
    "Rule",
    "UnsupportedModelError",
    "from_splink",
]
