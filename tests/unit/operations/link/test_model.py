"""Parameters and models that make no sense are refused before any record is read."""

from typing import Any, Final, cast

import pytest
from msgspec.structs import replace

from cji_core.errors import Reason, Stage
from cji_core.operations.link import LINK, Condition, Key, Level, Link, Model, Rule
from cji_core.operations.link.model import MAX_COMPARISONS, MAX_LEVELS, MAX_RULES, has, is_model
from cji_core.operations.parameters import decoded
from tests.support.link_tools import BY_LAST, ELSE, LAST, MODEL, SAME
from tests.support.refusals import refused


def _fields(**fields: object) -> dict[str, object]:
    return fields


@pytest.mark.parametrize(
    "parameters",
    [
        _fields(match=0.5, clerical_review_threshold=0.6),
        _fields(match=1.0),
        _fields(clerical_review_threshold=0.0),
        _fields(block_rows=1),
        _fields(pairs=0),
        _fields(seed=-1),
        _fields(random_pairs=10),
        _fields(oversized="cut"),
        _fields(model=replace(MODEL, split=(Key(column="last", form="prefix"),))),
        _fields(model=replace(MODEL, split=(Key(column="last", length=3),))),
        _fields(model=replace(MODEL, comparisons=())),
        _fields(model=replace(MODEL, comparisons=(LAST, LAST))),
        _fields(model=replace(MODEL, blocking=())),
        _fields(model=replace(MODEL, prior=None)),
        _fields(model=replace(MODEL, prior=1.0)),
        _fields(model=replace(MODEL, comparisons=(replace(LAST, levels=(SAME,)),))),
        _fields(model=replace(MODEL, comparisons=(replace(LAST, levels=(SAME, SAME)),))),
        _fields(model=replace(MODEL, comparisons=(replace(LAST, levels=(ELSE, ELSE)),))),
        _fields(model=replace(MODEL, comparisons=(replace(LAST, levels=(replace(SAME, m=0.9), ELSE)),))),
        _fields(model=replace(MODEL, comparisons=(replace(LAST, initial_m=(1.0,)),))),
        _fields(
            model=replace(
                MODEL, comparisons=(replace(LAST, levels=(replace(SAME, tf_adjustment_column="first"), ELSE)),)
            )
        ),
        _fields(
            model=replace(
                MODEL,
                comparisons=(
                    replace(
                        LAST,
                        levels=(Level(label="x", conditions=(Condition(column="last", test="jaro_winkler"),)), ELSE),
                    ),
                ),
            )
        ),
        *(
            _fields(
                model=replace(MODEL, comparisons=(replace(LAST, levels=(Level(label="x", conditions=(wrong,)), ELSE)),))
            )
            for wrong in (
                Condition(column="last", test="exchanged"),
                Condition(column="last", test="exchanged", other="last"),
                Condition(column="last", test="same", other="first"),
            )
        ),
        _fields(model=replace(MODEL, prior=None, deterministic_rules=(BY_LAST,), recall=0.0)),
    ],
)
def test_parameters_that_make_no_sense_are_refused(parameters: dict[str, object]) -> None:
    assert decoded(Link, {"model": MODEL}) == Link(model=MODEL)
    with refused(Reason.BAD_PARAMETERS):
        decoded(Link, parameters)


def _of(*conditions: Condition) -> Model:
    return replace(MODEL, comparisons=(replace(LAST, levels=(Level(label="x", conditions=conditions), ELSE)),))


def _with(**changes: Any) -> Model:
    """With a comparison that has these changes."""
    return replace(MODEL, comparisons=(replace(LAST, **changes),))


def _level(**changes: Any) -> Model:
    """With a first level that has these changes."""
    return _with(levels=(replace(SAME, **changes), ELSE))


def _named(count: int, *, levels: int = 2) -> Model:
    """With so many comparisons of so many levels."""
    one = replace(LAST, levels=(*(replace(SAME, label=str(number)) for number in range(levels - 1)), ELSE))
    return replace(MODEL, comparisons=tuple(replace(one, name=str(number)) for number in range(count)))


def _condition(test: str, number: float = 0.0, other: str = "") -> Model:
    return _of(Condition(column="last", test=cast("Any", test), number=number, other=other))


def _key(**fields: Any) -> Key:
    return Key(column="last", **fields)


def _relatives(*, shared: bool) -> Model:
    own = (LAST, replace(LAST, name="home", shared=shared))
    return replace(MODEL, comparisons=own, relatives=BY_LAST)


ESTIMATED: Final = replace(MODEL, prior=None, deterministic_rules=(BY_LAST,))
SOUND: Final = {
    "comparisons": _named(MAX_COMPARISONS),
    "levels": _named(2, levels=MAX_LEVELS),
    "blocking rules": replace(MODEL, blocking=(BY_LAST,) * MAX_RULES),
    "deterministic rules": replace(ESTIMATED, deterministic_rules=(BY_LAST,) * MAX_RULES),
    "recall of all": replace(ESTIMATED, recall=1.0),
    "relatives": _relatives(shared=True),
    "weight none": _level(tf_adjustment_weight=0.0),
    "days none": _condition("days", 0),
    "days most": _condition("days", 1 << 22),
    "prefix of one": _condition("prefix", 1),
    "prefix of most": _condition("prefix", 64),
    "similarity of one": _condition("jaro_winkler", 1.0),
    "one edit": _condition("levenshtein", 1),
    "one edit or exchange": _condition("damerau_levenshtein", 1),
    "two columns exchanged": _condition("exchanged", other="first"),
    "two columns crossed": _condition("crossed", other="first"),
    "needs": _with(needs=("last",)),
    "initial m": _with(initial_m=(0.9, 0.1)),
    "key": replace(MODEL, split=(_key(form="prefix", length=64), _key(form="year"))),
}
WRONG: Final = {
    "no name": _with(name=""),
    "comparisons": _named(MAX_COMPARISONS + 1),
    "levels": _named(2, levels=MAX_LEVELS + 1),
    "patterns": _named(MAX_COMPARISONS, levels=8),
    "no level": _with(levels=()),
    "one level": _with(levels=(ELSE,)),
    "missing": _with(missing="some"),
    "needs of others": _with(needs=("first",)),
    "m that cannot sum to 1": _with(levels=(replace(SAME, most_m=0.4), replace(ELSE, most_m=0.5))),
    "label": _level(label=""),
    "m of one": _with(levels=(replace(SAME, m=1.0), replace(ELSE, m=0.5))),
    "u of none": _with(levels=(replace(SAME, u=0.0), replace(ELSE, u=0.5))),
    "most m of none": _with(levels=(SAME, replace(SAME, label="again", most_m=0.0), ELSE)),
    "most m above one": _level(most_m=1.1),
    "weight below none": _level(tf_adjustment_weight=-0.1),
    "weight above one": _level(tf_adjustment_weight=1.1),
    "test": _condition("similar"),
    "number of a test without": _condition("same", 1),
    "days below none": _condition("days", -1),
    "days above most": _condition("days", (1 << 22) + 1),
    "prefix of none": _condition("prefix", 0),
    "prefix above most": _condition("prefix", 65),
    "prefix of a part": _condition("prefix", 1.5),
    "similarity above one": _condition("jaro_winkler", 1.1),
    "two edits": _condition("levenshtein", 2),
    "two edits or exchanges": _condition("damerau_levenshtein", 2),
    "one column crossed": _condition("crossed", other="last"),
    "blocking rules": replace(MODEL, blocking=(BY_LAST,) * (MAX_RULES + 1)),
    "deterministic rules": replace(ESTIMATED, deterministic_rules=(BY_LAST,) * (MAX_RULES + 1)),
    "recall above all": replace(ESTIMATED, recall=1.1),
    "prior of none": replace(MODEL, prior=0.0),
    "initial m of none": _with(initial_m=(0.0, 1.0)),
    "form": replace(MODEL, split=(_key(form=cast("Any", "half")),)),
    "key of a rule": replace(MODEL, blocking=(Rule(keys=(_key(form="prefix"),)),)),
    "prefix of a key": replace(MODEL, split=(_key(form="prefix", length=65),)),
    "relatives share nothing": _relatives(shared=False),
    "relatives of the same": replace(MODEL, relatives=BY_LAST),
}


@pytest.mark.parametrize("model", SOUND.values(), ids=SOUND.keys())
def test_a_model_within_its_limits(model: Model) -> None:
    assert is_model(model)


@pytest.mark.parametrize("model", WRONG.values(), ids=WRONG.keys())
def test_a_model_beyond_its_limits(model: Model) -> None:
    assert not is_model(model)


def test_a_model_in_a_header_has_a_limit() -> None:
    message = LINK.message(Link(model=MODEL)).link
    message.model = message.model.ljust(64 << 10)
    assert LINK.decode(message).model == MODEL
    message.model += b" "
    with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
        LINK.decode(message)


def test_labels_of_blocking_rules() -> None:
    keys = (_key(form="soundex"), Key(column="DOB", form="month_day"), _key(form="prefix", length=3), _key())
    assert Rule(keys=keys).label == "last soundex + DOB month and day + last first 3 + last"
    assert Rule(keys=()).label == "all pairs"


@pytest.mark.parametrize(
    ("names", "name", "there"),
    [
        ({"last"}, "last", True), ({"NAM"}, "last", True), ({"NAM"}, "first", True), ({"NAM"}, "NAM", True),
        ({"NAM"}, "DOB", False), ({"first"}, "last", False), (set[str](), "NAM", False),
    ],
)  # fmt: skip
def test_columns_that_are_there_or_can_be_made(names: set[str], name: str, there: bool) -> None:
    assert has(names, name) is there
