"""Buckets against a twin, byte by byte."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from worker.compute.kernels.buckets import buckets


def twin(value: bytes | None, count: int) -> int:
    value = value or b""
    state = 0xCBF29CE484222325 ^ len(value)
    for byte in value[:64]:
        state = (state ^ byte) * 0x100000001B3 % 2**64
    return (state ^ state >> 32) % count


@given(st.lists(st.one_of(st.none(), st.binary(max_size=70)), max_size=20), st.integers(1, 1024))
def test_equal_values_are_in_one_bucket(values: list[bytes | None], count: int) -> None:
    assert buckets(pa.array(values, pa.binary()), count).tolist() == [twin(value, count) for value in values]


def test_values_spread() -> None:
    found = buckets(pa.array([f"S{number}" for number in range(16_000)]), 16)
    assert all(800 < (found == bucket).sum() < 1200 for bucket in range(16))
