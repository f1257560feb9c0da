"""The records of a submission, whichever form it comes in: flat segments, and the input row that each belongs to."""

import enum
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from cji_core.format.records.column import Bytes, Ints, Text
from cji_core.format.records.lines import BLANK, matrix, trimmed

BEGINNING: Final = 45
"""As far as rules about the whole of a submission look: the incident date of a level 1 segment."""


class Unread(enum.IntEnum):
    """Why an input row has no record."""

    BLANK = 0
    MALFORMED = 1
    FORBIDDEN = 2
    TOO_DEEP = 3
    TOO_LARGE = 4
    NO_REPORT = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Records:
    """`n` records of `input_rows` rows.

    text: each as a flat segment, without its line end; beginnings uint8[n, BEGINNING]; rows int64[n], ascending: the
    input row of each. unread_rows int64[], unread uint8[]: rows without a record, and why (`Unread`).
    positions int64[n, 3] of records that were XML: which of its kind in the report, from 1, the object of each is, its
    person, and its location, officer or arrest; 0 for none.
    """

    text: Text
    beginnings: Bytes
    rows: Ints
    input_rows: int
    unread_rows: Ints
    unread: Bytes
    positions: Ints | None = None

    @classmethod
    def of_lines(cls, segments: Text) -> Self:
        """Of a flat file, one segment a row."""
        lines = trimmed(segments)
        beginnings = matrix(lines, np.arange(len(lines.lengths)), BEGINNING)
        rows, blank_rows = _inked(lines, beginnings)
        input_rows = len(lines.lengths)
        if len(blank_rows):
            lines, beginnings = (
                Text(data=lines.data, starts=lines.starts[rows], lengths=lines.lengths[rows]),
                beginnings[rows],
            )
        return cls(
            text=lines,
            beginnings=beginnings,
            rows=rows,
            input_rows=input_rows,
            unread_rows=blank_rows,
            unread=np.full(len(blank_rows), Unread.BLANK, np.uint8),
        )


def _inked(lines: Text, beginnings: Bytes) -> tuple[Ints, Ints]:
    """Rows that are records, and rows of nothing but blanks."""
    blank = beginnings[:, 4] == BLANK  # else there is a level
    doubtful = np.flatnonzero(blank)
    doubtful = doubtful[lines.lengths[doubtful] > 0]
    if len(doubtful):
        bounds = np.stack((lines.starts[doubtful], lines.starts[doubtful] + lines.lengths[doubtful]), axis=1)
        order = np.argsort(bounds[:, 0], kind="stable")
        inked = np.append(lines.data != BLANK, False)
        blank[doubtful[order]] = ~np.logical_or.reduceat(inked, bounds[order].ravel())[::2]
    return np.flatnonzero(~blank), np.flatnonzero(blank)
