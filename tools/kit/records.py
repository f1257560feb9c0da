"""Cases about the plaintext of a part (§5): Arrow IPC streams of schema person/1."""

import io
from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from tools.kit.case import Case

_END: Final = b"\xff\xff\xff\xff\0\0\0\0"
_NAMES: Final = {b"cji.schema": b"person/1"}
_SCHEMA: Final = pa.schema([pa.field("record_id", pa.utf8()), pa.field("last", pa.utf8())], metadata=_NAMES)
_ROWS: Final[dict[str, list[str | None]]] = {"record_id": ["r1", "r2"], "last": ["MUÑOZ", None]}


def _stream(schema: pa.Schema, *batches: pa.RecordBatch, **options: object) -> bytes:
    out = io.BytesIO()
    with pa.ipc.new_stream(out, schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return out.getvalue()


def _batch(schema: pa.Schema = _SCHEMA, rows: dict[str, list[str | None]] = _ROWS) -> pa.RecordBatch:
    return pa.record_batch([pa.array(rows[field.name], field.type) for field in schema], schema=schema)


def _one(field: pa.Field, values: list[object]) -> bytes:
    schema = pa.schema([field], metadata=_NAMES)
    return _stream(schema, pa.record_batch([pa.array(values, field.type)], schema=schema))


def records() -> Iterator[Case]:
    """Streams that a worker reads, and streams that it refuses."""
    good, empty = _stream(_SCHEMA, _batch()), _batch(rows={"record_id": [], "last": []})
    named = pa.schema(
        [field.with_metadata({"x": "y"}).with_nullable(False) for field in _SCHEMA][:1],
        metadata={**_NAMES, b"made": b"today"},
    )
    for name, data, rows in (
        ("two rows", good, 2),
        ("no batch", _stream(_SCHEMA), 0),
        ("a batch of no rows", _stream(_SCHEMA, empty), 0),
        ("one row", _stream(_SCHEMA, _batch().slice(0, 1)), 1),
        ("two batches, and one of no rows between", _stream(_SCHEMA, _batch(), empty, _batch()), 4),
        ("metadata version V4", _stream(_SCHEMA, _batch(), metadata_version=pa.ipc.MetadataVersion.V4), 2),
        ("other metadata and a column without nulls", _stream(named, _batch(named)), 2),
        ("65 536 rows", _one(pa.field("last", pa.utf8()), [""] * 65_536), 65_536),
    ):
        yield Case.valid(name, expected={"rows": rows}, schema="person/1", plaintext=data.hex())
    marker = pa.schema(_SCHEMA, metadata={b"cji.schema": b"person/2"})
    reordered = {"a batch before its schema": good[len(_SCHEMA.serialize()) :]}
    for name, rule, data in (
        ("the name of another schema", "cji.schema", _stream(marker, _batch(marker))),
        ("no name of a schema", "cji.schema", _stream(_SCHEMA.remove_metadata(), _batch(_SCHEMA.remove_metadata()))),
        ("no column", "columns", _stream(pa.schema([], metadata=_NAMES))),
        ("an unknown column", "columns", _one(pa.field("note", pa.utf8()), ["x"])),
        ("a column twice", "columns", _stream(pa.schema([_SCHEMA.field(0)] * 2, metadata=_NAMES))),
        ("large text", "types", _one(pa.field("last", pa.large_utf8()), ["x"])),
        ("text as a view", "types", _one(pa.field("last", pa.string_view()), ["x"])),
        ("a dictionary", "types", _one(pa.field("last", pa.dictionary(pa.int32(), pa.utf8())), ["x"])),
        ("a number", "types", _one(pa.field("last", pa.int64()), [1])),
        ("a date", "types", _one(pa.field("DOB", pa.date32()), [1])),
        ("compressed buffers", "compression", _stream(_SCHEMA, _batch(), compression="lz4")),
        ("the framing before Arrow 1.0", "framing", _stream(_SCHEMA, _batch(), use_legacy_format=True)),
        ("no end marker", "end", good[:-8]),
        ("half of an end marker", "end", good[:-4]),
        ("a byte behind the end", "end", good + b"\0"),
        ("a second end marker", "end", good + _END),
        ("a second stream", "end", good + good),
        ("two schemas", "order", _SCHEMA.serialize().to_pybytes() + good),
        ("text that is not UTF-8", "values", good.replace("MUÑOZ".encode(), b"MU\xff\xffOZ")),
        ("no bytes", "end", b""),
        ("an end marker alone", "order", _END),
        *((name, "order", data) for name, data in reordered.items()),
    ):
        yield Case.broken(name, rule, "SCHEMA_MISMATCH", made_from="two rows", schema="person/1", plaintext=data.hex())
    most = _one(pa.field("last", pa.utf8()), [""] * 65_537).hex()
    yield Case.broken(
        "65 537 rows", "rows of a batch", "LIMIT_EXCEEDED", made_from="65 536 rows", schema="person/1", plaintext=most
    )
