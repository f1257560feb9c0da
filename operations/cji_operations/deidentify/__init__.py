"""`deidentify`: one transform for each column, small classes, the token map."""

from cji_operations.deidentify.parameters import Deidentify, SmallClasses
from cji_operations.deidentify.rules import (
    AesToken,
    AgeBand,
    CmacToken,
    DateShift,
    DateTo,
    Ff1,
    Group,
    Hierarchy,
    HmacToken,
    Mask,
    Redact,
    Step,
    Transform,
    ZipPrefix,
)

__all__ = [
    "AesToken",
    "AgeBand",
    "CmacToken",
    "DateShift",
    "DateTo",
    "Deidentify",
    "Ff1",
    "Group",
    "Hierarchy",
    "HmacToken",
    "Mask",
    "Redact",
    "SmallClasses",
    "Step",
    "Transform",
    "ZipPrefix",
]
