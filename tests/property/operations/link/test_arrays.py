"""Arrays that a task hands on: they arrive as they were, in pieces of any size."""

import math
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_core.operations.link import edges
from cji_operations.link.stages import edge_data
from cji_operations.stages.task import Task

_KINDS = st.sampled_from(["|b1", "|u1", "<i2", "<u4", "<i4", "<i8", "<f8"])
_SHAPES = st.lists(st.integers(0, 5), min_size=1, max_size=2).map(tuple)


class _Task:
    """One that reads what it wrote."""

    def __init__(self) -> None:
        self.batches: list[pa.RecordBatch] = []

    def write(self, edge: str, batch: pa.RecordBatch) -> None:
        assert edge == edges.BOUND.name
        assert batch.schema.equals(edges.BOUND.schema)
        self.batches.append(batch)

    def read(self, edge: str) -> list[tuple[int, pa.RecordBatch]]:
        return [(0, batch) for batch in self.batches]


def _array(kind: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    return np.arange(math.prod(shape)).reshape(shape).astype(kind)


@given(st.lists(st.lists(st.tuples(_KINDS, _SHAPES), max_size=4), max_size=3), st.integers(1, 40))
def test_arrays_arrive_as_they_were(calls: list[list[tuple[str, tuple[int, ...]]]], piece: int) -> None:
    task = _Task()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edge_data, "_PIECE", piece)
        for number, call in enumerate(calls):
            edge_data.write_arrays(cast("Task", task), edges.BOUND, [number], [_array(*one) for one in call])
    found = list(edge_data.read_arrays(cast("Task", task), edges.BOUND, list[int]))
    assert [head for head, _ in found] == [[number] for number in range(len(calls))]
    for (_, arrays), call in zip(found, calls, strict=True):
        for array, one in zip(arrays, call, strict=True):
            assert array.dtype == np.dtype(one[0])
            np.testing.assert_array_equal(array, _array(*one))


@pytest.mark.parametrize("change", [lambda batches: batches[:-1], lambda batches: [*batches[:-1], batches[0]]])
def test_an_array_without_its_end_is_refused(change: Any) -> None:
    task = _Task()
    edge_data.write_arrays(cast("Task", task), edges.BOUND, [], [np.arange(3)])
    task.batches = change(task.batches)
    with pytest.raises(ValueError, match="without its end"):
        list(edge_data.read_arrays(cast("Task", task), edges.BOUND, list[int]))
