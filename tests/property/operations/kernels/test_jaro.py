"""Jaro and Jaro-Winkler beside a twin that follows the definition for one pair; a byte 0 matches nothing."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cji_core.format.records.column import Ints
from cji_operations.kernels import jaro
from cji_operations.kernels.jaro_bounds import Sorted
from cji_operations.kernels.strings import Words, words


def twin_jaro(a: bytes, b: bytes) -> float:
    if not a and not b:
        return 1.0
    window = max(max(len(a), len(b)) // 2 - 1, 0)
    taken: list[int] = []
    of_b = []
    for j, byte in enumerate(b):
        for i, other in enumerate(a):
            if byte == other != 0 and i not in taken and abs(i - j) <= window:
                taken.append(i)
                of_b.append(byte)
                break
    if not taken:
        return 0.0
    m = len(taken)
    out_of_order = sum(a[i] != byte for i, byte in zip(sorted(taken), of_b, strict=True))
    return (m / len(a) + m / len(b) + (m - out_of_order // 2) / m) / 3


def twin_winkler(a: bytes, b: bytes, weight: float = 0.1, threshold: float = 0.7) -> float:
    similarity = twin_jaro(a, b)
    prefix = 0
    while prefix < min(4, len(a), len(b)) and a[prefix] == b[prefix] != 0:
        prefix += 1
    return similarity + prefix * weight * (1 - similarity) if similarity > threshold else similarity


def vocabulary(values: list[bytes]) -> Words:
    """As `words` makes it of distinct values, but empty ones stay."""
    width = max(map(len, values), default=0)
    data = np.zeros((len(values), width), np.uint8, order="F")
    for row, value in enumerate(values):
        data[row, : len(value)] = np.frombuffer(value, np.uint8)
    return Words(data=data, lengths=np.array([len(value) for value in values], np.int64))


def every_pair(n: int, m: int) -> tuple[Ints, Ints]:
    return np.repeat(np.arange(n), m), np.tile(np.arange(m), n)


NEAR = st.lists(st.sampled_from(b"ABC"), max_size=9).map(bytes)
LONG = st.lists(st.sampled_from(b"ABCD"), min_size=15, max_size=255).map(bytes)
UNICODE = st.text(max_size=20).map(str.encode)
ANY = st.binary(max_size=40)
VALUES = st.lists(NEAR | UNICODE | ANY | LONG, min_size=1, max_size=8)


@given(VALUES, VALUES)
@example([b"MARTHA"], [b"MARHTA"])
@example([b"\x01\xff", b"\xff\x01"], [b"\x01", b"\xff", b"\0\x01", b""])
def test_jaro_is_the_definition(values: list[bytes], others: list[bytes]) -> None:
    a, b = vocabulary(values), vocabulary(others)
    left, right = every_pair(len(a), len(b))
    pairs = [(x, y) for x in values for y in others]
    assert jaro.pairs(a, b, left, right, winkler=False).tolist() == [twin_jaro(x, y) for x, y in pairs]
    assert jaro.pairs(a, b, left, right).tolist() == [twin_winkler(x, y) for x, y in pairs]


@given(VALUES, VALUES, st.floats(0, 0.25), st.floats(0, 1))
@example([b"MARTHA"], [b"MARHTA"], 0.1, twin_jaro(b"MARTHA", b"MARHTA"))
def test_weight_and_threshold_are_those_given(
    values: list[bytes], others: list[bytes], weight: float, threshold: float
) -> None:
    a, b = vocabulary(values), vocabulary(others)
    found = jaro.pairs(a, b, *every_pair(len(a), len(b)), prefix_weight=weight, boost_threshold=threshold)
    assert found.tolist() == [twin_winkler(x, y, weight, threshold) for x in values for y in others]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [("MARTHA", "MARHTA", 0.961), ("DWAYNE", "DUANE", 0.84), ("DIXON", "DICKSONX", 0.813)],
)
def test_winklers_own_examples(a: str, b: str, expected: float) -> None:
    """Winkler (1990) and the tables of the US Census Bureau, three places."""
    found = jaro.pairs(vocabulary([a.encode()]), vocabulary([b.encode()]), np.zeros(1, np.int64), np.zeros(1, np.int64))
    assert round(float(found[0]), 3) == expected


def test_the_order_of_the_pairs_and_the_chunks_do_not_matter() -> None:
    rng = np.random.default_rng(7)
    values = [bytes(rng.choice(list(b"ABCDE"), rng.integers(1, 12)).tolist()) for _ in range(300)]
    known = vocabulary(values)
    left, right = rng.integers(0, 300, (2, 60_000))  # more than one chunk of each window
    found = jaro.pairs(known, known, left, right)
    some = rng.permutation(60_000)[:2_000]
    assert np.array_equal(jaro.pairs(known, known, left[some], right[some]), found[some])
    assert found[some[:300]].tolist() == [twin_winkler(values[left[i]], values[right[i]]) for i in some[:300]]


@pytest.mark.parametrize(("letters", "longest"), [(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", 14), (b"ABCDEFGH", 60)])
def test_a_chunk_of_many_lengths_is_the_definition(letters: bytes, longest: int) -> None:
    """Of few letters in common, and of many; windows of one chunk differ."""
    rng = np.random.default_rng(11)
    values = [bytes(rng.choice(list(letters), rng.integers(0, longest)).tolist()) for _ in range(500)]
    known = vocabulary([*values, *(value[1:2] + value[:1] + value[2:] for value in values)])
    left, right = rng.integers(0, len(known), (2, 50_000))
    right[:500], left[:500] = np.arange(500), np.arange(500, 1_000)
    found = jaro.pairs(known, known, left, right)
    some = range(2_000)
    spelled = [bytes(row[:n].tolist()) for row, n in zip(known.data, known.lengths, strict=True)]
    assert found[some].tolist() == [twin_winkler(spelled[left[i]], spelled[right[i]]) for i in some]


@pytest.mark.parametrize("code", [-1, 2])
def test_a_code_without_a_word_is_refused(code: int) -> None:
    """-1 is a missing value; numpy would take the last word for it."""
    two, good, bad = vocabulary([b"A", b"B"]), np.zeros(1, np.int64), np.array([code])
    with pytest.raises(IndexError):
        jaro.pairs(two, two, bad, good)
    with pytest.raises(IndexError):
        jaro.pairs(two, two, good, bad)


@given(VALUES | st.just([]), VALUES | st.just([]), st.floats(-0.5, 1) | st.sampled_from([0.0, 0.7, 1.0]))
@example([b"ABCD"], [b"ABXX"], 0.8)
@example([b"A", b""], [b"", b"A"], 1.0)
def test_above_misses_no_pair(queries: list[bytes], entries: list[bytes], cutoff: float) -> None:
    q, v = vocabulary(queries), vocabulary(entries)
    expected = [
        (i, j, score)
        for i, x in enumerate(queries)
        for j, y in enumerate(entries)
        if (score := twin_winkler(x, y)) >= cutoff
    ]
    for known in (v, Sorted(v)):
        query, entry, found = jaro.above(q, known, cutoff)
        assert list(zip(query.tolist(), entry.tolist(), found.tolist(), strict=True)) == expected


@given(st.lists(NEAR, min_size=1, max_size=12), st.integers(0, 143))
def test_above_keeps_what_is_exactly_at_the_cutoff(values: list[bytes], which: int) -> None:
    """The bound must not round a pair away: each score that occurs is a cut-off once."""
    known = vocabulary(values)
    left, right = every_pair(len(known), len(known))
    score = jaro.pairs(known, known, left, right)
    cutoff = float(score[which % len(score)])
    assert np.array_equal(jaro.above(known, known, cutoff)[2], score[score >= cutoff])


@pytest.mark.parametrize("letters", [b"ABCDEFGH", b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"])
def test_above_over_many_blocks_equals_all_pairs(letters: bytes) -> None:
    rng = np.random.default_rng(3)
    values = [bytes(rng.choice(list(letters), rng.integers(1, 9)).tolist()) for _ in range(600)]
    values += [value[: rng.integers(1, 5)] + other for value, other in pairwise(values)]
    known, _ = words(pa.array(values, pa.binary()))
    left, right = every_pair(len(known), len(known))  # more candidates than are held at once
    score = jaro.pairs(known, known, left, right)
    for cutoff in (0.2, 0.85):
        kept = score >= cutoff
        found = jaro.above(known, known, cutoff)
        assert all(map(np.array_equal, found, (left[kept], right[kept], score[kept])))
