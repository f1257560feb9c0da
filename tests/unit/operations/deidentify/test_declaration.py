"""What a deidentification needs before it is sealed: a rule for every column, and the key of its project."""

from datetime import date
from pathlib import Path
from typing import get_args

import pytest

from cji_core.operations.deidentify import DEIDENTIFY, Deidentify, HmacToken
from cji_core.operations.deidentify.declaration import SmallClasses
from cji_core.operations.deidentify.rules import PATTERNS, DateShift, Group, Hierarchy, Mask, Pattern, Redact, Transform
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


def test_what_rules_leave_is_listed_before_sealing() -> None:
    rules: dict[str, Transform] = {
        "subject": HmacToken(domain="s"),
        "county": "keep",
        "level": "keep",
        "date": DateShift(subject_column="subject", max_days=30),
        "disposition_date": "keep",
        "comment": Redact(),
        "ORI": "drop",
    }
    small = SmallClasses(quasi_identifiers=("county",), k=2, person="subject")
    parameters = Deidentify(project="p", columns=rules, small_classes=small)
    assert DEIDENTIFY.remains(parameters) == (
        "readable, and in no class of small_classes: level, disposition_date, comment",
        "tokens, whose frequency may rank their values: subject",
        "dates that may give the shift away: disposition_date",
        "prose, in which no name is found: comment",
    )
    assert DEIDENTIFY.remains(Deidentify(columns={"SEX": "null"})) == ()
