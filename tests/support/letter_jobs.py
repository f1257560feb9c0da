"""Jobs of `letters` in this process, by the code of a cell, with every sealed stream between the tasks at hand."""

import os
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from tests.support.contexts import context
from tests.support.job_headers import make
from tests.support.letters import Letters, planned
from worker.cell.parts_loop import PartsLoop
from worker.client.parts import arrow_messages, seal_stream
from worker.client.sources import Batches, fit
from worker.client.spec import InputSpec
from worker.envelope import DEK_BYTES, Unsealer, input_aad, open_result_key, output_aad, sha384
from worker.job import InputPart, parse, parse_plan
from worker.records import StreamReader

PERSON = InputSpec(schema="person/1")
WINDOW = np.empty(32 << 20, np.uint8).data


def batches(lasts: Sequence[str | None]) -> Batches:
    """Records with these last names, as they are sealed."""
    return fit(pa.table({"last": pa.array(lasts, pa.utf8())}), PERSON).open()


def job(shards: Sequence[Sequence[str | None]], parameters: Letters | None = None) -> PartsLoop:
    """A sealed job with these last names, which has not started."""
    dek = os.urandom(DEK_BYTES)
    header = parse(make(inputs=[InputPart(name="records", schema="person/1", shards=len(shards))]))
    parts = {}
    for part, lasts in enumerate(shards):
        parts[part] = list(seal_stream(dek, input_aad(header.sha384, part), arrow_messages(batches(lasts))))
    return PartsLoop(
        header=header,
        planned=planned(parameters or Letters()),
        dek=dek,
        parts=parts,
        context=context(),
        window=WINDOW,
    )


def opened(loop: PartsLoop, part: int) -> pa.Table:
    """One part of the result."""
    plan = parse_plan(loop.plan)
    key = open_result_key(loop.dek, plan.facts, plan.sealed_result_key)
    first, *rest = loop.results[part]
    unsealer = Unsealer(key, output_aad(sha384(plan.result_header), part), first[:74])
    window = np.empty(8 << 20, np.uint8).data
    reader = StreamReader(window, max_batch_rows=1 << 16, max_batch_bytes=1 << 24, padded=True)
    for segment in (first[74:], *rest):
        reader.advance(unsealer.unseal_into(reader.free, memoryview(segment)))
    read = [pa.RecordBatch.from_pydict(batch.to_pydict(), schema=batch.schema) for batch in reader.batches()]
    reader.finish()
    assert unsealer.complete
    assert reader.schema is not None
    return pa.Table.from_batches(read, schema=reader.schema)


def result(loop: PartsLoop) -> dict[str, pa.Table]:
    """All outputs, each with its shards one behind the other."""
    tables, first = {}, 0
    for output, shards in zip(loop.planned.outputs, loop.streams.output_shards(), strict=True):
        tables[output.name] = pa.concat_tables([opened(loop, first + n) for n in range(shards)])
        first += shards
    return tables
