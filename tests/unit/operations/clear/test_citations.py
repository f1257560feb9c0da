"""Citations at the beginning of texts, and whether they are among listed sections: yes, no, or too short to tell."""

import numpy as np
import pyarrow as pa
import pytest

from cji_core.operations.clear.sections import Patterns, read_pattern
from cji_operations.clear.citations import read_citations
from cji_operations.clear.truth import NO, UNKNOWN, YES

LAWS = ("HS", "PC", "VC", "WI")


def found(*texts: str | bytes | None, hyphenated: bool = False, laws: tuple[str, ...] = LAWS) -> list[str | None]:
    column = pa.array([text.encode() if isinstance(text, str) else text for text in texts], pa.binary())
    citations = read_citations([column], laws=laws, hyphenated=hyphenated)
    return [None if value is None else value.decode() for value in citations.text().to_pylist()]


def among(texts: list[str], listed: list[str], *, alone: tuple[str, ...] = ()) -> list[int]:
    citations = read_citations([pa.array([t.encode() for t in texts], pa.binary())], laws=LAWS, hyphenated=False)
    named = Patterns.of(alone, hyphenated=False).alone
    return [int(truth) for truth in citations.among(Patterns.of(listed, hyphenated=False), named)]


@pytest.mark.parametrize(
    ("text", "citation"),
    [
        ("11357(A) HS-POSSESS CONCENTRATED CANNABIS", "11357(A) HS"),
        ("11357(b)(2)HS", "11357(B)(2) HS"),
        ("  273.5 pc-inflict corporal injury", "273.5 PC"),
        ("484 (A) PC THEFT", "484(A) PC"),
        ("288A(C) PC", "288A(C) PC"),
        ("11357 H&S-POSSESS", "11357 HS"),
        ("11357HS", "11357 HS"),
        ("CNT 01 CHRG-487(A) PC SECOND DEGREE", "487(A) PC"),
        ("COM: CNT #2 11358 HS", "11358 HS"),
        ("664/187 PC-ATTEMPTED MURDER", "664 PC"),
        ("1(A)(B)(C)(D)(E) PC", "1(A)(B)(C)(D) PC"),
        ("POSSESS MARIJUANA", None),
        ("3 YR PROBATION", None),
        ("35036", None),
        ("11357(A) HSX", None),
        ("SECTION 11357 HS", None),
        ("", None),
    ],
)
def test_a_citation_is_read_from_the_beginning(text: str, citation: str | None) -> None:
    assert found(text) == [citation]


def test_bytes_that_are_no_text_are_no_citation() -> None:
    assert found(b"\xff\xfe", None, b"11357 HS\xff", b"\xff11357 HS") == [None, None, "11357 HS", None]
    assert found() == []


def test_laws_may_be_left_out_and_hyphens_belong_to_numbers() -> None:
    assert found("76-6-404(1)-THEFT", hyphenated=True, laws=()) == ["76-6-404(1)"]
    assert found("750.81", "35036", laws=()) == ["750.81", "35036"]


@pytest.mark.parametrize("text", ["750.110A2", "76-6-404A2", "1(A)(B)X", "1 (A)X", "1/2XY", "1 /2XY"])
def test_a_longer_number_is_not_cited_by_its_beginning(text: str) -> None:
    assert found(text, laws=(), hyphenated="-6-" in text) == [None]


@pytest.mark.parametrize(
    ("text", "citation"),
    [
        ("18 § 3903 §§ A1", "18-3903(A)(1)"),
        ("18 Pa.C.S. § 3903(a)(1)", "18-3903(A)(1)"),
        ("18 Pa.C.S.A. §2701(a)", "18-2701(A)"),
        ("18 3929 RETAIL THEFT", "18-3929"),
        ("18 CS 3929 (A)(1)", "18-3929(A)(1)"),
        ("35 § 780-113 §§ A30", "35-780-113(A)(30)"),
        ("35 P.S. § 780-113(a)(30)", "35-780-113(A)(30)"),
        ("18-4915.1(a)", "18-4915.1(A)"),
        ("75 § 3802 §§ A1*", "75-3802(A)(1)"),
        ("3903(a)", None),
        ("18", None),
        ("THEFT", None),
    ],
)
def test_a_title_stands_before_its_section(text: str, citation: str | None) -> None:
    column = pa.array([text.encode()], pa.binary())
    read = read_citations([column], laws=(), hyphenated=False, titled=True)
    assert read.text().to_pylist() == [None if citation is None else citation.encode()]


DOTTED = [
    ("750.81", "750.81"),
    (" 750.110a - HOME INVASION 1ST", "750.110A"),
    ("750.136B(3) CHILD ABUSE", "750.136B(3)"),
    ("750.356(3)(a), LARCENY $200.00 OR MORE", "750.356(3)(A)"),
    *((text, None) for text in ("750520C", "1103", "11-03", "750.520 C", "750.520-C", "750.520 (C", "750.520C1A")),
    *((text, None) for text in ("750.92 750.520c", "750.112; 750.520c", "750.92/750.520C", "750.92 ATT 750.520C")),
]


@pytest.mark.parametrize(("text", "citation"), DOTTED)
def test_a_dotted_section_is_read_alone_or_not_at_all(text: str, citation: str | None) -> None:
    read = read_citations([pa.array([text.encode()], pa.binary())], laws=(), hyphenated=False, dotted=True)
    assert read.text().to_pylist() == [None if citation is None else citation.encode()]


def test_digits_behind_a_dotted_section_may_be_a_subdivision() -> None:
    texts = ["750.812", "750.81", "750.8", "750.82", "257.6251A"]
    column = pa.array([text.encode() for text in texts], pa.binary())
    read = read_citations([column], laws=(), hyphenated=False, dotted=True)
    listed = Patterns.of(["750.81", "257.625(1)"], hyphenated=False)
    assert read.among(listed, frozenset()).tolist() == [UNKNOWN, YES, NO, NO, UNKNOWN]
    assert read.among(Patterns.of(["257.*"], hyphenated=False), frozenset()).tolist() == [NO, NO, NO, NO, YES]


def test_a_beginning_covers_all_numbers_that_begin_so() -> None:
    texts = ["257.625(1)", "257.6", "2570.1", "257", "750.257", "x"]
    citations = read_citations([pa.array([t.encode() for t in texts], pa.binary())], laws=(), hyphenated=False)
    listed = Patterns.of(["257.*"], hyphenated=False)
    assert citations.among(listed, frozenset()).tolist() == [YES, YES, NO, NO, NO, UNKNOWN]
    assert among(["11357 HS", "11357 PC", "664/11358 HS"], ["113* HS"]) == [YES, NO, UNKNOWN]
    assert read_pattern("*") is None
    assert read_pattern("257.* x *") is None


def test_the_comment_counts_only_where_the_offense_is_silent() -> None:
    offense = ["SEE COMMENT FOR CHARGE", " see comment for charge ", "", None, "459 PC", "BURGLARY"]
    columns = [pa.array([None if t is None else t.encode() for t in offense], pa.binary())]
    columns.append(pa.array([b"11358 HS-X"] * len(offense), pa.binary()))
    read = read_citations(columns, laws=LAWS, hyphenated=False, follows=1)
    assert read.text().to_pylist() == [*[b"11358 HS"] * 4, b"459 PC", None]


def test_a_listed_section_covers_its_subdivisions() -> None:
    texts = ["11357(A) HS", "11357(A)(1) HS", "11357(B) HS", "11357 HS", "11357 PC", "1135 HS", "113570 HS", "x"]
    assert among(texts, ["11357(a) HS"]) == [YES, YES, NO, UNKNOWN, NO, NO, NO, UNKNOWN]
    assert among(texts, ["11357 HS"]) == [YES, YES, YES, YES, NO, NO, NO, UNKNOWN]
    assert among(texts, ["11357() HS"]) == [NO, NO, NO, YES, NO, NO, NO, UNKNOWN]
    assert among(texts, ["11357(a) HS"], alone=("11357() HS",)) == [YES, YES, NO, NO, NO, NO, NO, UNKNOWN]


def test_two_joined_sections_are_never_among_listed_ones() -> None:
    texts = ["664/11358 HS", "182-11358(A) HS", "664/459 PC", "11358/459 PC"]
    assert among(texts, ["11358 HS"]) == [UNKNOWN, UNKNOWN, NO, UNKNOWN]
    assert among(texts, ["664 HS"]) == [UNKNOWN, NO, UNKNOWN, NO]


@pytest.mark.parametrize(
    "text", ["", "HS", "11357 H S", "11357(a", "11357(a)b HS", "11357(a)(b)(c)(d)(e) HS", "484-487 PC", "(a) HS", "1 é"]
)
def test_other_text_is_not_a_section(text: str) -> None:
    assert read_pattern(text) is None


def test_a_long_text_takes_no_long_time() -> None:
    text = "1(A)" * 200_000
    assert found(text, laws=()) == [None]
    assert found(text + " THEFT", "1(A) THEFT", laws=()) == [None, "1(A)"]
    assert found(("9" * 100_000) + " " * 100_000 + "PC") == [f"{'9' * 100_000} PC"]
    assert np.int8(YES) > UNKNOWN > NO
