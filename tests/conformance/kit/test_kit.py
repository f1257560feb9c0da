"""The conformance kit, read by the code that reads the same bytes from strangers, in worker and client."""

import json

import jsonschema
import pytest

from tests.support.kit_readers import FOLDER, READERS, Data, refusal
from tools.format_tables import rules
from tools.kit.__main__ import files


def group(name: str) -> list[Data]:
    cases: list[Data] = json.loads((FOLDER / f"{name}.json").read_text())["cases"]
    return cases


@pytest.mark.parametrize("name", READERS)
def test_our_readers_and_the_kit_agree(name: str) -> None:
    """What is valid opens, with what is in it; what is invalid is refused for the stated rule."""
    for case in group(name):
        answer, rule, found = refusal(name, case["data"])
        expected = case.get("expected", {})
        asked = case.get("reason") or case.get("check", "")
        assert answer == asked, f"{name}: {case['id']}"
        assert {key: value for key, value in found.items() if expected.get(key) != value} == {}, case["id"]
        if name in {"headers", "column-keys"} and asked in {"MALFORMED_HEADER", "POLICY_DENIED"}:
            assert rule == case.get("rule", ""), case["id"]


def test_every_rule_of_malformed_header_has_a_case() -> None:
    covered = {case.get("rule") for name in ("headers", "column-keys") for case in group(name)}
    assert set(rules()) <= covered


def test_files_are_those_of_the_seeds_and_of_the_schema() -> None:
    made = files()
    assert [name for name, text in made.items() if (FOLDER.parent / name).read_text() != text] == []
    assert {f"kit/{path.name}" for path in FOLDER.iterdir()} == {name for name in made if name.startswith("kit/")}
    validator = jsonschema.Draft202012Validator(json.loads(made["kit/schema.json"]))
    for name in READERS:
        validator.validate(json.loads(made[f"kit/{name}.json"]))


def test_the_kit_has_two_hundred_broken_rules_and_more() -> None:
    cases = [case for name in READERS for case in group(name)]
    assert sum(case["result"] == "invalid" for case in cases) >= 500
    assert sum(case["result"] == "valid" for case in cases) >= 60
