"""Parameters of the operations, for `JobSpec.operations`. docs/operations.md describes each."""

from cji_core.operations.aggregate import Aggregate, Dominance, Privacy
from cji_core.operations.clear import Clear
from cji_core.operations.deidentify import (
    AesToken,
    AgeBand,
    CmacToken,
    DateShift,
    DateTo,
    Deidentify,
    Ff1,
    Group,
    Hierarchy,
    HmacToken,
    Mask,
    Redact,
    SmallClasses,
    Step,
    Transform,
    ZipPrefix,
)
from cji_core.operations.disseminate import Disseminate
from cji_core.operations.link import Comparison, Condition, Key, Level, Link, Model, Rule
from cji_core.operations.match_orders import MatchOrders
from cji_core.operations.redact import Redaction
from cji_core.operations.screen import Screen
from cji_core.operations.standardize import Standardize
from cji_core.operations.validate import Validate

__all__ = [
    "AesToken",
    "AgeBand",
    "Aggregate",
    "Clear",
    "CmacToken",
    "Comparison",
    "Condition",
    "DateShift",
    "DateTo",
    "Deidentify",
    "Disseminate",
    "Dominance",
    "Ff1",
    "Group",
    "Hierarchy",
    "HmacToken",
    "Key",
    "Level",
    "Link",
    "Mask",
    "MatchOrders",
    "Model",
    "Privacy",
    "Redact",
    "Redaction",
    "Rule",
    "Screen",
    "SmallClasses",
    "Standardize",
    "Step",
    "Transform",
    "Validate",
    "ZipPrefix",
]
