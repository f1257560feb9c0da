"""`deidentify`: one transform for each column, small classes, the token map."""

from worker.compute.operations.deidentify.parameters import (
    AesToken,
    AgeBand,
    DateShift,
    DateTo,
    Deidentify,
    Ff1,
    HmacToken,
    Mask,
    SmallClasses,
    Transform,
    ZipPrefix,
)

__all__ = [
    "AesToken",
    "AgeBand",
    "DateShift",
    "DateTo",
    "Deidentify",
    "Ff1",
    "HmacToken",
    "Mask",
    "SmallClasses",
    "Transform",
    "ZipPrefix",
]
