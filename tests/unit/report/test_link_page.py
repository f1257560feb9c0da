"""The page of `link`: verdicts are the worker's, what to do next, every length of a result, and what is drawn."""

import re
import tracemalloc
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from cji_client.report.clusters import LEAST_DRAWN, drawings
from cji_client.report.link_levels import Weights
from cji_client.report.link_page import MOST_PAIRS
from cji_core.operations.deidentify import Deidentify
from cji_core.operations.link import Comparison, Condition, Key, Level, Link, Model, Rule
from cji_core.page.distributions import Mark, Outcome, histogram, matrix, opposed, strip
from tests.support.report_tools import PEOPLE, PERSON, jobs, linked, many_pairs, opened, page_of, people

PAGES = jobs()


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def verdicts(job_page: str) -> dict[str, str]:
    """By column, of the first pair of a page."""
    (body,) = re.findall(r'<table class="sides">.*?<tbody>(.*?)</tbody>', job_page, re.DOTALL)[:1]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", body)]
    return {re.sub("<[^>]*>", "", name): re.sub("<[^>]*>", "", words) for name, _, _, words in rows}


def pair(**columns: tuple[str | None, str | None]) -> str:
    """The page of a job on two records, which the model of persons or of their columns brings together."""
    table = pa.table({name: pa.array(both, pa.utf8()) for name, both in columns.items()})
    return page_of(opened(Link(clerical_review_threshold=1e-9), PERSON, table))


def test_what_the_worker_found_the_same_is_not_said_to_differ() -> None:
    """The evidence below said "the same" where the page said "differs"."""
    found = verdicts(
        pair(
            last=("García", "GARCÍA"),
            first=("MARIA", "maria "),
            DOB=("19570401", "1957-04-01"),
            SOC=("219-09-8765", "219098765"),
            city=("X", "X"),
        )
    )
    assert found == {
        "last": "same, written otherwise",
        "first": "same, written otherwise",
        "DOB": "same, written otherwise",
        "SOC": "same, written otherwise",
        "city": "the same",
    }


def test_verdicts_are_the_labels_of_levels() -> None:
    page = pair(
        last=("SMITH", "SMITH"),
        first=("ROBERT", "BOB"),
        DOB=("19570401", "19570402"),
        postcode=("34056-1234", "34056"),
        HGT=("510", "511"),
        SEX=("M", "F"),
        OLN=("A1", None),
        city=("HERE", "HERE"),
    )
    found = verdicts(page)
    assert found["first"] == "forms of one given name"
    assert found["DOB"] == "one slip of the hand apart"
    assert found["postcode"] == "equal in the first three places"
    assert found["HGT"] == "not compared"
    assert found["SEX"] == "different"
    assert found["OLN"] == ""
    assert "differs" not in page


def test_what_speaks_against_one_person_is_marked() -> None:
    (marked,) = set(re.findall("<mark>(.*?)</mark>", page_of(PAGES["link"])))
    assert marked == "different"


def test_a_value_that_counts_as_missing_has_no_verdict() -> None:
    found = verdicts(
        pair(last=("DOW", "DOW"), first=("JO", "JO"), DOB=("19570401",) * 2, SOC=("000000000", "231564897"))
    )
    assert found["SOC"] == "counts as missing"


def test_names_compared_by_their_parts_have_both_verdicts() -> None:
    found = verdicts(pair(NAM=("DOW, JANE", "Dow,Jane"), DOB=("19570401", "19570401")))
    assert found["NAM"] == "same, written otherwise"
    found = verdicts(pair(NAM=("DOW, JANE", "DOW, RICHARD"), DOB=("19570401", "19570401")))
    assert found["NAM"] == "given name: different; surname: the same"


def test_exchanged_names_are_said_to_be() -> None:
    found = verdicts(pair(last=("SMITH", "JOHN"), first=("JOHN", "SMITH"), DOB=("19570401", "19570401")))
    assert "given name and surname of each are the surname and given name of the other" in found["last"]


def test_a_comparison_of_two_columns_speaks_for_both() -> None:
    both = tuple(Condition(column=name) for name in ("last", "first"))
    one = Comparison(
        name="name",
        levels=(Level(label="both are equal", conditions=both, m=0.9, u=0.1), Level(label="not", m=0.1, u=0.9)),
    )
    parameters = Link(model=Model(comparisons=(one,), blocking=(Rule(keys=(Key(column="last"),)),), prior=0.5))
    page = page_of(opened(parameters, PERSON, people([("DOW", "JO", "1", None), ("dow", "Jo", "1", None)])))
    assert verdicts(page) == {
        "last": "same, written otherwise",
        "first": "same, written otherwise",
        "DOB": "not compared",
    }


def test_the_result_comes_first_with_what_to_do_next() -> None:
    page = text_of(page_of(PAGES["link"]))
    assert "records 11 persons 4 of them with several records 3 pairs that match 14 pairs for a clerk 16" in page
    assert page.index("What to do next") < page.index("Pairs for a clerk ")
    assert "Decide the pairs for a clerk ( 16 ): cji link labels new RESULT" in page
    assert "Look at the bridges ( 1 )" in page
    assert "records with one of link_to 4" in text_of(page_of(PAGES["link_to"]))


def test_a_result_without_pairs_has_a_page() -> None:
    for rows in ([], [("DOW", "JANE", "19820214", "219098765")]):
        page = text_of(page_of(linked(people(rows) if rows else people([("A", "B", "1", "2")]).slice(0, 0))))
        assert "No pair was compared." in page
        assert page.count("There are none.") == 3
        assert "No pair is listed." in page
        assert f"persons {len(rows)} " in page
    assert "Complete the rows" not in page


def test_values_that_were_not_used_are_counted_by_column() -> None:
    rows = [("DOE", "JANE", "19820214", "123456789"), ("ROE", "JANE", "1982", None), *PEOPLE[:3]]
    page = text_of(page_of(linked(people(rows))))
    assert "Values that were not used" in page
    assert "SOC The value is a placeholder, such as UNKNOWN or 999999999, or used as one: it is not used. 1 0" in page
    assert "DOB The value is not a date: YYYYMMDD or YYYY-MM-DD, X for an unknown digit. 1 1" in page
    assert "Values that were not used" not in text_of(page_of(many_pairs(3)))


def test_a_result_with_one_pair_opens_it() -> None:
    page = page_of(linked(people([("DOW", "JANE", "19820214", "219098765")] * 2)))
    assert page.count('class="card" open=') == 1
    assert "Clusters" not in page  # two records need no picture


def test_a_page_of_many_pairs_is_an_index() -> None:
    few, many = (many_pairs(size) for size in (300, 100_000))
    tracemalloc.start()
    page = page_of(many)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20
    assert len(page) < 1.1 * len(page_of(few))
    assert page.count("<summary>") == page_of(few).count("<summary>")
    assert f"{33_334 - MOST_PAIRS} more are in pairs." in page
    assert "4992 more are in patterns." in page


def test_pairs_of_wide_records_stay_closed() -> None:
    assert 'class="card" open=' not in page_of(many_pairs(3, columns=24)).partition("All weights")[0]


def test_clusters_are_drawn_from_three_records_on() -> None:
    shown = drawings(PAGES["link"], linked_to=False)
    assert min(sum(group.size for group in drawing.groups) for drawing in shown) >= LEAST_DRAWN
    assert page_of(PAGES["link"]).count('class="matrix"') == len(shown) == 3


def test_every_level_has_m_and_u_in_a_chart() -> None:
    page = page_of(PAGES["link"])
    weights = Weights.of(PAGES["link"].read("levels"))
    for one in weights.comparisons:
        assert f'aria-label="{one[0]["comparison"]}: the same: m 0.9' in page
    assert page.count("<figure>") == len(weights.comparisons) + 3


def test_rows_that_cannot_match_are_named_by_what_they_have() -> None:
    rows = [("DOW", None, None, None)] * 3 + [("ROE", "JANE", "19510730", "231564897")] * 2
    page = text_of(page_of(linked(people(rows))))
    assert "3 of 5 rows would not match a record that agrees in all that they have" in page
    assert "only last 3 3" in page
    assert "Complete the rows that have too few values to match any other ( 3 )" in page


def test_the_shown_patterns_are_the_commonest() -> None:
    page = text_of(page_of(PAGES["link"]))
    counts = sorted((row["pairs"] for b in PAGES["link"].read("patterns") for row in b.to_pylist()), reverse=True)
    assert [int(found) for found in re.findall(r"(\d+) pairs ", page.partition("Patterns of agreement")[2])] == counts


def test_a_page_without_records_has_no_verdicts() -> None:
    job = PAGES["link"]
    page = page_of(replace(job, operations=[*job.operations, Deidentify(project="p", columns={"last": "keep"})]))
    assert 'class="sides"' not in page
    assert "together" in page


@pytest.mark.parametrize("first", [-128.0, -3.0, 40.0])
@pytest.mark.parametrize("size", [1, 20, 256])
def test_histograms_hold_all_counts_within_their_frame(first: float, size: int) -> None:
    counts = np.random.default_rng(size).integers(0, 1 << 40, size).tolist()
    drawn = histogram(first, counts, [Mark(at=-6.6, name="for a clerk"), Mark(at=3.2, name="match")], "pairs")
    bars = list(drawn.iter("rect"))
    assert sum(int(one[0].text.rpartition(" ")[2]) for one in bars if one[0].text) == sum(counts)
    for one in bars:
        assert 0 <= float(one.get("x", "")) <= float(one.get("x", "")) + float(one.get("width", "")) <= 336
        assert 0 < float(one.get("height", "")) <= 90
    lines = [float(one.get("x1", "")) for one in drawn.iter("line") if one.get("class") == "mark"]
    assert 0 < lines[0] < lines[1] < 336
    for one in bars:
        middle = float(one.get("x", "")) + float(one.get("width", "")) / 2
        assert one.get("class") == ("rest", "against", "for")[sum(line < middle for line in lines)]


def test_small_drawings_state_their_figures() -> None:
    outcomes = [Outcome(label="x" * 40, m=0.5, u=0.25, weight=1.0), Outcome(label="else", m=0.5, u=0.75, weight=-0.04)]
    drawn = opposed(outcomes, "name")
    widths = [float(one.get("width", "")) for one in drawn.iter("rect")]
    assert widths == [16.0, 32.0, 48.0, 32.0]
    assert [one.text for one in drawn.iter("text")][-1] == "+0.0"
    assert "x" * 40 in (drawn.get("aria-label") or "")
    squares = strip([5.0, None, -1.0], ["a", "b", "c"], "what")
    assert [one.get("class") for one in squares] == ["for", "rail", "against"]
    cells = matrix(3, {(0, 1): 5.0, (1, 2): -2.0}, "bits")
    assert [one.text for one in cells.iter("text")].count("+5") == 2
    assert "2 and 3 -2.0" in (cells.get("aria-label") or "")


@pytest.mark.parametrize("kind", [pa.utf8(), pa.binary()])
def test_pairs_are_named_by_ids_of_either_type(kind: pa.DataType) -> None:
    table = people()
    ids = pa.array([f"é{i}" for i in range(table.num_rows)]).cast(kind)
    page = page_of(linked(table.set_column(table.column_names.index("record_id"), "record_id", ids)))
    assert re.search(r"<bdi>é\d</bdi> and <bdi>é\d</bdi>:", page)
