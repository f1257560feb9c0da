"""Rows are counted by their keys, and values of several pieces made distinct, as slow and obvious code does it."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_core.operations.link import Key
from cji_operations.link import columns as columns_module
from cji_operations.link.columns import distinct_words, read_table
from cji_operations.link.key_hashes import rule_hashes, tally
from tests.reference.link import people

_LAST = st.none() | st.text("AB", max_size=3)
_DATES = st.sampled_from(["19800102", "198001XX", "19800203", "oops", None])
_KEYS = [
    (),
    (Key(column="last"),),
    (Key(column="DOB", form="year"),),
    (Key(column="last", form="prefix", length=1), Key(column="DOB", form="year")),
    (Key(column="last"), Key(column="DOB")),
]
_VALUES = st.binary(min_size=1, max_size=4) | st.binary(min_size=7, max_size=18)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.tuples(_LAST, _DATES), max_size=30),
    side=st.none() | st.lists(st.tuples(_LAST, _DATES), max_size=9),
)
def test_a_tally_counts_rows_by_their_keys(
    rows: list[tuple[str | None, str | None]], side: list[tuple[str | None, str | None]] | None
) -> None:
    """By combination and by hash: some rules have more combinations of keys than there are rows."""
    batches = [
        people(last=[last for last, _ in some], DOB=[born for _, born in some]) for some in (rows, side or []) if some
    ]
    first = batches[: bool(rows)]
    table = read_table(first, batches[len(first) :], frozenset(("last", "DOB")), linking=side is not None)
    for keys in _KEYS:
        hashes = rule_hashes(table, keys).tolist()
        expected = Counter(one for one in hashes if one)
        found, counts, of_second = tally(table, keys)
        assert found.tolist() == sorted(expected)
        assert counts.tolist() == [expected[one] for one in sorted(expected)]
        if side is None:
            assert of_second is None
        else:
            behind = Counter(one for one in hashes[len(rows) :] if one)
            assert of_second is not None
            assert of_second.tolist() == [behind[one] for one in sorted(expected)]


@pytest.mark.parametrize("hashed", [True, False], ids=["by hash", "all hashes equal"])
@settings(max_examples=30, deadline=None)
@given(values=st.lists(_VALUES.filter(lambda one: b"\0" not in one), max_size=20))
def test_values_are_made_distinct(values: list[bytes], hashed: bool) -> None:
    data = np.frombuffer(b"".join(values), np.uint8)
    lengths = np.array([len(one) for one in values], np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        if not hashed:
            patch.setattr(columns_module, "_places", lambda words: np.zeros(len(words), np.uint64))
        words, which, first = distinct_words(data, lengths)
    found = [bytes(row[:length]) for row, length in zip(words.data, words.lengths, strict=True)]
    assert len(set(found)) == len(found)
    assert [found[at] for at in which] == values
    assert [values[at] for at in first] == found
