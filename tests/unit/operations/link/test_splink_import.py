"""Models of Splink: read whole, or refused by the name of what is not known."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from cji_core.operations.link import Condition, Link
from cji_core.operations.link.splink_import import UnsupportedModelError, from_splink


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


def _exchanged_first(settings: dict[str, Any]) -> None:
    null, same, _, other = settings["comparisons"][0]["comparison_levels"]
    same["sql_condition"] = '"last_l" = "first_r" AND "first_l" = "last_r"'
    settings["comparisons"][0]["comparison_levels"] = [null, same, other]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda s: s.update(link_type="link_and_dedupe"), "link_type"),
        (lambda s: s.update(link_type=["dedupe_only"]), "link_type"),
        (lambda s: s.update(new_option=1), "new_option"),
        (lambda s: s.update(probability_two_random_records_match=1.0), "probability_two_random_records_match"),
        (lambda s: s.update(comparisons=[]), "comparisons"),
        (_level(1, sql_condition='levenshtein("last_l", "last_r") <= 2'), "levenshtein"),
        (_level(1, sql_condition='levenshtein("last_l", "first_r") <= 1'), "levenshtein"),
        (_exchanged_first, "exchanged"),
        (_level(3, sql_condition='"last_l" = "last_r"'), "incomplete"),
        (_level(3, is_null_level=True, sql_condition='"last_l" IS NULL OR "last_r" IS NULL'), "2 levels"),
        (
            _level(0, sql_condition='("a_l" IS NULL OR "a_r" IS NULL) AND ("last_l" IS NULL OR "last_r" IS NULL)'),
            "missing",
        ),
        (_level(0, sql_condition="try_strptime(\"last_l\", '%d') IS NULL"), "try_strptime"),
        (_level(1, sql_condition="abs(epoch(x_l) - epoch(x_r)) <= 1"), "epoch"),
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


_FIRST, _LAST = (f'"{name}_l" IS NULL OR "{name}_r" IS NULL' for name in ("first", "last"))


@pytest.mark.parametrize(
    ("sql", "missing", "needs"),
    [
        (f"({_FIRST}) AND ({_LAST})", "every", ()),
        (f"({_FIRST}) OR ({_LAST})", "any", ()),
        (_LAST, "any", ("last",)),
    ],
)
def test_missing_values_are_read(sql: str, missing: str, needs: tuple[str, ...]) -> None:
    (comparison,) = from_splink(_splink(_level(0, sql_condition=sql))).comparisons
    assert (comparison.missing, comparison.needs) == (missing, needs)


def test_a_comparison_without_a_null_level_is_never_missing() -> None:
    (comparison,) = from_splink(
        _splink(lambda settings: settings["comparisons"][0]["comparison_levels"].pop(0))
    ).comparisons
    assert comparison.missing == "never"


def test_exchanged_columns_are_read_behind_their_equality() -> None:
    def change(settings: dict[str, Any]) -> None:
        null, same, _, other = settings["comparisons"][0]["comparison_levels"]
        both = {**same, "sql_condition": '("first_l" = "first_r") AND ("last_l" = "last_r")', "m_probability": 0.5}
        turned = {**same, "sql_condition": '"first_l" = "last_r" AND "first_r" = "last_l"', "m_probability": 0.1}
        settings["comparisons"][0]["comparison_levels"] = [null, both, turned, other]

    (comparison,) = from_splink(_splink(change)).comparisons
    assert comparison.levels[0].conditions == (Condition(column="first"), Condition(column="last"))
    assert comparison.levels[1].conditions == (Condition(column="first", other="last", test="exchanged"),)


def test_edits_and_days_are_read() -> None:
    day = "try_strptime(\"DOB_{}\", '%Y-%m-%d')".format

    def change(settings: dict[str, Any]) -> None:
        null, same, similar, other = settings["comparisons"][0]["comparison_levels"]
        null["sql_condition"] = f"{day('l')} IS NULL OR {day('r')} IS NULL"
        same["sql_condition"] = 'damerau_levenshtein("DOB_l", "DOB_r") <= 1'
        similar |= {"sql_condition": f"ABS(EPOCH({day('l')}) - EPOCH({day('r')})) <= 2629800.0"}
        del similar["tf_adjustment_column"]
        settings["comparisons"][0]["comparison_levels"] = [null, same, similar, other]

    (comparison,) = from_splink(_splink(change)).comparisons
    assert (comparison.missing, comparison.needs) == ("no_day", ())
    assert [level.conditions for level in comparison.levels] == [
        (Condition(column="DOB", test="damerau_levenshtein", number=1),),
        (Condition(column="DOB", test="days", number=30),),
        (),
    ]


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"[" * 100_000, b" " * (1 << 21)])
def test_what_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedModelError):
        from_splink(data)


def _setting(name: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda settings: settings.update({name: value})


def _comparison(**changes: object) -> Callable[[dict[str, Any]], object]:
    return lambda settings: settings["comparisons"][0].update(changes)


def _blocked(*rules: object) -> Callable[[dict[str, Any]], object]:
    return _setting("blocking_rules_to_generate_predictions", list(rules))


def _exchanged_behind(sql: str) -> Callable[[dict[str, Any]], object]:
    """A level of exchanged columns behind another one than that of their equality."""

    def change(settings: dict[str, Any]) -> None:
        null, same, _, other = settings["comparisons"][0]["comparison_levels"]
        turned = {**same, "sql_condition": '"first_l" = "last_r" AND "first_r" = "last_l"'}
        settings["comparisons"][0]["comparison_levels"] = [null, {**same, "sql_condition": sql}, turned, other]

    return change


PRIOR = "probability_two_random_records_match"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        *((_setting(PRIOR, value), PRIOR) for value in (0.0, 1.0, 1, "0.1", None)),
        (_setting("comparisons", []), "comparisons"),
        (_setting("comparisons", {"x": 1}), "comparisons"),
        (_setting("comparisons", None), "comparisons"),
        *((_comparison(output_column_name=value), "output_column_name") for value in ("", 1, None)),
        *((_level(2, tf_adjustment_weight=value), "tf_adjustment_weight") for value in (-0.1, 1.1, "1", None)),
        *((_level(1, m_probability=value), "m_probability") for value in (0.0, 1, "0.5")),
        (_level(1, u_probability=None), "u_probability of some"),
        (_level(0, sql_condition="#"), "#"),
        (_level(0, sql_condition=f"({_FIRST}) AND ({_LAST}) OR ({_LAST})"), "IS NULL"),
        (_level(1, sql_condition='"last" = "last"'), '"last" = "last"'),
        (_level(1, sql_condition='"last_l" = "last_l"'), '"last_l" = "last_l"'),
        (_blocked("SUBSTR(l.a, 1, 3) = SUBSTR(r.b, 1, 3)"), "SUBSTR"),
        (_blocked("SUBSTR(l.a, 1, 100) = SUBSTR(r.a, 1, 100)"), "SUBSTR"),
        (_blocked("(l.a = r.ab"), "(l.a = r.ab"),
        (_exchanged_behind("ELSE"), "exchanged columns before"),
        (_exchanged_behind('"DOB_l" = "DOB_r"'), "exchanged columns before"),
        (_blocked({"blocking_rule": ""}), "blocking_rule"),
        (_blocked(), "blocking_rules_to_generate_predictions"),
        (lambda settings: settings.update(linker_uid="x" * (1 << 20)), "more than 1 MiB"),
    ],
)
def test_what_a_model_of_splink_says_wrongly_is_refused_by_name(
    change: Callable[[dict[str, Any]], object], named: str
) -> None:
    with pytest.raises(UnsupportedModelError) as refused:
        from_splink(_splink(change))
    assert named in str(refused.value)


def test_what_has_no_effect_on_a_blocking_rule_is_left() -> None:
    rule = {"blocking_rule": 'l."DOB" = r."DOB"', "sql_dialect": "duckdb", "arrays_to_explode": []}
    assert [one.label for one in from_splink(_splink(_blocked(rule))).blocking] == ["DOB"]
    ten = "SUBSTR(l.a, 1, 10) = SUBSTR(r.a, 1, 10)"
    assert [one.label for one in from_splink(_splink(_blocked(ten))).blocking] == ["a first 10"]
