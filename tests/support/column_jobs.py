"""Jobs with sealed columns in this process, by the code of a cell: whole, and in parts.

A job is what a submitter would sign: statements with their column encryption keys, inputs whose sealed columns hold
cells, and outputs to be sealed. `run` gives its opened outputs, or raises what the cell refuses it with.
"""

import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pyarrow as pa

from cji_client.parts import open_part, seal_stream
from cji_client.received import parse_result_header
from cji_core.format.columns import (
    ColumnEncryption,
    ColumnEncryptionKey,
    ColumnFormat,
    ColumnKeys,
    ColumnRight,
    StatedColumn,
)
from cji_core.format.envelope import (
    ATTRIBUTION,
    DEK_BYTES,
    WrappingKey,
    input_aad,
    output_aad,
    seal_box,
    sha384,
    unwrap_result_key,
)
from cji_core.format.job import (
    LIMITS,
    Attribution,
    Header,
    InputPart,
    Recipient,
    SealedOutput,
    SizeClass,
    parse,
)
from cji_core.format.records import END_OF_STREAM, SCHEMAS, StreamWriter, tagged
from cji_core.jose import key_id, public_jwk
from cji_core.operations.parameters import Parameters
from cji_core.operations.registry import operation_of, plan
from cji_operations.registry import stage_functions
from cji_worker.cell.job import CellJob, JobKeys
from cji_worker.cell.parts_loop import PartsLoop, PlainRing, _Channels
from cji_worker.ipc.messages import OpenJob
from tests.support.cell_writer import Cells, Value
from tests.support.column_keys import column, sealed, statement
from tests.support.contexts import TABLES, context
from tests.support.job_headers import make
from tests.support.letter_jobs import WINDOW, result
from tests.support.rsa_keys import rsa_key

RECIPIENT = rsa_key(3, bits=3072)
ATTRIBUTED = Attribution(operator_id="op-1", requestor="det. 7", reason="test")


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A table's keys: its columns, each with the writer of its cells."""

    columns: Mapping[str, Cells]
    format: ColumnFormat = ColumnFormat.SQL_SERVER
    types: Mapping[str, str] = field(default_factory=dict)
    """Of columns that are stated otherwise than written."""
    ceks: Mapping[bytes, bytes] = field(default_factory=dict)
    """Keys that the cell gets in place of those of the writers."""

    @property
    def keys(self) -> list[bytes]:
        """The column encryption keys in their order."""
        return list(dict.fromkeys(cells.cek for cells in self.columns.values()))

    @property
    def given(self) -> list[bytes]:
        """Those that the cell gets."""
        return [self.ceks.get(cek, cek) for cek in self.keys]

    def sealed(self, *, wrapping: WrappingKey | None = None, **changes: Any) -> ColumnKeys:
        """As in a header, sealed with this key of a worker; `changes` are those of `column_keys.statement`."""
        keys = [ColumnEncryptionKey(key_path="path", cek_sha384=hashlib.sha384(cek).digest()) for cek in self.keys]
        columns = [self._stated(name) for name in self.columns]
        stated = statement(format=self.format, table=f"t{id(self)}", keys=keys, columns=columns, **changes)
        return sealed(stated, ceks=tuple(self.keys), wrapping=wrapping)

    def _stated(self, name: str) -> StatedColumn:
        cells, rights = self.columns[name], frozenset(ColumnRight)
        encryption = ColumnEncryption.DETERMINISTIC if cells.deterministic else ColumnEncryption.RANDOMIZED
        return column(
            name, self.types.get(name, cells.kind), encryption=encryption, key=self.keys.index(cells.cek), rights=rights
        )


@dataclass(frozen=True, kw_only=True)
class Table:
    """One input: plain columns, and the names of those that are sent as cells of a statement."""

    columns: Mapping[str, Sequence[Value]]
    sealed: Sequence[str] = ()
    keys: int = 0
    name: str = "records"
    schema: str = "person/1"
    cuts: Sequence[int] = ()
    """Rows at which a new shard begins."""
    rows_declared: int | None = None
    written: Mapping[str, Sequence[bytes | None]] = field(default_factory=dict)
    """Columns whose bytes are these, whatever they mean."""

    @property
    def rows(self) -> int:
        """Their number."""
        return max(len(values) for values in [*self.columns.values(), *self.written.values()])

    def batch(self, statements: Sequence[Statement]) -> pa.RecordBatch:
        """The records as they are sent."""
        arrays = dict[str, pa.Array]()
        for name, values in self.columns.items():
            if name in self.sealed:
                arrays[name] = statements[self.keys].columns[name].column(list(values))
            else:
                arrays[name] = pa.array(values, SCHEMAS[self.schema].columns[name].types[0])
        arrays |= {name: pa.array(values, pa.binary()) for name, values in self.written.items()}
        fields = [pa.field(name, array.type) for name, array in arrays.items()]
        return pa.RecordBatch.from_arrays(list(arrays.values()), schema=tagged(self.schema, fields))

    @property
    def part(self) -> InputPart:
        """In a header."""
        return InputPart(
            name=self.name,
            schema=self.schema,
            rows_declared=self.rows_declared,
            shards=len(self.cuts) + 1,
            sealed_columns=tuple(sorted(self.sealed)),
            column_keys=self.keys,
        )

    def streams(self, statements: Sequence[Statement]) -> list[list[pa.Buffer]]:
        """The Arrow messages of each shard, a batch of 1000 rows at most in each."""
        batch = self.batch(statements)
        return [messages(batch.slice(first, last - first)) for first, last in pairwise([0, *self.cuts, self.rows])]


def messages(batch: pa.RecordBatch, *, rows: int = 1000) -> list[Any]:
    """A stream of Arrow messages."""
    writer = StreamWriter(batch.schema, max_batch_bytes=LIMITS.batch_bytes)
    batches = [batch.slice(first, rows) for first in range(0, batch.num_rows, rows)]
    return [writer.schema_message(), *(m for each in batches for m in writer.batch_messages(each)), END_OF_STREAM]


@dataclass(frozen=True, kw_only=True)
class ColumnJob:
    """A job with one operation or several, the records last among its tables."""

    tables: Sequence[Table]
    operations: Sequence[Parameters]
    statements: Sequence[Statement] = ()
    outputs: Sequence[SealedOutput] = ()
    project_key: bytes | None = None
    dek: bytes = field(default_factory=lambda: os.urandom(DEK_BYTES))

    def header(self) -> Header:
        """Parsed."""
        return parse(
            make(
                inputs=[table.part for table in self.tables],
                operations=[operation_of(each).message(each) for each in self.operations],
                recipients=[Recipient(key_id=key_id(RECIPIENT.public_key()), jwk=public_jwk(RECIPIENT.public_key()))],
                sealed_attribution=seal_box(self.dek, ATTRIBUTION, ATTRIBUTED.encode()),
                column_keys=[each.sealed() for each in self.statements],
                sealed_outputs=self.outputs,
                size_class=SizeClass.POWER_OF_TWO if self.statements else SizeClass.EXACT,
            )
        )

    def parts(self, header: Header) -> list[list[bytes]]:
        """The sealed segments of each part."""
        streams = [stream for table in self.tables for stream in table.streams(self.statements)]
        return [
            list(seal_stream(self.dek, input_aad(header.sha384, part), stream)) for part, stream in enumerate(streams)
        ]

    @property
    def column_keys(self) -> list[bytes]:
        """The keys of columns that the cell gets."""
        return [cek for each in self.statements for cek in each.given]

    def run(self, *, max_rows: int = 1 << 40) -> dict[str, pa.Table]:
        """The outputs of the whole job."""
        header = self.header()
        planned = plan(header.operations, header.input_schemas, TABLES)
        channels = _Channels(PlainRing(), self.parts(header), outputs=len(planned.outputs))
        message = OpenJob(header=header.data, worker_id="w", max_rows=max_rows, max_bytes=LIMITS.job_bytes)
        given = context(self.project_key)
        job = CellJob(channels, message, header=header, planned=planned, window=WINDOW, context=given)
        projects = [self.project_key or b"" for _ in planned.projects]
        job.run(JobKeys.of(planned, [self.dek, *projects, *self.column_keys]))
        summary = channels.to_keyholder.summary
        assert summary is not None
        assert summary.rows_in == self.tables[-1].rows
        assert dict(zip((each.name for each in planned.outputs), summary.rows_out, strict=True))["row_status"] == (
            self.tables[-1].rows
        )
        return self._opened(header, summary.result_header, channels.to_front.outputs)

    def _opened(self, header: Header, result_header: bytes, outputs: Sequence[Sequence[bytes]]) -> dict[str, pa.Table]:

        found = parse_result_header(result_header, header)
        (wrapped,) = found.wrapped.values()
        key = unwrap_result_key(RECIPIENT, wrapped, header.sha384)
        return {
            output.name: pa.Table.from_batches(
                open_part(
                    key,
                    output_aad(sha384(result_header), part),
                    io.BytesIO(b"".join(segments)),
                    name="o",
                    padded=found.padded,
                )
            )
            for part, (output, segments) in enumerate(zip(found.outputs, outputs, strict=True))
        }

    def loop(self) -> PartsLoop:
        """The job in parts, which has not started."""
        header = self.header()
        planned = plan(header.operations, header.input_schemas, TABLES)
        return PartsLoop(
            header=header,
            planned=planned,
            functions=stage_functions(planned.operations[0]),
            dek=self.dek,
            parts=dict(enumerate(self.parts(header))),
            context=context(self.project_key),
            window=WINDOW,
            column_keys=self.column_keys,
        )

    def run_in_parts(self) -> dict[str, pa.Table]:
        """The outputs of the job in parts."""
        loop = self.loop()
        loop.run()
        return result(loop)
