"""Distinct words as byte matrices."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_core.format.records.column import pack_strings
from cji_operations.kernels.strings import MAX_BYTES, Words, fold, words


def values(known: Words) -> list[bytes]:
    return [row[:length].tobytes() for row, length in zip(known.data, known.lengths, strict=True)]


@given(st.lists(st.none() | st.binary(max_size=300) | st.sampled_from([b"", b"A", b"B"])), st.integers(0, 3))
def test_words_are_the_distinct_values_in_order(rows: list[bytes | None], skipped: int) -> None:
    known, code = words(pa.array(rows, pa.binary()).slice(skipped))
    seen = list(dict.fromkeys(row for row in rows[skipped:] if row))
    assert values(known) == [value[:MAX_BYTES] for value in seen]
    assert code.tolist() == [seen.index(row) if row else -1 for row in rows[skipped:]]
    assert (known.data.sum(axis=1) == [sum(value[:MAX_BYTES]) for value in seen]).all()  # zero beyond the length


def test_one_long_text_does_not_widen_the_matrix() -> None:
    known, code = words(pa.array([b"A" * 100_000, b"A" * 99_999, b"B"], pa.binary()))
    assert known.data.shape == (3, MAX_BYTES)
    assert values(known) == [b"A" * MAX_BYTES, b"A" * MAX_BYTES, b"B"]
    assert code.tolist() == [0, 1, 2]


def test_words_take_text_as_its_bytes() -> None:
    known, code = words(pa.array(["MUÑOZ", None, "muñoz", "MUÑOZ"]))
    assert values(known) == ["MUÑOZ".encode(), "muñoz".encode()]
    assert code.tolist() == [0, -1, 1, 0]
    assert fold(known.data)[1, :6].tobytes() == b"MU" + "ñ".encode() + b"OZ"


@pytest.mark.parametrize("strings", [[], [b""], [b"A", b"", b"\0B", b"ABC"], [b"AB\0C", b"X\0"]], ids=len)
def test_byte_strings_become_values_null_where_empty(strings: list[bytes]) -> None:
    array = pack_strings(np.array(strings, "S4"))
    array.validate(full=True)
    assert array.to_pylist() == [value.rstrip(b"\0") or None for value in strings]
