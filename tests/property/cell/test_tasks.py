"""A job in parts over sealed streams gives what the same stages give over lists, for any shards and buckets."""

from collections.abc import Sequence

import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.contexts import context
from tests.support.letter_jobs import batches, job, result
from tests.support.letters import STAGES, Letters
from worker.compute.parts_here import run_here
from worker.records import RowStatus

LASTS = st.lists(st.one_of(st.none(), st.sampled_from(["DOE", "DAY", "ROE", "SMITH", "ÅS", ""])), max_size=12)


def over_lists(shards: Sequence[Sequence[str | None]], parameters: Letters) -> dict[str, pa.Table]:
    """The slow obvious twin."""
    read = [batches(lasts) for lasts in shards]
    ran = run_here(
        STAGES, [list(each.batches) for each in read], parameters=parameters, schema=read[0].schema, context=context()
    )
    found = {
        name: pa.Table.from_batches([batch for shard in parts for batch in shard])
        for name, parts in ran.outputs.items()
        if any(parts)
    }
    rows = [RowStatus.concatenate(statuses).to_batch(0) for statuses in ran.status]
    return {**found, "row_status": pa.Table.from_batches(rows)}


@settings(max_examples=25, deadline=None)
@given(shards=st.lists(LASTS, min_size=1, max_size=4), buckets=st.integers(1, 5))
@example(shards=[[]], buckets=1)
@example(shards=[["DOE"] * 3, [], [None]], buckets=5)
def test_sealed_and_plain_streams_give_the_same(shards: list[list[str | None]], buckets: int) -> None:
    parameters = Letters(buckets=buckets)
    loop = job(shards, parameters)
    loop.run()
    found, twin = result(loop), over_lists(shards, parameters)
    assert set(twin) <= set(found)
    for name, table in found.items():
        assert table.to_pylist() == (twin[name].to_pylist() if name in twin else [])
    assert sum(map(len, shards)) == found["row_status"].num_rows
