"""Parameters of the operations, for `JobSpec.operations`. docs/operations.md describes each."""

from cji_operations.aggregate import Aggregate, Dominance
from cji_operations.clear import Clear
from cji_operations.deidentify import (
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
from cji_operations.disseminate import Disseminate
from cji_operations.link import Comparison, Condition, Key, Level, Link, Model, Rule
from cji_operations.screen import Screen
from cji_operations.validate import Validate

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
    "Model",
    "Redact",
    "Rule",
    "Screen",
    "SmallClasses",
    "Step",
    "Transform",
    "Validate",
    "ZipPrefix",
]
