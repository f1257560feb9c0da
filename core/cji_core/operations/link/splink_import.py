"""Models that Splink saved as JSON (`linker.misc.save_model_to_json`), as models of ours.

Supported are equality, Jaro-Winkler similarity with a threshold, one edit of Levenshtein or Damerau-Levenshtein, days
between dates, two columns exchanged, their conjunctions, term frequencies, blocking rules that are conjunctions of
equalities of columns or of their first characters, m and u, and the probability that two records match. Splink's own
`JaroWinklerAtThresholds`, `DateOfBirthComparison` and `ForenameSurnameComparison` are made of these. Splink compares
values as they are; here ASCII case and outer blanks make no difference. Anything else is refused by name: a model that
was read in part would be another model.

Format: moj-analytical-services/splink, settings schema of versions 4 and 5, SQL as for DuckDB.
"""

import re
from typing import Any, Final

from msgspec.structs import replace

from cji_core.errors import OperationsError
from cji_core.operations.link.model import Comparison, Condition, Key, Level, Missing, Model, Rule, is_model
from cji_core.strict import StrictError, parse

_MAX_BYTES: Final = 1 << 20
_COLUMN: Final = r'(?:"(\w+)"|(\w+))'
_SAME: Final = re.compile(rf"{_COLUMN} = {_COLUMN}")
_JARO_WINKLER: Final = re.compile(rf"jaro_winkler_similarity\({_COLUMN}, {_COLUMN}\) >= (0\.\d+|1(?:\.0)?)")
_EDIT: Final = re.compile(rf"(levenshtein|damerau_levenshtein)\({_COLUMN}, {_COLUMN}\) <= 1")
_DAY: Final = rf"try_strptime\({_COLUMN}, *'%Y-%m-%d'\)"
_SECONDS: Final = re.compile(rf"abs\(epoch\({_DAY}\) - epoch\({_DAY}\)\) *<= *(\d+(?:\.\d+)?)", re.IGNORECASE)
_MISSING: Final = re.compile(rf"{_COLUMN} IS NULL OR {_COLUMN} IS NULL")
_NO_DAY: Final = re.compile(rf"{_DAY} IS NULL OR {_DAY} IS NULL")
_SECONDS_OF_DAY: Final = 86_400
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


class UnsupportedModelError(OperationsError, ValueError):
    """A model has something that is not supported; the message names it."""

    code = "model-unsupported"
    remedy = "Remove from the model what the message names."


def from_splink(data: bytes) -> Model:
    """The model of a settings file. Raises: UnsupportedModelError."""
    if len(data) > _MAX_BYTES:
        raise UnsupportedModelError("more than 1 MiB")
    try:
        settings = parse(data, limit=_MAX_BYTES)
    except StrictError as error:
        raise UnsupportedModelError(f"what is not JSON: {error}") from error
    _known(settings, _READ | _OF_NO_EFFECT, "settings")
    if settings.get("link_type") not in ("dedupe_only", "link_only"):
        raise UnsupportedModelError(f"link_type {settings.get('link_type')!r}")
    prior = settings.get("probability_two_random_records_match")
    if not isinstance(prior, float) or not 0 < prior < 1:
        raise UnsupportedModelError(f"probability_two_random_records_match {prior!r}")
    model = Model(
        comparisons=tuple(_comparison(one) for one in _list(settings, "comparisons")),
        blocking=tuple(_rule(one) for one in _list(settings, "blocking_rules_to_generate_predictions")),
        prior=prior,
    )
    if not is_model(model):
        raise UnsupportedModelError("comparisons or rules that are incomplete, or too many")
    return model


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
    levels, missing = list[Level](), list[tuple[Missing, tuple[str, ...]]]()
    for one in _list(value, "comparison_levels"):
        _known(one, _OF_LEVEL, f"a level of {name}")
        if one.get("is_null_level"):
            missing.append(_missing(_text(one, "sql_condition")))
        else:
            levels.append(_level(one))
    if len(missing) > 1:
        raise UnsupportedModelError(f"{name} with {len(missing)} levels for missing values")
    when, needs = missing[0] if missing else ("never", ())
    found = Comparison(name=name, levels=tuple(levels), missing=when)
    if set(needs) != set(found.columns):
        found = replace(found, needs=needs)
    _check_levels(found)
    return found


def _check_levels(found: Comparison) -> None:
    """Raises: UnsupportedModelError where levels that can be read by themselves do not go together."""
    name, levels = found.name, found.levels
    if not set(found.needs) <= set(found.columns):
        raise UnsupportedModelError(f"{name} with a level for missing values of columns that it does not compare")
    if len({level.m is None for level in levels}) > 1 or len({level.u is None for level in levels}) > 1:
        raise UnsupportedModelError(f"{name} with m_probability or u_probability of some levels only")
    if any(found.equality(one.tf_adjustment_column) is None for one in levels if one.tf_adjustment_column):
        raise UnsupportedModelError(f"tf_adjustment_column of {name} without a level of equality of that column")
    for number, level in enumerate(levels):
        for condition in level.conditions:
            # here, equal names are never exchanged; there, they are, unless a level before this one has taken them
            same = {Condition(column=column) for column in condition.columns}
            if condition.other and not any(one.conditions and set(one.conditions) <= same for one in levels[:number]):
                raise UnsupportedModelError(f"{name} with exchanged columns before a level of their equality")


def _missing(sql: str) -> tuple[Missing, tuple[str, ...]]:
    """(when there is nothing to compare, of which columns) by the condition of a null level."""
    columns = [name for found in _MISSING.finditer(sql) if (name := _of_one(found))]
    form = re.sub(r"\(#\)", "#", _MISSING.sub("#", sql))
    if columns and form in {"#", " OR ".join("#" * len(columns))}:
        return "any", tuple(columns)
    if form == " AND ".join("#" * len(columns)):
        return "every", tuple(columns)
    day = _NO_DAY.fullmatch(sql)
    if day and (name := _of_one(day)):
        return "no_day", (name,)
    raise UnsupportedModelError(f"sql_condition {sql}")


def _level(value: dict[str, Any]) -> Level:
    sql = _text(value, "sql_condition")
    conditions = () if sql == "ELSE" else _conditions(_parts(sql))
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


def _conditions(parts: list[str]) -> tuple[Condition, ...]:
    """The conditions of a conjunction; an exchange of two columns is two of its parts."""
    found, crossed = list[Condition](), dict[tuple[str, str], str]()
    for sql in parts:
        equal = _SAME.fullmatch(sql)
        sides = _sides(equal) if equal else None
        if sides and sides[0] != sides[1]:
            crossed[sides] = sql
        else:
            found.append(_condition(sql))
    for (one, other), sql in crossed.items():
        if (other, one) not in crossed:
            raise UnsupportedModelError(f"sql_condition {sql}")
        exchange = Condition(column=other, other=one, test="exchanged")
        if exchange not in found:
            found.append(Condition(column=one, other=other, test="exchanged"))
    return tuple(found)


def _condition(sql: str) -> Condition:
    if (found := _SAME.fullmatch(sql)) and (column := _of_one(found)):
        return Condition(column=column)
    if (found := _JARO_WINKLER.fullmatch(sql)) and (column := _of_one(found)):
        return Condition(column=column, test="jaro_winkler", number=float(found[5]))
    if (found := _EDIT.fullmatch(sql)) and (column := _of_one(found, 2)):
        return Condition(column=column, test=found[1], number=1)  # type: ignore[arg-type]  # one of the two tests
    if (found := _SECONDS.fullmatch(sql)) and (column := _of_one(found)):
        return Condition(column=column, test="days", number=float(found[5]) // _SECONDS_OF_DAY)
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
    if found and _side(found, 1) == _side(found, 4) and found[3] == found[6] and len(found[3]) <= 2:
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


def _sides(found: re.Match[str], first: int = 1) -> tuple[str, str] | None:
    """(column of the left record, column of the right record) of a comparison, whatever their order."""
    names = _side(found, first), _side(found, first + 2)
    by_side = {name[-2:]: name[:-2] for name in names}
    return (by_side["_l"], by_side["_r"]) if set(by_side) == {"_l", "_r"} else None


def _of_one(found: re.Match[str], first: int = 1) -> str | None:
    """The column that is compared with itself."""
    sides = _sides(found, first)
    return sides[0] if sides and sides[0] == sides[1] else None
