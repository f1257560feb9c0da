"""docs/attestation.md says of every check what the code says of it."""

import importlib
import re
from types import ModuleType

import pytest

from attestation.appraisal import CHECKS
from attestation.errors import CHECK_REMEDIES
from attestation.maa import token
from attestation.release import statement
from tests.support.paths import ROOT


def documented() -> dict[str, tuple[str, str]]:
    """(asks, so) of each check."""
    text = (ROOT / "docs" / "attestation.md").read_text()
    rows = re.findall(r"^\| ([ETS]\d\d) \| (.+) \| (.+) \|$", text, re.MULTILINE)
    assert len(rows) == len({row[0] for row in rows})
    return {check: (asks, so) for check, asks, so in rows}


def numbered(module: ModuleType) -> dict[str, str]:
    """The list in a module's docstring; what goes on in the next line is indented."""
    text = re.sub(r"\n {5}(?=\S)", " ", module.__doc__ or "")
    return dict(re.findall(r"^ ([A-Z]\d\d) (.+)$", text, re.MULTILINE))


def test_code_output_and_document_list_the_same_checks() -> None:
    assert numbered(importlib.import_module("attestation.appraisal.appraise")) == CHECKS
    found = {check: asks for check, (asks, _) in documented().items() if check[0] == "E"}
    assert found == CHECKS


@pytest.mark.parametrize(("module", "letter"), [(token, "T"), (statement, "S")])
def test_token_and_statement(module: ModuleType, letter: str) -> None:
    found = {check: asks for check, (asks, _) in documented().items() if check[0] == letter}
    assert found == numbered(module)


def test_every_check_has_a_consequence_that_is_its_own() -> None:
    consequences = [so for _, so in documented().values()]
    assert all(consequences)
    assert len(consequences) - len(set(consequences)) <= 1  # T01 and S01 say the same of two texts


def test_remedies_are_for_checks_that_exist() -> None:
    known = {check for check in CHECK_REMEDIES if not check.startswith("reference-")}
    assert known - {"kek-id", "region"} <= documented().keys()
