"""Jobs of `letters` in this process, by the code of a cell, with every sealed stream between the tasks at hand."""

import io
import os
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from cji_client.parts import arrow_messages, open_part, seal_stream
from cji_client.sources import Batches, fit
from cji_client.spec import InputSpec
from cji_core.format.envelope import DEK_BYTES, input_aad, open_result_key, output_aad, sha384
from cji_core.format.job import InputPart, SizeClass, parse, parse_plan
from cji_core.operations.registry import Plan
from cji_core.wire.v1 import worker_pb2 as pb
from cji_operations.registry import stage_functions
from cji_worker.cell.parts_loop import PartsLoop
from tests.support.contexts import context
from tests.support.job_headers import make
from tests.support.letters import FUNCTIONS, LETTERS_OPERATION, Letters, planned

PERSON = InputSpec(schema="person/1")
WINDOW = np.empty(32 << 20, np.uint8).data


def batches(lasts: Sequence[str | None]) -> Batches:
    """Records with these last names, as they are sealed."""
    return fit(pa.table({"last": pa.array(lasts, pa.utf8())}), PERSON).open()


def job(shards: Sequence[Sequence[str | None]], parameters: Letters | None = None) -> PartsLoop:
    """A sealed job with these last names, which has not started."""
    return sealed([batches(lasts) for lasts in shards], planned(parameters or Letters()))


def sealed(
    shards: Sequence[Batches], plan: Plan, *operations: pb.Operation, dek: bytes = b"", **changes: object
) -> PartsLoop:
    """A sealed job with these shards of records, which has not started.

    `operations` and `changes` are those of its header, `dek` its data key if it matters.
    """
    dek = dek or os.urandom(DEK_BYTES)
    inputs = [InputPart(name="records", schema="person/1", shards=len(shards))]
    header = parse(make(**({"operations": operations} if operations else {}), **{"inputs": inputs, **changes}))
    parts = {
        part: list(seal_stream(dek, input_aad(header.sha384, part), arrow_messages(shard)))
        for part, shard in enumerate(shards)
    }
    (only,) = plan.operations
    functions = FUNCTIONS if only.operation is LETTERS_OPERATION else stage_functions(only)
    return PartsLoop(
        header=header, planned=plan, functions=functions, dek=dek, parts=parts, context=context(), window=WINDOW
    )


def opened(loop: PartsLoop, part: int) -> pa.Table:
    """One part of the result."""
    plan = parse_plan(loop.plan)
    key = open_result_key(loop.dek, plan.facts, plan.sealed_result_key)
    sealed = io.BytesIO(b"".join(loop.results[part]))
    aad = output_aad(sha384(plan.result_header), part)
    padded = loop.header.size_class is SizeClass.POWER_OF_TWO
    return pa.Table.from_batches(open_part(key, aad, sealed, name=str(part), padded=padded))


def result(loop: PartsLoop) -> dict[str, pa.Table]:
    """All outputs, each with its shards one behind the other."""
    tables, first = {}, 0
    for output, shards in zip(loop.planned.outputs, loop.streams.output_shards(), strict=True):
        tables[output.name] = pa.concat_tables([opened(loop, first + n) for n in range(shards)])
        first += shards
    return tables
