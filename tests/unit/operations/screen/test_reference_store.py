"""Values of arrays laid out in memory and found again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cji_core.errors import Reason
from cji_operations.screen.reference_store import restore, store
from tests.support.refusals import refused


@dataclass(frozen=True, kw_only=True, eq=False)
class Inner:
    data: npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Outer:
    number: int
    inner: Inner
    more: Mapping[str, Inner]
    batch: pa.RecordBatch


BATCH = pa.RecordBatch.from_pydict({"a": pa.array([b"x", None, b"zz"], pa.binary())})
TYPES = st.sampled_from(["u1", "?", "<i4", "<i8", "<u8", "<f8"])
VALUES = arrays.arrays(TYPES, arrays.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=5))


def value(*data: npt.NDArray[Any]) -> Outer:
    first, *rest = data
    return Outer(
        number=7, inner=Inner(data=first), more={str(i): Inner(data=d) for i, d in enumerate(rest)}, batch=BATCH
    )


@given(st.lists(VALUES, min_size=1, max_size=4), st.booleans())
def test_what_is_found_is_what_was_laid_out(data: list[npt.NDArray[Any]], turned: bool) -> None:
    data = [array.T for array in data] if turned else data
    room = memoryview(bytearray(1 << 16))
    store(value(*data), room)
    found = restore(Outer, room)
    assert (found.number, found.batch) == (7, BATCH)
    for one, other in zip(data, [found.inner, *found.more.values()], strict=True):
        assert one.dtype == other.data.dtype
        assert one.strides == other.data.strides or one.size < 2 or 1 in one.shape
        assert np.array_equal(one, other.data, equal_nan=one.dtype.kind == "f")
        assert not other.data.flags.writeable


def test_arrays_are_views_of_the_room_at_multiples_of_64() -> None:
    room = memoryview(bytearray(1 << 16))
    store(value(np.arange(3), np.arange(5)), room)
    base = np.frombuffer(room, np.uint8).ctypes.data
    found = restore(Outer, room)
    for array in (found.inner.data, found.more["0"].data):
        assert base <= array.ctypes.data < base + len(room)
        assert (array.ctypes.data - base) % 64 == 0


def test_what_does_not_fit_is_refused_and_nothing_is_found() -> None:
    small = value(np.zeros(10, np.uint8))
    room = memoryview(bytearray(4096))
    store(small, room)
    with refused(Reason.LIMIT_EXCEEDED):
        store(value(np.zeros(4096, np.uint8)), room)
    with refused(Reason.INTERNAL):
        restore(Outer, room)


def test_nothing_is_found_in_a_wiped_room() -> None:
    with refused(Reason.INTERNAL):
        restore(Outer, memoryview(bytearray(4096)))


def test_other_things_are_not_laid_out() -> None:
    with pytest.raises(TypeError):
        store(Inner(data=object()), memoryview(bytearray(4096)))  # type: ignore[arg-type]
