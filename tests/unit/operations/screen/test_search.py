"""Outcomes and hits: their order and number, restricted files, and status only."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from cji_core.errors import Reason, Stage
from cji_core.format.records import Status
from cji_core.operations.parameters import decoded
from cji_core.operations.screen import HITS, MAX_HITS, OUTCOMES, Screen
from cji_core.operations.tables.screening import LEVELS
from cji_operations.screen import HitClass, Outcome, run
from cji_operations.screen.score import words_of
from tests.reference import screen as twin
from tests.support.refusals import refused
from tests.support.screen_tools import BOTH_WAYS, HOTFILE, PERSON, RECORD, SMITH, Row, screened


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
    assert found.outcome.tolist() == [Outcome.NOT_SCREENABLE] * 3 + [Outcome.NO_HIT] * 3
    assert found.status.status.tolist() == [Status.NOT_USABLE] * 3 + [Status.OK] * 3


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
    assert found.column("rows").to_pylist() == [1] * 5
    assert found.column("EXL").to_pylist() == [b"A"] * 5
    assert found.column("ORI").null_count == 5  # the reference has none
    bits = found.column("score").to_pylist()[1]
    chances = [twin.MODEL.levels[f][level] for f, level in (("last", "exact"), ("first", "exact"), ("DOB", "equal"))]
    chances += [twin.MODEL.levels["SEX"]["same"], twin.MODEL.levels["RAC"]["same"]]
    assert bits == pytest.approx(sum(math.log2(chance.m / chance.u) for chance in chances))


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


@pytest.mark.parametrize(
    "wrong", [{"max_hits": 0}, {"max_hits": MAX_HITS + 1}, {"min_score": math.nan}, {"min_score": math.inf}]
)
def test_wrong_parameters(wrong: dict[str, Any]) -> None:
    assert decoded(Screen, {"max_hits": MAX_HITS, "min_score": 0.0})
    with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
        decoded(Screen, {"max_hits": 1, "min_score": None, **wrong})


def test_the_classes_follow_the_threshold() -> None:
    index = twin.index([RECORD], HOTFILE)
    inquiry = twin.batch("person/1", [SMITH], PERSON)
    bits = run(inquiry, index, twin.asked("ncic_qw"), twin.MODEL).bits[0]
    for strong, wanted in ((bits, HitClass.STRONG), (np.nextafter(bits, np.inf), HitClass.POSSIBLE)):
        changed = msgspec.structs.replace(twin.MODEL, strong=float(strong))
        assert run(inquiry, index, twin.asked("ncic_qw"), changed).best.tolist() == [wanted]


ALIASES: list[Row] = [
    {**RECORD, "NIC": "W100000001"},
    {**RECORD, "NIC": "W100000001", "NAM": "SMYTHE, JON"},
    {**RECORD, "NIC": "W100000001", "NAM": "SMITH, JACK", "DOB": "19810615"},
    {**RECORD, "NIC": "W100000001", "NAM": "NOBODY, ELSE"},
    {**RECORD, "NIC": "W200000002", "NAM": "SMITH, JACK"},
    {**RECORD, "NIC": ""},
    {**RECORD, "NIC": ""},
]
"""A record with two aliases, a second date of birth and a name that is not searched; another; two without a number."""


def test_a_record_with_aliases_and_dates_is_one_hit() -> None:
    found = screened([SMITH, SMITH], ALIASES, twin.asked("ncic_qw_expanded_dob"))
    assert found.outcomes(0).column("hits").to_pylist() == [4, 4]
    hits = found.hits(0).to_pylist()
    assert [(hit["NIC"], hit["reference_row"], hit["rows"]) for hit in hits[:4]] == [
        (b"W100000001", 0, 3),
        (b"", 5, 1),
        (b"", 6, 1),
        (b"W200000002", 4, 1),
    ]
    assert [hit["row"] for hit in hits] == [0] * 4 + [1] * 4


def test_the_best_row_stands_for_its_record() -> None:
    inquiry: Row = {**SMITH, "NAM": "SMITH, JACK", "DOB": "19810615"}
    found = screened([inquiry], ALIASES, twin.asked("ncic_qw_expanded_dob", max_hits=2))
    assert (found.found.tolist(), found.listed.tolist()) == ([4], [2])
    assert found.hits(0).to_pylist()[0]["reference_row"] == 2


def test_a_row_of_a_restricted_file_does_not_bring_its_record_in() -> None:
    reference: list[Row] = [{**ALIASES[0], "file_code": "T"}, ALIASES[1]]
    found = screened([SMITH], reference, twin.asked("ncic_qw"))
    assert [(hit["reference_row"], hit["rows"]) for hit in found.hits(0).to_pylist()] == [(1, 1)]
