"""The place of a row, as the reader of its file counts: the line of a text, the row of a sheet.

A row whose source has no such numbers, as a data frame, counts from 0.
"""

from collections.abc import Callable
from typing import TypeAlias

Place: TypeAlias = Callable[[int], str]
"""Of a row, counted from 0, its place in words. It may read the file again: it is for a refusal or a summary."""


def from_zero(row: int) -> str:
    """The place of a row of a data frame."""
    return f"row {row}"
