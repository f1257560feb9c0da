"""What a deidentification needs before it is sealed: a rule for every column, and the key of its project."""

from datetime import date
from pathlib import Path
from typing import get_args

import pytest

from cji_core.operations.deidentify import DEIDENTIFY, Deidentify, HmacToken
from cji_core.operations.deidentify.declaration import SmallClasses
from cji_core.operations.deidentify.rules import PATTERNS, Group, Hierarchy, Mask, Pattern, Redact
from cji_core.operations.parameters import ParametersError, Sealing

KEEP = Deidentify(columns={"SEX": "keep", "NAM": "drop"})
KEYED = Deidentify(columns={"SID": HmacToken(domain="sid")}, project="p", project_key=Path("p.key"))


def test_every_column_has_a_rule_and_every_rule_a_column() -> None:
    assert DEIDENTIFY.columns(KEEP, frozenset({"SEX", "NAM"})) == {"SEX"}
    for columns, what, without in (
        ({"SEX"}, "no column for the rule of NAM", frozenset[str]()),
        ({"SEX", "NAM", "DOB"}, "no rule for DOB", frozenset({"DOB"})),
        ({"SEX", "DOB"}, "no rule for DOB; no column for the rule of NAM", frozenset({"DOB"})),
    ):
        with pytest.raises(ParametersError) as error:
            DEIDENTIFY.columns(KEEP, frozenset(columns))
        assert (str(error.value), error.value.without_rule) == (what, without)


def test_the_key_of_a_project_is_wrapped_where_a_column_needs_it() -> None:
    asked: list[tuple[str, Path | None]] = []

    def wrap(project: str, key: Path | None) -> bytes:
        asked.append((project, key))
        return b"wrapped"

    sealing = Sealing(today=date(2026, 2, 1), schema="person/1", read=lambda _: b"", wrap_project_key=wrap)
    assert DEIDENTIFY.complete(KEEP, sealing) == KEEP
    assert asked == []
    assert DEIDENTIFY.complete(KEYED, sealing).wrapped_project_key == b"wrapped"
    assert asked == [("p", Path("p.key"))]


def test_free_text_may_be_redacted_or_generalised_but_not_kept() -> None:
    small = SmallClasses(quasi_identifiers=("comment",), k=5)
    group = Group(groups={"all": ("a",)})
    assert Deidentify(columns={"comment": Hierarchy(steps=(group, "null"))}, small_classes=small)
    for rule in ("keep", Mask(), Hierarchy(steps=("keep", "null"))):
        with pytest.raises(ValueError, match="comment is free text"):
            Deidentify(columns={"comment": rule}, small_classes=small)


def test_patterns_of_redaction() -> None:
    assert tuple(PATTERNS) == get_args(Pattern) == Redact().patterns
    assert Redact(patterns=(), also=("x",)).also == ("x",)
    with pytest.raises(ValueError, match="at least one"):
        Redact(patterns=())
