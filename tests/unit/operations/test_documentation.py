"""docs/operations.md says what the code does: schemas, columns and codes are all there."""

import re

from cji_core.operations.registry import CODES, SCHEMAS
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text()


def test_every_code_is_documented_with_its_number() -> None:
    assert set(re.findall(r"^\| (\d+) `(\w+)`", PAGE, re.MULTILINE)) == {(str(c.value), c.name) for c in CODES.values()}


def test_every_column_of_every_schema_is_documented() -> None:
    named = {word for quoted in re.findall(r"`([^`\n]+)`", PAGE) for word in quoted.split()}
    assert set(SCHEMAS) <= named
    assert {column for schema in SCHEMAS.values() for column in schema.columns} <= named
