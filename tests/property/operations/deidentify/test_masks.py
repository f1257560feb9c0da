"""Masks and ZIP prefixes beside their slow twins."""

from hypothesis import given
from hypothesis import strategies as st

from cji_operations.deidentify import masks
from tests.reference.deidentify import assert_equal, slow_mask, slow_zip, text_values, untimed


@untimed
@given(text_values, st.integers(0, 4), st.integers(0, 4))
def test_mask(values: list[bytes | None], first: int, last: int) -> None:
    assert_equal(
        lambda array: masks.mask(array, keep_first=first, keep_last=last, fill=ord("*")),
        lambda _, v: slow_mask(v, first, last, ord("*")),
        values,
    )


zips = st.from_regex(rb"[0-9]{4,5}(-?[0-9]{4})?", fullmatch=True) | st.sampled_from(
    [*[f"{z}01".encode() for z in masks.SPARSE_ZIP3], b"12345 6789", b"1234-56789"]
)


@untimed
@given(st.lists(st.none() | zips | st.binary(max_size=11), max_size=30), st.integers(1, 3))
def test_zip_prefix(values: list[bytes | None], digits: int) -> None:
    assert_equal(lambda array: masks.zip_prefix(array, digits=digits), lambda _, v: slow_zip(v, digits), values)
