"""Numbers and ORIs beside a slow twin."""

import re

from hypothesis import given
from hypothesis import strategies as st

from cji_core.format.records.nibrs.code_tables import BAD_VALUE, BLANK_VALUE
from cji_operations.nibrs.identifiers import Flaw, identifiers, names
from tests.support.fixed_width import column

_WIDTH = 4


def _texts() -> st.SearchStrategy[list[str]]:
    """Few letters and runs of equal values, which neighbours have."""
    value = st.text("A0- a", min_size=_WIDTH, max_size=_WIDTH)
    runs = st.lists(st.tuples(value, st.integers(1, 3)), min_size=1, max_size=8)
    return runs.map(lambda found: [text for text, times in found for _ in range(times)])


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
