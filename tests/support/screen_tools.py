"""An inquiry and a record of one person, and `screen` on a few of them."""

import msgspec

from cji_core.operations.screen import Screen
from cji_core.operations.tables.screening import Rules
from cji_operations.screen import Limits, Outcome, Screened, run
from tests.reference import screen as twin

Row = dict[str, str | None]
PERSON = ("NAM", "DOB", "SEX", "RAC", "SOC", "FBI")
HOTFILE = (*PERSON, "NIC", "file_code", "EXL", "CMC")
SMITH: Row = {"NAM": "SMITH, JOHN", "DOB": "19800615", "SEX": "M", "RAC": "W", "SOC": None, "FBI": None}
RECORD: Row = {**SMITH, "NIC": None, "file_code": "W", "EXL": "A", "CMC": "00"}
BOTH_WAYS = msgspec.structs.replace(twin.PRESETS["ncic_qw"], identifiers_alone=False)


def screened(inquiries: list[Row], reference: list[Row], parameters: Screen, **limits: int) -> Screened:
    index = twin.index(reference, HOTFILE)
    return run(twin.batch("person/1", inquiries, PERSON), index, parameters, twin.MODEL, limits=Limits(**limits))


def is_hit(inquiry: Row, record: Row, rules: Rules) -> bool:
    return Outcome(screened([inquiry], [record], twin.asked(rules=rules)).outcome[0]) is Outcome.HIT
