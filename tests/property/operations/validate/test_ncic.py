"""Columns of persons, hot files and events beside a twin that looks at one value after the other."""

import dataclasses
import datetime
import re
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
    CodeRule,
    ColumnRule,
    DateRule,
    HeightRule,
    NameRule,
    NumberRule,
    ShapeRule,
    SsnRule,
    StatePrefixRule,
    TextRule,
    VinRule,
)
from cji_core.operations.validate import Code
from cji_core.wire.v1 import worker_pb2 as wire
from cji_operations.validate.ncic import wrong
from tests.support.contexts import TABLES, context, planned, prepare_table
from tests.support.paths import ROOT
from tests.support.refusals import refused

AS_OF = datetime.date(2026, 2, 1)
SHIPPED = ROOT / "core/cji_core/operations/tables/ncic.toml"
NCIC = TABLES.ncic
RULES = NCIC.columns
VIN_VALUES = dict(zip(string.digits, range(10), strict=True)) | dict(
    zip("ABCDEFGHJKLMNPRSTUVWXYZ", map(int, "12345678123457923456789"), strict=True)
)


def vin_check(value: str) -> str:
    weights = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
    return "0123456789X"[sum(VIN_VALUES.get(c, 0) * w for c, w in zip(value, weights, strict=True)) % 11]


def characters(letters: str, also: str) -> str:
    return {"A": string.ascii_uppercase, "9": string.digits, "A9": string.ascii_uppercase + string.digits}[
        letters
    ] + also


def twin(rule: ColumnRule, value: str | None) -> RowCode | None:
    """The first thing that is wrong with a value."""
    if not value:
        return Code.VALUE_MISSING if rule.required else None
    size = len(value.encode())  # lengths are bytes; only ASCII can be right
    match rule:
        case TextRule():
            if not rule.least <= size <= rule.most:
                return ValueCode.WRONG_LENGTH
            return None if set(value) <= set(characters(rule.alphabet, rule.also)) else ValueCode.WRONG_CHARACTER
        case CodeRule():
            return None if value in NCIC.codes[rule.table] else ValueCode.NOT_IN_TABLE
        case NameRule():
            if not rule.least <= size <= rule.most:
                return ValueCode.WRONG_LENGTH
            good = re.fullmatch(r"[A-Z'-]([A-Z' -]*[A-Z'-])?,( ?[A-Z'-][A-Z' -]*|  +[A-Z' -]*)", value)
            return None if good and not value.endswith(" ") else ValueCode.WRONG_FORM
        case DateRule():
            return twin_date(rule, value)
        case NumberRule() | HeightRule():
            digits = rule.digits if isinstance(rule, NumberRule) else 3
            if not re.fullmatch(f"[0-9X]{{{digits}}}", value):
                return ValueCode.WRONG_FORM
            if "X" in value:
                return None
            inches = isinstance(rule, HeightRule) and int(value[1:]) > 11
            return Code.OUT_OF_RANGE if inches or not rule.low <= int(value) <= rule.high else None
        case SsnRule():
            if not re.fullmatch("[0-9X]{9}", value):
                return ValueCode.WRONG_FORM
            never = value[:3] in {"000", "666"} or value[0] == "9" or value[3:5] == "00" or value[5:] == "0000"
            return ValueCode.NEVER_ISSUED if never else None
        case VinRule():
            if size > rule.most:
                return ValueCode.WRONG_LENGTH
            if not set(value) <= set(characters("A9", "")):
                return ValueCode.WRONG_CHARACTER
            return Code.WRONG_CHECK_DIGIT if size == 17 and vin_check(value) != value[8] else None
        case StatePrefixRule():
            if not 4 <= size <= rule.most:
                return ValueCode.WRONG_LENGTH
            if value[2:3] != "-" or value[:2] not in NCIC.codes[rule.table]:
                return ValueCode.NOT_IN_TABLE
            return None if set(value) <= set(characters("A9", "-")) else ValueCode.WRONG_CHARACTER
        case ShapeRule():
            shapes = {"A": "[A-Z]", "9": "[0-9]", "N": "[A-Z0-9]"}
            return None if re.fullmatch("".join(shapes[c] for c in rule.shape), value) else ValueCode.WRONG_FORM


def twin_date(rule: DateRule, value: str) -> RowCode | None:
    text = value.upper() if len(value) == 8 else value.upper().replace("-", "")
    if len(value) == 10 and not re.fullmatch(r".{4}-.{2}-.{2}", value):
        return Code.NO_SUCH_DATE
    if value.upper() == "XX":
        return None if rule.partial else Code.NO_SUCH_DATE
    if not re.fullmatch("[0-9X]{8}", text):
        return Code.NO_SUCH_DATE
    if "X" not in text:
        try:
            day = datetime.datetime.strptime(text, "%Y%m%d").date()
        except ValueError:
            return Code.NO_SUCH_DATE
        return Code.IN_THE_FUTURE if day > AS_OF and not rule.future else None
    return None  # the values that are drawn have no other X; partial dates have tests of their own


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
    expected = [twin(rule, value) for value in values[cut:]]
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
        assert wrong(rule, text, pa.array([b"X"], pa.binary()), NCIC, AS_OF)
