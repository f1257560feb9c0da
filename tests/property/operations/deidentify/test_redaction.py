"""Redaction beside Python's own expressions, value by value, and its patterns on texts as officers write them."""

import re
from typing import get_args

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_core.operations.deidentify.rules import PATTERNS, Pattern
from cji_operations.deidentify import redaction
from tests.reference.deidentify import Judged, assert_equal, untimed

ALL = redaction.expression(tuple(PATTERNS), ())
WORDS = st.sampled_from(
    ["SMITH", "Main", "St", "12", "123", "123-45-6789", "555", "1234", "(555)", "a@b.co", "Jan", "5,", "2020", "-", "/",
     "1/2/99", "ABC123D", "x", "é", "語", "#", ".", "@"]
)  # fmt: skip
TEXTS = st.lists(WORDS, max_size=12).flatmap(lambda words: st.sampled_from(["", " "]).map(lambda gap: gap.join(words)))


def slow(value: bytes) -> Judged:
    return re.sub(ALL.encode(), redaction.MARK.encode(), value), None


def redacted(text: str, *also: str) -> str:
    pattern = redaction.expression(tuple(PATTERNS), also)
    found: str = redaction.redact(pa.array([text]), pattern=pattern).array[0].as_py()
    return found


@untimed
@given(st.lists(st.none() | TEXTS.map(str.encode), max_size=12))
def test_every_text_is_what_a_loop_over_values_makes_of_it(values: list[bytes | None]) -> None:
    assert_equal(lambda array: redaction.redact(array, pattern=ALL), lambda _, value: slow(value), values)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("SEE SSN 123-45-6789 AND 123456789.", "SEE SSN [redacted] AND [redacted]."),
        ("known in part XXXXX1234, 123-45-XXXX", "known in part [redacted], [redacted]"),
        ("call (555) 123-4567 or +1 555.123.4567", "call [redacted] or [redacted]"),
        ("mail j.doe+x@mail.example.org now", "mail [redacted] now"),
        ("born 06/15/1980, 1980-06-15 or 5 MARCH 2020", "born [redacted], [redacted] or [redacted]"),
        ("on Jan. 5, 2020", "on [redacted]"),
        ("at 1420 N Oak Hill Ave. today", "at [redacted] today"),
        ("plate 7ABC123, VIN 1HGCM82633A004352", "plate [redacted], VIN [redacted]"),
        ("case 20-0012345 and FBI 123456AA7", "case [redacted] and FBI [redacted]"),
        ("PC 459 BURGLARY 2ND DEGREE", "PC 459 BURGLARY 2ND DEGREE"),
        ("HS 11357(A) 3 COUNTS", "HS 11357(A) 3 COUNTS"),
    ],
)  # fmt: skip
def test_numbers_dates_and_addresses_go_and_statutes_stay(text: str, left: str) -> None:
    assert redacted(text) == left
    assert redacted(text.lower()) == left.lower()


def test_patterns_of_an_agency_join_in() -> None:
    assert redacted("gang BLUE-7 member", r"gang \S+") == "[redacted] member"


@pytest.mark.parametrize("bad", ["(", "a)|(b", "x*", "", r"(?P<", r"a{1,100000}"])
def test_a_pattern_that_is_none_or_fits_nothing_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=r"regular expression|fits everything"):
        redaction.expression((), (bad,))


def test_time_is_linear_in_the_text_for_any_pattern() -> None:
    text = "a" * 200_000 + "!"
    assert redacted(text, "(a+)+$", "(a|aa)+b") == text


def test_the_names_of_patterns_are_those_of_the_table() -> None:
    assert get_args(Pattern) == tuple(PATTERNS)
