"""A cell has no file, no import and no socket when records arrive: nothing on the way may want one."""

from tests.support.sealed_off import events

PREPARE = """
import pyarrow as pa
from cji_core.format import records
from cji_operations.registry import prepare
from cji_core.operations.registry import plan
from cji_core.wire.v1 import worker_pb2 as wire
from tests.support.contexts import context

names = ["SID", "DOB", "SOC", "OLN", "postcode", "last", "suffix", "first", "expires", "entered"]
values = [["x", None], ["20200101", "1"], ["123456", ""], ["12", "13"], ["12345", "1"], ["a", None], ["b", "c"],
          ["d", "e"], ["19820214", "1982-02-XX"], ["19820214", "1982-02-XX"]]
schema = records.tagged("hotfile/1", [pa.field(name, pa.utf8()) for name in names])
batch = pa.RecordBatch.from_arrays([pa.array(v, pa.utf8()) for v in values], schema=schema)
writer = records.StreamWriter(schema, max_batch_bytes=1 << 16)
messages = [writer.schema_message(), *writer.batch_messages(batch)]
data = b"".join(m.to_pybytes() for m in messages) + records.END_OF_STREAM
rules = [
    wire.ColumnRule(column="SID", hmac_token=wire.HmacToken(domain="d", bits=80)),
    wire.ColumnRule(column="DOB", date_shift=wire.DateShift(subject_column="SID", max_days=9)),
    wire.ColumnRule(column="SOC", mask=wire.Mask(keep_last=4, **{"with": "*"})),
    wire.ColumnRule(column="OLN", drop=wire.Drop()),
    wire.ColumnRule(column="postcode", generalise=wire.Generalise(zip_prefix=wire.ZipPrefix(digits=3))),
    wire.ColumnRule(column="last", keep=wire.Keep()),
    wire.ColumnRule(column="suffix", null=wire.Null()),
    wire.ColumnRule(column="first", drop=wire.Drop()),
    wire.ColumnRule(column="expires", generalise=wire.Generalise(date_to=wire.DateTo(unit=wire.DateTo.MONTH))),
    wire.ColumnRule(
        column="entered",
        generalise=wire.Generalise(age_band=wire.AgeBand(width=5, top=90, as_of="2026-01-01")),
    ),
]
sent = wire.Operation(
    deidentify=wire.Deidentify(project="p", wrapped_project_key=b"sealed", columns=rules)
).SerializeToString()
window = memoryview(bytearray(records.window_bytes(1 << 16)))
"""
ACT = """
operation = wire.Operation.FromString(sent)
(planned,) = plan([operation], {"records": "hotfile/1"}).operations
reader = records.StreamReader(window, max_batch_rows=10, max_batch_bytes=1 << 16)
reader.free[: len(data)] = data
reader.advance(len(data))
for batch in reader.batches():
    run = prepare(planned, reader.schema, context(bytes(32)))
    applied = run.apply(batch)
    result, status = applied.batch, applied.status
    writer = records.StreamWriter(run.output_schema, max_batch_bytes=1 << 16)
    out = [writer.schema_message(), *writer.batch_messages(result)]
    writer = records.StreamWriter(records.ROW_STATUS_SCHEMA, max_batch_bytes=1 << 16)
    out += [writer.schema_message(), *writer.batch_messages(status.to_batch(0))]
reader.finish()
status.counts()
damaged = records.StreamReader(window, max_batch_rows=10, max_batch_bytes=1 << 16)
damaged.free[:16] = bytes(16)
damaged.advance(16)
try:
    list(damaged.batches())
except Exception as refusal:
    str(refusal)
"""


def test_nothing_is_imported_or_opened_while_records_are_held() -> None:
    assert events(PREPARE, ACT) == "[]"


def test_the_watch_sees_an_import() -> None:
    assert "colorsys" in events(PREPARE, "import colorsys\n" + ACT)
