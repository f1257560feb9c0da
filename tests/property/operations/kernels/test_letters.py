"""Folding is the same for all forms of a text, and folding again changes nothing."""

import unicodedata
from collections.abc import Callable
from typing import Literal

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from cji_operations.kernels import letters
from cji_operations.kernels.strings import words

DOTLESS = "\N{LATIN SMALL LETTER DOTLESS I}"
NAME = st.text(DOTLESS + "abzAZéÉñÑßøłđçğİőűžþæœ'-. иЖщΣςσ\N{COMBINING ACUTE ACCENT}王김م", max_size=12)
CASES: list[Callable[[str], str]] = [str.upper, str.lower, str.swapcase, str]


def folded(text: str | bytes) -> bytes:
    value = text.encode() if isinstance(text, str) else text
    (found,) = letters.names(letters.folded(pa.array([value], pa.binary()))).to_pylist()
    assert found is None or isinstance(found, bytes)
    return found or b""


def plain(value: bytes) -> bytes:
    found = letters.plain(words(pa.array([value], pa.binary()))[0], blanks=False)
    return bytes(found.data[0, : found.lengths[0]])


@given(NAME, st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]), st.sampled_from(CASES))
def test_all_forms_of_a_name_are_one(
    text: str, form: Literal["NFC", "NFD", "NFKC", "NFKD"], case: Callable[[str], str]
) -> None:
    if DOTLESS in text and case is not str:
        return  # its capital is that of i
    text = unicodedata.normalize("NFC", text)
    assert folded(unicodedata.normalize(form, case(text))) == folded(text)
    assert folded(folded(text)) == folded(text)


@given(st.binary(max_size=20))
def test_any_bytes_are_folded_and_plain(value: bytes) -> None:
    found = folded(value)
    found.decode()
    if found:
        assert plain(found)
        assert plain(plain(found)) == plain(found)
