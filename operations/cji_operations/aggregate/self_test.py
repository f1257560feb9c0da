"""A person in a cell, and a NIBRS segment on no line."""

from typing import Final

from cji_core.operations.aggregate import Aggregate, Dominance
from cji_operations.operation import Case

CASES: Final = (
    Case(
        schema="nibrs.flat/3.1",
        row={"segment": "00431I012026    GA0600000" + "X" * 18},
        parameters=Aggregate(preset="srs_return_a", reports="accepted", months=("2026-01",), threshold=2),
        sides={
            "incidents": (
                "nibrs_verdicts/1",
                {"row": 0, "ori": "GA0600000", "number": "XXXXXXXXXXXX", "accepted": True},
            )
        },
    ),
    Case(
        schema="person/1",
        row={"SEX": "M", "SID": "XX1", "WGT": "150"},
        parameters=Aggregate(
            keys={"SEX": ("F", "M")}, person="SID", sums=("WGT",), threshold=2, base=5, dominance=Dominance(percent=80)
        ),
    ),
)
