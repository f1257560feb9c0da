"""Columns of persons, hot files and events beside a twin that looks at one value after the other."""

import dataclasses
import datetime
import string
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_core.errors import Reason, StartupError
from cji_core.format.records import SCHEMAS, RowStatus, Status, tagged
from cji_core.format.records.column import read
from cji_core.operations.registry import CODES
from cji_core.operations.status_codes import RowCode, ValueCode
from cji_core.operations.tables import load as load_tables
from cji_core.operations.tables.ncic import (
    ColumnRule,
    NamePartRule,
    NameRule,
)
from cji_core.operations.validate import Code
from cji_core.wire.v1 import worker_pb2 as wire
from cji_operations.validate.ncic import wrong
from tests.reference.ncic import carried, judgement
from tests.support.contexts import TABLES, context, planned, prepare_table
from tests.support.paths import ROOT
from tests.support.refusals import refused

AS_OF = datetime.date(2026, 2, 1)
SHIPPED = ROOT / "core/cji_core/operations/tables/ncic.toml"
NCIC = TABLES.ncic
RULES = NCIC.columns


def sometimes(name: str) -> st.SearchStrategy[str | None]:
    """Values that are nearly right."""
    codes = [code for table in NCIC.codes.values() for code in table[:4]]
    return (
        st.none()
        | st.sampled_from(
            ["", "DOE, JOHN", "DOE,JOHN Q", "DOE, ", " DOE, J", "DOE , J", "DOE", ", J", "A,B,C", "511", "512"]
        )
        | st.sampled_from(
            ["399", "400", "711", "712", "49X", "050", "499", "500", "20260201", "20260202", "2026-02-01", "XX"]
        )
        | st.sampled_from(
            ["20260230", "000123456", "666123456", "900123456", "123004567", "123450000", "XXXXX1234", "12345678"]
        )
        | st.sampled_from(
            ["1M8GDM9AXKP042788", "1M8GDM9A1KP042788", "AF-123", "AF123", "ZZ-1", "W123456789", "9123456789"]
        )
        | st.sampled_from(
            ["PEÑA, JOSÉ", "PEN\u0303A,JOSE", "O\u2019NEIL", "WEIß", "ÆÞ", "ЩУКА, ИВАН", "李, 明", "\u200b", "Ъ"]
        )
        | st.sampled_from([*("Ñ" * n for n in (1, 2, 30, 31)), "ß" * 15, "ß" * 16, "VÄN-1", "É" * 9])
        | st.text("ÑÉßØĐŁ\u0303\u2019\u2013 ,-'AZ", max_size=12)
        | st.sampled_from(codes)
        | st.text(string.ascii_uppercase + string.digits + " ,-'X", max_size=22)
        | st.text(max_size=5)
    )


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_every_rule_says_what_its_twin_says(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(RULES)))
    values = data.draw(st.lists(sometimes(name), max_size=10))
    rule = msgspec.structs.replace(RULES[name], required=data.draw(st.booleans()))
    cut = data.draw(st.integers(0, 2))
    array = pa.array(values, pa.utf8()).slice(cut)
    expected = [judgement(rule, value, NCIC, AS_OF) for value in values[cut:]]
    table = msgspec.structs.replace(NCIC, columns={name: rule}, order=())
    found = judged({name: array}, tables=dataclasses.replace(TABLES, ncic=table))
    assert found == [(i, name, code) for i, code in enumerate(expected) if code is not None]


def judged(columns: dict[str, pa.Array], **options: Any) -> list[tuple[int, str, RowCode]]:
    schema_id = "hotfile/1" if columns.keys() <= SCHEMAS["hotfile/1"].columns.keys() else "chri_event/1"
    schema = tagged(schema_id, [pa.field(name, array.type) for name, array in columns.items()])
    batch = pa.RecordBatch.from_arrays(list(columns.values()), schema=schema)
    parameters = wire.Validate(rule_set="ncic/1", as_of=AS_OF.isoformat(), without=options.pop("without", ()))
    operation = wire.Operation(validate=parameters)
    prepared = prepare_table(operation, schema_id, schema, context(**options))
    outputs = prepared.run([batch, batch.slice(0, 0), batch], lambda step, per_cent: None)
    rows = [row for one in outputs.result for row in one.to_pylist()]
    n = batch.num_rows
    assert len(outputs.status.status) == 2 * n
    halves = [[row for row in rows if row["row"] < n], [row for row in rows if row["row"] >= n]]
    assert [{**row, "row": row["row"] + n} for row in halves[0]] == halves[1]
    counts = {(r["column"], r["finding"]): r["rows"] for one in outputs.parts["counts"] for r in one.to_pylist()}
    codes = [(row["row"], row["column"], CODES[row["code"]]) for row in halves[0]]
    assert counts == {
        (c, code.name): 2 * sum((x, y) == (c, code) for _, x, y in codes) for c, code in {(c, k) for _, c, k in codes}
    }
    status: RowStatus = outputs.status
    bad = {row["row"] for row in rows if not row["warning"]}
    assert [i for i in range(2 * n) if status.status[i] == Status.PARTLY_USED] == sorted(bad)
    assert sum(status.counts()) == 2 * n
    return codes


def test_dates_of_a_row_are_in_order() -> None:
    found = judged(
        {
            "DOB": pa.array(["20000101", "20000101", "2000XXXX", "20250101"]),
            "entered": pa.array(["20200101", "19991231", "19990101", "20250101"]),
            "expires": pa.array(["20300101", "20300101", "19980101", "20241231"]),
        }
    )
    assert found == [
        (1, "entered", Code.OUT_OF_ORDER),
        (2, "expires", Code.OUT_OF_ORDER),
        (3, "expires", Code.OUT_OF_ORDER),
    ]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("1982-02-XX", None),
        ("XXXX0214", None),
        ("19XX", Code.NO_SUCH_DATE),
        ("2027XXXX", Code.IN_THE_FUTURE),
        ("2026-02-XX", None),
        ("2026-03-XX", Code.IN_THE_FUTURE),
        ("1982-13-XX", Code.NO_SUCH_DATE),
    ],
)
def test_partial_dates_are_normal_where_the_rule_says_so(value: str, code: RowCode | None) -> None:
    array = pa.array([value])
    assert [c for _, _, c in judged({"DOB": array})] == ([] if code is None else [code])
    assert next(c for _, _, c in judged({"entered": array})) is Code.NO_SUCH_DATE


def test_rules_are_switched_off_and_only_those_that_exist() -> None:
    assert judged({"SEX": pa.array(["Q"])}, without=("304",)) == []
    for bad in (("304", "304"), ("404",), ("x",)):
        operation = wire.Operation(validate=wire.Validate(rule_set="ncic/1", as_of="2026-01-01", without=bad))
        with refused(Reason.BAD_PARAMETERS):
            planned([operation], "person/1")


def test_the_rule_set_is_for_columns_and_not_for_segments() -> None:
    operation = wire.Operation(validate=wire.Validate(rule_set="ncic/1", as_of="2026-01-01"))
    for schema in ("person/1", "hotfile/1", "chri_event/1"):
        result = planned([operation], schema).outputs[0]
        assert (result.name, result.schema.schema_id) == ("result", "findings/1")
    with refused(Reason.SCHEMA_MISMATCH):
        planned([operation], "nibrs.flat/3.1")


def findings(column: str, *values: str | bytes) -> list[tuple[int, RowCode, bool, str | None]]:
    """(row, code, whether a warning, what to transmit)."""
    kind = pa.binary() if any(isinstance(value, bytes) for value in values) else pa.utf8()
    schema = tagged("person/1", [pa.field(column, kind)])
    operation = wire.Operation(validate=wire.Validate(rule_set="ncic/1", as_of="2026-01-01"))
    batch = pa.RecordBatch.from_arrays([pa.array(values, kind)], schema=schema)
    outputs = prepare_table(operation, "person/1", schema, context()).run([batch], lambda step, n: None)
    rows = [row for one in outputs.result for row in one.to_pylist()]
    warned = {row["row"] for row in rows if row["warning"]}
    assert {i for i in range(len(values)) if outputs.status.status[i] == Status.WARNED} == warned
    return [(row["row"], CODES[row["code"]], row["warning"], row["transmit"]) for row in rows]


def test_a_name_with_accents_is_right_and_has_a_form_to_send() -> None:
    thirty = "PEÑA-NÚÑEZ, JOSÉ MARÍA ÁNGELES"
    assert len(thirty) == 30 < len(thirty.encode())
    assert findings("NAM", "DOE, JOHN", thirty, thirty + "Ñ", "MUN\u0303OZ,EVA", "ÑA , J", "李, 明") == [
        (1, Code.NOT_CARRIED, True, "PENA-NUNEZ, JOSE MARIA ANGELES"),
        (2, ValueCode.WRONG_LENGTH, False, None),
        (3, Code.NOT_CARRIED, True, "MUNOZ,EVA"),
        (4, ValueCode.WRONG_FORM, False, None),
        (5, ValueCode.WRONG_FORM, False, None),
    ]
    assert findings("last", "O\u2019NEIL", "Ñ" * 30, "ß" * 15, "ß" * 16, "Peña", "\u200b") == [
        (0, Code.NOT_CARRIED, True, "O'NEIL"),
        (1, Code.NOT_CARRIED, True, "N" * 30),
        (2, Code.NOT_CARRIED, True, "S" * 30),
        (3, ValueCode.WRONG_LENGTH, False, None),
        (4, ValueCode.WRONG_CHARACTER, False, None),
        (5, ValueCode.WRONG_CHARACTER, False, None),
    ]
    assert findings("last", b"PE\xd1A", b"DOE") == [(0, Code.NOT_CARRIED, True, "PENA")]


def test_lengths_of_other_columns_are_characters() -> None:
    assert [code for _, code, _, _ in findings("OLN", "É" * 20, "É" * 21)] == [
        ValueCode.WRONG_CHARACTER,
        ValueCode.WRONG_LENGTH,
    ]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_nothing_is_wrong_with_what_is_to_be_sent(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([name for name, r in RULES.items() if isinstance(r, NameRule | NamePartRule)]))
    values = data.draw(st.lists(sometimes(name).filter(bool).map(str), max_size=10))
    found = findings(name, *values)
    for row, code, _, sent in found:
        assert (sent is not None) == (code is Code.NOT_CARRIED)
        if sent is not None:
            assert sent.isascii()
            assert sent == carried(values[row])
            assert findings(name, sent) == []


def test_warnings_leave_a_row_usable(tmp_path: Path) -> None:
    shipped = SHIPPED.read_text()
    (tmp_path / "ncic.toml").write_text(
        shipped.replace('VIN = { kind = "vin", most = 20 }', 'VIN = { kind = "vin", most = 20, warning = true }')
    )
    tables = load_tables(tmp_path)
    schema = tagged("hotfile/1", [pa.field("VIN", pa.utf8())])
    batch = pa.RecordBatch.from_arrays([pa.array(["1M8GDM9A1KP042788"])], schema=schema)
    operation = wire.Operation(validate=wire.Validate(rule_set="ncic/1", as_of="2026-01-01"))
    outputs = prepare_table(operation, "hotfile/1", schema, context(tables=tables)).run([batch], lambda step, n: None)
    assert outputs.status.counts() == (0, 1, 0, 0)
    assert [row["warning"] for one in outputs.result for row in one.to_pylist()] == [True]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('table = "SEX"', 'table = "SEXES"', "SEXES"),
        ("SEX = { kind", "SEXX = { kind", "SEXX"),
        ("low = 50, high = 499", "low = 500, high = 499", "empty range"),
        ('first = "DOB"', 'first = "SEX"', "not both dates"),
        ('kind = "social"', 'kind = "ssn"', "ssn"),
        ("least = 3, most = 30", "least = 0, most = 30", "least"),
    ],
)
def test_a_table_that_makes_no_sense_stops_the_start(tmp_path: Path, old: str, new: str, says: str) -> None:
    shipped = SHIPPED.read_text()
    assert old in shipped
    (tmp_path / "ncic.toml").write_text(shipped.replace(old, new, 1))
    with pytest.raises(StartupError, match=says):
        load_tables(tmp_path)


def test_every_kind_of_rule_is_shipped() -> None:
    kinds = {type(rule).__name__ for rule in RULES.values()}
    assert len(kinds) == len(ColumnRule.__args__)
    text = read(pa.array(["X"]))
    for rule in RULES.values():
        assert wrong(rule, text, pa.array([b"X"], pa.binary()), NCIC, AS_OF, spelled=None)
