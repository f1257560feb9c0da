"""The shards of the records: consecutive rows in parts of their own, so that many machines can work on one job.

Batches stay whole, and the split depends on nothing but the numbers of rows: batches whose first row lies in the k-th
of n equal shares of the rows are shard k. The same input makes the same shards.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Final

import pyarrow as pa

from cji_client.errors import LimitExceeded, SpecError
from cji_client.spec import JobSpec
from cji_core.format.job import LIMITS

_NEEDS_ROWS: Final = "an input in shards must be readable more than once, so that its rows can be counted"


def number_of_shards(spec: JobSpec, rows: int | None) -> int:
    """The shards of a job on `rows` records. SpecError where they are not known, or make too many shards."""
    if spec.shard_rows is None:
        shards = spec.shards
    elif rows is None:
        raise SpecError(_NEEDS_ROWS, remedy="Pass a table or a file, and its number of rows to `seal`.")
    else:
        shards = max(-(-rows // spec.shard_rows), 1)
    if shards > LIMITS.shards:
        raise LimitExceeded(
            f"shard_rows = {spec.shard_rows} makes {shards} shards of {rows} rows; {LIMITS.shards} are possible",
            limit="shards",
            found=shards,
            most=LIMITS.shards,
            remedy="Choose a larger shard_rows.",
        )
    return shards


def split(batches: Iterator[pa.RecordBatch], *, rows: int | None, shards: int) -> Iterator[Iterator[pa.RecordBatch]]:
    """The batches of every shard, in order; each shard must be used up before the next. A shard may have no batch.

    `rows` are those of all batches together. SpecError where several shards are wanted of an unknown number of rows.
    """
    if shards == 1:
        yield batches
        return
    if rows is None:
        raise SpecError(_NEEDS_ROWS, remedy="Pass a table or a file, not an iterator.")
    ahead: pa.RecordBatch | None = None
    first = 0

    def shard(number: int) -> Iterator[pa.RecordBatch]:
        nonlocal ahead, first
        for batch in chain(() if ahead is None else (ahead,), batches):
            if min(first * shards // max(rows, 1), shards - 1) > number:
                ahead = batch
                return
            ahead = None
            first += batch.num_rows
            yield batch
        ahead = None

    for number in range(shards):
        yield shard(number)
