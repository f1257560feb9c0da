"""Models of Splink: read whole, or refused by the name of what is not known."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from worker.compute.operations.link import (
    Condition,
    Link,
)
from worker.compute.operations.link.splink_import import UnsupportedModelError, from_splink


def _splink(change: Callable[[dict[str, Any]], object] = lambda _: None) -> bytes:
    level = {
        "sql_condition": '"last_l" = "last_r"',
        "label_for_charts": "Exact",
        "m_probability": 0.9,
        "u_probability": 0.1,
    }
    similar = {
        "sql_condition": 'jaro_winkler_similarity("last_l", "last_r") >= 0.88 AND "first_l" = "first_r"',
        "label_for_charts": "Similar",
        "m_probability": 0.05,
        "u_probability": 0.2,
        "tf_adjustment_column": "last",
        "tf_adjustment_weight": 0.5,
    }
    other = {"sql_condition": "ELSE", "label_for_charts": "Other", "m_probability": 0.05, "u_probability": 0.7}
    null = {"sql_condition": '"last_l" IS NULL OR "last_r" IS NULL', "label_for_charts": "Null", "is_null_level": True}
    settings = {
        "link_type": "dedupe_only",
        "probability_two_random_records_match": 0.001,
        "comparisons": [
            {
                "output_column_name": "last",
                "comparison_description": "x",
                "comparison_levels": [null, level, similar, other],
            }
        ],
        "blocking_rules_to_generate_predictions": [
            {"blocking_rule": '(l."last" = r."last") AND (SUBSTRING(l.first, 1, 3) = SUBSTRING(r.first, 1, 3))'},
            'l."DOB" = r."DOB"',
        ],
    }
    change(settings)
    return json.dumps(settings).encode()


def test_a_model_of_splink_is_read_whole() -> None:
    model = from_splink(_splink())
    assert Link(model=model).model is model
    (comparison,) = model.comparisons
    same, similar, other = comparison.levels
    assert (same.conditions, same.m, same.u) == ((Condition(column="last"),), 0.9, 0.1)
    assert similar.conditions == (Condition(column="last", test="jaro_winkler", number=0.88), Condition(column="first"))
    assert (similar.tf_adjustment_column, similar.tf_adjustment_weight, other.conditions) == ("last", 0.5, ())
    assert [rule.label for rule in model.blocking] == ["last + first first 3", "DOB"]
    assert model.prior == 0.001


def _level(number: int, **values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda settings: settings["comparisons"][0]["comparison_levels"][number].update(values)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda s: s.update(link_type="link_and_dedupe"), "link_type"),
        (lambda s: s.update(new_option=1), "new_option"),
        (lambda s: s.update(probability_two_random_records_match=1.0), "probability_two_random_records_match"),
        (lambda s: s.update(comparisons=[]), "comparisons"),
        (_level(1, sql_condition='levenshtein("last_l", "last_r") <= 1'), "levenshtein"),
        (_level(1, sql_condition='"last_l" = "first_r"'), '"last_l" = "first_r"'),
        (_level(1, sql_condition='"a_l" = "a_r" OR "b_l" = "b_r"'), " OR "),
        (_level(0, sql_condition='"last_l" IS NULL'), "IS NULL"),
        (_level(1, m_probability=None), "m_probability"),
        (_level(1, m_probability=1.0), "m_probability"),
        (_level(2, tf_adjustment_column="first"), "tf_adjustment_column"),
        (_level(2, tf_adjustment_weight=2), "tf_adjustment_weight"),
        (_level(2, tf_minimum_u_value=0.1), "tf_minimum_u_value"),
        (lambda s: s.update(blocking_rules_to_generate_predictions=["l.last = r.first"]), "l.last = r.first"),
        (
            lambda s: s.update(blocking_rules_to_generate_predictions=["SUBSTR(l.a, 1, 3) = SUBSTR(r.a, 1, 4)"]),
            "SUBSTR",
        ),
        (
            lambda s: s["blocking_rules_to_generate_predictions"][0].update(arrays_to_explode=["x"]),
            "arrays_to_explode",
        ),
    ],
)
def test_what_a_model_of_splink_has_besides_is_refused_by_name(
    change: Callable[[dict[str, Any]], object], named: str
) -> None:
    with pytest.raises(UnsupportedModelError) as refused:
        from_splink(_splink(change))
    assert named in str(refused.value)


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"[" * 100_000, b" " * (1 << 21)])
def test_what_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedModelError):
        from_splink(data)
