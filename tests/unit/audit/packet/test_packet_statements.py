"""What a statement may say: a status is computed, what is missing bounds it, and the page shows both."""

import json
from datetime import UTC, date, datetime

import msgspec
import pytest

from cji_audit.packet.catalog import Catalog, read_catalog
from cji_audit.packet.checks.files import named_tests
from cji_audit.packet.checks.result import fails, holds, missing
from cji_audit.packet.controls import Control, Part, controls
from cji_audit.packet.day import day
from cji_audit.packet.folder import Content
from cji_audit.packet.html import html
from cji_audit.packet.material import Period
from cji_audit.packet.oscal.frame import control_id
from cji_audit.packet.report import report
from cji_audit.packet.rows import Row, label, rows, sanctionable, status
from cji_audit.packet.trust import Trust
from tests.support.packet_period import catalog, content, sound
from tests.support.paths import ROOT


def part(**changes: str) -> Part:
    return Part(**{"rows": "1", "by": "product", "text": "It acts.", "checks": ("chain",)} | changes)  # type: ignore[arg-type]


def rows_of(unit: str) -> dict[int, Part]:
    """The parts of a unit by their rows."""
    found = next(each for each in controls().controls if each.id == unit)
    return {n: part for part in found.parts for n in part.numbers}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Content:
    return content(sound(), tmp_path_factory.mktemp("sound"))


@pytest.fixture(scope="module")
def found(made: Content) -> tuple[Row, ...]:
    return rows(made.material, made.catalog, controls())


def test_what_is_missing_makes_a_part_at_best_partial() -> None:
    whole, lacking = part(), part(missing="the rest")
    good, bad, none = holds("so"), fails("not so"), missing("no file")
    assert [status(whole, [each]) for each in (good, bad, none)] == ["met", "not met", "gap"]
    assert [status(lacking, [each]) for each in (good, bad, none)] == ["partial", "not met", "gap"]
    assert status(lacking, [good, none, bad]) == "not met"
    for by in ("agency", "provider"):
        assert status(Part(rows="1", by=by, text="They act."), []) == by


@pytest.mark.parametrize("by", ["agency", "provider"])
def test_only_the_product_can_have_something_missing(by: str) -> None:
    with pytest.raises(ValueError, match="something missing"):
        Part(rows="1", by=by, text="They act.", missing="more")  # type: ignore[arg-type]


def test_a_status_cannot_be_entered() -> None:
    with pytest.raises(msgspec.ValidationError, match="status"):
        msgspec.convert({"rows": "1", "by": "agency", "text": "They act.", "status": "met"}, Part)


def test_a_test_says_what_it_breaks(made: Content) -> None:
    for name, each in controls().tests.items():
        assert len(each.breaks.split()) >= 4, name
        (shown,) = named_tests(made.material, [name]).evidence
        assert shown.what == f"{each.test}: {each.breaks}"


def test_documents_have_the_counts_of_the_statements() -> None:
    parts = [each for control in controls().controls for each in control.parts]
    whole, partial = (
        sum(len(each.numbers) for each in parts if each.by == "product" and bool(each.missing) is lacking)
        for lacking in (False, True)
    )
    units, fragments = len(controls().controls), sum(len(each.numbers) for each in parts)
    said = {
        "docs/audit-packet.md": (
            f"the {units} units",
            f"{fragments} fragments, of which {whole + partial} are this product's",
            f"{whole} that it does whole, {partial} that it does in part",
        ),
        "LIMITATIONS.md": (
            f"{units} units of the policy, and {whole + partial} of their {fragments} fragments",
            f"{partial} are covered in part",
        ),
    }
    for name, sentences in said.items():
        text = " ".join((ROOT / name).read_text().split())
        for each in sentences:
            assert each in text, (name, each)


@pytest.mark.parametrize(
    ("unit", "numbers", "best"),
    [
        ("AU-2", range(300, 315), "agency"),
        ("AU-6", [339], "agency"),
        ("IA-2", [593], "agency"),
        ("SC-28", [1373], "agency"),
        ("SC-28", [1372], "partial"),
        ("SC-8", [1352], "partial"),
        ("AU-9", [348, 349], "partial"),
        ("SI-7", [1427, 1428], "partial"),
    ],
)
def test_what_was_claimed_too_much_is_not_met(unit: str, numbers: range | list[int], best: str) -> None:
    """The product does none of the former alone, and a part of the latter."""
    parts = rows_of(unit)
    assert {parts[n].by if parts[n].by != "product" else "partial" if parts[n].missing else "met" for n in numbers} == {
        best
    }


def test_the_page_says_what_partial_rows_lack(made: Content, found: tuple[Row, ...]) -> None:
    page = "".join(html(report(made.material, made.catalog, found)))
    row = next(each for each in found if each.id == "SC-4/1328")
    assert (row.status, row.why) == ("partial", row.missing)
    assert page.index("Covered in part") < page.index(row.missing) < page.index('id="ssp"')
    assert f"Missing: {row.missing}" in page
    assert f"Rests on the test report: {row.tests[0].test} {row.tests[0].breaks}." in page


def test_the_auditor_s_page_has_partial_rows_open(made: Content, found: tuple[Row, ...]) -> None:
    standing = Trust(signers=(), refusals=(), statements=())
    document = day(made.material, found, standing, [], command=lambda *_: "cji", now=datetime(2026, 12, 1, tzinfo=UTC))
    section = "".join(html(document)).partition('id="open"')[2].partition('id="due"')[0]
    assert next(each.missing for each in found if each.id == "SC-4/1328") in section
    assert "Nothing else is open" not in section


@pytest.mark.parametrize(
    ("sanction", "on", "expected"),
    [
        ("Existing", "2026-01-01", "now"),
        ("2024-10-01T00:00:00", "2024-10-01", "now"),
        ("2024-10-01T00:00:00", "2024-09-30", "later"),
        ("Zero-cycle", "2027-09-30", "later"),
        ("Zero-cycle", "2027-10-01", "now"),
        ("None", "2030-01-01", "not stated"),
        ("", "2030-01-01", "not stated"),
    ],
)
def test_sanctions_begin_on_their_day(sanction: str, on: str, expected: str) -> None:
    assert sanctionable(sanction, on) == expected


def with_sanctions() -> Catalog:
    """The catalog, whose rows have the companion's words in turn."""
    texts = json.loads(catalog())
    words = ("Existing", "Zero-cycle", "2024-10-01T00:00:00")
    for unit in texts["units"]:
        for each in unit["fragments"]:
            each["sanction"] = words[each["row"] % 3]
    return read_catalog(json.dumps(texts).encode(), controls())


def test_the_page_says_what_is_sanctionable(made: Content) -> None:
    texts, later = with_sanctions(), Period(first=date(2027, 10, 1), last=date(2027, 10, 31))
    now = rows(made.material, texts, controls())
    assert {each.sanctionable for each in now} == {"now", "later"}
    page = "".join(html(report(made.material, texts, now)))
    for words in ("sanctionable now", "sanctionable now since 2024-10-01", "sanctionable from 2027-10-01"):
        assert f">{words}<" in page
    after = rows(msgspec.structs.replace(made.material, period=later), texts, controls())
    assert {each.sanctionable for each in after} == {"now"}


def test_units_of_a_number_have_names_that_begin_with_a_letter() -> None:
    assert (control_id("5.1.1"), control_id("AC-6(1)")) == ("section-5.1.1", "ac-6.1")
    assert (label("5: Policy"), label("AC: ACCESS CONTROL")) == ("section-5", "ac")
    for name in ("5.1.1", "AC-6", "AC-6(1)"):
        assert msgspec.convert({"id": name, "parts": [msgspec.to_builtins(part())]}, Control).id == name
    for name in ("5", "AC", "5.", "AC-6(x)"):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"id": name, "parts": [msgspec.to_builtins(part())]}, Control)


def test_a_family_is_one_table_where_its_first_unit_stands(made: Content) -> None:
    """5.1.1 is the catalog's first unit, 5.20.2 its last."""
    families = [unit.family for unit in made.catalog.units]
    assert len({*families}) == sum(a != b for a, b in zip(["", *families], families, strict=False))
    document = report(made.material, made.catalog, rows(made.material, made.catalog, controls()))
    ids = [section.id for section in document.sections]
    assert len({*ids}) == len(ids)


def test_the_catalog_of_a_packet_reads_back_in_its_order(made: Content) -> None:
    assert read_catalog(msgspec.json.encode(made.catalog), controls()) == made.catalog
