"""`disseminate`: the rows and columns that a recipient may have for a purpose, and a dissemination ledger.

The dissemination table (`cji_operations.tables`) has at most one grant for the job's purpose code and recipient class.
A grant names the classes of data that pass, as columns, and what a record may be and still pass, as flags:

    sealed, juvenile       from the record's own flag
    non_conviction         from the record's own flag, or an event without disposition that is older than the table's
                           number of days on the day `as_of` (28 CFR 20.3, "nonconviction data")
    restricted_file        from the letter of its NCIC file (CJISSECPOL 4.2.2)
    expunged               never passes

Denied is the default. A flag that is null or whose column is absent is taken as set, a date that is not one as old, a
file that the table does not name as not to be disseminated, and a row without a subject cannot be logged, so it is
withheld too. Without a grant everything is withheld.

Outputs besides the result: `ledger` with one row for each subject of whom anything passed (CJISSECPOL AU-3(1), 5.1.3;
subject, SID, FBI number, time, purpose, who asked and for whom), in the order of their first rows; `withheld` with the
number of rows by reason. A row counts under the first reason of `_REASONS` that holds.
"""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.format.records import EVENTS, SCHEMAS, RowStatus, Status, arrow, dates, tagged
from cji_core.format.records.column import Bools, Ints, read
from cji_core.operations.disseminate import BY_SHARD, DISSEMINATE, LEDGER, WITHHELD, Code, Disseminate
from cji_core.operations.parameters import known
from cji_core.operations.tables.dissemination import Dissemination, Grant
from cji_operations.kernels.distinct import first_rows, is_among
from cji_operations.operation import Applied, Case, Context, Implementation
from cji_operations.stages.by_shard import by_shard

_REASONS: Final = (
    Code.WITHHELD_PURPOSE,
    Code.WITHHELD_NO_SUBJECT,
    Code.WITHHELD_EXPUNGED,
    Code.WITHHELD_SEALED,
    Code.WITHHELD_JUVENILE,
    Code.WITHHELD_NON_CONVICTION,
    Code.WITHHELD_UNKNOWN_FILE,
    Code.WITHHELD_RESTRICTED_FILE,
)
_UNJUDGED: Final = frozenset((Code.WITHHELD_NO_SUBJECT, Code.WITHHELD_UNKNOWN_FILE))  # the record itself is at fault

_SEEN: Final = pa.schema([(name, pa.binary()) for name in ("subject", "SID", "FBI", "file")] + [("rows", pa.uint64())])
_BATCH: Final = 16_384


def _prepare(parameters: Disseminate, schema_id: str, schema: pa.Schema, context: Context) -> "Disseminating":
    """Bind parameters to the columns of the records."""
    table = context.tables.dissemination
    grant = table.grant(context.job.purpose_code, parameters.recipient_class)
    classes = frozenset() if grant is None else frozenset(grant.data)
    columns = SCHEMAS[schema_id].columns
    kept = [i for i, name in enumerate(schema.names) if columns[name].data_class in classes]
    if not kept:  # a stream has to have a column; with no row in it, it says nothing
        kept = [0]
        grant = None
    return Disseminating(
        output_schema=tagged(schema_id, [pa.field(schema.names[i], schema.types[i]) for i in kept]),
        schema_id=schema_id,
        sources=np.array(kept, np.int16),
        grant=grant,
        table=table,
        as_of=known(parameters.as_of),
        names=tuple(schema.names),
        subject="subject" if schema_id in EVENTS else "NIC",
        recipient_class=parameters.recipient_class,
        context=context,
    )


@dataclass(slots=True, kw_only=True)
class Disseminating:
    """A prepared operation; made by `_prepare` alone. It keeps the subjects that passed until the end."""

    output_schema: pa.Schema
    schema_id: str
    sources: npt.NDArray[np.int16]
    grant: Grant | None
    table: Dissemination
    as_of: datetime.date
    names: tuple[str, ...]
    subject: str
    recipient_class: str
    context: Context = field(repr=False)
    _subjects: list[pa.RecordBatch] = field(default_factory=list, repr=False)
    _counts: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(len(_REASONS), np.uint64), repr=False)

    def apply(self, batch: pa.RecordBatch) -> Applied:
        """Withhold what is not granted; see BatchOperation."""
        first = self._first_reason(batch)
        self._counts += np.bincount(first, minlength=len(_REASONS) + 1)[:-1].astype(np.uint64)
        status = RowStatus.all_ok(batch.num_rows)
        for position, code in enumerate(_REASONS):
            judged = Status.NOT_USABLE if code in _UNJUDGED else Status.WARNED
            status = status.found(np.flatnonzero(first == position), status=judged, code=code)
        kept = np.flatnonzero(first == len(_REASONS))
        columns = [batch.column(int(i)) for i in self.sources]
        out = pa.RecordBatch.from_arrays(columns, schema=self.output_schema)
        if len(kept) < batch.num_rows:
            out = out.take(arrow.from_numpy(kept))
        self._log(batch, kept)
        return Applied(batch=out, status=status, kept=kept)

    def finish(self) -> Mapping[str, Iterable[pa.RecordBatch]]:
        """The dissemination ledger and the counts."""
        return {LEDGER.name: self._ledger(), WITHHELD.name: [self._withheld()]}

    # ------------------------------------------------------------------ what passes

    def _first_reason(self, batch: pa.RecordBatch) -> Ints:
        """int64[n]: the position in `_REASONS` of the first one that withholds the row, or len(_REASONS)."""
        n = batch.num_rows
        none, every = np.zeros(n, np.bool_), np.ones(n, np.bool_)
        if self.grant is None:
            return np.zeros(n, np.int64)
        flags = set(self.grant.flags)
        known_file, restricted = self._files(batch)
        holds: dict[Code, Bools] = {
            Code.WITHHELD_PURPOSE: none,
            Code.WITHHELD_NO_SUBJECT: ~self._filled(batch, self.subject),
            Code.WITHHELD_EXPUNGED: self._flag(batch, "expunged"),
            Code.WITHHELD_SEALED: none if "sealed" in flags else self._flag(batch, "sealed"),
            Code.WITHHELD_JUVENILE: none if "juvenile" in flags else self._flag(batch, "juvenile"),
            Code.WITHHELD_NON_CONVICTION: none if "non_conviction" in flags else self._non_conviction(batch),
            Code.WITHHELD_UNKNOWN_FILE: ~known_file,
            Code.WITHHELD_RESTRICTED_FILE: none if "restricted_file" in flags else restricted,
        }
        matrix = np.vstack([holds[code] for code in _REASONS] + [every])
        first: Ints = matrix.argmax(axis=0)
        return first

    def _flag(self, batch: pa.RecordBatch, name: str) -> Bools:
        """bool[n]: the flag is set or unknown. Records of hot files have none of these flags."""
        n = batch.num_rows
        if self.schema_id not in EVENTS:
            return np.zeros(n, np.bool_)
        if name not in self.names:
            return np.ones(n, np.bool_)
        column = batch.column(self.names.index(name))
        return arrow.bools(column) | ~arrow.present(column)

    def _non_conviction(self, batch: pa.RecordBatch) -> Bools:
        flag = self._flag(batch, "non_conviction")
        if self.schema_id not in EVENTS:
            return flag
        return flag | (~self._filled(batch, "disposition") & ~self._is_recent(batch))

    def _is_recent(self, batch: pa.RecordBatch) -> Bools:
        """bool[n]: a whole date that lies at most the table's number of days before `as_of`, and not after it."""
        if "date" not in self.names:
            return np.zeros(batch.num_rows, np.bool_)
        parsed = dates.parse(read(batch.column(self.names.index("date"))))
        earliest = self.as_of - datetime.timedelta(days=self.table.non_conviction_after_days)
        recent: Bools = (
            parsed.whole & (parsed.number >= dates.number_of(earliest)) & (parsed.number <= dates.number_of(self.as_of))
        )
        return recent

    def _files(self, batch: pa.RecordBatch) -> tuple[Bools, Bools]:
        """bool[n] each: the table names the record's file; it names it as restricted. Events are of no file."""
        n = batch.num_rows
        if self.schema_id != "hotfile/1":
            return np.ones(n, np.bool_), np.zeros(n, np.bool_)
        if "file_code" not in self.names:
            return np.zeros(n, np.bool_), np.ones(n, np.bool_)
        column = batch.column(self.names.index("file_code"))
        restricted = is_among(column, self.table.files.restricted)
        return restricted | is_among(column, self.table.files.unrestricted), restricted

    def _filled(self, batch: pa.RecordBatch, name: str) -> Bools:
        if name not in self.names:
            return np.zeros(batch.num_rows, np.bool_)
        return read(batch.column(self.names.index(name))).filled

    # ------------------------------------------------------------------ the dissemination ledger

    def _log(self, batch: pa.RecordBatch, kept: Ints) -> None:
        """Keep each subject of these rows once, with the first of its rows."""
        rows = arrow.from_numpy(kept)
        columns = [self._text(batch, name).take(rows) for name in (self.subject, "SID", "FBI", "file_code")]
        first, counts = _distinct(columns[0], np.ones(len(kept), np.uint64))
        self._subjects.append(pa.RecordBatch.from_arrays([*(c.take(first) for c in columns), counts], schema=_SEEN))

    def _text(self, batch: pa.RecordBatch, name: str) -> pa.Array:
        """The column as bytes, all null where there is none."""
        if name not in self.names:
            return pa.nulls(batch.num_rows, pa.binary())
        return batch.column(self.names.index(name)).view(pa.binary())

    def _ledger(self) -> Iterable[pa.RecordBatch]:
        seen = [arrow.concat((batch.column(i) for batch in self._subjects), kind) for i, kind in enumerate(_SEEN.types)]
        first, counts = _distinct(seen[0], arrow.numbers(seen[4]))
        job, n = self.context.job, len(first)
        texts = (
            job.created.strftime("%Y-%m-%dT%H:%M:%SZ"),
            job.purpose_code,
            job.requestor,
            job.requesting_ori,
            job.secondary_recipient or None,
            self.recipient_class,
        )
        columns = [
            *(column.take(first) for column in seen[:4]),
            *(pa.repeat(pa.scalar(text, pa.utf8()), n) for text in texts),
            counts,
        ]
        return arrow.cut(pa.RecordBatch.from_arrays(columns, schema=LEDGER.schema.arrow), _BATCH)

    def _withheld(self) -> pa.RecordBatch:
        names = [code.name for code in _REASONS]
        return pa.RecordBatch.from_arrays(
            [pa.array(names, pa.utf8()), arrow.from_numpy(self._counts)], schema=WITHHELD.schema.arrow
        )


def _distinct(subjects: pa.Array, rows: npt.NDArray[np.uint64]) -> tuple[pa.Array, pa.Array]:
    """(position of the first row of each distinct subject, sum of `rows` of each), in the order of first rows."""
    first, code = first_rows(subjects)
    sums = np.bincount(code, weights=rows, minlength=len(first)).astype(np.uint64)
    return arrow.from_numpy(first), arrow.from_numpy(sums)


def _merged_ledger(_: Sequence[str], ledgers: Sequence[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    """Each subject once, with the first of its rows, and all of them counted."""
    schema: pa.Schema = LEDGER.schema.arrow
    seen = [arrow.concat((batch.column(i) for batch in ledgers), kind) for i, kind in enumerate(schema.types)]
    first, counts = _distinct(seen[0], arrow.numbers(seen[-1]))
    whole = pa.RecordBatch.from_arrays([*(column.take(first) for column in seen[:-1]), counts], schema=schema)
    return arrow.cut(whole, _BATCH)


def _merged_counts(_: Sequence[str], counts: Sequence[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    """The rows withheld by each reason, of all shards."""
    rows: npt.NDArray[np.uint64] = np.stack([arrow.numbers(batch.column("rows")) for batch in counts]).sum(axis=0)
    return [counts[0].set_column(1, WITHHELD.schema.arrow.field("rows"), arrow.from_numpy(rows))]


CASES: Final = (
    Case(
        schema="hotfile/1",
        row={"NIC": "W000000000", "file_code": "W", "NAM": "DOE, J", "SID": None},
        parameters=Disseminate(recipient_class="criminal_justice", as_of=datetime.date(2026, 1, 1)),
    ),
)
"""A record of a hot file, released to an agency."""

IMPLEMENTATION: Final = Implementation(
    operation=DISSEMINATE,
    prepare=_prepare,
    self_test=CASES,
    stages=lambda _: by_shard(BY_SHARD, _prepare, {LEDGER.name: _merged_ledger, WITHHELD.name: _merged_counts}),
)
