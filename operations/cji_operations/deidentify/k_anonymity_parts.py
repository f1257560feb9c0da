"""`deidentify` with `small_classes` in parts: rows are counted by group, and what each group takes is decided once.

    group      each shard: its groups of equal values, and their rows      ── schema, groups, token_map ──▶
    decide     all groups: the steps that they take, and the reports       ── decided ──▶
    publish    each shard again, with what was decided about its groups

A group is of rows that agree in all quasi-identifiers and sensitive columns, and in their person where one is named.
Groups come in the order of their first rows, in a shard and in all of them, so a decision is that of one machine.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa

from cji_core.format.records import METADATA_KEY, RowStatus, arrow
from cji_core.format.records.column import Ints
from cji_core.operations.deidentify.declaration import SCHEMA, TOKEN_MAP, TOKENS, ClassEdges, Deidentify
from cji_core.operations.stages.stage import RESULT_OUTPUT, Edge
from cji_operations.deidentify.k_anonymity import Decided, Suppressing
from cji_operations.deidentify.token_map import merge
from cji_operations.kernels.distinct import classes, codes, groups
from cji_operations.operation import Context
from cji_operations.stages.by_shard import chunks, no_rows
from cji_operations.stages.stream_columns import read_columns, write_columns
from cji_operations.stages.task import StageFunctions, Task

_TEXT: Final = (pa.utf8(), pa.binary())

Prepare: TypeAlias = Callable[[Any, str, pa.Schema, Context], Suppressing]


def small_class_functions(parameters: Deidentify, prepare: Prepare) -> StageFunctions:
    """The functions of the stages for these parameters, which have `small_classes`; `prepare` binds them to records."""
    edges = ClassEdges.of(parameters)
    return {
        "group": partial(_group, prepare=prepare, edge=edges.groups),
        "decide": partial(_decide, prepare=prepare, of_groups=edges.groups, edge=edges.decided),
        "publish": partial(_publish, prepare=prepare, edge=edges.decided),
    }


def _group(task: Task, *, prepare: Prepare, edge: Edge) -> None:
    operation = _prepared(task, task.schema, prepare)
    schema = pa.array([task.schema.serialize().to_pybytes()], pa.binary())
    task.write(SCHEMA.name, pa.RecordBatch.from_arrays([schema], schema=SCHEMA.schema))
    records = [arrow.own(chunk) for chunk in chunks(task)]
    batches = [operation.inner.apply(batch).batch for batch in records]
    values = [*operation.values(batches), *operation.persons(records)]
    first, which = groups([codes(array) for array in values], sum(batch.num_rows for batch in batches))
    taken = arrow.from_numpy(first)
    rows = arrow.from_numpy(np.bincount(which, minlength=len(first)))
    write_columns(task, edge, [*(_bytes(array).take(taken) for array in values), rows])
    if task.parameters.token_map:
        for batch in operation.inner.finish()[TOKEN_MAP.name]:
            task.write(TOKENS.name, batch)


def _decide(task: Task, *, prepare: Prepare, of_groups: Edge, edge: Edge) -> None:
    schema = pa.ipc.read_schema(pa.py_buffer(read_columns(task, SCHEMA)[0][0].as_py()))
    operation = _prepared(task, schema, prepare)
    *found, rows = read_columns(task, of_groups)
    kinds = [operation.output_schema.types[at] for at in operation.positions]
    values = [_value(array, kind) for array, kind in zip(found, kinds, strict=False)]
    first, which = groups([codes(array) for array in (*values, *found[len(values) :])], len(rows))
    own = [array.take(arrow.from_numpy(first)) for array in (*values, *found[len(values) :])]
    quasi, persons = operation.quasi(own), own[len(values) :]
    number = np.bincount(which, arrow.numbers(rows), len(first)).astype(np.int64)
    decided = operation.decide(quasi, own[len(quasi) : len(values)], operation.people(persons, number))
    for name, part in decided.parts.items():
        task.output(name, part)
    known = [*own[: len(quasi)], *persons]
    distinct = groups([codes(array) for array in known], len(first))[0]
    chosen = arrow.from_numpy(distinct)
    columns = [_bytes(array).take(chosen) for array in known]
    steps = [arrow.from_numpy(step[distinct], pa.int64()) for step in decided.taken]
    marks = [arrow.from_numpy(mark[distinct]) for mark in (decided.gone, decided.unlinked)]
    write_columns(task, edge, [*columns, *steps, *marks])
    if task.parameters.token_map:
        tokens = [arrow.own(batch) for _, batch in task.read(TOKENS.name)]
        for batch in merge(schema.names, tokens):
            task.output(TOKEN_MAP.name, batch)


def _publish(task: Task, *, prepare: Prepare, edge: Edge) -> None:
    operation = _prepared(task, task.schema, prepare)
    records = [arrow.own(chunk) for chunk in chunks(task)]
    done = [operation.inner.apply(batch) for batch in records]
    batches = [one.batch for one in done]
    status = RowStatus.concatenate([one.status for one in done])
    persons = operation.persons(records)
    values = [*operation.values(batches)[: len(operation.columns)], *persons]
    first, which = groups([codes(array) for array in values], len(status.status))
    own = [array.take(arrow.from_numpy(first)) for array in values]
    *columns, gone, unlinked = read_columns(task, edge)
    at = _matched(columns[: len(own)], [_bytes(array) for array in own])
    decided = Decided(
        taken=tuple(arrow.numbers(step)[at] for step in columns[len(own) :]),
        gone=arrow.bools(gone)[at],
        unlinked=arrow.bools(unlinked)[at],
    )
    quasi = operation.quasi(own)
    missing = ~arrow.present(own[-1]) if persons else np.zeros(len(first), np.bool_)
    task.status(operation.judged(status, quasi, missing, decided, which))
    task.output(RESULT_OUTPUT, no_rows(operation.output_schema))
    for batch in operation.published(batches, quasi, decided, which):
        task.output(RESULT_OUTPUT, batch)


def _prepared(task: Task, schema: pa.Schema, prepare: Prepare) -> Suppressing:
    return prepare(task.parameters, schema.metadata[METADATA_KEY].decode(), schema, task.context)


def _matched(known_values: Sequence[pa.Array], own: Sequence[pa.Array]) -> Ints:
    """int64[m]: where each of m rows of `own` is among the rows of the other columns, all of which are different."""
    n = len(known_values[0])
    both = [codes(arrow.concat(pair, pa.binary())) for pair in zip(known_values, own, strict=True)]
    together = classes(both, n + len(own[0]))
    place = np.full(int(together.max(initial=-1)) + 1, -1)
    place[together[:n]] = np.arange(n)
    return place[together[n:]]


def _bytes(array: pa.Array) -> pa.Array:
    """Values as `binary`, different ones differently."""
    return (array if array.type in _TEXT else array.cast(pa.utf8())).view(pa.binary())


def _value(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The inverse of `_bytes`."""
    return array.view(kind) if kind in _TEXT else array.cast(pa.utf8()).cast(kind)
