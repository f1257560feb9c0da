"""`match_orders` as an operation: events with the flags that orders of a court set, and a work list of the orders.

result     the events, flagged as sealed or expunged; with `remove`, without the expunged ones
work_list  `work_list/1`: what became of each line of the orders, for the clerk
applied    `applied/1`: each event that a line is about

`persons` finds who an order is about, `orders` which of that person's events. An order that is not certain changes
nothing: it is in the work list.

With a project, `applied` has for each event HMAC-SHA-256(derived key, row), the derived key of `kernels.project_keys`
for the use `cji-removed/1` and the project, and the row all columns of the records in the order of their names, each as
its name, NUL, and 0 for null, else 1, the length of the value in 8 bytes, least first, and the value; booleans as 0 or
1. So anyone who has the project's key and a copy of the row can show that this very row was removed, and nobody without
the key can try out what the row was.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from cryptography.hazmat.primitives import hashes, hmac

from cji_core.errors import Stage
from cji_core.format.records import WHOLE_ROW, RowStatus, Status, arrow, tagged
from cji_core.format.records.column import Bools, Ints, read
from cji_core.operations.match_orders import (
    APPLIED,
    BY_SHARD,
    FLAGS,
    MATCH_ORDERS,
    ORDERS,
    OUTCOMES,
    PERSONS,
    WORK_LIST,
    Code,
    MatchOrders,
)
from cji_core.operations.parameters import bad_parameters
from cji_operations.kernels.project_keys import PROJECT_KEY_BYTES, derived
from cji_operations.match_orders.orders import ByPerson, Lines, read_lines, text_of, trimmed
from cji_operations.match_orders.persons import OUTCOME_NAMES, Found, find
from cji_operations.operation import Applied, Case, Context, Implementation
from cji_operations.stages.by_shard import by_shard

_BATCH: Final = 16_384
_USE: Final = "cji-removed/1"
_DIGEST_BYTES: Final = 32
_APPLIED: Final = OUTCOME_NAMES.index("applied")


@dataclass(slots=True, kw_only=True)
class Matching:
    """A prepared operation; made by `_prepare` alone. It counts the events of each line until the end."""

    output_schema: pa.Schema
    sources: npt.NDArray[np.int16]
    remove: bool
    lines: Lines = field(repr=False)
    found: Found = field(repr=False)
    by_person: ByPerson = field(repr=False)
    key: bytes | None = field(repr=False)
    events: Ints = field(repr=False)
    rows: int = 0

    def apply(self, batch: pa.RecordBatch) -> Applied:
        """Flag or remove the events that lines are about; see BatchOperation."""
        n = batch.num_rows
        row, line = self.by_person.about(batch)
        self.events += np.bincount(line, minlength=self.lines.n)
        hit = {name: _marked(n, row[self.lines.of_action(name)[line]]) for name in FLAGS}
        removed = hit["expunge"] if self.remove else np.zeros(n, np.bool_)
        status = RowStatus.all_ok(n)
        named = arrow.present(trimmed(text_of(batch, "subject")))
        status = status.found(np.flatnonzero(~named), status=Status.NOT_USABLE, code=Code.NO_SUBJECT_TO_MATCH)
        status = status.found(np.unique(row), status=Status.WARNED, code=Code.ORDER_APPLIED)
        out, kept = self._flagged(batch, hit), np.flatnonzero(~removed)
        parts = {APPLIED.name: [self._applied(batch, row, line, removed)]} if len(row) else {}
        self.rows += n
        if not removed.any():
            return Applied(batch=out, status=status, parts=parts)
        return Applied(batch=out.take(arrow.from_numpy(kept)), status=status, kept=kept, parts=parts)

    def finish(self) -> Mapping[str, Iterable[pa.RecordBatch]]:
        """The work list."""
        return {WORK_LIST.name: arrow.cut(self._work_list(), _BATCH)}

    def _flagged(self, batch: pa.RecordBatch, hit: Mapping[str, Bools]) -> pa.RecordBatch:
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        for action, name in FLAGS.items():
            before = columns.get(name, pa.nulls(batch.num_rows, pa.bool_()))
            columns[name] = pc.if_else(arrow.from_numpy(hit[action]), True, before)
        return pa.RecordBatch.from_arrays(
            [columns[name] for name in self.output_schema.names], schema=self.output_schema
        )

    def _applied(self, batch: pa.RecordBatch, row: Ints, line: Ints, removed: Bools) -> pa.RecordBatch:
        lines, where = self.lines, arrow.from_numpy(line)
        return pa.RecordBatch.from_arrays(
            [
                arrow.from_numpy((row + self.rows).astype(np.uint64)),
                arrow.from_numpy(line.astype(np.uint64)),
                lines.order_id.take(where),
                _names(tuple(FLAGS), lines.action[line]),
                self.found.subjects.take(arrow.from_numpy(self.found.best[line])),
                arrow.from_numpy(removed[row] & lines.of_action("expunge")[line]),
                self._hmacs(batch, row),
            ],
            schema=APPLIED.schema.arrow,
        )

    def _hmacs(self, batch: pa.RecordBatch, row: Ints) -> pa.Array:
        """The keyed digest of each row, null without a project."""
        if self.key is None:
            return pa.nulls(len(row), pa.binary())
        distinct, which = np.unique(row, return_inverse=True)
        content = read(_content(batch.take(arrow.from_numpy(distinct))))
        digests = np.empty((len(distinct), _DIGEST_BYTES), np.uint8)
        for i, (start, length) in enumerate(zip(content.starts.tolist(), content.lengths.tolist(), strict=True)):
            mac = hmac.HMAC(self.key, hashes.SHA256())
            mac.update(content.data[start : start + length].data)
            digests[i] = np.frombuffer(mac.finalize(), np.uint8)
        return arrow.from_bytes(digests[which], np.full(len(row), _DIGEST_BYTES), pa.binary())

    def _work_list(self) -> pa.RecordBatch:
        lines, found = self.lines, self.found
        outcome, words = _outcomes(found.outcome, self.events)
        return pa.RecordBatch.from_arrays(
            [
                arrow.from_numpy(np.arange(lines.n, dtype=np.uint64)),
                lines.order_id,
                _names(tuple(FLAGS), lines.action),
                outcome,
                _taken(found.subjects, found.best),
                _known(found.probability, found.best),
                _taken(found.subjects, found.second),
                _known(found.second_probability, found.second),
                arrow.from_numpy(self.events.astype(np.uint64)),
                words,
            ],
            schema=WORK_LIST.schema.arrow,
        )


def _outcomes(outcome: Ints, events: Ints) -> tuple[pa.Array, pa.Array]:
    """The outcome of each line in a word and in words, known when all events have been seen."""
    final = np.where((outcome == _APPLIED) & (events == 0), OUTCOME_NAMES.index("no_event"), outcome)
    return _names(OUTCOME_NAMES, final), _names(tuple(OUTCOMES.values()), final)


def _names(names: Sequence[str], number: Ints) -> pa.Array:
    """The text of each number, null for -1."""
    return pa.array([*names, None], pa.utf8()).take(arrow.from_numpy(np.where(number < 0, len(names), number)))


def _taken(values: pa.Array, number: Ints) -> pa.Array:
    return values.take(arrow.from_numpy(np.maximum(number, 0), valid=number >= 0))


def _known(chance: npt.NDArray[np.float64], number: Ints) -> pa.Array:
    return arrow.from_numpy(chance, valid=(number >= 0) & ~np.isnan(chance))


def _marked(n: int, rows: Ints) -> Bools:
    found = np.zeros(n, np.bool_)
    found[rows] = True
    return found


def _content(batch: pa.RecordBatch) -> pa.Array:
    """`binary`: all columns of each row in the order of their names, as the module's text has it."""
    pieces = list[pa.Array | pa.Scalar]()
    for name in sorted(batch.schema.names):
        column = batch[name]
        if column.type == pa.bool_():
            bits = arrow.bools(column).astype(np.uint8)
            value = arrow.from_bytes(bits, np.ones(len(column), np.int64), pa.binary())
        else:
            value = column.view(pa.binary())
        there = arrow.present(column)
        lengths = np.where(there, read(value).lengths, 0).astype("<u8")
        head = np.zeros((len(column), 9), np.uint8)
        head[:, 0] = there
        head[:, 1:] = lengths.view(np.uint8).reshape(-1, 8)
        sizes = np.where(there, 9, 1)
        kept = np.arange(9) < sizes[:, None]
        pieces += [
            pa.scalar(name.encode() + b"\0", pa.binary()),
            arrow.from_bytes(head[kept], sizes, pa.binary()),
            pc.if_else(arrow.from_numpy(there), value, pa.scalar(b"", pa.binary())),
        ]
    return pc.binary_join_element_wise(*pieces, pa.scalar(b"", pa.binary()))


def _prepare(parameters: MatchOrders, schema_id: str, schema: pa.Schema, context: Context) -> Matching:
    """Find who the orders are about.

    Raises: Refusal(BAD_PARAMETERS) without the side tables or the key, or where no rule of `link` fits the columns of
    the persons; Refusal(LIMIT_EXCEEDED) as `link`.
    """
    orders, persons = context.sides.get(ORDERS), context.sides.get(PERSONS)
    key = context.project_key
    if not orders or not persons or (parameters.project is not None and len(key or b"") != PROJECT_KEY_BYTES):
        raise bad_parameters(Stage.COMPUTE)
    lines = read_lines(orders)
    found = find(lines, orders, persons, parameters)
    sure = np.flatnonzero(found.outcome == _APPLIED)
    absent = [name for name in FLAGS.values() if name not in schema.names]
    return Matching(
        output_schema=tagged(schema_id, [*schema, *(pa.field(name, pa.bool_()) for name in absent)]),
        sources=np.array([*range(len(schema)), *(WHOLE_ROW for _ in absent)], np.int16),
        remove=parameters.remove,
        lines=lines,
        found=found,
        by_person=ByPerson.of(lines, sure, found.subjects.take(arrow.from_numpy(found.best[sure]))),
        key=None if parameters.project is None else derived(key or b"", _USE, parameters.project),
        events=np.zeros(lines.n, np.int64),
    )


def _merged(_: Sequence[str], lists: Sequence[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    """One work list of those of all shards, which differ only in the events that they have seen."""
    schema: pa.Schema = WORK_LIST.schema.arrow
    columns = {
        name: arrow.concat((batch[name] for batch in lists), kind)
        for name, kind in zip(schema.names, schema.types, strict=True)
    }
    line = arrow.numbers(columns["line"]).astype(np.int64)
    n = int(line.max(initial=-1)) + 1
    events = np.zeros(n, np.int64)
    np.add.at(events, line, arrow.numbers(columns["events"]).astype(np.int64))
    whole = {name: values.slice(0, n) for name, values in columns.items()}
    outcome = arrow.numbers(pc.index_in(whole["outcome"], value_set=pa.array(OUTCOME_NAMES, pa.utf8()))).astype(
        np.int64
    )
    outcome[outcome == OUTCOME_NAMES.index("no_event")] = _APPLIED
    whole["outcome"], whole["words"] = _outcomes(outcome, events)
    whole["events"] = arrow.from_numpy(events.astype(np.uint64))
    return arrow.cut(pa.RecordBatch.from_arrays(list(whole.values()), schema=schema), _BATCH)


_PERSON: Final = {"last": "DOE", "first": "JOHN", "DOB": "19800101", "SOC": "123456789"}

CASES: Final = (
    Case(
        schema="chri_event/1",
        row={"subject": "1", "cycle": "7", "event": "1", "date": "20010101", "sealed": False, "expunged": False},
        parameters=MatchOrders(project="self-test", wrapped_project_key=bytes(384), remove=True),
        sides={
            "orders": (
                "court_order/1",
                {"order_id": "A", "action": "expunge", "cycle": "7", "subject": "1", **_PERSON},
            ),
            "persons": ("person/1", {"record_id": "1", **_PERSON}),
        },
    ),
)
"""An order to expunge one event."""

IMPLEMENTATION: Final = Implementation(
    operation=MATCH_ORDERS,
    prepare=_prepare,
    self_test=CASES,
    stages=lambda _: by_shard(BY_SHARD, _prepare, {WORK_LIST.name: _merged}),
)
