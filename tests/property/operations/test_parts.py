"""Operations in parts give the bytes of one machine, however the records are cut into shards."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_core.format.records import SCHEMAS, tagged
from cji_core.operations.clear import CLEAR, Clear, Count, Punishable, Rules, Waited, Which, WholeCase
from cji_core.operations.redact import REDACT, Redaction
from cji_core.operations.stages.stage import Width
from cji_core.operations.standardize import STANDARDIZE, Standardize
from cji_core.operations.validate import BY_PERIOD
from cji_core.wire.v1 import worker_pb2 as wire
from cji_operations.operation import Context
from cji_operations.validate import ON_FILE_SCHEMA, ORI_TABLE_SCHEMA
from tests.support.clear_tools import AS_OF, NAMES, batch, conviction, table
from tests.support.contexts import context, planned
from tests.support.nibrs_submissions import submissions
from tests.support.nibrs_tools import side
from tests.support.parts import KEYS, cuts, in_parts, on_one_machine, shards_of

KEY = bytes(range(32))

Values = Mapping[str, Sequence[object]]

PERSON: Values = {
    "last": ["SMITH", "JONES", "O'NEIL", "", None],
    "SEX": ["M", "F", "Q", None],
    "DOB": ["19800615", "20300101", "1980-02-30", None],
    "SOC": ["219099999", "21909", "078051120", None],
}
EVENT: Values = {
    "subject": ["S1", "S2", "S3", "", None],
    "comment": ["A", "B", None],
    "date": ["20250801", "19990101", "x", None],
    "disposition": ["convicted", None],
    "sealed": [True, False, False, False, None],
    "expunged": [True, False, False, False],
    "juvenile": [False, False, True],
    "non_conviction": [False, False, True],
}
ADDRESSED: Values = {
    "NAM": ["Smith Jr, John", "SMITH, JOHN JR", "nobody", "", None],
    "first": ["JON", "", None],
    "DOB": ["2/14/1982", "19820214", "x", None],
    "address_1": ["1 main street", "1 MAIN ST", None],
}
NARRATIVE: Values = {
    "narrative": ["Ofc. Garza met Ann River.", "SSN 123456789, on 1/2/24", "Иван", "quiet", "", None],
    "title": ["Garza", None],
}
INQUIRY: Values = {
    "NAM": ["SMITH, JOHN", "SMYTHE, JON", "JONES, ANN", "", None],
    "DOB": ["19800615", "19800616", None],
    "SEX": ["M", "F"],
    "RAC": ["W", "B"],
    "SOC": ["219099999", None],
}


def records(schema_id: str, values: Values, rows: Sequence[Sequence[object]]) -> pa.RecordBatch:
    known = SCHEMAS[schema_id].columns
    schema = tagged(schema_id, [pa.field(name, known[name].types[0]) for name in values])
    columns = [pa.array([row[i] for row in rows], field.type) for i, field in enumerate(schema)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def tables(schema_id: str, values: Values, most: int = 30) -> st.SearchStrategy[pa.RecordBatch]:
    row = st.tuples(*(st.sampled_from(list(each)) for each in values.values()))
    return st.lists(row, max_size=most).map(lambda rows: records(schema_id, values, rows))


def check(operation: wire.Operation, whole: pa.RecordBatch, data: st.DataObject, given: Context | None = None) -> None:
    """One machine and random shards and keys agree in every output and in the status of every row."""
    one = on_one_machine(operation, whole, given)
    parts = in_parts(operation, shards_of(whole, data.draw(cuts(whole.num_rows))), given, key=data.draw(KEYS))
    assert parts.outputs == one.outputs
    if "result" in parts.tables:
        assert parts.tables["result"].schema.equals(one.tables["result"].schema, check_metadata=True)
    assert parts.status == one.status


COLUMNS = [
    wire.ColumnRule(column="last", hmac_token=wire.HmacToken(domain="name", bits=80)),
    wire.ColumnRule(column="SEX", keep=wire.Keep()),
    wire.ColumnRule(column="DOB", generalise=wire.Generalise(date_to=wire.DateTo(unit=wire.DateTo.YEAR))),
    wire.ColumnRule(column="SOC", ff1=wire.Ff1(domain="soc", radix=10)),
]


@pytest.mark.parametrize("token_map", [False, True])
@settings(max_examples=25, deadline=None)
@given(whole=tables("person/1", PERSON), data=st.data())
def test_deidentify(token_map: bool, whole: pa.RecordBatch, data: st.DataObject) -> None:
    parameters = wire.Deidentify(project="p", wrapped_project_key=b"sealed", columns=COLUMNS, token_map=token_map)
    check(wire.Operation(deidentify=parameters), whole, data, context(KEY))


SMALL: Values = {
    "last": ["SMITH", "JONES", None],
    "SEX": ["M", "F", None],
    "DOB": ["19800615", "19811231", "1950", "x", None],
    "postcode": ["12345", "12399", "54321", "nonsense", None],
    "cluster": [1, 2, 3, 4, None],
    "SOC": ["1", "2", "3", "4", "5", "6", "7", "", None],
}


@settings(max_examples=60, deadline=None)
@given(
    whole=tables("person/1", SMALL),
    k=st.integers(2, 5),
    token_map=st.booleans(),
    person=st.sampled_from(["cluster", "SOC", ""]),
    linked=st.booleans(),
    data=st.data(),
)
def test_deidentify_with_small_classes(
    whole: pa.RecordBatch, k: int, token_map: bool, person: str, linked: bool, data: st.DataObject
) -> None:
    if not person:
        whole = whole.drop_columns(["cluster"])
    zip_steps = [
        wire.ColumnRule(keep=wire.Keep()),
        wire.ColumnRule(generalise=wire.Generalise(zip_prefix=wire.ZipPrefix(digits=3))),
        wire.ColumnRule(null=wire.Null()),
    ]
    null, keep = {"null": wire.Null()}, {"keep": wire.Keep()}
    token = {"hmac_token": wire.HmacToken(domain="name", bits=80)}
    rules: dict[str, dict[str, Any]] = {
        "last": token if linked else null,
        "SEX": keep,
        "DOB": {"generalise": wire.Generalise(date_to=wire.DateTo(unit=wire.DateTo.YEAR))},
        "postcode": {"hierarchy": wire.Hierarchy(steps=zip_steps)},
        "SOC": null,
        "cluster": keep if linked or person == "SOC" else null,
    }
    parameters = wire.Deidentify(
        project="p",
        wrapped_project_key=b"sealed",
        columns=[wire.ColumnRule(column=name, **rules[name]) for name in whole.schema.names],
        small_classes=wire.SmallClasses(
            quasi_identifiers=["SEX", "postcode", *(["cluster"] if person == "SOC" else [])],
            k=k,
            sensitive=["DOB"],
            person=person,
        ),
        token_map=token_map and linked,
    )
    check(wire.Operation(deidentify=parameters), whole, data, context(KEY))


@settings(max_examples=30, deadline=None)
@given(
    whole=tables("chri_event/2", EVENT),
    recipient=st.sampled_from(["criminal_justice", "non_criminal_justice"]),
    data=st.data(),
)
def test_disseminate(whole: pa.RecordBatch, recipient: str, data: st.DataObject) -> None:
    parameters = wire.Disseminate(recipient_class=recipient, as_of="2026-02-01")
    check(wire.Operation(disseminate=parameters), whole, data)


@settings(max_examples=25, deadline=None)
@given(whole=tables("person/1", PERSON), data=st.data())
def test_validate_of_columns(whole: pa.RecordBatch, data: st.DataObject) -> None:
    check(wire.Operation(validate=wire.Validate(rule_set="ncic/1", as_of="2026-01-01")), whole, data)


@settings(max_examples=25, deadline=None)
@given(
    whole=tables("person/1", INQUIRY, most=12),
    reference=tables("hotfile/1", {**INQUIRY, "NIC": ["W1", "W2"], "file_code": ["W", "?"]}, most=8),
    data=st.data(),
)
def test_screen(whole: pa.RecordBatch, reference: pa.RecordBatch, data: st.DataObject) -> None:
    operation = wire.Operation(screen=wire.Screen(preset="ncic_qw", max_hits=3))
    check(operation, whole, data, replace(context(), sides={"reference": [reference]}))


COUNTED: Values = {
    "SEX": ["M", "F", "X", "", None],
    "state": ["GA", "AL", None],
    "SID": ["P1", "P2", "P3", "P4", "", None],
    "HGT": ["1", "70", "999", "x", None],
}


@settings(max_examples=60, deadline=None)
@given(
    whole=tables("person/1", COUNTED),
    keys=st.sampled_from([(("SEX", ()),), (("SEX", ("M", "F", "U")), ("state", ())), (("state", ()), ("SEX", ()))]),
    person=st.sampled_from(["", "SID"]),
    sums=st.sampled_from([(), ("HGT",)]),
    dominance=st.sampled_from([None, wire.Dominance(top=2, percent=60)]),
    threshold=st.sampled_from([1, 3]),
    data=st.data(),
)
def test_aggregate(
    whole: pa.RecordBatch,
    keys: Sequence[tuple[str, tuple[str, ...]]],
    person: str,
    sums: tuple[str, ...],
    dominance: wire.Dominance | None,
    threshold: int,
    data: st.DataObject,
) -> None:
    parameters = wire.Aggregate(
        keys=[wire.GroupKey(column=column, categories=categories) for column, categories in keys],
        person=person,
        sums=sums,
        threshold=threshold,
        base=1,
        dominance=dominance if sums else None,
    )
    check(wire.Operation(aggregate=parameters), whole, data)


FILED = side(ON_FILE_SCHEMA, [{"kind": "A", "ori": "VT0010000", "number": "20-12345", "date": "20200401"}])
AGENCIES = side(ORI_TABLE_SCHEMA, [{"ori": "VT0010000", "status": "A", "nibrs_start": "20190101"}])


def _segments(data: bytes) -> pa.RecordBatch:
    schema = tagged("nibrs.flat/3.1", [pa.field("segment", pa.binary())])
    return pa.RecordBatch.from_arrays([pa.array(data.split(b"\n"), pa.binary())], schema=schema)


@pytest.mark.parametrize("rule_set", ["nibrs/3.1", ""])
@settings(max_examples=12, deadline=None)
@given(one=submissions(), two=submissions(), data=st.data())
def test_validate_of_submissions(rule_set: str, one: bytes, two: bytes, data: st.DataObject) -> None:
    """Numbers come again, reports are cut, and months, states and lengths differ between shards."""
    operation = wire.Operation(validate=wire.Validate(rule_set=rule_set or BY_PERIOD, as_of="2020-05-05"))
    known = data.draw(st.booleans())
    sides = {"on_file": FILED, "ori_table": AGENCIES} if known else {}
    check(operation, _segments(one + two), data, replace(context(), sides=sides))


HISTORY = st.fixed_dictionaries(
    {
        "subject": st.sampled_from(["S1", "S2", "S1", "S2", None]),
        "DOB": st.sampled_from(["19800101", "19800101", "19820505"]),
        "count": st.sampled_from([None, "001", "002"]),
        "event": st.sampled_from(["COURT ACTION", "DECEASED"]),
        "date": st.sampled_from(["20100315", "20150601", "20250101", "x"]),
        "offense": st.sampled_from(["11358 HS-CULTIVATE", "459 PC-BURGLARY"]),
        "sentence_length": st.sampled_from(["16M", "20Y", None]),
        "case": st.sampled_from(["A", "B"]),
        "transaction": st.sampled_from(["A", "B", None]),
        "offense_date": st.sampled_from(["20100101", "20100102", "x"]),
        "discharged": st.sampled_from([None, "20120101", "20240101"]),
        "released": st.sampled_from([None, "20110101"]),
        "max_penalty": st.sampled_from(["1Y", "5Y", "?"]),
        "marks": st.sampled_from(["NONE", "MINOR", None]),
        "pending": st.sampled_from([None, False, True]),
        "restitution_paid": st.sampled_from([None, True]),
    }
).map(lambda changes: conviction(**changes))


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(HISTORY, max_size=12),
    rules=st.sampled_from(
        [
            table({"never_sections": ("459 PC",)}, {"deceased": False}),
            table({"ever_sections": ("459 PC",)}, {"sections": ("11358 HS",)}),
            table({"years_crime_free": 3}, {"age_from": 40}, {"all_sentences_ended": True}),
            table(
                {"at_most": Count(number=1, by="transaction"), "no_pending": True},
                {"waited": Waited(time="5Y", since=("conviction", "release"), restarted_by=Which(level=("felony",)))},
                {"more_than": Count(number=1, same="case"), "paid": ("restitution",)},
                {"punishable": Punishable(above="1Y"), "not_marks": ("MINOR",)},
                whole_case=WholeCase(id="whole", reason="The case.", source="A law."),
            ),
        ]
    ),
    data=st.data(),
)
def test_clear(rows: list[dict[str, Any]], rules: Rules, data: st.DataObject) -> None:
    """A history is in several shards, and a subject's convictions decide on each other."""
    names = data.draw(st.sampled_from([NAMES, tuple(reversed(NAMES[:-1]))]))
    check(CLEAR.message(Clear(table=rules, as_of=AS_OF)), batch(rows, names), data)


@settings(max_examples=25)
@given(whole=tables("person/1", ADDRESSED, 12), data=st.data())
def test_standardize(whole: pa.RecordBatch, data: st.DataObject) -> None:
    operation = STANDARDIZE.message(Standardize(columns={"NAM": "name", "DOB": "date", "address_1": "address"}))
    check(operation, whole, data)


@settings(max_examples=25)
@given(whole=tables("narrative/1", NARRATIVE, 12), data=st.data())
def test_redact(whole: pa.RecordBatch, data: st.DataObject) -> None:
    """With the persons of the job, whom every task gets; spans number rows of the whole."""
    persons = records("person/1", {"NAM": ["RIVER, SUMMER"], "SOC": ["123456789"]}, [("RIVER, SUMMER", "123456789")])
    operation = REDACT.message(Redaction(columns=("narrative", "title"), marks="row"))
    check(operation, whole, data, replace(context(), sides={"persons": [persons]}))


def test_what_is_of_one_machine_has_no_parts() -> None:
    """A resident reference is in the memory of one machine."""
    screen = wire.Operation(screen=wire.Screen(preset="ncic_qw", max_hits=3, retain_seconds=60))
    (one,) = planned([screen], "person/1", sides={"reference": "hotfile/1"}).operations
    assert one.operation.stages(one.parameters) is None


def test_records_are_counted_where_an_output_numbers_them() -> None:
    disseminate = wire.Operation(disseminate=wire.Disseminate(recipient_class="criminal_justice", as_of="2026-02-01"))
    (one,) = planned([disseminate], "chri_event/2").operations
    stages = one.operation.stages(one.parameters)
    assert stages is not None
    assert [(stage.name, stage.width) for stage in stages.in_order] == [("apply", Width.SHARDS), ("merge", Width.ONE)]
