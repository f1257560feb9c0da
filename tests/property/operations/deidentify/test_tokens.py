"""Tokens and shifts of dates beside their slow twins."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_core.format.records.column import Bytes, read
from cji_operations.deidentify import tokens
from tests.reference.deidentify import (
    KEY,
    arrays_of,
    assert_equal,
    slow_cmac_token,
    slow_days,
    slow_mac,
    slow_token,
    text_values,
    untimed,
)


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
@given(text_values | st.lists(st.binary(min_size=14, max_size=66), max_size=20), st.sampled_from([80, 128]))
def test_cmac_tokens(values: list[bytes | None], bits: int) -> None:
    key = tokens.token_key(KEY, project="p1", domain="SOC", use="cji-cmac/1")
    assert_equal(
        lambda array: tokens.cmac_tokens(array, macs=tokens.Cmacs(key), bits=bits),
        lambda _, v: (slow_cmac_token(v, "p1", "SOC", bits), None),
        values,
    )


@untimed
@given(st.lists(st.none() | st.integers(0, 4000).map(lambda n: bytes(i % 251 for i in range(n))), max_size=6))
def test_macs_of_long_values_among_short_ones(values: list[bytes | None]) -> None:
    for array in arrays_of(values):
        found = tokens.Cmacs(KEY).of(read(array))
        assert [row.tobytes() for row in found] == [slow_mac(KEY, value or b"") for value in values]


def test_a_long_value_takes_no_step_for_each_of_its_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A column in which one value is left would pay for a whole round of numpy calls every 16 bytes."""
    macs, rounds = tokens.Cmacs(KEY), list[int]()
    encrypt = macs._encrypt

    def counted(blocks: Bytes) -> Bytes:
        rounds.append(len(blocks))
        return encrypt(blocks)

    monkeypatch.setattr(macs, "_encrypt", counted)
    value = b"x" * (1 << 20)
    assert macs.of(read(pa.array([b"y", value])))[1].tobytes() == slow_mac(KEY, value)
    assert len(rounds) <= 1024 // 16 + 2


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


def test_no_kind_of_token_shares_a_key_with_another() -> None:
    uses: list[tokens.KeyUse] = ["cji-token/1", "cji-cmac/1", "cji-block/1", "cji-ff1/1"]
    keys = {tokens.token_key(KEY, project="p1", domain="SOC", use=use) for use in uses}
    assert len(keys | {tokens.shift_key(KEY, project="p1"), KEY}) == len(uses) + 2


@pytest.mark.parametrize("bits", [80, 128])
def test_cmac_tokens_differ_by_project_domain_and_key(bits: int) -> None:
    array = pa.array(["123456789"])
    names = [("p1", "SOC"), ("p2", "SOC"), ("p1", "OLN")]
    keys = [tokens.token_key(key, project=p, domain=d, use="cji-cmac/1") for p, d in names for key in (KEY, bytes(32))]
    results = {tokens.cmac_tokens(array, macs=tokens.Cmacs(key), bits=bits).array[0].as_py() for key in keys}
    results.add(tokens.tokens(array, macs=tokens.Macs(keys[0]), bits=bits).array[0].as_py())
    assert len(results) == len(keys) + 1


def test_what_is_remembered_changes_no_token() -> None:
    """More values than are remembered, then all of them again in another order."""
    numbers = np.random.default_rng(5).permutation(20_000)
    first = pa.array([str(i) for i in numbers])
    macs = tokens.Macs(KEY)
    for array in (first, first.take(pa.array(numbers)), first.slice(19_000)):
        fresh = tokens.tokens(array, macs=tokens.Macs(KEY), bits=80).array
        assert tokens.tokens(array, macs=macs, bits=80).array.equals(fresh)
