"""Outputs in the types of the submitter: what was a number before it was sent as text is a number again.

A schema has ids as text, so a column of whole numbers is sent as their digits (`casts`). Where an output repeats such a
column, its values become numbers of the same type again, so that they join with the records as they were submitted;
so do those of a sealed column of whole numbers, in the type that its columns.toml states. A column that an operation
of the job rewrites stays text, and so does one of several inputs with different types. In files of text so does one
with a point: their writers give such numbers an exponent.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

import pyarrow as pa

from cji_client.errors import Unverified
from cji_core.errors import Refusal
from cji_core.format.job import Header
from cji_core.format.records import EVERY
from cji_core.operations.registry import Plan, plan

Numbers: TypeAlias = Mapping[str, Mapping[str, str]]
"""By input and column: the Arrow type of a column of numbers that is sent as text."""
Restore: TypeAlias = Callable[[pa.RecordBatch], pa.RecordBatch]

TYPES: Final = {
    str(kind): kind
    for kind in (
        *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
        *(pa.float32(), pa.float64()),
    )
}
"""Types of numbers, by the names that `Numbers` has."""


def restore(
    header: Header, columns: Mapping[str, Iterable[str]], numbers: Numbers, output: str, *, as_text: bool = False
) -> Restore:
    """The function that restores the types in the batches of an output. `columns` are those of each input.

    `as_text`: the batches become text, so that whole numbers with a point stay digits.
    """
    types = _types(header, columns, numbers, output) if numbers else {}
    types = {name: kind for name, kind in types.items() if not (as_text and pa.types.is_floating(kind))}
    if not types:
        return lambda batch: batch

    def restored(batch: pa.RecordBatch) -> pa.RecordBatch:
        for at, field in enumerate(batch.schema):
            if field.name in types and pa.types.is_string(field.type):
                column = _cast(batch.column(at), types[field.name], output, field.name)
                batch = batch.set_column(at, field.with_type(column.type), column)
        return batch

    return restored


def _cast(column: pa.Array, kind: pa.DataType, output: str, name: str) -> pa.Array:
    try:
        return column.cast(kind)
    except pa.ArrowInvalid:
        raise Unverified(output, f"its column {name} has values that were not submitted") from None


def _types(
    header: Header, columns: Mapping[str, Iterable[str]], numbers: Numbers, output: str
) -> dict[str, pa.DataType]:
    """The type of each column of the output that repeats submitted numbers."""
    try:
        planned = plan(header.operations, header.input_schemas)
    except Refusal:  # of a later version
        return {}
    *_, records = header.input_schemas
    rewritten = {name for each in planned.operations for name in each.operation.rewrites(each.parameters)}
    if output == planned.outputs[0].name:
        inputs: Iterable[str] = (records,)
        origins = {name: frozenset((name,)) for name in columns.get(records, ()) if _passes(planned)}
    else:
        inputs = columns
        parts = [part for each in planned.operations for part in each.signature.parts if part.name == output]
        origins = {column.name: column.of for part in parts for column in part.schema.columns.values() if column.of}
        if planned.reference is not None and planned.reference.sha256:
            return {}  # whose columns are not known here
    found = dict[str, pa.DataType]()
    for name, sources in origins.items():
        kinds = {
            numbers.get(each, {}).get(source)
            for each in inputs
            for source in columns.get(each, ())
            if source in sources
        }
        kind = next(iter(kinds), None)
        if len(kinds) == 1 and kind in TYPES and EVERY not in sources and not rewritten & sources:
            found[name] = TYPES[kind]
    return found


def _passes(planned: Plan) -> bool:
    """Whether the rows of the result are those of the records."""
    return all(each.signature.result is None for each in planned.operations)
