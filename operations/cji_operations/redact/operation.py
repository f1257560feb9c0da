"""`redact` as an operation: texts with marks in place of names, dates, numbers and addresses of persons.

result   the records, the named columns redacted
spans    `redacted_spans/1`: where something was replaced, by which rule, and nothing of the value

Invariants:
* What one rule of the wanted classes finds is in no output, whatever other rules find there.
* A text in which the rules could be blind (see `plain`) is withheld: null, its row not usable, with a code.
* Other columns pass as they are.
* Equal rows are redacted equally, wherever they stand: a text is read by itself.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.errors import Stage
from cji_core.format.records import RowStatus, Status, arrow, tagged
from cji_core.format.records.column import read
from cji_core.operations.parameters import bad_parameters
from cji_core.operations.redact import (
    BY_SHARD,
    CLASSES,
    MAX_TEXT_BYTES,
    PERSONS,
    REDACT,
    SPANS,
    WORDS,
    Code,
    Redaction,
)
from cji_operations.kernels.project_keys import PROJECT_KEY_BYTES
from cji_operations.operation import Applied, Case, Context, Implementation
from cji_operations.redact.finder import RULE_NAMES, Finder, unknown_kinds
from cji_operations.redact.marks import ClassMarks, Marks, ProjectMarks, RowMarks, replaced
from cji_operations.redact.plain import plain
from cji_operations.stages.by_shard import by_shard
from cji_operations.stages.task import StageFunctions


@dataclass(slots=True, kw_only=True)
class Redacting:
    """A prepared operation; made by `_prepare` alone. Its repr shows the schema only."""

    output_schema: pa.Schema
    columns: tuple[int, ...]
    finder: Finder = field(repr=False)
    marks: Marks = field(repr=False)
    rows: int = 0
    """Rows so far."""

    @property
    def sources(self) -> npt.NDArray[np.int16]:
        """Every column comes from itself."""
        return np.arange(len(self.output_schema), dtype=np.int16)

    def apply(self, batch: pa.RecordBatch) -> Applied:
        """Redact the texts; see BatchOperation."""
        arrays, status, spans = list(batch.columns), RowStatus.all_ok(batch.num_rows), list[pa.RecordBatch]()
        for column in self.columns:
            arrays[column], codes, found = self._redacted(batch, column)
            spans += found
            for code in Code:
                status = status.found(np.flatnonzero(codes == code), status=Status.NOT_USABLE, code=code, column=column)
        self.rows += batch.num_rows
        whole = pa.RecordBatch.from_arrays(arrays, schema=self.output_schema)
        return Applied(batch=whole, status=status, parts={SPANS.name: [_by_row(spans)]})

    def finish(self) -> Mapping[str, Iterable[pa.RecordBatch]]:
        """Nothing is left."""
        return {}

    def _redacted(
        self, batch: pa.RecordBatch, column: int
    ) -> tuple[pa.Array, npt.NDArray[np.uint16], list[pa.RecordBatch]]:
        """The redacted column, uint16[n] codes of withheld texts, and what was found."""
        array, name = batch.column(column), batch.schema.names[column]
        texts, codes, found = list[pa.Array](), [np.empty(0, np.uint16)], list[pa.RecordBatch]()
        for first, count in _portions(array):
            portion = array.slice(first, count)
            read_as = plain(portion)
            spans = self.finder.spans(read_as)
            rows = read_as.rows(spans.first)
            begin, end = read_as.origin[spans.first], read_as.origin[spans.end]
            withheld = np.flatnonzero(read_as.codes)
            texts.append(replaced(portion, (begin, end, rows), self.marks.of(read_as, spans), withheld))
            codes.append(read_as.codes)
            starts = read(portion).starts[rows]
            found.append(self._spans(name, rows + first, spans.kind, spans.rule, begin - starts, end - starts))
        return arrow.concat(texts, array.type), np.concatenate(codes), found

    def _spans(self, name: str, rows: npt.NDArray[np.int64], *numbers: npt.NDArray[np.int64]) -> pa.RecordBatch:
        kind, rule, begin, end = numbers
        texts = ((CLASSES, kind), (RULE_NAMES, rule))
        named = [arrow.from_texts(each, pa.utf8()).take(arrow.from_numpy(index)) for each, index in texts]
        columns = [
            arrow.from_numpy((rows + self.rows).astype(np.uint64)),
            pa.repeat(pa.scalar(name, pa.utf8()), len(rows)),
            *named,
            arrow.from_numpy(begin.astype(np.uint64)),
            arrow.from_numpy(end.astype(np.uint64)),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=SPANS.schema.arrow)


def _by_row(spans: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """The finds of all columns in the order of rows, then of columns, wherever the records were cut."""
    whole = pa.Table.from_batches(spans, SPANS.schema.arrow).combine_chunks()
    columns = [arrow.concat(column.chunks, column.type) for column in whole.columns]
    order = arrow.from_numpy(np.argsort(arrow.numbers(columns[0]), kind="stable"))
    return pa.RecordBatch.from_arrays([column.take(order) for column in columns], schema=SPANS.schema.arrow)


def _portions(array: pa.Array) -> Iterable[tuple[int, int]]:
    """(first row, rows) of portions of about MAX_TEXT_BYTES, so that temporaries stay small; at least one row each."""
    ends = np.cumsum(np.minimum(read(array).lengths, MAX_TEXT_BYTES))
    first = 0
    while first < len(ends):
        before = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + MAX_TEXT_BYTES, "right")))
        yield first, last - first
        first = last


def _prepare(parameters: Redaction, schema_id: str, schema: pa.Schema, context: Context) -> Redacting:
    """Bind parameters to the columns of the records.

    Raises: Refusal(BAD_PARAMETERS) for a column that is missing or not text, for words of an unknown kind, and for
    a project key that is missing or of another length.
    """
    text = (pa.utf8(), pa.binary())
    if any(name not in schema.names or schema.field(name).type not in text for name in parameters.columns):
        raise bad_parameters(Stage.COMPUTE)
    words = context.sides.get(WORDS, ())
    if unknown_kinds(words):
        raise bad_parameters(Stage.COMPUTE)
    return Redacting(
        output_schema=tagged(schema_id, [pa.field(column.name, column.type) for column in schema]),
        columns=tuple(schema.get_field_index(name) for name in parameters.columns),
        finder=Finder(parameters.classes, context.sides.get(PERSONS, ()), words),
        marks=_marks(parameters, context),
    )


def _marks(parameters: Redaction, context: Context) -> Marks:
    if parameters.project is None:
        return RowMarks() if parameters.marks == "row" else ClassMarks()
    key = context.project_key or b""
    if len(key) != PROJECT_KEY_BYTES:
        raise bad_parameters(Stage.COMPUTE)
    return ProjectMarks(key, parameters.project)


def _functions(_: Redaction) -> StageFunctions:
    return by_shard(BY_SHARD, _prepare)


CASES: Final = (
    Case(
        schema="narrative/1",
        row={"narrative": "Ofc. Garza met JOHN DOE (DOB 1/31/1970) at 12 Elm St.; café, plate ABC-1234, a@b.example"},
        parameters=Redaction(
            columns=("narrative",), marks="project", project="self-test", wrapped_project_key=bytes(384)
        ),
        sides={
            PERSONS: ("person/1", {"NAM": "DOE, JOHN", "DOB": "19700131", "SOC": "123456789"}),
            WORDS: ("words/1", {"word": "elm", "kind": "address"}),
        },
    ),
    Case(
        schema="narrative/1",
        row={"narrative": "Smith, Mark called."},
        parameters=Redaction(columns=("narrative",), marks="row"),
    ),
)
"""A text with a find of every class, and one with numbered marks."""

IMPLEMENTATION: Final = Implementation(operation=REDACT, prepare=_prepare, self_test=CASES, stages=_functions)
