"""Pages of `link`, `validate` and `aggregate`: what a clerk finds on them, and what is never there."""

import re
from dataclasses import replace
from datetime import date

import pyarrow as pa
import pytest

from cji_client.report import Job, report
from cji_client.report.clusters import MOST_POINTS, drawings
from cji_client.report.link_levels import Weights
from cji_core.operations.aggregate import Aggregate, Privacy
from cji_core.operations.deidentify import Deidentify
from cji_core.operations.link import Link
from cji_core.operations.validate import Validate
from cji_core.page.markup import MOST_ROWS
from tests.support.report_tools import PEOPLE, PERSON, example, jobs, linked, opened, page_of, people

PAGES = jobs()


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def rows_of(job: Job, name: str) -> list[dict[str, object]]:
    return [row for batch in job.read(name) for row in batch.to_pylist()]


@pytest.mark.parametrize(
    "parameters", [Link(), Link(match=0.5, clerical_review_threshold=0.001)], ids=["default", "low thresholds"]
)
def test_the_parts_of_a_weight_add_up_to_it(parameters: Link) -> None:
    """Of a trained model, with the rarity of values and the odds of relatives."""
    names = [("SMITH", "JO", "1 ELM"), ("SMITH", "AL", "1 ELM"), ("ROE", "MAX", "2 OAK"), ("ROE", "MAX", "2 OAK")] * 30
    table = pa.table(
        {
            name: pa.array(found, pa.utf8())
            for name, found in zip(("last", "first", "address_1"), zip(*names, strict=True), strict=True)
        }
    )
    job = opened(parameters, PERSON, table)
    weights, patterns = Weights.of(job.read("levels")), rows_of(job, "patterns")
    assert weights.relatives is not None
    pairs = rows_of(job, "pairs")
    assert any(pair["frequency"] for pair in pairs)
    for pair in pairs[:200]:
        parts = weights.parts(pair, patterns[int(str(pair["pattern"]))])
        assert sum(bits for _, bits in parts) == pytest.approx(pair["weight"], abs=1e-6)


def test_pairs_are_side_by_side_with_their_sentences() -> None:
    page = text_of(page_of(PAGES["link"]))
    assert "p8 and p9 : -0.3 bits for a clerk in different clusters match score 0.4475 rows 8 and 9" in page
    assert "first RICHARD RICHARD the same DOB 19751103 missing" in page
    assert "DOB 19820214 19510730 different" in page
    assert "last: the same; in 90.0 % of pairs of one person, in 1.00 % of pairs of different persons" in page
    assert "a value is missing, which says nothing: DOB, SOC +0.0" in page
    assert "p3 and p4 : +8.5 bits match in different clusters" in page


def test_a_bridge_is_drawn_between_its_clusters() -> None:
    first, *others = drawings(PAGES["link"], linked_to=False)
    assert [sorted(group.records) for group in first.groups] == [
        [(False, row) for row in rows] for rows in ((0, 1, 2, 3), (4, 5, 6, 7))
    ]
    assert [line[:2] for line in first.lines if line[3]] == [((False, 3), (False, 4))]
    assert len(first.lines) == 6 + 6 + 1
    assert [len(drawing.records) for drawing in others] == [4, 4]
    assert page_of(PAGES["link"]).count('class="bridge"') == 1


def test_records_of_link_to_are_read_from_the_side_table() -> None:
    job = PAGES["link_to"]
    shown = drawings(job, linked_to=True)
    assert {other for drawing in shown for other, _ in drawing.records} == {False, True}
    page = text_of(page_of(job))
    assert "match in one cluster match score 1.0000 rows 3 and 0 of link_to" in page
    assert "SOC 231564897 231564897 the same" in page
    assert "row 0 of link_to" in page
    changed = replace(job, sides={"link_to": lambda: iter(people([("XYZ", "Q", "1", "2")] * 8).to_batches())})
    assert "SOC 231564897 2 same, written otherwise" in text_of(page_of(changed))  # the worker found them equal


def test_a_large_cluster_is_drawn_in_part() -> None:
    job = linked(people([PEOPLE[0]] * 40))
    (drawing,) = drawings(job, linked_to=False)
    assert len(drawing.records) == MOST_POINTS
    assert f"{40 - MOST_POINTS} more records are not drawn." in page_of(job)
    listed = len(rows_of(job, "pairs"))
    assert listed >= 40
    assert f"{listed - 10} more are in pairs." in page_of(job)


def test_records_are_not_shown_where_another_operation_follows() -> None:
    """Row i of the result may be another record then."""
    job = PAGES["link"]
    page = page_of(replace(job, operations=[*job.operations, Deidentify(project="p", columns={"last": "keep"})]))
    assert "RICHARD" in page_of(job)
    assert "RICHARD" not in page
    assert "p8" in page
    assert "Another operation follows" in page


def test_findings_are_counted_by_rule_with_examples() -> None:
    page = text_of(page_of(PAGES["validate"]))
    assert "152 INCIDENT HOUR MUST BE 00 TO 23 error 1 58.8" in page
    assert "24 in 26-000004 of XX1234500 row 13, level 1, element 03" in page
    assert "XX1234500 nibrs/3.1 4 2 2 50.00" in page
    assert "element 27 at " in text_of(page_of(PAGES["validate_xml"]))
    table = pa.table({"last": pa.array(["PEÑA"], pa.utf8())})
    accents = opened(Validate(rule_set="ncic/1", as_of=date(2026, 2, 1)), PERSON, table)
    assert "PEÑA , transmit PENA row 0" in text_of(page_of(accents))
    columns = text_of(page_of(PAGES["validate_columns"]))
    assert "SOC No such number was ever issued. error 2 500.0 000123456 row 2 666010203 row 3" in columns


def test_withheld_cells_have_no_number_and_no_bar() -> None:
    page = page_of(PAGES["aggregate"])
    hidden = sum(bool(row["hidden"]) for row in rows_of(PAGES["aggregate"], "result"))
    assert hidden > 0
    quiet = sum(row["persons"] is None and not row["hidden"] for row in rows_of(PAGES["aggregate"], "result"))
    assert page.count(">withheld<") == 2 * hidden + quiet  # rows and persons
    assert page.count("<tr><td") == 16
    assert page.count("<svg") == 16 - hidden
    assert ("Persons of a total are withheld where" in page) == (quiet > 0)


def test_why_totals_of_persons_are_withheld_is_on_the_page() -> None:
    """In each county the same thirty persons and three others: counties are free, and so is what is above them."""
    rows = [(county, sex, f"{sex}{i}") for county in "abcd" for sex, many in (("F", 3), ("M", 30)) for i in range(many)]
    table = pa.table(
        {name: [row[i] for row in rows for _ in range(5)] for i, name in enumerate(("county", "SEX", "SID"))}
    )
    job = opened(Aggregate(keys={"SEX": (), "county": ()}, person="SID"), PERSON, table)
    quiet = sum(row["persons"] is None and not row["hidden"] for row in rows_of(job, "result"))
    assert quiet > 0
    page = text_of(page_of(job))
    assert f"totals of persons withheld besides {quiet}" in page
    assert "Persons of a total are withheld where" in page


def test_a_private_table_states_epsilon_and_budget() -> None:
    privacy = Privacy(epsilon_thousandths=500, rows_per_person=3, project="p", wrapped_project_key=bytes(60))
    of = Aggregate(keys={"SEX": ("F", "M")}, person="SID", privacy=privacy)
    page = text_of(page_of(opened(of, PERSON, example("examples/aggregate/people.csv"), project_key=bytes(32))))
    assert "epsilon of this table 0.5" in page
    assert "budget advisory" in page
    assert "withheld" not in page.replace("cells withheld 0", "")


def test_a_page_of_too_few_rows_shows_their_total_only() -> None:
    job = opened(Aggregate(keys={"county": ()}), PERSON, pa.table({"county": ["a", "b", "c", "c"] * 3}))
    page = text_of(page_of(job))
    assert "nothing but the total is shown" in page


def test_forms_have_their_lines_and_the_accounting() -> None:
    page = text_of(page_of(PAGES["return_a"]))
    assert "return_a, XX1234500, 2026-01" in page
    assert "4e Other assaults: simple, not aggravated 3 0 0" in page
    assert "counted 4" in page


def test_orders_that_need_a_clerk_come_first() -> None:
    page = text_of(page_of(PAGES["match_orders"]))
    several, applied = page.index("3 2026-CV-0131 seal GA00000005"), page.index("0 2026-CV-0101 expunge GA00000001")
    assert page.index("Find out which of them is meant") < several < applied
    assert "lines of orders 5" in page
    assert "flagged" in page


def test_a_page_is_small_and_states_what_it_leaves_out() -> None:
    many = pa.table({"county": [f"{i:05d}" + "<&\u202e" * 1000 for i in range(3000)]})
    page = page_of(opened(Aggregate(keys={"county": ()}, threshold=1), PERSON, many))
    assert f"{3000 - MOST_ROWS} more are in the result." in page
    assert "2805 more characters" in page
    assert len(page) < 1 << 20


def test_other_operations_and_unknown_records_have_no_page() -> None:
    job = PAGES["link"]
    assert report(replace(job, operations=[Deidentify(project="p", columns={"last": "keep"})])) is None
    assert report(replace(job, outputs={**job.outputs, "pairs": "pairs/99"})) is None


def test_a_simulated_receipt_is_named_on_the_page() -> None:
    job = PAGES["aggregate"]
    assert "SIMULATED" in page_of(job)
    assert "SIMULATED" not in page_of(replace(job, simulated=False))
