"""Parameters and models that make no sense are refused before any record is read."""

import pytest
from msgspec.structs import replace

from cji_core.errors import Reason
from cji_core.operations.link import Condition, Key, Level, Link
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
