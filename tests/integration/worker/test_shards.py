"""Records in shards on one machine: the result that one part gives, and shards that do not belong together."""

import pyarrow as pa
import pytest

from cji_client.errors import SpecError
from cji_core.errors import Reason, Stage
from cji_core.operations.aggregate import Aggregate
from cji_core.operations.deidentify import Deidentify, Mask
from cji_core.operations.parameters import Parameters
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator.raw import RawWorker, forge, sends
from cji_simulator.site import Site, people

ROWS = 40_000
BY_BATCH = Deidentify(columns={"last": "keep", "first": Mask(keep_first=9, with_="*"), "SOC": "drop"})
OF_ALL = Aggregate(keys={"last": ("NAME0000007",)})


@pytest.mark.parametrize("operation", [BY_BATCH, OF_ALL])
def test_shards_change_no_byte_of_a_result(site: Site, operation: Parameters) -> None:
    table = people(ROWS)
    one = site.open(site.run(table, site.spec(operation)))
    result = site.run(table, site.spec(operation, shards=3))
    three = site.open(result)
    assert {name: _plain(output) for name, output in three.items()} == {name: _plain(one[name]) for name in three}
    claims = result.receipt.claims
    assert [part.name for part in claims.inputs] == ["records"] * 3
    assert len({part.sha256 for part in claims.inputs}) == 3
    assert (claims.volumes.rows_in, claims.volumes.bytes_in) == (ROWS, sum(part.bytes for part in claims.inputs))


def _plain(table: pa.Table) -> bytes:
    """The Arrow stream of an output, batch by batch as it came."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        for batch in table.to_batches():
            writer.write_batch(batch)
    return bytes(sink.getvalue())


def test_a_job_of_more_parts_is_not_for_one_machine(site: Site) -> None:
    with pytest.raises(SpecError, match="17 parts"):
        site.run(people(10), site.spec(shards=17))
    job = forge(site, lambda header: header.inputs[0].MergeFrom(pb.InputPart(shards=17)))
    with RawWorker.of(site) as worker:
        answer = worker.run(job.messages(job.stream(people(1))))
    assert (answer.reason, answer.stage, answer.accepted) == (Reason.LIMIT_EXCEEDED, Stage.ADMIT, False)


SHARDS: dict[str, tuple[list[tuple[int, int, str]], Reason]] = {
    "missing": ([(0, 0, "SOC")], Reason.INCOMPLETE),
    "one too many": ([(0, 0, "SOC"), (1, 1, "SOC"), (2, 2, "SOC")], Reason.SEGMENT_INVALID),
    "exchanged": ([(0, 1, "SOC"), (1, 0, "SOC")], Reason.SEGMENT_INVALID),
    "twice": ([(0, 0, "SOC"), (1, 0, "SOC")], Reason.SEGMENT_INVALID),
    "of another schema": ([(0, 0, "SOC"), (1, 1, "OLN")], Reason.SCHEMA_MISMATCH),
    "of other columns": ([(0, 0, "SOC"), (1, 1, "")], Reason.SCHEMA_MISMATCH),
}


@pytest.mark.parametrize("name", SHARDS)
def test_shards_that_do_not_belong_together(site: Site, name: str) -> None:
    """Each as (part in which it is sent, part that it was sealed for, its third column)."""
    shards, reason = SHARDS[name]
    job = forge(site, lambda header: header.inputs[0].MergeFrom(pb.InputPart(shards=2)))
    messages = [job.open()]
    for part, sealed_for, column in shards:
        table = people(5).rename_columns(["last", "first", column or "gone"])
        segments = job.stream(table if column else table.drop_columns(["gone"]), part=sealed_for)
        messages += sends(segments, part=part)
    with RawWorker.of(site) as worker:
        answer = worker.run([*messages, pb.RunRequest(finish=pb.Finish())])
    assert answer.reason is reason
    assert answer.receipt is None


def test_declared_rows_are_those_of_all_shards(site: Site) -> None:
    for declared, reason in ((10, None), (5, Reason.SCHEMA_MISMATCH)):
        job = forge(site, lambda header: header.inputs[0].MergeFrom(pb.InputPart(shards=2)), rows=declared)
        parts = [message for part in (0, 1) for message in sends(job.stream(people(5), part=part), part=part)]
        with RawWorker.of(site) as worker:
            answer = worker.run([job.open(), *parts, pb.RunRequest(finish=pb.Finish())])
        assert answer.reason is reason
