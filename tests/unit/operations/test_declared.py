"""What declarations refuse before anything is sealed or opened, each for one reason."""

import pytest

from cji_core.operations.aggregate import AGGREGATE, Aggregate
from cji_core.operations.parameters import ParametersError
from cji_core.operations.registry import OPERATIONS, STEPS


def test_columns_that_an_aggregate_reads_must_be_there() -> None:
    there = frozenset({"SEX", "RAC", "AGE", "NAM"})
    parameters = Aggregate(keys={"SEX": ()}, sums=("AGE",), person="NAM")
    assert AGGREGATE.columns(parameters, there) == there
    for missing in ("SEX", "AGE", "NAM"):
        with pytest.raises(ParametersError, match=f"^no column {missing}$"):
            AGGREGATE.columns(parameters, there - {missing})


def test_steps_of_progress() -> None:
    """Consoles and front ends name them; a worker reports no other."""
    steps = {
        "validate": ("check",),
        "link": ("count", "train", "compare", "cluster"),
        "screen": (),
        "deidentify": ("count",),
        "aggregate": ("count", "group"),
        "disseminate": (),
        "clear": ("facts", "decide"),
    }
    assert {name: operation.steps for name, operation in OPERATIONS.items()} == steps
    assert set(STEPS) == {"rows", *(step for each in steps.values() for step in each)}


def test_operations_whose_result_no_other_one_takes() -> None:
    assert {name for name, operation in OPERATIONS.items() if operation.terminal} == {"validate", "screen", "aggregate"}
