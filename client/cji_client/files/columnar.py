"""Parquet and Arrow IPC files, batch by batch."""

from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet

from cji_client.sources import Batches
from cji_client.spec import InputSpec

_BATCH_ROWS: Final = 16_384


def read_parquet(path: Path, spec: InputSpec) -> Batches:  # noqa: ARG001 - every reader gets both
    """The row groups of a Parquet file."""
    file = pyarrow.parquet.ParquetFile(path)
    return Batches(schema=file.schema_arrow, batches=file.iter_batches(batch_size=_BATCH_ROWS))


def read_arrow(path: Path, spec: InputSpec) -> Batches:  # noqa: ARG001
    """The batches of an Arrow IPC file or stream."""
    source = pa.memory_map(str(path))
    try:
        file = pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        stream = pa.ipc.open_stream(source)
        return Batches(schema=stream.schema, batches=iter(stream))
    return Batches(schema=file.schema, batches=(file.get_batch(i) for i in range(file.num_record_batches)))
