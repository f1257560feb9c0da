"""`validate` of persons, hot files and criminal histories: each column by its own rule in `ncic.toml`.

result            `findings/1`: one row a finding: input row, column, code, what it means, whether only a warning, the
                  value, and what to transmit in place of a name that NCIC cannot carry
counts            `finding_counts/1`: rows by column and code
row_status        PARTLY_USED where a value is wrong, WARNED where there are warnings only

A name is checked as NCIC carries it, in A to Z. One that is written otherwise (MUÑOZ) is not wrong: a warning has the
form to transmit, in which nothing is wrong.

A value has one finding at most, the first that its rule gives; a pair of dates in the wrong order is one of the later
column. A missing value is wrong only if the rule has `required`.
"""

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import WHOLE_ROW, RowStatus, Status, arrow, dates
from cji_core.format.records.column import Bools, Ints, Text, read
from cji_core.operations.parameters import known
from cji_core.operations.status_codes import RowCode, ValueCode
from cji_core.operations.tables import Ncic
from cji_core.operations.tables.ncic import (
    CodeRule,
    ColumnRule,
    DateRule,
    HeightRule,
    NamePartRule,
    NameRule,
    NumberRule,
    ShapeRule,
    SsnRule,
    StatePrefixRule,
    TextRule,
    VinRule,
)
from cji_core.operations.validate import COUNTS, FINDINGS, Code, Validate
from cji_operations.kernels import letters, predicates
from cji_operations.kernels.distinct import is_among
from cji_operations.kernels.letters import Spelled
from cji_operations.operation import Context, Outputs
from cji_operations.progress import ProgressCallback

Wrong = tuple[tuple[RowCode, Bools], ...]

_BY_NAME: Final[Mapping[str, RowCode]] = MappingProxyType({code.name: code for code in (*ValueCode, *Code)})


def prepare(parameters: Validate, schema: pa.Schema, context: Context) -> "ValidateColumns":
    """Bind parameters to the columns that are there."""
    return ValidateColumns(
        table=context.tables.ncic,
        names=tuple(schema.names),
        as_of=known(parameters.as_of),
        without=frozenset(map(int, parameters.without)),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Found:
    """Rows of one batch in which a column is wrong in one way."""

    rows: Ints
    column: int
    code: RowCode
    warning: bool
    values: pa.Array = field(repr=False)
    transmit: pa.Array = field(repr=False)
    """utf8[rows]: the name as NCIC carries it, where that is not how it is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateColumns:
    """A prepared operation; made by `prepare` alone."""

    table: Ncic
    names: tuple[str, ...]
    as_of: datetime.date
    without: frozenset[int]
    keeps_rows: bool = False
    output_schema: pa.Schema = FINDINGS.arrow

    @property
    def sources(self) -> npt.NDArray[np.int16]:
        """Findings are made from the row as a whole."""
        return np.full(len(self.output_schema), WHOLE_ROW, np.int16)

    def run(self, records: Sequence[pa.RecordBatch], progress: ProgressCallback) -> Outputs:
        """Check every column of every batch; see TableOperation."""
        total = max(sum(batch.num_rows for batch in records), 1)
        statuses, results = list[RowStatus](), list[pa.RecordBatch]()
        counts: dict[tuple[int, RowCode], int] = {}
        first = 0
        for batch in records:
            found = list(self._check(batch))
            status = RowStatus.all_ok(batch.num_rows)
            for one in found:
                outcome = Status.WARNED if one.warning else Status.PARTLY_USED
                status = status.found(one.rows, status=outcome, code=one.code, column=one.column)
                counts[one.column, one.code] = counts.get((one.column, one.code), 0) + len(one.rows)
            statuses.append(status)
            results.append(self._findings(found, first))
            first += batch.num_rows
            progress("check", 100 * first // total)
        return Outputs(
            status=RowStatus.concatenate(statuses), result=results, parts={COUNTS.name: [counts_of(self.names, counts)]}
        )

    def _check(self, batch: pa.RecordBatch) -> Iterator[_Found]:
        texts = {name: read(batch.column(i)) for i, name in enumerate(self.names) if name in self.table.columns}
        for i, name in enumerate(self.names):
            if name not in texts:
                continue
            rule, undecided = self.table.columns[name], np.ones(batch.num_rows, np.bool_)
            column = batch.column(i).view(pa.binary())
            spelled = letters.spelled(column)
            found = wrong(rule, texts[name], column, self.table, self.as_of, spelled=spelled)
            missing = ((Code.VALUE_MISSING, ~texts[name].filled),) if rule.required else ()
            for code, is_wrong in (*missing, *found, *self._order(name, texts)):
                rows = np.flatnonzero(is_wrong & undecided)
                undecided &= ~is_wrong
                if len(rows) and code not in self.without:
                    at = arrow.from_numpy(rows)
                    carried = spelled.carried.take(at) if spelled and code is Code.NOT_CARRIED else None
                    yield _Found(
                        rows=rows,
                        column=i,
                        code=code,
                        warning=rule.warning or carried is not None,
                        values=column.take(at),
                        transmit=pa.nulls(len(rows), pa.utf8()) if carried is None else carried.view(pa.utf8()),
                    )

    def _order(self, name: str, texts: Mapping[str, Text]) -> Wrong:
        pairs = [pair for pair in self.table.order if pair.then == name and pair.first in texts]
        return tuple((Code.OUT_OF_ORDER, _after(texts[pair.first], texts[name])) for pair in pairs)

    def _findings(self, found: Sequence[_Found], first: int) -> pa.RecordBatch:
        """Sorted by row, and by column within it."""
        rows = np.concatenate([np.empty(0, np.int64), *(one.rows for one in found)])
        which = np.repeat(np.arange(len(found)), [len(one.rows) for one in found])
        order = np.lexsort((which, rows))
        which, rows = which[order], rows[order]

        def each(kind: pa.DataType, values: Sequence[object]) -> pa.Array:
            return pa.array(values, kind).take(arrow.from_numpy(which))

        transmit = arrow.concat((one.transmit for one in found), pa.utf8()).take(arrow.from_numpy(order))
        values = arrow.concat((one.values for one in found), pa.binary()).take(arrow.from_numpy(order))
        return pa.RecordBatch.from_arrays(
            [
                arrow.from_numpy(rows + first, pa.uint64()),
                each(pa.utf8(), [self.names[one.column] for one in found]),
                each(pa.uint16(), [one.code.value for one in found]),
                each(pa.utf8(), [one.code.meaning for one in found]),
                each(pa.bool_(), [one.warning for one in found]),
                values,
                transmit,
            ],
            schema=self.output_schema,
        )


def merge_counts(columns: Sequence[str], counts: Sequence[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    """The rows of all shards by column and code, in the order of `ValidateColumns`."""
    rows: dict[tuple[int, RowCode], int] = {}
    for column, name, number in (line.values() for batch in counts for line in batch.to_pylist()):
        key = columns.index(column), _BY_NAME[name]
        rows[key] = rows.get(key, 0) + number
    yield counts_of(columns, rows)


def counts_of(names: Sequence[str], counts: Mapping[tuple[int, RowCode], int]) -> pa.RecordBatch:
    """`finding_counts/1` of numbers of rows by column and code."""
    lines = sorted(counts.items())
    return pa.RecordBatch.from_arrays(
        [
            pa.array([names[column] for (column, _), _ in lines], pa.utf8()),
            pa.array([code.name for (_, code), _ in lines], pa.utf8()),
            pa.array([rows for _, rows in lines], pa.uint64()),
        ],
        schema=COUNTS.schema.arrow,
    )


def wrong(
    rule: ColumnRule, text: Text, column: pa.Array, table: Ncic, as_of: datetime.date, *, spelled: Spelled | None
) -> Wrong:
    """(code, bool[n]) of every way in which a value can break the rule, in the order in which they are checked."""
    characters = text.lengths if spelled is None else spelled.characters
    match rule:
        case TextRule(least=least, most=most):
            allowed = predicates.alphabet(rule.alphabet, rule.also)
            found: Wrong = (
                (ValueCode.WRONG_LENGTH, predicates.wrong_length(text, characters, least, most)),
                (ValueCode.WRONG_CHARACTER, predicates.has_illegal_bytes(text, allowed)),
            )
        case CodeRule():
            found = ((ValueCode.NOT_IN_TABLE, text.filled & ~is_among(column, table.codes[rule.table])),)
        case NameRule() | NamePartRule():
            found = _names(rule, text, spelled)
        case DateRule():
            found = _dates(rule, text, as_of)
        case NumberRule():
            form, out = predicates.outside(text, rule.digits, rule.low, rule.high)
            found = ((ValueCode.WRONG_FORM, form), (Code.OUT_OF_RANGE, out))
        case HeightRule():
            form, out = predicates.outside(text, 3, rule.low, rule.high)
            values, whole, _ = predicates.numbers(text, 3)
            found = ((ValueCode.WRONG_FORM, form), (Code.OUT_OF_RANGE, out | (whole & (values % 100 > 11))))
        case SsnRule():
            found = (
                (ValueCode.WRONG_FORM, predicates.social_form(text)),
                (ValueCode.NEVER_ISSUED, predicates.social_never_issued(text)),
            )
        case VinRule():
            found = (
                (ValueCode.WRONG_LENGTH, predicates.wrong_length(text, characters, 1, rule.most)),
                (ValueCode.WRONG_CHARACTER, predicates.has_illegal_bytes(text, predicates.alphabet("A9"))),
                (Code.WRONG_CHECK_DIGIT, predicates.vin_check_digit(text)),
            )
        case StatePrefixRule():
            prefix = pc.binary_slice(column, 0, 3)
            codes = [f"{code}-" for code in table.codes[rule.table]]
            found = (
                (ValueCode.WRONG_LENGTH, predicates.wrong_length(text, characters, 4, rule.most)),
                (ValueCode.NOT_IN_TABLE, text.filled & ~is_among(prefix, codes)),
                (ValueCode.WRONG_CHARACTER, predicates.has_illegal_bytes(text, predicates.alphabet("A9", "-"))),
            )
        case ShapeRule():
            found = ((ValueCode.WRONG_FORM, predicates.shape(text, rule.shape)),)
    return found


def _names(rule: NameRule | NamePartRule, text: Text, spelled: Spelled | None) -> Wrong:
    """Of a name as it is written and as it is carried, the longer one must fit; the form is that of the latter."""
    test, code = (
        (predicates.names, ValueCode.WRONG_FORM)
        if isinstance(rule, NameRule)
        else (predicates.name_parts, ValueCode.WRONG_CHARACTER)
    )
    if spelled is None:
        return (
            (ValueCode.WRONG_LENGTH, predicates.wrong_length(text, text.lengths, rule.least, rule.most)),
            (code, test(text)),
        )
    longer, read_as = np.maximum(spelled.characters, spelled.carried_characters), read(spelled.carried)
    return (
        (ValueCode.WRONG_LENGTH, predicates.wrong_length(text, longer, rule.least, rule.most)),
        (code, test(read_as) | (text.filled & ~read_as.filled)),
        (Code.NOT_CARRIED, text.filled & spelled.foreign),
    )


def _dates(rule: DateRule, text: Text, as_of: datetime.date) -> Wrong:
    parsed = dates.parse(text)
    day = parsed.year * 10_000 + np.maximum(parsed.month, 1) * 100 + np.maximum(parsed.day, 1)
    wanted = parsed.fits if rule.partial else parsed.whole
    future = parsed.fits & (parsed.year > 0) & (day > dates.number_of(as_of))
    return (
        (Code.NO_SUCH_DATE, text.filled & ~wanted),
        (Code.IN_THE_FUTURE, future & (not rule.future)),
    )


def _after(first: Text, then: Text) -> Bools:
    """Both are whole dates, and `first` is the later one."""
    one, two = dates.parse(first), dates.parse(then)
    later: Bools = one.whole & two.whole & (one.number > two.number)
    return later
