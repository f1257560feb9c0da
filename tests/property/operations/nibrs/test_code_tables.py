"""Code tables beside a dictionary."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_core.format.records.nibrs.code_tables import BAD_VALUE, BLANK_VALUE, CodeTable
from tests.support.fixed_width import column


@given(
    st.integers(1, 3).flatmap(
        lambda w: st.tuples(
            st.sets(st.text("A0Z9", min_size=w, max_size=w), min_size=1),
            st.lists(st.text("A0Z9 +\xff", min_size=w, max_size=w), min_size=1),
        )
    )
)
def test_code_tables(case: tuple[set[str], list[str]]) -> None:
    codes, texts = sorted(case[0]), case[1]
    expected = [codes.index(text) if text in codes else BAD_VALUE if text.strip(" ") else BLANK_VALUE for text in texts]
    assert CodeTable(codes).lookup(column(texts)).tolist() == expected


@pytest.mark.parametrize("codes", [["A", "BB"], ["A", "A"], ["ABCD"]])
def test_a_code_table_has_codes_of_one_width_each_once(codes: list[str]) -> None:
    with pytest.raises(ValueError, match=r"codes|unpack"):
        CodeTable(codes)
