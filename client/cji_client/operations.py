"""Parameters of the operations, for `JobSpec.operations`. docs/operations.md describes each."""

from worker.compute.operations.aggregate import Aggregate, Dominance
from worker.compute.operations.clear import Clear
from worker.compute.operations.deidentify import (
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
from worker.compute.operations.disseminate import Disseminate
from worker.compute.operations.link import Comparison, Condition, Key, Level, Link, Model, Rule
from worker.compute.operations.screen import Screen
from worker.compute.operations.validate import Validate

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
