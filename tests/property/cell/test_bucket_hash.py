"""The keyed hash of buckets: AES, block by block, and nothing of one key shows under another."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from cji_core.format.envelope import bucket_key, sha384
from cji_worker.cell.task_keys import bucket_hash

KEYS = st.binary(min_size=32, max_size=32)


def twin(key: bytes, number: int) -> int:
    encryptor = Cipher(algorithms.AES(key), modes.CTR(number.to_bytes(8, "little") + bytes(8))).encryptor()
    return int.from_bytes(encryptor.update(bytes(8)), "little")


@given(KEYS, st.lists(st.integers(0, 2**64 - 1), max_size=12))
def test_each_hash_is_half_a_block(key: bytes, numbers: list[int]) -> None:
    hashed = bucket_hash(key)
    found = hashed(np.array(numbers, np.uint64))
    assert found.dtype == np.uint64
    assert found.tolist() == [twin(key, number) for number in numbers]
    assert hashed(np.array(numbers[::-1], np.uint64)).tolist() == found.tolist()[::-1]


def test_known_answer() -> None:
    """Those of docs/format.md, section 10."""
    found = bucket_hash(bucket_key(bytes(range(32)), sha384(b"header")))(np.array([0, 1, 2**64 - 1], np.uint64))
    assert found.tolist() == [0x5993F73AC5001944, 0xA0F4DAFBF6D1D8D0, 0x17F1BAD74353D945]


@pytest.mark.parametrize("n", [0, 1, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, 150_000])
def test_long_columns_are_hashed_in_pieces(n: int) -> None:
    hashed = bucket_hash(b"k" * 32)
    numbers = np.arange(2 * n, dtype=np.uint64)[::2]
    found = hashed(numbers)
    assert len(found) == n == len(np.unique(found))
    for at in {0, n // 2, n - 1} if n else ():
        assert int(found[at]) == twin(b"k" * 32, 2 * at)


def test_keys_share_nothing() -> None:
    """About half the bits differ between two keys, and between neighbours under one."""
    numbers = np.arange(10_000, dtype=np.uint64)
    one, other = (bucket_hash(key * 32)(numbers) for key in (b"a", b"b"))
    for differing in (one ^ other, one[1:] ^ one[:-1]):
        assert 31.5 < np.bitwise_count(differing).mean() < 32.5


@pytest.mark.parametrize("length", [0, 16, 24, 31, 33])
def test_only_keys_of_32_bytes(length: int) -> None:
    with pytest.raises(ValueError, match="key"):
        bucket_hash(bytes(length))
