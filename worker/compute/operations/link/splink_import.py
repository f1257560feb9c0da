"""Models that Splink saved as JSON (`linker.misc.save_model_to_json`), as models of ours.

Supported are equality, Jaro-Winkler similarity with a threshold, their conjunctions, term frequencies, blocking rules
that are conjunctions of equalities of columns or of their first characters, m and u, and the probability that two
records match. Splink compares values as they are; here ASCII case and outer blanks make no difference. Anything else is
refused by name: a model that was read in part would be another model.

Format: moj-analytical-services/splink, settings schema of versions 4 and 5.
"""

import json
import re
from typing import Any, Final

from worker.compute.operations.link.model import Comparison, Condition, Key, Level, Model, Rule

_MAX_BYTES: Final = 1 << 20
_COLUMN: Final = r'(?:"(\w+)"|(\w+))'
_SAME: Final = re.compile(rf"{_COLUMN} = {_COLUMN}")
_JARO_WINKLER: Final = re.compile(rf"jaro_winkler_similarity\({_COLUMN}, {_COLUMN}\) >= (0\.\d+|1(?:\.0)?)")
_MISSING: Final = re.compile(rf"{_COLUMN} IS NULL OR {_COLUMN} IS NULL")
_KEY: Final = re.compile(rf"l\.{_COLUMN} = r\.{_COLUMN}")
_PREFIX: Final = re.compile(
    rf"SUBSTR(?:ING)?\(l\.{_COLUMN}, 1, (\d+)\) = SUBSTR(?:ING)?\(r\.{_COLUMN}, 1, (\d+)\)", re.IGNORECASE
)

_READ: Final = frozenset(
    ("link_type", "comparisons", "blocking_rules_to_generate_predictions", "probability_two_random_records_match")
)
_OF_NO_EFFECT: Final = frozenset(
    (  # noqa: SIM905 - reads as the list
        "sql_dialect em_convergence max_iterations retain_matching_columns retain_intermediate_calculation_columns "
        "additional_columns_to_retain unique_id_column_name source_dataset_column_name match_weight_column_prefix "
        "bayes_factor_column_prefix term_frequency_adjustment_column_prefix comparison_vector_value_column_prefix "
        "linker_uid"
    ).split()
)
_OF_COMPARISON: Final = frozenset(("comparison_description", "output_column_name", "comparison_levels"))
_OF_LEVEL: Final = frozenset(
    (  # noqa: SIM905 - reads as the list
        "sql_condition label_for_charts fix_m_probability fix_u_probability is_null_level m_probability u_probability "
        "tf_adjustment_column tf_adjustment_weight"
    ).split()
)
_OF_RULE: Final = frozenset(("blocking_rule", "sql_dialect", "arrays_to_explode"))


class UnsupportedModelError(ValueError):
    """A model has something that is not supported; the message names it."""


def from_splink(data: bytes) -> Model:
    """The model of a settings file. Raises: UnsupportedModelError."""
    if len(data) > _MAX_BYTES:
        raise UnsupportedModelError("more than 1 MiB")
    try:
        settings = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UnsupportedModelError("what is not JSON") from error
    _known(settings, _READ | _OF_NO_EFFECT, "settings")
    if settings.get("link_type") not in {"dedupe_only", "link_only"}:
        raise UnsupportedModelError(f"link_type {settings.get('link_type')!r}")
    prior = settings.get("probability_two_random_records_match")
    if not isinstance(prior, float) or not 0 < prior < 1:
        raise UnsupportedModelError(f"probability_two_random_records_match {prior!r}")
    return Model(
        comparisons=tuple(_comparison(one) for one in _list(settings, "comparisons")),
        blocking=tuple(_rule(one) for one in _list(settings, "blocking_rules_to_generate_predictions")),
        prior=prior,
    )


def _known(value: Any, names: frozenset[str], what: str) -> None:
    if not isinstance(value, dict):
        raise UnsupportedModelError(f"{what} that are not an object")
    for name in value:
        if name not in names:
            raise UnsupportedModelError(f"{name} of {what}")


def _list(value: dict[str, Any], name: str) -> list[Any]:
    found = value.get(name)
    if not isinstance(found, list) or not found:
        raise UnsupportedModelError(f"{name} that are not a list")
    return found


def _text(value: dict[str, Any], name: str) -> str:
    found = value.get(name)
    if not isinstance(found, str) or not found:
        raise UnsupportedModelError(f"{name} that is not a text")
    return found


def _comparison(value: Any) -> Comparison:
    _known(value, _OF_COMPARISON, "a comparison")
    name = _text(value, "output_column_name")
    levels = list[Level]()
    for one in _list(value, "comparison_levels"):
        _known(one, _OF_LEVEL, f"a level of {name}")
        if one.get("is_null_level"):
            if _pair(_MISSING, _text(one, "sql_condition")) is None:
                raise UnsupportedModelError(f"sql_condition {one['sql_condition']}")
        else:
            levels.append(_level(one))
    found = Comparison(name=name, levels=tuple(levels))
    if len({level.m is None for level in levels}) > 1 or len({level.u is None for level in levels}) > 1:
        raise UnsupportedModelError(f"{name} with m_probability or u_probability of some levels only")
    if any(
        levels[0].conditions != (Condition(column=one.tf_adjustment_column),)
        for one in levels
        if one.tf_adjustment_column
    ):
        raise UnsupportedModelError(f"tf_adjustment_column of {name} without a first level of equality of that column")
    return found


def _level(value: dict[str, Any]) -> Level:
    sql = _text(value, "sql_condition")
    conditions = () if sql == "ELSE" else tuple(_condition(part.strip()) for part in _parts(sql))
    weight = value.get("tf_adjustment_weight", 1.0)
    if not isinstance(weight, int | float) or not 0 <= weight <= 1:
        raise UnsupportedModelError(f"tf_adjustment_weight {weight!r}")
    return Level(
        label=_text(value, "label_for_charts"),
        conditions=conditions,
        m=_probability(value, "m_probability"),
        u=_probability(value, "u_probability"),
        tf_adjustment_column=value.get("tf_adjustment_column") or "",
        tf_adjustment_weight=float(weight),
    )


def _probability(value: dict[str, Any], name: str) -> float | None:
    found = value.get(name)
    if found is not None and (not isinstance(found, float) or not 0 < found < 1):
        raise UnsupportedModelError(f"{name} {found!r}")
    return found


def _condition(sql: str) -> Condition:
    if found := _pair(_SAME, sql):
        return Condition(column=_side(found, 1)[:-2])
    if found := _pair(_JARO_WINKLER, sql):
        return Condition(column=_side(found, 1)[:-2], test="jaro_winkler", number=float(found[5]))
    raise UnsupportedModelError(f"sql_condition {sql}")


def _rule(value: Any) -> Rule:
    if isinstance(value, str):
        sql = value
    else:
        _known(value, _OF_RULE, "a blocking rule")
        if value.get("arrays_to_explode"):
            raise UnsupportedModelError("arrays_to_explode of a blocking rule")
        sql = _text(value, "blocking_rule")
    return Rule(keys=tuple(_key(part.strip()) for part in _parts(sql)))


def _key(sql: str) -> Key:
    found = _KEY.fullmatch(sql)
    if found and _side(found, 1) == _side(found, 3):
        return Key(column=_side(found, 1))
    found = _PREFIX.fullmatch(sql)
    if found and _side(found, 1) == _side(found, 4) and found[3] == found[6] and 1 <= len(found[3]) <= 2:
        return Key(column=_side(found, 1), form="prefix", length=int(found[3]))
    raise UnsupportedModelError(f"blocking_rule {sql}")


def _parts(sql: str) -> list[str]:
    """The parts of a conjunction, each without the brackets around it."""
    parts = [part.strip() for part in re.split(r"\bAND\b", sql)]
    return [part[1:-1] if part.startswith("(") and part.endswith(")") else part for part in parts]


def _side(found: re.Match[str], first: int) -> str:
    """A column's name, quoted or not."""
    name: str = found[first] or found[first + 1]
    return name


def _pair(pattern: re.Pattern[str], sql: str) -> re.Match[str] | None:
    """The match where the two columns are one column's left and right sides."""
    found = pattern.fullmatch(sql)
    if found is None:
        return None
    left, right = _side(found, 1), _side(found, 3)
    return found if left.endswith("_l") and right == left[:-2] + "_r" else None
