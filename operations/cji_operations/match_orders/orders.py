"""The lines of the orders: what each says, and which events it names.

A line is usable if it has an id and a known action, either names events in the columns of `NAMING` or says that it is
about the whole record, and each of its dates can be read: without one, it would be about more events. All columns that
it fills must agree with an event, or the line is not about it: texts without outer blanks and without regard to the
case of ASCII letters, dates digit by digit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.records import SCHEMAS, arrow, dates
from cji_core.format.records.column import Bools, Ints, read
from cji_core.operations.match_orders import FLAGS, NAMING, ORDER_SCHEMA
from cji_operations.kernels.distinct import codes
from cji_operations.kernels.ranges import expand

_MOST_PAIRS: Final = 1 << 22
"""Of events of a batch and lines of their persons: 256 lines for each of 16 384 events."""
_ACTIONS: Final = tuple(FLAGS)
_DATES: Final = frozenset(name for name, column in SCHEMAS[ORDER_SCHEMA].columns.items() if column.date)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Lines:
    """`n` lines of orders.

    order_id, subject: `binary`, trimmed. order int64[n]: equal for the lines of one order. action int64[n]: its
    position in FLAGS, -1 for none. usable bool[n]. `named` has the values of the columns by which lines name events.
    """

    n: int
    order_id: pa.Array
    order: Ints
    action: Ints
    subject: pa.Array
    usable: Bools
    named: dict[str, pa.Array] = field(default_factory=dict)

    def of_action(self, name: str) -> Bools:
        """bool[n]: the lines with this action."""
        found: Bools = self.action == _ACTIONS.index(name)
        return found


def read_lines(batches: Sequence[pa.RecordBatch]) -> Lines:
    """The lines of the side table."""
    order_id, action, subject = (trimmed(_column(batches, name)) for name in ("order_id", "action", "subject"))
    wanted = pa.array([name.encode() for name in _ACTIONS], pa.binary())
    lowered = pc.ascii_lower(_as_text(action)).view(pa.binary())
    number = arrow.numbers(pc.fill_null(pc.index_in(lowered, value_set=wanted), -1)).astype(np.int64)
    given = {name: trimmed(_column(batches, name)) for name in NAMING}
    named = {name: _comparable(values, name) for name, values in given.items()}
    unread = np.any([arrow.present(given[name]) & ~arrow.present(named[name]) for name in NAMING], axis=0)
    names_events = np.any([arrow.present(values) for values in named.values()], axis=0)
    usable = arrow.present(order_id) & (number >= 0) & (names_events != _whole_record(batches)) & ~unread
    n = len(order_id)
    order, _ = codes(order_id)
    order = np.where(arrow.present(order_id), order, n + np.arange(n))  # without an id, each is an order of its own
    return Lines(n=n, order_id=order_id, order=order, action=number, subject=subject, usable=usable, named=named)


def _whole_record(batches: Sequence[pa.RecordBatch]) -> Bools:
    pieces = [
        arrow.bools(batch["whole_record"]) & arrow.present(batch["whole_record"])
        if "whole_record" in batch.schema.names
        else np.zeros(batch.num_rows, np.bool_)
        for batch in batches
    ]
    return np.concatenate([np.zeros(0, np.bool_), *pieces])


def _column(batches: Iterable[pa.RecordBatch], name: str) -> pa.Array:
    """The column of all batches as `binary`, null where there is none."""
    return arrow.concat((text_of(batch, name) for batch in batches), pa.binary())


def text_of(batch: pa.RecordBatch, name: str) -> pa.Array:
    """A text column as `binary`, all null where there is none."""
    if name not in batch.schema.names:
        return pa.nulls(batch.num_rows, pa.binary())
    return batch.column(batch.schema.names.index(name)).view(pa.binary())


def trimmed(values: pa.Array) -> pa.Array:
    """`binary` without outer blanks, null where nothing is left."""
    found = pc.ascii_trim_whitespace(_as_text(values)).view(pa.binary())
    return pc.if_else(pc.greater(pc.binary_length(found), 0), found, pa.scalar(None, pa.binary()))


def _as_text(values: pa.Array) -> pa.Array:
    """As `utf8` for functions that look at ASCII alone: the bytes are not checked, nor need they be."""
    return values.view(pa.utf8())


def _comparable(values: pa.Array, name: str) -> pa.Array:
    """Equal for values that name the same; a date that is none is missing."""
    values = trimmed(values)
    if name not in _DATES:
        return pc.ascii_upper(_as_text(values)).view(pa.binary())
    parsed = dates.parse(read(values))
    lengths = np.where(parsed.fits, 8, 0)
    return arrow.from_bytes(parsed.digits[parsed.fits], lengths, pa.binary())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ByPerson:
    """The lines that are about a person who is known.

    subjects: distinct, `binary`; the lines of subject s are `line[first[s] : first[s] + count[s]]`.
    """

    lines: Lines
    subjects: pa.Array
    first: Ints
    count: Ints
    line: Ints

    @classmethod
    def of(cls, lines: Lines, line: Ints, subjects: pa.Array) -> "ByPerson":
        """Of these lines int64[k], each about the subject beside it."""
        code, k = codes(subjects)
        order = np.argsort(code, kind="stable")
        count = np.bincount(code, minlength=k)
        known = pc.dictionary_encode(subjects, null_encoding="encode").dictionary
        return cls(lines=lines, subjects=known, first=np.cumsum(count) - count, count=count, line=line[order])

    def about(self, batch: pa.RecordBatch) -> tuple[Ints, Ints]:
        """(int64[p] row of the batch, int64[p] line): every event with every line that is about it, in order.

        Raises: Refusal(LIMIT_EXCEEDED) where more events and lines of one person would have to be compared.
        """
        which = pc.index_in(trimmed(text_of(batch, "subject")), value_set=self.subjects)
        rows = np.flatnonzero(arrow.present(which)) if len(self.subjects) else np.empty(0, np.int64)
        of_row = arrow.numbers(which)[rows].astype(np.int64)
        if self.count[of_row].sum() > _MOST_PAIRS:
            raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE)
        pair, position = expand(self.first[of_row], self.count[of_row])
        row, line = rows[pair], self.line[position]
        for name, named in self.lines.named.items():
            if not len(row):
                break
            agrees = _agrees(named, line, text_of(batch, name), row, name)
            row, line = row[agrees], line[agrees]
        order = np.lexsort((line, row))
        return row[order], line[order]


def _agrees(named: pa.Array, line: Ints, values: pa.Array, row: Ints, name: str) -> Bools:
    """bool[p]: the line does not fill the column, or the event has the same value there."""
    filled = arrow.present(named)[line]
    if not filled.any():
        return ~filled
    of_line = named.take(arrow.from_numpy(line))
    of_row = _comparable(values.take(arrow.from_numpy(row)), name)
    same: Bools = arrow.bools(pc.fill_null(pc.equal(of_line, of_row), False))
    return ~filled | same
