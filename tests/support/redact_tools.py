"""`redact` as tests run it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from cji_core.format.records import RowStatus, tagged
from cji_core.operations.redact import REDACT, SPANS, Redaction
from tests.support.contexts import context, prepare_batch

__all__ = ["narrative", "redacted"]

KEY, BINARY = bytes(range(32)), pa.binary()


def narrative(texts: Sequence[bytes | str | None], kind: pa.DataType = BINARY) -> pa.RecordBatch:
    """A batch of narrative/1."""
    schema = tagged("narrative/1", [pa.field("narrative", kind)])
    return pa.RecordBatch.from_arrays([pa.array(texts, kind)], schema=schema)


def side(schema_id: str, **columns: Sequence[str | None]) -> pa.RecordBatch:
    """A side table of texts."""
    fields = [pa.field(name, pa.utf8()) for name in columns]
    return pa.RecordBatch.from_arrays(
        [pa.array(each, pa.utf8()) for each in columns.values()], schema=tagged(schema_id, fields)
    )


def redacted(
    texts: Sequence[bytes | str | None],
    *,
    sides: Mapping[str, pa.RecordBatch] | None = None,
    kind: pa.DataType = BINARY,
    key: bytes = KEY,
    **parameters: Any,
) -> tuple[list[Any], RowStatus, pa.Table]:
    """(the texts, their status, the spans)."""
    batch = narrative(texts, kind)
    given = replace(context(key), sides={name: [each] for name, each in (sides or {}).items()})
    message = REDACT.message(Redaction(columns=("narrative",), **parameters))
    operation = prepare_batch(message, "narrative/1", batch.schema, given)
    applied = operation.apply(batch)
    applied.check(len(texts))
    assert not operation.finish()
    return (
        applied.batch.column(0).to_pylist(),
        applied.status,
        pa.Table.from_batches(applied.parts["spans"], SPANS.schema.arrow),
    )
