"""A row under every transform."""

from typing import Final

from worker.compute.operation import Case
from worker.compute.operations.deidentify.parameters import (
    AesToken,
    DateShift,
    Deidentify,
    Ff1,
    HmacToken,
    Mask,
    SmallClasses,
    ZipPrefix,
)

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
        },
        parameters=Deidentify(
            project="self-test",
            wrapped_project_key=bytes(384),
            columns={
                "last": "drop",
                "DOB": DateShift(subject_column="SID", max_days=30),
                "postcode": ZipPrefix(),
                "SOC": Mask(keep_last=2),
                "SEX": "keep",
                "SID": HmacToken(domain="sid"),
                "EYE": "null",
                "OLN": AesToken(domain="oln"),
                "FBI": Ff1(domain="fbi", radix=36),
            },
            small_classes=SmallClasses(quasi_identifiers=("SEX", "postcode"), k=2),
            token_map=True,
        ),
    ),
)
