"""Each rule of docs/format.md has a valid and an invalid case, and each invalid case has one change."""

import json
import tomllib
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.format_rules import rules
from tests.support.kit_changes import one_change
from tests.support.paths import ROOT
from tools.kit.__main__ import GROUPS

FOLDER = ROOT / "docs/vectors/kit"
LISTED = tomllib.loads(Path(__file__).with_name("rules.toml").read_text())
TWO_CHANGES = {
    "column-keys: a statement twice": "the second one must be used by an input, or another rule is broken",
}
Case = dict[str, Any]


@cache
def cases(group: str) -> dict[str, Case]:
    found = json.loads((FOLDER / f"{group}.json").read_text())["cases"]
    return {case["id"]: case for case in found}


def matched(pattern: str) -> list[Case]:
    group, _, wanted = pattern.partition(": ")
    return [
        case
        for case in cases(group).values()
        if any(fnmatchcase(text, wanted) for text in (case["id"], case.get("rule", "")))
    ]


def test_each_rule_is_listed_and_nothing_else() -> None:
    listed = [(int(section), name) for section in LISTED if section != "reasons" for name in LISTED[section]]
    assert sorted(listed) == sorted((rule.section, rule.name) for rule in rules())


@pytest.mark.parametrize("section", [name for name in LISTED if name != "reasons"])
def test_each_rule_has_a_valid_and_an_invalid_case(section: str) -> None:
    for name, patterns in LISTED[section].items():
        if isinstance(patterns, str):
            assert patterns in LISTED["reasons"], name
            continue
        for pattern in patterns:
            assert matched(pattern), f"{name}: no case {pattern}"
        results = {case["result"] for pattern in patterns for case in matched(pattern)}
        assert "invalid" in results, name
        made_from = [case for pattern in patterns for case in matched(pattern) if "from" in case]
        assert made_from, name


def test_no_reason_is_unused() -> None:
    used = {
        value
        for section in LISTED
        if section != "reasons"
        for value in LISTED[section].values()
        if isinstance(value, str)
    }
    assert used == LISTED["reasons"].keys()


@pytest.mark.parametrize("group", GROUPS)
def test_an_invalid_case_is_valid_but_for_one_change(group: str) -> None:
    """What is made again over the change (a signature, a digest in a receipt) is none; the rest is the valid case's."""
    for case in cases(group).values():
        if case["result"] != "invalid":
            continue
        valid = cases(group)[case["from"]]
        assert valid["result"] == "valid", case["id"]
        changes = one_change(valid["data"], case["data"])
        assert len(changes) == 1 + (f"{group}: {case['id']}" in TWO_CHANGES), f"{case['id']}: {changes}"
