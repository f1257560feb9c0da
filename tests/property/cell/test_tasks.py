"""A job in parts over sealed streams gives what the same stages give over lists, for any shards and buckets."""

from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cji_client.sources import fit
from cji_core.format.records import RowStatus
from cji_core.operations.link import LINK, Link
from cji_core.operations.registry import plan
from tests.support.contexts import context
from tests.support.letter_jobs import PERSON, batches, job, result, sealed
from tests.support.letters import FUNCTIONS, STAGES, Letters
from tests.support.parts import on_one_machine
from tests.support.stage_runner import run_stages

LASTS = st.lists(st.one_of(st.none(), st.sampled_from(["DOE", "DAY", "ROE", "SMITH", "ÅS", ""])), max_size=12)


def over_lists(shards: Sequence[Sequence[str | None]], parameters: Letters) -> dict[str, pa.Table]:
    """The slow obvious twin."""
    read = [batches(lasts) for lasts in shards]
    ran = run_stages(
        STAGES,
        FUNCTIONS,
        [list(each.batches) for each in read],
        parameters=parameters,
        schema=read[0].schema,
        context=context(),
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


@pytest.mark.parametrize("cut", [0, 130, 260])
def test_link_over_sealed_streams_is_link(cut: int) -> None:
    who = [n % 110 for n in range(260)]
    columns = {
        "last": [f"NAME{n % 37:02d}" for n in who],
        "first": [f"FIRST{n % 23:02d}" for n in who],
        "DOB": [f"19{50 + n % 50:02d}{1 + n % 12:02d}{1 + n % 28:02d}" for n in who],
    }
    records = pa.table(columns)
    message = LINK.message(Link(random_pairs=20_000))
    given = fit(records, PERSON).open()
    (whole,) = pa.Table.from_batches(given.batches, schema=given.schema).combine_chunks().to_batches()
    one = on_one_machine(message, whole)
    shards = [fit(part, PERSON).open() for part in (records.slice(0, cut), records.slice(cut))]
    loop = sealed(shards, plan([message], {"records": "person/1"}), message)
    loop.run()
    for name, found in result(loop).items():
        if name != "row_status" and found.num_rows:
            assert found.to_pylist() == one.tables[name].to_pylist()
