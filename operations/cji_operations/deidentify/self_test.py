"""A row under every transform."""

from typing import Final

from cji_core.operations.deidentify.declaration import Deidentify, SmallClasses
from cji_core.operations.deidentify.rules import (
    AesToken,
    CmacToken,
    DateShift,
    Ff1,
    Group,
    Hierarchy,
    HmacToken,
    Mask,
    Redact,
    ZipPrefix,
)
from cji_operations.operation import Case

CASES: Final = (
    Case(
        schema="person/1",
        row={
            "last": "DOE",
            "DOB": "19700131",
            "postcode": "12345",
            "SOC": "123456789",
            "SEX": "U",
            "SID": "XX1",
            "EYE": "BRO",
            "OLN": "A1",
            "FBI": "123456A",
            "MNU": "PP-123456789",
            "RAC": "U",
            "SMT": "CALL 555-123-4567",
        },
        parameters=Deidentify(
            project="self-test",
            wrapped_project_key=bytes(384),
            columns={
                "last": "drop",
                "DOB": DateShift(subject_column="SID", max_days=30),
                "postcode": Hierarchy(steps=(ZipPrefix(digits=3), ZipPrefix(digits=1), "null")),
                "SOC": Mask(keep_last=2),
                "SEX": "keep",
                "SID": HmacToken(domain="sid"),
                "EYE": "null",
                "OLN": AesToken(domain="oln"),
                "FBI": Ff1(domain="fbi", radix=36),
                "MNU": CmacToken(domain="mnu"),
                "RAC": Group(groups={"other": ("U",)}),
                "SMT": Redact(),
            },
            small_classes=SmallClasses(quasi_identifiers=("SEX", "postcode"), k=2, sensitive=("RAC",)),
            token_map=True,
        ),
    ),
)
