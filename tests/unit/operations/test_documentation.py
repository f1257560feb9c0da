"""docs/operations has what the code does: schemas, columns and codes, and a page for each operation."""

import re

from cji_core.operations.registry import CODES, OPERATIONS, SCHEMAS
from tests.support.paths import ROOT

PAGES = {path.stem: path.read_text() for path in (ROOT / "docs/operations").glob("*.md")}


def test_every_operation_has_a_page_with_a_sample() -> None:
    for name in OPERATIONS:
        assert {f"<!-- table: sample-{name} -->", f"<!-- parameters: {name} -->", "## Limits"} <= {
            *PAGES[name].splitlines()
        }


def test_the_index_leads_to_every_page() -> None:
    linked = set(re.findall(r"\(operations/([\w-]+)\.md\)", (ROOT / "docs/operations.md").read_text()))
    assert linked == PAGES.keys()


def test_every_code_is_documented_with_its_number() -> None:
    tables = PAGES["row-status"] + PAGES["row-status-checks"] + PAGES["sealed-columns"]
    found = re.findall(r"^\| (\d+) `(\w+)`", tables, re.MULTILINE)
    assert len(found) == len(CODES)
    assert set(found) == {(str(c.value), c.name) for c in CODES.values()}


def test_every_column_of_every_schema_is_documented() -> None:
    pages = PAGES["records"] + PAGES["row-status"]
    named = {word for quoted in re.findall(r"`([^`\n]+)`", pages) for word in quoted.split()}
    assert set(SCHEMAS) <= named
    assert {column for schema in SCHEMAS.values() for column in schema.columns} <= named
