"""A cell that decides on clearance imports nothing and opens nothing once it has records."""

from tests.support.sealed_off import events

PREPARE = """
from tests.support.clear_tools import AS_OF, batch, conviction
from tests.support.contexts import context
from cji_core.operations.clear import CLEAR, Clear, read_rules
from cji_operations.registry import prepare
from cji_core.operations.registry import plan

with open("core/cji_core/operations/clear/california.toml", "rb") as file:
    CALIFORNIA = read_rules(file.read())

rows = [
    conviction(),
    conviction(offense="SEE COMMENT FOR CHARGE", comment="11357(A) HS", level="X", date="x", sentence_length="LIFE"),
    conviction(subject=None),
    conviction(offense="470 PC", sentence="PRISON"),
    conviction(DOB=None, event=None, deceased=None, offense=None),
]
records = batch(rows)
message = CLEAR.message(Clear(table=CALIFORNIA, as_of=AS_OF, county="SOMEWHERE")).SerializeToString()
given = context()
"""
ACT = """
from_wire = type(CLEAR.message(Clear(table=CALIFORNIA, as_of=AS_OF))).FromString(message)
(planned,) = plan([from_wire], {"records": "chri_event/2"}).operations
found = prepare(planned, records.schema, given).run([records], lambda *_: None)
made = [*found.result, *(each for part in found.parts.values() for each in part)]
found.status.to_batch(0)
found.status.counts()
"""


def test_nothing_is_imported_or_opened_while_records_are_held() -> None:
    assert events(PREPARE, ACT) == "[]"


def test_the_watch_sees_an_import() -> None:
    assert "colorsys" in events(PREPARE, "import colorsys\n" + ACT)
