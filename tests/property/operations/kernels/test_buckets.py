"""Buckets against a twin, byte by byte."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from cji_operations.kernels.buckets import buckets
from cji_operations.kernels.hashing import Hashes, mixed
from cji_worker.cell.task_keys import bucket_hash


def twin(value: bytes | None) -> int:
    value = value or b""
    state = 0xCBF29CE484222325 ^ len(value)
    for byte in value[:64]:
        state = (state ^ byte) * 0x100000001B3 % 2**64
    return state ^ state >> 32


@given(st.lists(st.one_of(st.none(), st.binary(max_size=70)), max_size=20), st.integers(1, 1024))
def test_equal_values_are_in_one_bucket(values: list[bytes | None], count: int) -> None:
    def turned(hashes: Hashes) -> Hashes:
        return hashes << np.uint64(32) | hashes >> np.uint64(32)

    found = buckets(pa.array(values, pa.binary()), count, turned)
    assert found.tolist() == [(twin(value) % 2**32) * count >> 32 for value in values]


def test_values_spread() -> None:
    values = pa.array([f"S{number}" for number in range(16_000)])
    for hashed in (mixed, bucket_hash(b"k" * 32)):
        found = buckets(values, 16, hashed)
        assert all(800 < (found == bucket).sum() < 1200 for bucket in range(16))
