"""In which stream a value is, as whoever sees lengths sees it: decided by the job's key, and by nothing else."""

from dataclasses import replace

import pyarrow as pa

from cji_client.sources import fit
from cji_core.format.envelope import bucket_key
from cji_core.format.job import JobId
from cji_core.operations.registry import plan
from cji_core.operations.stages.streams import EdgeStream
from cji_core.wire.v1 import worker_pb2 as wire
from cji_operations.kernels.buckets import buckets
from cji_worker.cell.parts_loop import PartsLoop
from cji_worker.cell.task_keys import bucket_hash
from tests.support.letter_jobs import PERSON, sealed

SHARDS = 8
AGGREGATE = wire.Operation(
    aggregate=wire.Aggregate(keys=[wire.GroupKey(column="postcode")], person="SID", threshold=1, base=1)
)
WATCHED = "P-WATCHED"


def job(dek: bytes, job_id: bytes = b"j" * 16) -> PartsLoop:
    """Persons with one row each, and in the first shard one who is in 500 cells."""
    often = pa.table({"postcode": [f"{number:05d}" for number in range(500)], "SID": [WATCHED] * 500})
    others = [pa.table({"postcode": ["00001"] * 4, "SID": [f"P{shard}{n}" for n in range(4)]}) for shard in range(1, 8)]
    shards = [fit(table, PERSON).open() for table in (often, *others)]
    return sealed(shards, plan([AGGREGATE], {"records": "person/1"}), AGGREGATE, dek=dek, job_id=JobId(job_id))


def longest(loop: PartsLoop) -> int:
    """The consumer of the longest stream of persons of the first shard, once its task has run."""
    names = [edge.name for edge in loop.streams.stages.edges]
    for name in ("plan", "group"):
        stage = loop.streams.stage(name)
        assert stage is not None
        loop.run_task(stage, 0)
    streams = (EdgeStream(names.index("persons"), 0, consumer, True) for consumer in range(SHARDS))
    lengths = [sum(map(len, loop.shuffled[stream])) for stream in streams]
    assert sorted(lengths)[-2] == 4096 < max(lengths)
    return lengths.index(max(lengths))


def expected(loop: PartsLoop) -> int:
    hashed = bucket_hash(bucket_key(loop.dek, loop.header.sha384))
    return int(buckets(pa.array([WATCHED], pa.binary()), SHARDS, hashed)[0])


def test_the_stream_of_a_value_is_that_of_the_job_key() -> None:
    """Five jobs with other data keys, and five with one data key and other headers."""
    keys = [job(bytes([number]) * 32) for number in range(1, 6)]
    headers = [job(b"k" * 32, bytes([number]) * 16) for number in range(1, 6)]
    for jobs in (keys, headers):
        found = [longest(loop) for loop in jobs]
        assert found == [expected(loop) for loop in jobs]
        assert len(set(found)) > 1


def test_nodes_agree() -> None:
    """Each has the job's data key and header, and makes its own plan: buckets do not depend on the plan."""
    one = job(b"k" * 32)
    other = replace(one, plan=b"", shuffled={}, results={})
    found = longest(one), longest(other)
    assert one.plan != other.plan
    assert found[0] == found[1]
