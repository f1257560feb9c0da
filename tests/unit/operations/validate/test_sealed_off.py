"""A cell can open nothing when records are there: judging imports no module and opens no file."""

from tests.support.sealed_off import events

PREPARE = """
from datetime import date
import numpy as np
import pyarrow as pa
from tests.support.nibrs_reports import REPORTS, lines
from tests.support.nibrs_mutations import MUTATIONS
from tests.support.nibrs_tools import side
from cji_core.format.records.lines import split
from cji_operations.validate import ON_FILE_SCHEMA, ORI_TABLE_SCHEMA, Options
from cji_core.format.records.nibrs.records import Records
from cji_operations.validate import eds, load_rule_set, validate
from cji_operations.validate.nibrs import ValidateNibrs

good = [line for report in REPORTS.values() for line in lines(report)]
bad = [line for mutation in MUTATIONS[::5] for line in lines(mutation.change(REPORTS[mutation.report]))]
data = b"\\n".join(good + bad)
oris = side(ORI_TABLE_SCHEMA, [{"ori": "VT0010000", "status": "H", "nibrs_start": "20200101"}])
filed = side(ON_FILE_SCHEMA, [{"kind": "A", "ori": "VT0010000", "number": "20-12345", "date": "20200401"}])
segments = pa.array(good + bad, pa.binary())
records = [pa.RecordBatch.from_arrays([segments], names=["segment"])]
"""
ACT = """
for name in ("nibrs/3.1", "nibrs/2016"):
    options = Options(as_of=date(2020, 5, 5))
    made = ValidateNibrs(rules=load_rule_set(name), options=options, ori_table=oris, on_file=filed)
    outputs = made.run(records, lambda step, per_cent: None)
    rows = [batch.num_rows for part in (outputs.result, *outputs.parts.values()) for batch in part]
    rules = load_rule_set(name)
    text = split(np.frombuffer(data, np.uint8))
    lines = Records.of_lines(text)
    found = validate(lines, rules=rules, options=Options(as_of=date(2020, 5, 5)), ori_table=oris, on_file=filed)
    eds(found)
    found.status.to_batch(0)
assert len(found.row) > 20 and sum(rows) > 40
"""


def test_nothing_is_imported_or_opened_while_records_are_judged() -> None:
    assert events(PREPARE, ACT) == "[]"


def test_the_watch_sees_an_import() -> None:
    assert "colorsys" in events(PREPARE, "import colorsys\n" + ACT)
