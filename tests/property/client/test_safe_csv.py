"""`--safe-csv`: no text that a program would compute is left, and what was changed is known."""

import re
from unicodedata import category

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_core.command.safe_csv import guarded, restored

WIDE = "\uff1d\uff0b\uff0d\uff20"
SIGNS = f"=+-@\t\r\n\0{WIDE}"
TEXTS = st.lists(st.none() | st.text(st.sampled_from(f"{SIGNS}' 1.e\xa0\ufeff\u200ba,") | st.characters(codec="utf-8")))


def column(values: list[str | None]) -> pa.Array:
    return pa.array(values, pa.string())


def computed(text: str) -> bool:
    """As a spreadsheet program decides, slowly: a formula's sign after what cannot be seen; but no plain number.

    A character that no version of Unicode has yet is shown, as a box.
    """
    seen = text.lstrip("".join(c for c in text if (not c.isprintable() and category(c) != "Cn") or c.isspace()))
    return text[:1] in tuple("\t\r\n\x00") or (
        seen[:1] in tuple(f"=+-@{WIDE}")
        and re.fullmatch(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", text) is None
    )


@given(TEXTS)
def test_no_text_is_computed_afterwards(values: list[str | None]) -> None:
    for before, after in zip(values, guarded(column(values)).to_pylist(), strict=True):
        assert before is after is None or (not computed(after) and after in (before, f"'{before}"))
        if before is not None and computed(before):
            assert after == f"'{before}"


@given(TEXTS)
def test_guarding_can_be_undone(values: list[str | None]) -> None:
    assert restored(guarded(column(values))).to_pylist() == values


@pytest.mark.parametrize("lead", ["", " ", "\xa0", "\ufeff", "\u200b", "'", "\t", "\r", "\n", "\0"])
@pytest.mark.parametrize("sign", [*"=+-@", *WIDE])
def test_texts_of_the_attack_are_guarded(lead: str, sign: str) -> None:
    text = f"{lead}{sign}cmd|' /C calc'!A0"
    assert guarded(column([text, f"{lead}x"])).to_pylist() == [
        f"'{text}",
        f"'{lead}x" if lead in tuple("\t\r\n\0") else f"{lead}x",
    ]


@pytest.mark.parametrize("text", ["-12.5", "+15551234567", "007", "-1e5", "O'Neil", "'t Hooft", "a=1", "", "1=1"])
def test_numbers_and_names_stay(text: str) -> None:
    assert guarded(column([text])).to_pylist() == [text]
