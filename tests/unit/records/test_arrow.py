"""Arrow's memory as numpy sees it, and back: slices, nulls, empty arrays, and what is copied."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from cji_core.format.records import arrow

_NUMBERS = (pa.int8(), pa.int32(), pa.int64(), pa.uint16(), pa.uint64(), pa.float64())
_FLAGS = [True, False, None, True, True, False, True, None, False, True, True]


@pytest.mark.parametrize("kind", _NUMBERS, ids=str)
def test_numbers_are_a_view_of_the_slice(kind: pa.DataType) -> None:
    array = pa.array(range(20), kind)
    part = array.slice(3, 9)
    found = arrow.numbers(part)
    assert found.tolist() == part.to_pylist()
    assert found.ctypes.data == array.buffers()[1].address + 3 * found.itemsize


@pytest.mark.parametrize("kind", _NUMBERS, ids=str)
def test_no_numbers_are_an_empty_array_of_the_type(kind: pa.DataType) -> None:
    found = arrow.numbers(pc.dictionary_encode(pa.nulls(0, kind)).dictionary)
    assert (found.dtype, len(found)) == (np.dtype(kind.to_pandas_dtype()), 0)


@pytest.mark.parametrize("first", range(10))
def test_bools_and_nulls_are_unpacked_from_any_bit(first: int) -> None:
    part, wanted = pa.array(_FLAGS, pa.bool_()).slice(first), _FLAGS[first:]
    assert arrow.present(part).tolist() == [flag is not None for flag in wanted]
    assert (arrow.bools(part) & arrow.present(part)).tolist() == [flag is True for flag in wanted]


def test_an_array_without_nulls_is_present_everywhere() -> None:
    assert arrow.present(pa.array(["a", "b"])).tolist() == [True, True]
    assert arrow.present(pa.nulls(0)).tolist() == arrow.bools(pa.nulls(0, pa.bool_())).tolist() == []


def test_text_is_seen_where_it_lies() -> None:
    array = pa.array([b"ab", None, b"", b"cde", b"f"], pa.binary()).slice(1)
    offsets, data = arrow.text(array)
    assert offsets.tolist() == [2, 2, 2, 5, 6]
    assert data[2:6].tobytes() == b"cdef"
    assert data.ctypes.data == array.buffers()[2].address
    offsets, data = arrow.text(pa.nulls(0, pa.utf8()))
    assert (offsets.tolist(), data.tolist()) == ([0], [])


@pytest.mark.parametrize("kind", [None, *_NUMBERS], ids=str)
def test_numbers_become_an_array_of_the_type(kind: pa.DataType | None) -> None:
    values = np.array([3, 1, 2])
    array = arrow.from_numpy(values, kind, valid=np.array([True, False, True]))
    array.validate(full=True)
    assert (array.type, array.to_pylist()) == (kind or pa.int64(), [3, None, 2])


def test_numbers_of_the_type_are_not_copied() -> None:
    values = np.arange(5, dtype=np.uint64)
    assert arrow.from_numpy(values, pa.uint64()).buffers()[1].address == values.ctypes.data
    assert arrow.from_numpy(values[::2]).to_pylist() == [0, 2, 4]


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 17])
def test_bools_go_to_arrow_and_back(n: int) -> None:
    values = np.arange(n) % 3 == 0
    array = arrow.from_numpy(values)
    array.validate(full=True)
    assert (array.type, array.to_pylist()) == (pa.bool_(), values.tolist())
    assert arrow.bools(array).tolist() == values.tolist()


@pytest.mark.parametrize("kind", [pa.utf8(), pa.binary()], ids=str)
def test_bytes_become_values_null_where_empty(kind: pa.DataType) -> None:
    array = arrow.from_bytes(np.frombuffer(b"abcde", np.uint8), np.array([2, 0, 3]), kind)
    array.validate(full=True)
    assert (array.type, array.cast(pa.utf8()).to_pylist()) == (kind, ["ab", None, "cde"])
    assert arrow.from_bytes(np.empty(0, np.uint8), np.empty(0, np.int64), kind).to_pylist() == []


def test_rows_become_values_of_one_width() -> None:
    rows = np.arange(12, dtype=np.uint8).reshape(4, 3)
    for some in (rows, rows[::2], rows[:0]):
        array = arrow.from_rows(some)
        array.validate(full=True)
        assert array.to_pylist() == [row.tobytes() for row in some]


def test_lists_lie_between_their_offsets() -> None:
    kind = pa.list_(pa.uint16())
    array = arrow.from_lists(np.array([0, 2, 2, 3], np.int32), np.array([7, 8, 9], np.uint16), kind)
    array.validate(full=True)
    assert (array.type, array.to_pylist()) == (kind, [[7, 8], [], [9]])


@pytest.mark.parametrize("pieces", [[], [[]], [[b"a", None], [], [b"b"]]], ids=len)
def test_pieces_are_joined_into_one_array(pieces: list[Any]) -> None:
    joined = arrow.concat((pa.array(piece, pa.binary()) for piece in pieces), pa.binary())
    assert (joined.type, joined.to_pylist()) == (pa.binary(), [value for piece in pieces for value in piece])


def test_a_batch_is_cut_into_views() -> None:
    batch = pa.RecordBatch.from_pydict({"a": list(range(7))})
    parts = list(arrow.cut(batch, 3))
    assert [part.num_rows for part in parts] == [3, 3, 1]
    assert pa.Table.from_batches(parts).to_batches() == [*parts]
    assert parts[1].column(0).buffers()[1].address == batch.column(0).buffers()[1].address
    assert list(arrow.cut(batch.slice(0, 0), 3)) == []


def test_bytes_are_text_where_the_schema_has_text() -> None:
    fields = [pa.field(name, pa.binary(), nullable=name != "id") for name in ("id", "digest")]
    batch = pa.RecordBatch.from_arrays(
        [pa.array([b"a", b"\xc3\xa9"]), pa.array([b"\xff", None])], schema=pa.schema(fields)
    )
    schema = pa.schema([fields[0].with_type(pa.utf8()), fields[1]])
    found = arrow.with_text(batch, schema)
    assert found.schema == schema
    assert found.to_pydict() == {"id": ["a", "é"], "digest": [b"\xff", None]}
    assert found.column(0).buffers()[2].address == batch.column(0).buffers()[2].address
    assert arrow.with_text(batch, pa.schema([pa.field("id", pa.int64()), fields[1]])).schema == batch.schema
    assert arrow.with_text(batch, batch.schema) is batch
