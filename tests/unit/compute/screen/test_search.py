"""The search rules of `screen`, as the manuals say them, and what it refuses."""

import itertools
import math
import tracemalloc
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from tests.reference import screen as twin
from tests.support.contexts import TABLES, context, planned, prepare_batch
from tests.support.refusals import refused
from worker.compute.operations.screen import (
    MAX_HITS,
    MAX_RECORDS,
    HitClass,
    Limits,
    Outcome,
    Rules,
    Screen,
    Screened,
    build,
    memory,
    run,
)
from worker.compute.operations.screen.codes import Code
from worker.compute.operations.screen.operation import Screening
from worker.compute.operations.screen.outputs import HITS, OUTCOMES
from worker.compute.operations.screen.score import words_of
from worker.compute.parameters import decoded
from worker.compute.status_codes import ValueCode
from worker.compute.tables import load as load_tables
from worker.compute.tables.screening import LEVELS, Model
from worker.errors import Reason, Stage, StartupError
from worker.records import RowStatus, Status, tagged
from worker.wire.v1 import worker_pb2 as wire

Row = dict[str, str | None]
PERSON = ("NAM", "DOB", "SEX", "RAC", "SOC", "FBI")
HOTFILE = (*PERSON, "NIC", "file_code", "EXL", "CMC")
SMITH: Row = {"NAM": "SMITH, JOHN", "DOB": "19800615", "SEX": "M", "RAC": "W", "SOC": None, "FBI": None}
RECORD: Row = {**SMITH, "NIC": "W123456789", "file_code": "W", "EXL": "A", "CMC": "00"}


BOTH_WAYS = msgspec.structs.replace(twin.PRESETS["ncic_qw"], identifiers_alone=False)


def screened(inquiries: list[Row], reference: list[Row], parameters: Screen, **limits: int) -> Screened:
    index = twin.index(reference, HOTFILE)
    return run(twin.batch("person/1", inquiries, PERSON), index, parameters, twin.MODEL, limits=Limits(**limits))


def is_hit(inquiry: Row, record: Row, rules: Rules) -> bool:
    return Outcome(screened([inquiry], [record], twin.asked(rules=rules)).outcome[0]) is Outcome.HIT


# "Additional Guidelines for Identity Theft Inquiry", TIME manual: race in the inquiry, race codes searched.
# Sex restricts where both are known.
NCIC_RACES = {"A": "ABIUW", "I": "ABIUW", "B": "ABIU", "W": "AIUW", "U": "ABIUW"}
NCIC_SEXES = {"M": "MU", "F": "FU", "U": "MFU"}
# "Searching the Index", TIME manual: an absolute match on sex and race, but U in an inquiry searches all.
III_RACES = {"A": "A", "I": "I", "B": "B", "W": "W", "U": "ABIUW"}
III_SEXES = {"M": "M", "F": "F", "U": "MFU"}


@pytest.mark.parametrize(
    ("preset", "sexes", "races"),
    [
        ("ncic_qw", NCIC_SEXES, NCIC_RACES),
        ("ncic_qw_expanded_dob", NCIC_SEXES, NCIC_RACES),
        ("iii_qh", III_SEXES, III_RACES),
    ],
)
def test_every_sex_and_race(preset: str, sexes: Mapping[str, str], races: Mapping[str, str]) -> None:
    """Every code on both sides; what is missing or no code of the table is U."""
    codes = list(itertools.product([*"MFUXm", None, "MF"], [*"ABIWUHw", None, "WW"]))
    reference: list[Row] = [{**RECORD, "SEX": sex, "RAC": race} for sex, race in codes]
    inquiries: list[Row] = [{**SMITH, "SEX": sex, "RAC": race} for sex, race in codes]
    found = screened(inquiries, reference, twin.asked(preset, max_hits=MAX_HITS))

    def known(code: str | None, table: Mapping[str, str]) -> str:
        return code.upper() if code and code.upper() in table else "U"

    wanted = [
        (i, j)
        for i, (sex_a, race_a) in enumerate(codes)
        for j, (sex_b, race_b) in enumerate(codes)
        if known(sex_b, sexes) in sexes[known(sex_a, sexes)] and known(race_b, races) in races[known(race_a, races)]
    ]
    assert sorted(zip(found.row.tolist(), found.reference_row.tolist(), strict=True)) == wanted


@pytest.mark.parametrize(
    ("years", "asked", "recorded", "hit"),
    [
        (0, "19800615", "1980-06-15", True),
        (0, "19800615", "19810615", False),
        (1, "19800615", "19810615", True),
        (1, "19800615", "19790615", True),
        (1, "19800615", "19820615", False),
        (1, "19800615", "19810616", False),
        (3, "19800615", "19830615", True),
        (3, "19800615", "19770615", True),
        (3, "19800615", "19840615", False),
        (3, "00020615", "00010615", True),
        (3, "99980615", "99990615", True),
        (3, "00020615", "99990614", False),
        (3, "99980615", "00010616", False),
        # 29 February is 28 February and 1 March of years that have none, and only of those
        (0, "19800229", "19800229", True),
        (0, "19800229", "19800228", False),
        (1, "19800229", "19810228", True),
        (1, "19800229", "19810301", True),
        (1, "19800229", "19790228", True),
        (1, "19800229", "19800228", False),
        (1, "19800229", "19800301", False),
        (1, "19810228", "19800229", True),
        (1, "19810301", "19800229", True),
        (1, "19800228", "19800229", False),
        (3, "19800228", "19840229", False),
        (3, "19830228", "19800229", True),
        (4, "19800229", "19840229", True),
        (4, "19800229", "19840228", False),
        (3, "19820228", "19800301", False),
        (4, "19000228", "19040229", True),
        (4, "20000228", "20040229", False),
        # a date with unknown digits: what is known must agree
        (0, "1980-06-XX", "19800630", True),
        (0, "1980-06-XX", "19800730", False),
        (0, "1980XXXX", "19801231", True),
        (0, "1980XXXX", "19811231", False),
        (1, "1980XXXX", "19811231", True),
        (0, "XXXX0615", "19800615", True),
        (0, "198XXXXX", "19800615", False),  # neither a year nor a day: no search
        (0, "19800630", "1980-06-XX", True),
        (0, "19800615", "XXXX0615", True),
        (0, "19800615", "XXXX0616", False),
        (0, "1980-06-XX", "19XX-06-15", True),
    ],
)
def test_dates(years: int, asked: str, recorded: str, hit: bool) -> None:
    rules = msgspec.structs.replace(twin.PRESETS["ncic_qw"], years=years)
    assert is_hit({**SMITH, "DOB": asked}, {**RECORD, "DOB": recorded}, rules) is hit


@pytest.mark.parametrize(
    ("asked", "recorded", "hit"),
    [
        ("SMITH, JOHN", "SMYTHE, PETER", True),
        ("Smith,John", "SCHMIDT, J", True),
        ("SMITH, JOHN", "SMITHERS, JOHN", False),
        ("OBRIEN, PAT", "O'BRIEN, PAT", True),
        ("MARTINEZ-LOPEZ, A", "MARTINEZ LOPEZ, A", True),
        ("JOHN, SMITH", "SMITH, JOHN", False),
    ],
)
def test_surnames_are_compared_by_their_sound(asked: str, recorded: str, hit: bool) -> None:
    assert is_hit({**SMITH, "NAM": asked}, {**RECORD, "NAM": recorded}, twin.PRESETS["ncic_qw"]) is hit


def test_custom_searches() -> None:
    rules = twin.PRESETS["ncic_qw"]
    exchanged = {**SMITH, "NAM": "JOHN, SMITH"}
    assert is_hit(exchanged, RECORD, msgspec.structs.replace(rules, names_exchanged=True))
    other_day: Row = {**SMITH, "DOB": "19801206"}
    record: Row = {**RECORD, "DOB": "19800612"}
    assert not is_hit(other_day, record, rules)
    assert is_hit(other_day, record, msgspec.structs.replace(rules, month_day_exchanged=True))
    assert not is_hit({**SMITH, "DOB": "19811206"}, record, msgspec.structs.replace(rules, month_day_exchanged=True))


def test_an_identifier_is_searched_alone() -> None:
    stranger: Row = {**RECORD, "NAM": "DOE, JANE", "DOB": "19500101", "SEX": "F", "RAC": "B", "SOC": "123456789"}
    asked: Row = {**SMITH, "SOC": "123-45-6789"}
    alone = screened([asked], [stranger, RECORD], twin.asked("ncic_qw"))
    assert alone.reference_row.tolist() == [0]
    assert alone.best.tolist() == [HitClass.IDENTIFIER]
    assert screened([asked], [stranger, RECORD], twin.asked(rules=BOTH_WAYS)).reference_row.tolist() == [0, 1]


@pytest.mark.parametrize("placeholder", ["000000000", "666123456", "999999999", "123006789", "123450000", "XXXXX6789"])
def test_a_number_that_identifies_nobody_does_not_hide_a_name(placeholder: str) -> None:
    assert is_hit({**SMITH, "SOC": placeholder}, RECORD, twin.PRESETS["ncic_qw"])
    assert is_hit({**SMITH, "FBI": "UNKNOWN"}, RECORD, twin.PRESETS["ncic_qw"])


def test_a_longer_number_is_another_one() -> None:
    """Even where no record has one of its length, and a whole word of memory agrees."""
    record: Row = {**RECORD, "NAM": "DOE, JANE", "FBI": "12345678"}
    assert not is_hit({**SMITH, "FBI": "123456789"}, record, twin.PRESETS["ncic_qw"])
    assert is_hit({**SMITH, "FBI": "12345678"}, record, twin.PRESETS["ncic_qw"])


def test_two_unknown_numbers_that_look_alike_are_no_identifier() -> None:
    record: Row = {**RECORD, "NAM": "DOE, JANE", "SOC": "XXXXX6789"}
    assert not is_hit({**SMITH, "SOC": "XXXXX6789"}, record, twin.PRESETS["ncic_qw"])


def test_not_screenable_is_not_no_hit() -> None:
    inquiries: list[Row] = [
        {**SMITH, "DOB": None},
        {**SMITH, "DOB": "19801399"},
        {**SMITH, "NAM": None},
        {**SMITH, "NAM": "李, 小龙"},
        {**SMITH, "DOB": None, "FBI": "99A"},
        {**SMITH, "NAM": "NOBODY, NO"},
    ]
    found = screened(inquiries, [RECORD], twin.asked("ncic_qw"))
    assert found.outcome.tolist() == [Outcome.NOT_SCREENABLE] * 4 + [Outcome.NO_HIT] * 2
    assert found.status.status.tolist() == [Status.NOT_USABLE] * 4 + [Status.OK] * 2


def test_hits_beyond_the_most_are_counted() -> None:
    reference: list[Row] = [{**RECORD, "NAM": f"SMITH, {name}"} for name in ("PETER", "JOHN", "JACK", "J", "MARY")]
    found = screened([SMITH, SMITH], reference, twin.asked("ncic_qw", max_hits=2))
    assert found.found.tolist() == [5, 5]
    assert found.listed.tolist() == [2, 2]
    assert found.reference_row.tolist() == [1, 2, 1, 2]
    assert found.hits(7).column("rank").to_pylist() == [1, 2, 1, 2]
    assert found.hits(7).column("row").to_pylist() == [7, 7, 8, 8]


def test_equal_hits_are_in_the_order_of_the_reference() -> None:
    """Which is not that of the index, where 1979 comes before 1981."""
    reference: list[Row] = [{**RECORD, "DOB": day} for day in ("19810615", "19790615", "19810615")]
    found = screened([SMITH], reference, twin.asked("ncic_qw_expanded_dob"))
    assert len(set(found.bits.tolist())) == 1
    assert found.reference_row.tolist() == [0, 1, 2]


def test_a_licence_counts_with_its_state() -> None:
    columns = ("NAM", "OLN", "OLS", "file_code")
    rules = msgspec.structs.replace(twin.PRESETS["ncic_qw"], identifiers=("OLN",))
    reference: list[Row] = [
        {"OLN": "D-123 45", "OLS": state, "NAM": None, "file_code": "W"} for state in ("TX", "CA", None)
    ]
    inquiries: list[Row] = [{"OLN": "D12345", "OLS": state} for state in ("CA", "NV", None)]
    index = twin.index(reference, columns)
    found = run(twin.batch("person/1", inquiries, ("OLN", "OLS")), index, twin.asked(rules=rules), twin.MODEL)
    assert found.reference_row.tolist() == [1]
    assert found.outcome.tolist() == [Outcome.HIT, Outcome.NO_HIT, Outcome.NOT_SCREENABLE]
    without = run(twin.batch("person/1", inquiries, ("OLN",)), index, twin.asked(rules=rules), twin.MODEL)
    assert without.outcome.tolist() == [Outcome.NOT_SCREENABLE] * 3


def test_initials() -> None:
    reference: list[Row] = [{**RECORD, "NAM": f"SMITH, {name}"} for name in ("J", "K", "JOHN")]
    found = screened([SMITH, {**SMITH, "NAM": "SMITH, K"}], reference, twin.asked("ncic_qw")).hits(0).to_pylist()
    said = {(hit["row"], hit["reference_row"]): hit["agreement"].split(", ")[1] for hit in found}
    assert said == {
        (0, 0): "first initial",
        (0, 1): "first differs",
        (0, 2): "first exact",
        (1, 0): "first differs",
        (1, 1): "first exact",
        (1, 2): "first differs",
    }


def test_a_record_that_is_found_in_several_ways_is_one_hit() -> None:
    rules = msgspec.structs.replace(
        twin.PRESETS["ncic_qw"], identifiers_alone=False, month_day_exchanged=True, names_exchanged=True
    )
    record: Row = {**RECORD, "NAM": "SMITH, SMITH", "DOB": "19800606", "SOC": "123456789", "FBI": "99A"}
    asked: Row = {**SMITH, **{name: record[name] for name in PERSON}}
    assert screened([asked], [record], twin.asked(rules=rules)).found.tolist() == [1]


def test_scores_below_the_least_are_dropped_but_not_identifiers() -> None:
    reference: list[Row] = [
        {**RECORD, "NAM": "SMYTHE, MARY"},
        RECORD,
        {**RECORD, "NAM": "DOE, MARY", "SOC": "123456789"},
    ]
    asked: Row = {**SMITH, "SOC": "123456789"}
    every = screened([asked], reference, twin.asked(rules=BOTH_WAYS))
    assert every.reference_row.tolist() == [2, 1, 0]
    some = screened([asked], reference, twin.asked(rules=BOTH_WAYS, min_score=1000.0))
    assert some.reference_row.tolist() == [2]
    assert some.found.tolist() == [1]


def test_restricted_files_take_asking() -> None:
    reference: list[Row] = [{**RECORD, "file_code": code} for code in ("W", "T", None, "Q")]
    found = screened([SMITH], reference, twin.asked("ncic_qw"))
    assert found.reference_row.tolist() == [0]
    assert found.found.tolist() == [1]
    every = screened([SMITH], reference, twin.asked("ncic_qw", include_restricted=True))
    assert every.reference_row.tolist() == [0, 1, 2, 3]
    assert every.hits(0).column("restricted").to_pylist() == [False, True, True, True]


def test_status_only_shows_nothing_of_the_records() -> None:
    inquiries: list[Row] = [SMITH, {**SMITH, "NAM": "NOBODY, NO"}, {**SMITH, "NAM": None}]
    found = screened(inquiries, [RECORD], twin.asked("ncic_qw", status_only=True))
    assert found.hits(0).num_rows == 0
    assert found.hits(0).schema == HITS.schema.arrow
    assert found.outcomes(0).schema == OUTCOMES.arrow
    assert found.outcomes(0).to_pylist() == [
        {"row": row, "outcome": outcome, "best": None, "hits": None, "listed": None}
        for row, outcome in enumerate(("hit", "no_hit", "not_screenable"))
    ]


def test_classes_and_words() -> None:
    reference: list[Row] = [
        RECORD,
        {**RECORD, "NAM": "SMYTHE, MARY"},
        {**RECORD, "DOB": "1980-06-XX"},
        {**RECORD, "DOB": "19810615"},
        {**RECORD, "NAM": "SMITH, JACK", "RAC": "U", "SOC": "123456780"},
    ]
    asked: Row = {**SMITH, "SOC": "XXX45678X"}
    found = screened([asked], reference, twin.asked("ncic_qw_expanded_dob")).hits(0)
    assert [(hit["class"], hit["reference_row"], hit["agreement"]) for hit in found.to_pylist()] == [
        ("strong", 4, "last exact, first nickname, DOB equal, SEX same, SOC partial"),
        ("strong", 0, "last exact, first exact, DOB equal, SEX same, RAC same"),
        ("possible", 3, "last exact, first exact, DOB years, SEX same, RAC same"),
        ("possible", 1, "last phonetic, first differs, DOB equal, SEX same, RAC same"),
        ("name_only", 2, "last exact, first exact, DOB partial, SEX same, RAC same"),
    ]
    assert found.column("NIC").to_pylist() == [b"W123456789"] * 5
    assert found.column("EXL").to_pylist() == [b"A"] * 5
    assert found.column("ORI").null_count == 5  # the reference has none
    bits = found.column("score").to_pylist()[1]
    chances = [twin.MODEL.levels[f][level] for f, level in (("last", "exact"), ("first", "exact"), ("DOB", "equal"))]
    chances += [twin.MODEL.levels["SEX"]["same"], twin.MODEL.levels["RAC"]["same"]]
    assert bits == pytest.approx(sum(math.log2(chance.m / chance.u) for chance in chances))


@pytest.mark.parametrize(
    ("asked", "recorded", "words"),
    [
        ("XXXXX6789", "123456789", "SOC partial"),
        ("XXXXXX789", "123456789", ""),
        ("XXXXXXXXX", "123456789", ""),
        ("XXXXX6789", "12345XXXX", ""),
        ("XXXXX6789", "123456780", "SOC differs"),
        ("123456780", "12345678X", "SOC partial"),
        ("X23456789", "123456780", "SOC differs"),
    ],
)
def test_unknown_digits_of_a_number(asked: str, recorded: str, words: str) -> None:
    found = screened([{**SMITH, "SOC": asked}], [{**RECORD, "SOC": recorded}], twin.asked(rules=BOTH_WAYS)).hits(0)
    assert found.column("agreement").to_pylist()[0].partition("RAC same")[2].removeprefix(", ") == words


@pytest.mark.parametrize(("asked", "words"), [("123456798", "SOC one_edit"), ("123456780", "SOC one_edit")])
def test_numbers_of_one_slip(asked: str, words: str) -> None:
    found = screened([{**SMITH, "SOC": asked}], [{**RECORD, "SOC": "123456789"}], twin.asked(rules=BOTH_WAYS)).hits(0)
    assert found.column("agreement").to_pylist()[0].endswith(words)


def test_a_hit_is_never_called_a_match() -> None:
    said = [name for schema in (HITS.schema.arrow, OUTCOMES.arrow) for name in schema.names]
    said += [member.name for kind in (HitClass, Outcome) for member in kind]
    place = 1
    for levels in LEVELS.values():
        said += [words_of(level * place) for level in range(len(levels))]
        place *= len(levels)
    assert not [text for text in said if "match" in text.lower()]


def test_same_input_same_bytes() -> None:
    reference = [{**RECORD, "NAM": f"SMITH, {name}"} for name in "ABCDEFGH"]
    ours, again = (screened([SMITH] * 3, reference, twin.asked("iii_qh")) for _ in range(2))
    assert ours.hits(0).serialize().to_pybytes() == again.hits(0).serialize().to_pybytes()


# ---------------------------------------------------------------------- refusals and limits


@pytest.mark.parametrize(
    "wrong", [{"max_hits": 0}, {"max_hits": MAX_HITS + 1}, {"min_score": math.nan}, {"min_score": math.inf}]
)
def test_wrong_parameters(wrong: dict[str, Any]) -> None:
    assert decoded(Screen, {"max_hits": MAX_HITS, "min_score": 0.0})
    with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
        decoded(Screen, {"max_hits": 1, "min_score": None, **wrong})


def test_a_reference_that_does_not_say_which_file() -> None:
    """Its restricted records could not be told apart, so a search would silently leave all of them out."""
    for batches in ([], [twin.batch("hotfile/1", [RECORD], PERSON)]):
        with refused(Reason.SCHEMA_MISMATCH):
            build(batches, twin.FILES, room=1 << 30)


def test_a_reference_that_is_too_large() -> None:
    schema = tagged("hotfile/1", [pa.field("file_code", pa.utf8())])
    large = pa.RecordBatch.from_arrays([pa.nulls(MAX_RECORDS + 1, pa.utf8())], schema=schema)
    small = twin.batch("hotfile/1", [RECORD], HOTFILE)
    for batch, room in ((large, 1 << 40), (small, memory([small]) - 1)):
        with refused(Reason.LIMIT_EXCEEDED):
            build([batch], twin.FILES, room=room)
    assert len(build([small], twin.FILES, room=memory([small]))) == 1


def test_a_column_beyond_what_arrow_can_address() -> None:
    """Its pages are never touched: it is refused by its size."""
    schema = tagged("hotfile/1", [pa.field("file_code", pa.binary())])
    offsets = np.array([0, 1 << 30], np.int32)
    column = pa.Array.from_buffers(
        pa.binary(), 1, [None, pa.py_buffer(offsets), pa.py_buffer(np.zeros(1 << 30, np.uint8))]
    )
    with refused(Reason.LIMIT_EXCEEDED):
        build([pa.RecordBatch.from_arrays([column], schema=schema)] * 2, twin.FILES, room=1 << 40)


def test_the_memory_of_building_is_within_its_estimate() -> None:
    rows = 50_000
    columns = {name: pa.array([f"{i:09d}" for i in range(rows)]) for name in ("SOC", "FBI", "MNU", "SID", "OLN", "NIC")}
    columns |= {
        "last": pa.array([f"N{i}" for i in range(rows)]),
        "first": pa.array([f"G{i}" for i in range(rows)]),
        "OLS": pa.array(["TX"] * rows),
        "DOB": pa.array([f"19{i % 90 + 10}0{i % 9 + 1}{i % 28 + 1:02d}" for i in range(rows)]),
        "file_code": pa.array(["W"] * rows),
    }
    schema = tagged("hotfile/1", [pa.field(name, pa.utf8()) for name in columns])
    batch = pa.RecordBatch.from_arrays(list(columns.values()), schema=schema)
    arrow = pa.total_allocated_bytes()
    tracemalloc.start()
    index = build([batch], twin.FILES, room=1 << 34)
    arrow = pa.default_memory_pool().max_memory() - arrow
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(index) == rows
    assert peak + arrow <= memory([batch])


def test_an_inquiry_that_is_too_broad() -> None:
    reference: list[Row] = [{**RECORD, "DOB": f"1980-06-{day:02d}"} for day in range(1, 21)]
    inquiries: list[Row] = [{**SMITH, "DOB": "1980-06-XX"}, SMITH]
    found = screened(inquiries, reference, twin.asked("ncic_qw"), candidates=19)
    assert found.outcome.tolist() == [Outcome.NOT_SCREENABLE, Outcome.HIT]
    assert found.found.tolist() == [0, 1]
    assert found.row.tolist() == [1]
    assert found.status.codes.tolist() == [Code.TOO_MANY_CANDIDATES]
    assert found.status.status.tolist() == [Status.NOT_USABLE, Status.OK]
    assert screened(inquiries, reference, twin.asked("ncic_qw"), candidates=20).found.tolist() == [20, 1]
    with refused(Reason.LIMIT_EXCEEDED):
        screened(inquiries, reference, twin.asked("ncic_qw"), comparisons=20)


def test_what_is_wrong_is_said_of_its_column() -> None:
    columns = ("city", "SEX", "RAC", "DOB", "SOC", "NAM", "file_code")
    rows: list[Row] = [
        {"NAM": "SMITH", "DOB": "19800230", "SEX": "Q", "RAC": "1", "SOC": "000123456", "file_code": "W", "city": None},
        {"NAM": "PEÑA, JO", "DOB": "19800229", "SEX": "MF", "RAC": "W", "SOC": "12", "file_code": "Q", "city": None},
    ]
    wrong = [
        (0, ValueCode.NOT_IN_TABLE, 2),
        (0, ValueCode.NOT_A_DATE, 3),
        (0, ValueCode.NEVER_ISSUED, 4),
        (0, ValueCode.WRONG_FORM, 5),
        (1, ValueCode.NOT_IN_TABLE, 1),
        (1, ValueCode.WRONG_FORM, 4),
        (1, ValueCode.WRONG_CHARACTER, 5),
    ]
    index = twin.index(rows, columns)
    status = run(twin.batch("hotfile/1", rows, columns), index, twin.asked("ncic_qw"), twin.MODEL).status

    def said(status: RowStatus) -> list[tuple[int, int, int]]:
        return sorted(zip(status.rows.tolist(), status.codes.tolist(), status.columns.tolist(), strict=True))

    assert said(status) == sorted([*wrong, (0, ValueCode.NOT_IN_TABLE, 1), (0, Code.NOT_SCREENABLE, -1)])
    assert said(index.status) == sorted([*wrong, (0, Code.NOT_REACHABLE, -1), (1, Code.UNKNOWN_FILE, -1)])
    assert status.status.tolist() == [Status.NOT_USABLE, Status.PARTLY_USED]


def test_one_long_name_does_not_widen_all() -> None:
    found = screened([{**SMITH, "NAM": "SMITH" * 20 + ", JOHN"}, SMITH], [RECORD], twin.asked("ncic_qw"))
    assert found.found.tolist()[1] == 1
    assert found.status.status.tolist() == [Status.PARTLY_USED, Status.OK]


# ---------------------------------------------------------------------- the table


def shipped() -> str:
    return (files("worker.compute.tables") / "screening.toml").read_text()


def operation(**parameters: Any) -> wire.Operation:
    return wire.Operation(screen=wire.Screen(max_hits=1, **parameters))


def test_an_operator_replaces_the_presets(tmp_path: Path) -> None:
    """Its rules decide, its weights count, and a preset of its own has a name that only its worker knows."""
    assert load_tables(tmp_path).sha256 == TABLES.sha256
    rules = shipped().partition("[presets.ncic_qw]")[2].partition("[presets.")[0]
    strict = rules.replace('M = "MU"', 'M = "M"')
    own = shipped().replace(rules, f"{strict}[presets.county]{strict}", 1)
    own = own.replace("exact = { m = 0.90", "exact = { m = 0.89").replace("close = { m = 0.05", "close = { m = 0.06", 1)
    (tmp_path / "screening.toml").write_text(own)
    tables = load_tables(tmp_path)
    assert tables.sha256 != TABLES.sha256
    sides = {"reference": [twin.batch("hotfile/1", [{**RECORD, "SEX": "U"}, RECORD], HOTFILE)]}
    inquiry = twin.batch("person/1", [SMITH], PERSON)
    for preset, of_tables, hits in (("county", tables, 1), ("ncic_qw", tables, 1), ("ncic_qw", TABLES, 2)):
        job = operation(preset=preset)
        planned([job], "person/1", of_tables, sides={"reference": "hotfile/1"})
        bound = prepare_batch(job, "person/1", inquiry.schema, replace(context(tables=of_tables), sides=sides))
        assert isinstance(bound, Screening)
        found = run(inquiry, bound.index, bound.parameters, bound.model)
        assert found.found.tolist() == [hits]
        assert found.bits[0] == pytest.approx(sum(math.log2(ratio) for ratio in ratios(of_tables.screening.model)))
    for wrong in (operation(preset="county"), operation(preset="ncic_qw", tables_sha256=tables.sha256)):
        planned([wrong], "person/1", sides={"reference": "hotfile/1"})  # a client does not know the worker's tables
        with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
            planned([wrong], "person/1", TABLES, sides={"reference": "hotfile/1"})


def ratios(model: Model) -> list[float]:
    """Of a record that agrees with its inquiry in name, date, sex and race."""
    levels = (("last", "exact"), ("first", "exact"), ("DOB", "equal"), ("SEX", "same"), ("RAC", "same"))
    return [model.levels[field][level].m / model.levels[field][level].u for field, level in levels]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('["SOC", "FBI", "MNU"]', '["SOC", "SOC"]'),
        ('["SOC", "FBI", "MNU"]', '["VIN"]'),
        ("years = 0", "years = 11"),
        ("years = 0", "years = -1"),
        (', U = "MFU" }', " }"),
        ('U = "ABIUW"', 'U = "ABIUWX"'),
        ("version = 1", "version = 2"),
        ("[model.levels.last]", "[model.levels.lost]"),
        ("m = 0.90", "m = 0.91"),
        ("u = 0.55", "u = 0.0"),
        ("years = 0", "years = 0\nfurther = 1"),
        ("[presets.iii_qh]", "[presets.iii]"),
    ],
)
def test_a_table_that_makes_no_sense(old: str, new: str, tmp_path: Path) -> None:
    assert old in shipped()
    (tmp_path / "screening.toml").write_text(shipped().replace(old, new, 1))
    with pytest.raises(StartupError, match=r"screening\.toml"):
        load_tables(tmp_path)


def test_the_classes_follow_the_threshold() -> None:
    index = twin.index([RECORD], HOTFILE)
    inquiry = twin.batch("person/1", [SMITH], PERSON)
    bits = run(inquiry, index, twin.asked("ncic_qw"), twin.MODEL).bits[0]
    for strong, wanted in ((bits, HitClass.STRONG), (np.nextafter(bits, np.inf), HitClass.POSSIBLE)):
        changed = msgspec.structs.replace(twin.MODEL, strong=float(strong))
        assert run(inquiry, index, twin.asked("ncic_qw"), changed).best.tolist() == [wanted]


# ---------------------------------------------------------------------- identifiers that are made to collide


def mixed(words: np.ndarray) -> np.ndarray:
    number = words * np.uint64(0x9E3779B97F4A7C15)
    return number ^ (number >> np.uint64(32))


def colliding() -> tuple[str, str]:
    """Two identifiers of 16 characters with the same number in the index: the second word undoes the first one."""
    rng = np.random.default_rng(1)
    alphabet = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", np.uint8)
    heads = rng.choice(alphabet, (2, 50_000, 8)).view(np.uint64)[..., 0]
    difference = mixed(heads[0]) ^ mixed(heads[1])
    pairs = {int(a ^ b): (int(a), int(b)) for a in alphabet for b in alphabet}
    for (one, other), wanted in zip(heads.T.tolist(), difference.tolist(), strict=True):
        steps = wanted.to_bytes(8, "little")
        if all(step in pairs for step in steps):
            tails = [bytes(pairs[step][side] for step in steps) for side in (0, 1)]
            first, second = (
                (head.to_bytes(8, "little") + tail).decode() for head, tail in zip((one, other), tails, strict=True)
            )
            return first, second
    raise AssertionError("no two of them collide")


def test_identifiers_that_collide_are_told_apart() -> None:
    first, second = colliding()
    reference: list[Row] = [{**RECORD, "NAM": None, "FBI": value} for value in (first, second)]
    index = twin.index(reference, HOTFILE)
    assert len(set(index.postings["FBI"].mixed.tolist())) == 1
    inquiries: list[Row] = [{**SMITH, "FBI": value} for value in (second, first)]
    assert screened(inquiries, reference, twin.asked("ncic_qw")).reference_row.tolist() == [1, 0]
    assert screened(inquiries[:1], reference[:1], twin.asked("ncic_qw")).found.tolist() == [0]
