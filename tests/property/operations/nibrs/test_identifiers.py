"""Numbers and ORIs beside a slow twin."""

import re

from hypothesis import given
from hypothesis import strategies as st

from cji_core.format.records.nibrs.code_tables import BAD_VALUE, BLANK_VALUE
from cji_operations.nibrs.identifiers import Flaw, identifiers, names
from tests.support.fixed_width import column

_WIDTH = 4


def _texts() -> st.SearchStrategy[list[str]]:
    """Of few letters, in runs of equal values."""
    value = st.text("A0- a", min_size=_WIDTH, max_size=_WIDTH)
    run = st.tuples(value, st.integers(1, 3), st.integers(0, _WIDTH - 1), st.sampled_from("A0- a"))
    return st.lists(run, min_size=1, max_size=8).map(
        lambda runs: [
            text
            for text, times, at, letter in runs
            for text in (*[text] * times, text[:at] + letter + text[at + 1 :])  # and one that differs in one place
        ]
    )


@given(_texts())
def test_names(texts: list[str]) -> None:
    def twin(text: str) -> int:
        if not text.strip():
            return BLANK_VALUE
        return 0 if re.fullmatch("[A-Z0-9]+", text) else BAD_VALUE

    assert names(column(texts)).tolist() == [twin(text) for text in texts]


@given(_texts())
def test_identifiers(texts: list[str]) -> None:
    def twin(text: str) -> int:
        if not text.strip():
            return BLANK_VALUE
        found = Flaw.INDENTED if text[0] == " " else Flaw(0)
        found |= Flaw.GAPPED if " " in text.strip() else Flaw(0)
        found |= Flaw(0) if re.fullmatch("[A-Z0-9 -]+", text) else Flaw.UNCLEAN
        return int(found | (Flaw(0) if set(text) == {"0"} else Flaw.NOT_ZEROS))

    assert identifiers(column(texts)).tolist() == [twin(text) for text in texts]
