"""Fixed-width values as byte matrices."""

import numpy as np
from hypothesis import strategies as st

from cji_core.format.records.column import Bytes

NUMBERISH = "0123456789 X"


def column(values: list[str]) -> Bytes:
    width = len(values[0])
    return np.frombuffer("".join(values).encode("latin-1"), np.uint8).reshape(-1, width)


def values(width: int, characters: str = NUMBERISH) -> st.SearchStrategy[list[str]]:
    return st.lists(st.text(characters, min_size=width, max_size=width), min_size=1, max_size=20)
