"""`deidentify`, declared: one transform for each column, small classes, the token map."""

from cji_core.operations.deidentify.declaration import DEIDENTIFY, Deidentify, SmallClasses
from cji_core.operations.deidentify.rules import (
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
    "DEIDENTIFY",
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
