"""Columns of dates: the format of a column is stated, or found in all of its values before anything is sent.

A column of which more than half of the values are not dates is refused, with the first such row: a column in an unknown
format would otherwise count as missing. Fewer are sent as they are, counted and reported; the worker gives their rows a
status. Where day and month could be exchanged (`MM/DD/YYYY` or `DD/MM/YYYY`), the values must decide: one order has to
read 95 % of those that any order reads, and more than the other; else they count as unread. Eight digits are such a
choice: in a column of YYYYMMDD, one with an impossible day or month is a mistake, and not a date in another format.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cji_client.date_formats import CANDIDATES, Bools, DateFormat, compact, plain_dates, shape_of
from cji_client.errors import SpecError
from cji_client.places import Place, from_zero
from cji_core.format.records.arrow import from_numpy

_CLEAR: Final = 0.95
"""Share of the values of one shape that its order must read."""


@dataclass(slots=True, kw_only=True)
class DateSurvey:
    """Counts of the values of one column, batch by batch. `formats` are those that may occur."""

    name: str
    formats: Sequence[DateFormat] = CANDIDATES
    values: int = 0
    plain: int = 0
    compact: int = 0
    """Of the plain ones, those with eight digits."""
    timed: int = 0
    read: Counter[str] = field(default_factory=Counter)
    """Values that each format reads."""
    shaped: Counter[str] = field(default_factory=Counter)
    """Values of each shape that at least one of its formats reads."""
    first: dict[str, tuple[int, str]] = field(default_factory=dict)
    """For each shape, and "" for none, the first row that has it, and the shape of its value."""

    def add(self, column: pa.Array, first_row: int) -> None:
        """Count the next values, which begin at row `first_row`."""
        text = _text(column)
        there = _there(text)
        self.values += int(np.count_nonzero(there))
        plain = there & plain_dates(text, self.formats)
        self.plain += int(np.count_nonzero(plain))
        self.compact += int(np.count_nonzero(plain & _eight_characters(text)))
        left = np.flatnonzero(there & ~plain)
        for shape in sorted({one.shape for one in self.formats}, key=lambda shape: -self.shaped[shape]):
            if not len(left):
                return
            left = self._count(shape, text, left, first_row)
        self._remember("", text, left, first_row)

    def _count(self, shape: str, text: pa.Array, rows: npt.NDArray[np.int64], first_row: int) -> npt.NDArray[np.int64]:
        """Count the values at `rows` that have this shape; the rows of the others."""
        values = text.take(from_numpy(rows))
        read, timed = np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.bool_)
        for one in self.formats:
            if one.shape == shape:
                found, with_time = one.read(values)
                fits = _valid(found)
                self.read[one.text] += int(np.count_nonzero(fits))
                read, timed = read | fits, timed | with_time
        self.shaped[shape] += int(np.count_nonzero(read))
        self.timed += int(np.count_nonzero(timed))
        self._remember(shape, text, rows[read], first_row)
        return rows[~read]

    def _remember(self, shape: str, text: pa.Array, rows: npt.NDArray[np.int64], first_row: int) -> None:
        if len(rows) and shape not in self.first:
            self.first[shape] = first_row + int(rows[0]), shape_of(text[int(rows[0])].as_py())

    def chosen(self, place: Place = from_zero) -> tuple[DateFormat, ...]:
        """The formats of the column; SpecError if they leave most values unread."""
        orders = {shape: [one for one in self.formats if one.shape == shape] for shape in self.shaped}
        best = {shape: self._best(orders[shape]) for shape in orders if self.shaped[shape]}
        found = tuple(one for one in best.values() if one is not None and self.read[one.text])
        unread = self.values - self.plain - sum(self.read[one.text] for one in found)
        if 2 * unread > self.values:
            undecided = [shape for shape, one in best.items() if one is None]
            shape = max(undecided, key=lambda shape: self.shaped[shape], default="")
            if self.shaped[shape] <= unread - self.shaped[shape] and "" in self.first:
                shape = ""
            self._refuse(shape, orders.get(shape, []), unread, place)
        return found

    def notes(self, chosen: Sequence[DateFormat]) -> Iterator[str]:
        """Remarks for the submitter: formats other than the worker's own, and values that are not dates."""
        if chosen:
            timed = f", {self.timed} with a time of day, which is not sent" if self.timed else ""
            yield f"{self.name}: dates in {' and '.join(one.text for one in chosen)}{timed}"
        if unread := self.values - self.plain - sum(self.read[one.text] for one in chosen):
            yield f"{self.name}: {unread} of {self.values} values cannot be read as dates and are sent as they are"

    def _best(self, orders: list[DateFormat]) -> DateFormat | None:
        """The order that clearly reads the values of one shape, or None."""
        plain = {one: self.compact if one.text == "YYYYMMDD" else 0 for one in orders}
        counts = {one: self.read[one.text] + plain[one] for one in orders}
        ranked = sorted(orders, key=lambda one: -counts[one])
        clear = counts[ranked[0]] >= _CLEAR * (self.shaped[ranked[0].shape] + sum(plain.values()))
        alone = len(ranked) == 1 or counts[ranked[0]] > counts[ranked[1]]
        return ranked[0] if clear and alone else None

    def _refuse(self, shape: str, orders: list[DateFormat], unread: int, place: Place) -> None:
        row, found = self.first.get(shape) or min(self.first.values())
        names = " or ".join(sorted(one.text for one in orders))
        wanted = f"one order: {names}" if shape else "a date: YYYYMMDD, YYYY-MM-DD or a date_format"
        raise SpecError(
            f"column {self.name}: {unread} of {self.values} values cannot be read as dates; {place(row)}: "
            f"found {found} (9 a digit, A a letter), wanted {wanted}",
            remedy=f'State date_format for {self.name} in [input], for example "MM/DD/YYYY"; or drop the column. '
            '"verbatim" sends its values as they are.',
        )


@dataclass(slots=True, kw_only=True)
class DateReader:
    """Applies the formats of a column to its batches, and keeps count of the values that none of them reads."""

    name: str
    formats: tuple[DateFormat, ...]
    values: int = 0
    unread: int = 0

    def read(self, column: pa.Array) -> pa.Array:
        """The column with its dates in the worker's form; where no format applies, its values are unchanged."""
        text = _text(column)
        there = _there(text)
        read = there & plain_dates(text, self.formats)
        dates = compact(text)
        for one in self.formats:
            if (read | ~there).all():
                break
            found, _ = one.read(text)
            fits = _valid(found) & ~read
            dates = pc.if_else(from_numpy(fits), found, dates)
            read |= fits
        self.values += int(np.count_nonzero(there))
        self.unread += int(np.count_nonzero(there & ~read))
        return pc.if_else(from_numpy(read), dates.cast(column.type), column) if self.formats else column

    def check(self) -> None:
        """At the end of the input: SpecError if most of it was unread, as in a file that changed or a later batch."""
        if 2 * self.unread > self.values:
            raise SpecError(f"column {self.name}: {self.unread} of {self.values} values cannot be read as dates")


def _text(column: pa.Array) -> pa.Array:
    """The column as text; bytes that are not UTF-8 become characters that no date has."""
    if not pa.types.is_binary(column.type):
        return column
    values = (None if value is None else value.decode("utf-8", "replace") for value in column.to_pylist())
    return pa.array(list(values), pa.string())


def _there(text: pa.Array) -> Bools:
    filled = pc.greater(pc.binary_length(pc.utf8_trim_whitespace(text)), 0)
    return _flags(pc.fill_null(filled, fill_value=False))


def _eight_characters(text: pa.Array) -> Bools:
    return _flags(pc.fill_null(pc.equal(pc.binary_length(text), 8), fill_value=False))


def _valid(values: pa.Array) -> Bools:
    return _flags(pc.is_valid(values))


def _flags(values: pa.Array) -> Bools:
    flags: Bools = values.to_numpy(zero_copy_only=False)
    return flags
