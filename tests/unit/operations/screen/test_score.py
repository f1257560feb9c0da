"""What agrees in a hit: initials, unknown digits, and slips of the hand."""

import pytest

from tests.reference import screen as twin
from tests.support.screen_tools import BOTH_WAYS, RECORD, SMITH, Row, screened


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


@pytest.mark.parametrize(
    ("asked", "recorded", "words"),
    [
        ("SMITH, JOHN ALLEN", "SMITH, JOHN ALLEN", "middle exact"),
        ("SMITH, JOHN A", "SMITH, JOHN ALLEN", "middle initial"),
        ("SMITH, JOHN B", "SMITH, JOHN ALLEN", "middle differs"),
        ("SMITH, JOHN", "SMITH, JOHN ALLEN", ""),
        ("SMITH, JOHN ALLEN JAMES", "SMITH, JOHN ALLEN PAUL", "middle exact"),
        ("SMITH, JOHN JR", "SMITH, JOHN JR.", "suffix same"),
        ("SMITH, JOHN Jr", "SMITH JR, JOHN", "suffix same"),
        ("SMITH, JOHN JR", "SMITH, JOHN SR", "suffix differs"),
        ("SMITH, JOHN II", "SMITH, JOHN A 2ND", "suffix same"),
        ("SMITH, JOHN, III", "SMITH, JOHN 3RD", "suffix same"),
        ("SMITH, JOHN JR", "SMITH, JOHN", ""),
        ("SMITH, JOHN V", "SMITH, JOHN VICTOR", "middle initial"),
        ("SMITH, JOHN A SR", "SMITH, JOHN A IV", "middle exact, suffix differs"),
    ],
)
def test_middle_names_and_suffixes(asked: str, recorded: str, words: str) -> None:
    found = screened([{**SMITH, "NAM": asked}], [{**RECORD, "NAM": recorded}], twin.asked("ncic_qw")).hits(0)
    agreement = f"last exact, first exact, {words + ', ' if words else ''}DOB equal, SEX same, RAC same"
    assert found.column("agreement").to_pylist() == [agreement]


def test_father_and_son_are_hits_with_different_scores() -> None:
    reference: list[Row] = [{**RECORD, "NAM": f"SMITH, JOHN {suffix}"} for suffix in ("SR", "JR")]
    found = screened([{**SMITH, "NAM": "SMITH JR, JOHN"}], reference, twin.asked("ncic_qw")).hits(0).to_pylist()
    assert [hit["reference_row"] for hit in found] == [1, 0]
    assert found[0]["score"] > found[1]["score"] + 1
