"""A cell that standardizes imports nothing and opens nothing once it has records."""

from tests.support.sealed_off import events

PREPARE = """
from dataclasses import replace
import pyarrow as pa
from tests.support.contexts import context
from tests.support.redact_tools import side
from cji_core.format.records import tagged
from cji_core.operations.standardize import STANDARDIZE, Standardize
from cji_operations.registry import prepare
from cji_core.operations.registry import plan

names = {"NAM": "name", "address_1": "address", "state": "state", "postcode": "zip", "DOB": "date", "MKE": "offense"}
schema = tagged("hotfile/1", [pa.field(name, pa.binary()) for name in names])
values = ["Peña, José".encode(), b"1 main street", b"texas", b"78701", b"2/4/1982", b"x\\xff"]
batch = pa.RecordBatch.from_arrays([pa.array([each, None, b"?"], pa.binary()) for each in values], schema=schema)
given = replace(context(), sides={"offense_codes": [side("offense_codes/1", code=["a"], standard=["120"])]})
message = STANDARDIZE.message(Standardize(columns=names)).SerializeToString()
kind = type(STANDARDIZE.message(Standardize(columns=names)))
"""
ACT = """
(planned,) = plan([kind.FromString(message)], {"offense_codes": "offense_codes/1", "records": "hotfile/1"}).operations
applied = prepare(planned, schema, given).apply(batch)
applied.status.to_batch(0)
"""


def test_nothing_is_imported_or_opened_while_records_are_held() -> None:
    assert events(PREPARE, ACT) == "[]"


def test_the_watch_sees_an_import() -> None:
    assert "colorsys" in events(PREPARE, "import colorsys\n" + ACT)
