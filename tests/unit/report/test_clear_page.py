"""The page of `clear`: a list for the clerk by case, and letters for the reliefs that a person asks for."""

import re
from datetime import date
from typing import Any

import pyarrow as pa
from msgspec.structs import replace

from cji_client.report.clear_page import MOST_LETTERS
from cji_core.operations.clear import Clear, Rules
from tests.support.clear_cases import shipped
from tests.support.clear_tools import batch, conviction, table
from tests.support.report_tools import opened, page_of

RULES = replace(
    table(
        {"level": ("felony",), "relief": "set_aside"},
        {"level": ("misdemeanor",), "relief": "seal"},
        {"level": ("infraction",), "relief": "none"},
    ),
    petitions=("set_aside",),
    notice="A notice of the table.",
)


def page(*rows: dict[str, Any], rules: Rules = RULES) -> str:
    """The page of a job on these events."""
    job = opened(Clear(table=rules, as_of=date(2026, 2, 1)), "chri_event/2", pa.Table.from_batches([batch(rows)]))
    return page_of(job)


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def test_a_petition_is_a_letter_with_the_charges_of_the_subject() -> None:
    html = page(
        conviction(case="C-9"),
        conviction(case="C-2", level="M"),
        conviction(case="C-1", offense="459 PC-BURGLARY", date="20120304"),
        conviction(subject="S2", case="C-3", level="I"),
        conviction(subject="S3", case="C-3", level=None),
    )
    words = text_of(html)
    letters = re.findall(r'<section class="letter">.*?</section>', html, re.DOTALL)
    assert len(letters) == 1
    letter = text_of(letters[0])
    assert "Petition for S1" in letter
    assert "born 19800101" in letter
    assert "SOMEWHERE C-9 20100315 11358 HS-CULTIVATE F set aside A law. Reason 1." in letter
    assert "SOMEWHERE C-1 20120304 459 PC-BURGLARY F set aside A law. Reason 1." in letter
    assert "C-2" not in letter
    assert "not legal advice" in letter
    assert "on 2026-02-01" in letter
    assert "charges with a relief 3 not eligible 1 not decided for want of a fact 1" in words
    assert "A notice of the table." in words


def test_the_clerks_list_goes_case_by_case() -> None:
    words = text_of(
        page(
            conviction(case="C-9"),
            conviction(case="C-2", level="M"),
            conviction(subject="S2", case="C-5", level="I"),
            conviction(subject="S3", case="C-3", level=None),
        )
    )
    listed = words[words.index("List for the clerk") : words.index("Petitions")]
    places = [listed.index(case) for case in ("C-2", "C-3", "C-9")]
    assert places == sorted(places)
    assert "C-5" not in listed
    assert "look up the fact Rule r1 needs a fact: the level of the offense" in listed


def test_without_a_petition_there_is_no_letter() -> None:
    html = page(conviction(level="I"))
    assert "letter" not in html.replace(".letter", "")
    assert "There is nothing to do." in html


def test_letters_are_bounded_and_the_rest_is_counted() -> None:
    html = page(*(conviction(subject=f"S{i}") for i in range(MOST_LETTERS + 7)))
    assert html.count('<section class="letter">') == MOST_LETTERS
    assert "7 more subjects are in determinations." in html


def test_a_value_of_a_record_is_never_markup() -> None:
    html = page(conviction(case="<script>alert(1)</script>", offense="11358 HS-<b>x</b>", subject="<i>S</i>"))
    assert "<script>alert" not in html
    assert "<b>x" not in html
    assert "<i>S" not in html


def test_the_letter_of_a_shipped_table_cites_the_law() -> None:
    row = conviction(
        offense="750.535",
        date="20180201",
        max_penalty="5Y",
        marks="NONE",
        pending=False,
        sentence="PROBATION",
        case="1",
    )
    html = page(row | {"sentence_length": "3Y"}, rules=shipped("michigan"))
    assert "MCL 780.621(1)(a), 780.621d(2)" in text_of(html)
