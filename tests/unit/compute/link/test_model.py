"""Parameters and models that make no sense are refused before any record is read."""

import pytest
from msgspec.structs import replace

from tests.support.link_tools import BY_LAST, ELSE, LAST, MODEL, SAME
from tests.support.refusals import refused
from worker.compute.operations.link import (
    Condition,
    Key,
    Level,
    Parameters,
    check,
)
from worker.errors import Reason


@pytest.mark.parametrize(
    "parameters",
    [
        Parameters(match=0.5, clerical_review_threshold=0.6),
        Parameters(match=1.0),
        Parameters(clerical_review_threshold=0.0),
        Parameters(block_rows=1),
        Parameters(pairs=0),
        Parameters(seed=-1),
        Parameters(memory=1),
        Parameters(random_pairs=10),
        Parameters(oversized="cut"),  # type: ignore[arg-type]
        Parameters(model=replace(MODEL, split=(Key(column="last", form="prefix"),))),
        Parameters(model=replace(MODEL, split=(Key(column="last", length=3),))),
        Parameters(model=replace(MODEL, comparisons=())),
        Parameters(model=replace(MODEL, comparisons=(LAST, LAST))),
        Parameters(model=replace(MODEL, blocking=())),
        Parameters(model=replace(MODEL, prior=None)),
        Parameters(model=replace(MODEL, prior=1.0)),
        Parameters(model=replace(MODEL, comparisons=(replace(LAST, levels=(SAME,)),))),
        Parameters(model=replace(MODEL, comparisons=(replace(LAST, levels=(SAME, SAME)),))),
        Parameters(model=replace(MODEL, comparisons=(replace(LAST, levels=(ELSE, ELSE)),))),
        Parameters(model=replace(MODEL, comparisons=(replace(LAST, levels=(replace(SAME, m=0.9), ELSE)),))),
        Parameters(model=replace(MODEL, comparisons=(replace(LAST, initial_m=(1.0,)),))),
        Parameters(
            model=replace(
                MODEL, comparisons=(replace(LAST, levels=(replace(SAME, tf_adjustment_column="first"), ELSE)),)
            )
        ),
        Parameters(
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
            Parameters(
                model=replace(MODEL, comparisons=(replace(LAST, levels=(Level(label="x", conditions=(wrong,)), ELSE)),))
            )
            for wrong in (
                Condition(column="last", test="exchanged"),
                Condition(column="last", test="exchanged", other="last"),
                Condition(column="last", test="same", other="first"),
            )
        ),
        Parameters(model=replace(MODEL, prior=None, deterministic_rules=(BY_LAST,), recall=0.0)),
    ],
)
def test_parameters_that_make_no_sense_are_refused(parameters: Parameters) -> None:
    check(Parameters(model=MODEL))
    with refused(Reason.BAD_PARAMETERS):
        check(parameters)
