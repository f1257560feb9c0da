"""Tokens and shifts of dates beside their slow twins."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference.deidentify import KEY, arrays_of, assert_equal, slow_days, slow_token, text_values, untimed
from worker.compute.operations.deidentify import tokens


@untimed
@given(text_values, st.sampled_from(tokens.TOKEN_BITS))
def test_tokens(values: list[bytes | None], bits: int) -> None:
    key = tokens.token_key(KEY, project="p1", domain="SOC")
    assert_equal(
        lambda array: tokens.tokens(array, macs=tokens.Macs(key), bits=bits),
        lambda _, v: (slow_token(v, "p1", "SOC", bits), None),
        values,
    )


@untimed
@given(text_values, st.integers(1, 3650))
def test_shift_days(values: list[bytes | None], max_days: int) -> None:
    key = tokens.shift_key(KEY, project="p1")
    for array in arrays_of(values):
        days, known = tokens.shift_days(array, macs=tokens.Cmacs(key), max_days=max_days)
        assert known.tolist() == [bool(v) for v in values]
        for value, day in zip(values, days.tolist(), strict=True):
            assert not value or day == slow_days(value, "p1", max_days)


def test_shift_days_are_uniform_and_never_zero() -> None:
    subjects = pa.array([f"subject-{i}" for i in range(60_000)])
    days, _ = tokens.shift_days(subjects, macs=tokens.Cmacs(tokens.shift_key(KEY, project="p1")), max_days=3)
    values, counts = np.unique(days, return_counts=True)
    assert values.tolist() == [-3, -2, -1, 1, 2, 3]
    assert (abs(counts - 10_000) < 500).all()  # five standard deviations


def test_words_of_the_incomplete_last_cycle_are_passed_over() -> None:
    biased, good = 2**64 - 1, 7
    digest = b"".join(word.to_bytes(8, "big") for word in (biased, good))
    table = np.frombuffer(digest, np.uint8).reshape(1, 16)
    assert tokens._days(table, 5).tolist() == [3]  # choice 7 of -5..-1, 1..5; 2^64 - 1 would be choice 5
    assert tokens._days(table, 4).tolist() == [4]  # 8 divides 2^64: every word counts, this one is choice 7


@pytest.mark.parametrize("bits", tokens.TOKEN_BITS)
def test_tokens_differ_by_project_domain_and_key(bits: int) -> None:
    array = pa.array(["123456789"])
    names = [("p1", "SOC"), ("p2", "SOC"), ("p1", "OLN"), ("p1:SOC", "x"), ("p1", "SOC:x")]
    keys = [tokens.token_key(KEY, project=p, domain=d) for p, d in names]
    keys += [tokens.token_key(bytes(32), project="p1", domain="SOC"), tokens.shift_key(KEY, project="p1")]
    results = {tokens.tokens(array, macs=tokens.Macs(key), bits=bits).array[0].as_py() for key in keys}
    assert len(results) == len(keys)


def test_what_is_remembered_changes_no_token() -> None:
    """More values than are remembered, then all of them again in another order."""
    numbers = np.random.default_rng(5).permutation(20_000)
    first = pa.array([str(i) for i in numbers])
    macs = tokens.Macs(KEY)
    for array in (first, first.take(pa.array(numbers)), first.slice(19_000)):
        fresh = tokens.tokens(array, macs=tokens.Macs(KEY), bits=80).array
        assert tokens.tokens(array, macs=macs, bits=80).array.equals(fresh)
