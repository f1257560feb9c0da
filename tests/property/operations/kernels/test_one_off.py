"""Words that are one edit apart are those of the textbook's distance."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from cji_operations.kernels.one_off import one_off
from cji_operations.kernels.strings import words
from tests.reference.edit_distance import distance

_WORDS = st.lists(st.text("ABC", min_size=1, max_size=7), min_size=1, max_size=12, unique=True)


@given(one=_WORDS, other=_WORDS, transpositions=st.booleans())
def test_one_off_is_a_distance_of_one(one: list[str], other: list[str], transpositions: bool) -> None:
    pairs = [(i, j) for i in range(len(one)) for j in range(len(other))]
    (a, _), (b, _) = words(pa.array(one)), words(pa.array(other))
    left, right = ([pair[side] for pair in pairs] for side in (0, 1))
    found = one_off(a, b, pa.array(left).to_numpy(), pa.array(right).to_numpy(), transpositions=transpositions)
    expected = [distance(one[i], other[j], transpositions=transpositions) <= 1 for i, j in pairs]
    assert found.tolist() == expected
