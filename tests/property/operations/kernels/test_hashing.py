"""Hashes and draws depend on what they are made of, and on nothing else."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cji_operations.kernels import hashing

_MASK = (1 << 64) - 1


def _mixed(x: int) -> int:
    """SplitMix64's finaliser, step by step."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & _MASK
    return x ^ (x >> 31)


@given(st.lists(st.integers(0, _MASK), max_size=20))
def test_the_finaliser_is_that_of_splitmix(numbers: list[int]) -> None:
    assert hashing.mixed(np.array(numbers, np.uint64)).tolist() == [_mixed(number) for number in numbers]


@given(words=st.lists(st.binary(max_size=12), min_size=1, max_size=20), width=st.integers(12, 16))
def test_a_hash_does_not_depend_on_the_rows_beside_it(words: list[bytes], width: int) -> None:
    def rows(some: list[bytes], width: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
        return np.frombuffer(b"".join(word.ljust(width, b"\0") for word in some), np.uint8).reshape(-1, width)

    found = hashing.of_bytes(rows(words, width))
    assert [int(hashing.of_bytes(rows([word], 12))[0]) for word in words] == found.tolist()
    alike = {word.rstrip(b"\0") for word in words}
    assert len(set(found.tolist())) == len(alike)


@given(seed=st.integers(0, 2**63 - 1), numbers=st.lists(st.integers(0, 2**40), min_size=2, max_size=9, unique=True))
def test_draws_come_in_any_order(seed: int, numbers: list[int]) -> None:
    found = hashing.draws(seed, 7, np.array(numbers))
    assert hashing.draws(seed, 7, np.array(numbers[::-1])).tolist() == found.tolist()[::-1]
    assert len(set(found.tolist())) == len(numbers)
    assert found.tolist() != hashing.draws(seed, 8, np.array(numbers)).tolist()


def test_draws_are_even() -> None:
    found = hashing.draws(1, np.arange(100_000))
    counts = np.bincount(hashing.below(found, 10), minlength=10)
    assert counts.min() > 9_700
    assert counts.max() < 10_300
    assert 0.49 < hashing.unit(found).mean() < 0.51
    assert hashing.unit(found).min() >= 0
    assert hashing.unit(found).max() < 1
