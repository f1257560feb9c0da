"""Orders of a court: who they are about, which events, what is flagged or removed, and the proof of it."""

import hashlib
import hmac
import random
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_core.errors import Reason
from cji_core.format.records import SCHEMAS, tagged
from cji_core.operations.match_orders import FLAGS, NAMING, OUTCOMES, Code, MatchOrders, encode
from cji_core.wire.v1 import worker_pb2 as wire
from cji_operations.operation import BatchOperation
from tests.support.contexts import context, prepare_batch
from tests.support.parts import KEYS, cuts, in_parts, on_one_machine, shards_of
from tests.support.refusals import refused

KEY = bytes(range(32))
EVENTS = "chri_event/2"
LASTS = ("GARCIA", "SMITH", "NGUYEN", "OKAFOR", "LINDQVIST", "PETROV", "HADDAD", "KOWALSKI", "MORALES", "TANAKA")
FIRSTS = ("MARIA", "JOHN", "ANH", "CHIDI", "ERIK", "OLGA", "SAMIR", "ADAM", "LUZ", "KENJI")


def table(schema_id: str, rows: list[dict[str, Any]], names: tuple[str, ...] = ()) -> pa.RecordBatch:
    columns = SCHEMAS[schema_id].columns
    kept = names or tuple(dict.fromkeys(name for row in rows for name in row))
    schema = tagged(schema_id, [pa.field(name, columns[name].types[0]) for name in kept])
    arrays = [pa.array([row.get(field.name) for row in rows], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def person(number: int) -> dict[str, Any]:
    drawn = random.Random(number)
    return {
        "record_id": f"S{number:04}",
        "last": LASTS[number % 10] + "ABCDEFGHIJ"[number // 100 % 10],
        "first": FIRSTS[number // 10 % 10],
        "DOB": f"{drawn.randrange(1950, 2004)}{drawn.randrange(1, 13):02}{drawn.randrange(1, 29):02}",
        "SOC": f"{drawn.randrange(10**8, 7 * 10**8)}",
    }


PEOPLE = [person(number) for number in range(300)]
COLUMNS = (
    "order_id", "action", "whole_record", "subject", "cycle", "count", "date", "disposition_date",
    "last", "first", "DOB", "SOC",
)  # fmt: skip


def order(number: int, **changes: Any) -> dict[str, Any]:
    described = {name: PEOPLE[number][name] for name in ("last", "first", "DOB", "SOC")}
    return {"order_id": f"O{number}", "action": "expunge", "cycle": "1", **described, **changes}


def event(number: int, **changes: Any) -> dict[str, Any]:
    clean = dict.fromkeys(("sealed", "expunged", "juvenile", "non_conviction"), False)
    return {"subject": f"S{number:04}", "cycle": "1", "count": "1", "date": "20010203", **clean, **changes}


def prepared(
    orders: list[dict[str, Any]], events: pa.RecordBatch, persons: list[dict[str, Any]] | None = None, **parameters: Any
) -> BatchOperation:
    sides = {"orders": [table("court_order/1", orders, COLUMNS)], "persons": [table("person/1", persons or PEOPLE)]}
    if parameters.get("project"):
        parameters["wrapped_project_key"] = b"wrapped"
    message = wire.Operation(match_orders=encode(MatchOrders(**parameters)))
    return prepare_batch(message, EVENTS, events.schema, replace(context(KEY), sides=sides))


def run(orders: list[dict[str, Any]], rows: list[dict[str, Any]], **parameters: Any) -> tuple[Any, Any, Any]:
    """(what was applied, the work list, the lines of `applied`)."""
    events = table(EVENTS, rows)
    operation = prepared(orders, events, **parameters)
    applied = operation.apply(events)
    applied.check(len(rows))
    lines = [line for batches in applied.parts.values() for batch in batches for line in batch.to_pylist()]
    work = [line for batch in operation.finish()["work_list"] for line in batch.to_pylist()]
    return applied, work, lines


def outcomes(work: list[dict[str, Any]]) -> list[str]:
    assert all(line["words"] == OUTCOMES[line["outcome"]] for line in work)
    return [line["outcome"] for line in work]


def test_an_order_flags_the_events_that_it_names() -> None:
    rows = [event(7), event(7, cycle="2"), event(8), event(7, count="2")]
    applied, work, lines = run([order(7), order(8, action="Seal ")], rows)
    result = applied.batch.to_pydict()
    assert result["expunged"] == [True, False, False, True]
    assert result["sealed"] == [False, False, True, False]
    assert [(line["row"], line["subject"]) for line in lines] == [(0, b"S0007"), (2, b"S0008"), (3, b"S0007")]
    assert outcomes(work) == ["applied", "applied"]
    assert [line["events"] for line in work] == [2, 1]
    assert all(line["probability"] >= 0.99 and line["second_subject"] is None for line in work)
    assert [int(codes[0]) for codes in applied.status.to_batch(0)["codes"].to_pylist() if codes] == [801] * 3


def test_removed_events_leave_the_result() -> None:
    rows = [event(7), event(8), event(9)]
    applied, _, lines = run([order(7), order(8, action="seal")], rows, remove=True)
    assert applied.kept.tolist() == [1, 2]
    assert applied.batch["sealed"].to_pylist() == [True, False]
    assert [line["removed"] for line in lines] == [True, False]


def test_who_is_not_certain_changes_nothing() -> None:
    """A twin in the index, a wrong number and date, a stranger: each is in the work list, and no flag is set."""
    twin = {**PEOPLE[7], "record_id": "S9999"}
    events = table(EVENTS, [event(7), event(8), event(9)])
    stranger = order(9, order_id="X", last="UNHEARD", first="OF", DOB="19110101", SOC="999887777")
    vague = order(8, order_id="V", SOC=None, first=None, DOB=PEOPLE[8]["DOB"][:6] + "31")
    operation = prepared([order(7), stranger, vague], events, [*PEOPLE, twin])
    applied = operation.apply(events)
    assert applied.batch["expunged"].to_pylist() == [False] * 3
    assert not applied.parts
    (work,) = operation.finish()["work_list"]
    several, none, unsure = work.to_pylist()
    assert {several["subject"], several["second_subject"]} == {b"S0007", b"S9999"}
    assert several["outcome"] == "several"
    assert none["outcome"] == "no_person"
    assert unsure["outcome"] in {"no_person", "possible"}


def test_a_person_under_several_names_is_one() -> None:
    alias = {**PEOPLE[7], "last": "FORMERLY"}
    events = table(EVENTS, [event(7)])
    operation = prepared([order(7)], events, [*PEOPLE, alias])
    assert operation.apply(events).batch["expunged"].to_pylist() == [True]


def test_the_decision_of_a_clerk_comes_back() -> None:
    rows = [event(7), event(9)]
    named = order(3, subject=" S0007 ")  # describes somebody else: what the clerk wrote counts
    unknown = order(9, order_id="U", subject="S12345")
    torn = [order(9, order_id="T", subject="S0007"), order(9, order_id="T", subject="S0009")]
    applied, work, _ = run([named, unknown, *torn], rows)
    assert applied.batch["expunged"].to_pylist() == [True, False]
    assert outcomes(work) == ["applied", "unknown_subject", "unknown_subject", "unknown_subject"]
    assert work[0]["probability"] is None


@pytest.mark.parametrize(
    "broken",
    [
        {"action": "erase"}, {"action": None}, {"order_id": None}, {"order_id": " "}, {"cycle": None},
        {"whole_record": True}, {"cycle": " ", "whole_record": False},
    ],
)  # fmt: skip
def test_an_order_that_says_too_little_or_too_much(broken: dict[str, Any]) -> None:
    applied, work, _ = run([order(7, **broken)], [event(7)])
    assert outcomes(work) == ["unusable"]
    assert applied.batch["expunged"].to_pylist() == [False]


@pytest.mark.parametrize("name", ["date", "disposition_date"])
@pytest.mark.parametrize("written", ["02/03/2001", "20010231", "unknown", "2001-2-3"])
def test_an_order_whose_date_cannot_be_read(name: str, written: str) -> None:
    """The date would narrow the order to one event: without it, both events of the cycle would be removed."""
    rows = [event(7, **{name: "20010203"}), event(7, **{name: "20020203"})]
    applied, work, _ = run([order(7, **{name: written})], rows, remove=True)
    assert outcomes(work) == ["unusable"]
    assert applied.batch.num_rows == 2


def test_an_order_about_the_whole_record() -> None:
    rows = [event(7), event(7, cycle="2"), event(7, cycle=None), event(8)]
    applied, work, _ = run([order(7, cycle=None, whole_record=True)], rows)
    assert applied.batch["expunged"].to_pylist() == [True, True, True, False]
    assert outcomes(work) == ["applied"]


def test_a_person_without_such_an_event() -> None:
    applied, work, _ = run([order(7, cycle="77")], [event(7), event(8, cycle="77")])
    assert outcomes(work) == ["no_event"]
    assert not applied.parts


def test_events_without_a_subject() -> None:
    applied, _, _ = run([order(7)], [event(7, subject=None), event(7, subject=" ")])
    assert applied.status.to_batch(0)["codes"].to_pylist() == [[Code.NO_SUBJECT_TO_MATCH]] * 2


def test_flags_that_were_missing_stay_unknown() -> None:
    """`disseminate` takes an unknown flag for set, so a flag that nobody set must not become False."""
    rows = [{"subject": "S0007", "cycle": "1"}, {"subject": "S0008", "cycle": "1"}]
    applied, _, _ = run([order(7)], rows)
    assert applied.batch["expunged"].to_pylist() == [True, None]
    assert applied.batch["sealed"].to_pylist() == [None, None]


def test_the_proof_of_a_removed_row() -> None:
    """Made from the document: HMAC under the derived key over the columns in the order of their names."""
    row = event(7, offense="THEFT", comment=None)
    _, _, lines = run([order(7)], [row], remove=True, project="proofs")
    key = hmac.digest(KEY, b"cji-removed/1\0proofs", hashlib.sha256)
    content = b""
    for name, value in sorted(row.items()):
        content += name.encode() + b"\0"
        if value is not None:
            data = bytes([value]) if isinstance(value, bool) else value.encode()
            content += b"\1" + len(data).to_bytes(8, "little") + data
        else:
            content += b"\0"
    assert lines[0]["hmac"] == hmac.digest(key, content, hashlib.sha256)
    _, _, unkeyed = run([order(7)], [row], remove=True)
    assert unkeyed[0]["hmac"] is None


def test_more_lines_of_a_person_than_can_be_compared() -> None:
    lines = [order(7, order_id=f"O{i}", subject="S0007") for i in range(300)]
    events = table(EVENTS, [event(7)] * 16_384)
    with refused(Reason.LIMIT_EXCEEDED):
        prepared(lines, events, PEOPLE[:9]).apply(events)


def test_without_a_side_table_or_its_key() -> None:
    events = table(EVENTS, [event(7)])
    with refused(Reason.BAD_PARAMETERS):
        prepare_batch(wire.Operation(match_orders=encode(MatchOrders())), EVENTS, events.schema, context(KEY))
    wrapped = MatchOrders(project="p")
    with refused(Reason.BAD_PARAMETERS):
        prepare_batch(wire.Operation(match_orders=encode(wrapped)), EVENTS, events.schema, context(KEY))


NAMED = ("cycle", "count", "date", "ORI")
CELLS = {name: [None, "", "1", " 1", "2", "a", "A"] for name in NAMED} | {
    "date": [None, "20010203", "2001-02-03", "20010204", "2001XXXX", "no date"]
}


def twin(order_: dict[str, Any], row: dict[str, Any]) -> bool:
    """An obvious reading of which events a line names."""

    def same(name: str, value: str | None) -> str | None:
        text = (value or "").strip().upper()
        if name == "date":
            text = text.replace("-", "")
            text = text if len(text) == 8 and all(c.isdigit() or c == "X" for c in text) else ""
        return text or None

    said = {name: same(name, order_.get(name)) for name in NAMED}
    read = all(said[name] for name in NAMED if (order_.get(name) or "").strip())
    agrees = all(want is None or same(name, row.get(name)) == want for name, want in said.items())
    return any(said.values()) and read and agrees


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_events_as_an_obvious_reading_has_them(data: st.DataObject) -> None:

    def drawn() -> dict[str, Any]:
        return {name: data.draw(st.sampled_from(values)) for name, values in CELLS.items()}

    subjects = st.sampled_from(["S0001", "S0002"])
    lines = [
        {
            "order_id": f"{i}",
            "action": data.draw(st.sampled_from(list(FLAGS))),
            "subject": data.draw(subjects),
            **drawn(),
        }
        for i in range(data.draw(st.integers(1, 4)))
    ]
    rows = [{"subject": data.draw(subjects), **drawn()} for _ in range(data.draw(st.integers(1, 6)))]
    events = table(EVENTS, rows, ("subject", *NAMED))
    sides = {
        "orders": [table("court_order/1", lines, ("order_id", "action", "subject", *NAMED))],
        "persons": [table("person/1", PEOPLE[:5])],
    }
    message = wire.Operation(match_orders=encode(MatchOrders()))
    given_ = replace(context(KEY), sides=sides)
    result = prepare_batch(message, EVENTS, events.schema, given_).apply(events).batch
    for action, flag in FLAGS.items():
        of_action = [line for line in lines if line["action"] == action]
        expected = [
            any(line["subject"] == row["subject"] and twin(line, row) for line in of_action) or None for row in rows
        ]
        assert result[flag].to_pylist() == expected
    one = on_one_machine(message, events, given_)
    parts = in_parts(message, shards_of(events, data.draw(cuts(len(rows)))), given_, key=data.draw(KEYS))
    assert parts.outputs == one.outputs
    assert parts.status == one.status


def test_what_names_an_event_is_a_column_of_both_tables() -> None:
    assert set(NAMING) <= SCHEMAS["court_order/1"].columns.keys()
    assert all(any(name in SCHEMAS[each].columns for each in ("chri_event/1", "chri_event/2")) for name in NAMING)
