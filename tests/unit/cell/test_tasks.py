"""A task's cell takes exactly its own streams: everything else does not open, or does not fit."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from cji_client.sources import Batches, fit
from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.envelope import SHUFFLE_MIN_BYTES, SHUFFLE_SEGMENT_BYTES
from cji_core.format.job import InputPart
from cji_core.operations.link import LINK, Link
from cji_core.operations.link.outputs import SIDE
from cji_core.operations.registry import plan
from cji_core.operations.stages.streams import TO_ALL, EdgeStream
from cji_worker.cell.parts_loop import PartsLoop
from tests.support.letter_jobs import PERSON, job, result, sealed
from tests.support.letters import Letters
from tests.support.refusals import refused

SHARDS = [["DOE", "ROE"], ["DAY", None], ["SMITH"]]
COUNTS, KEY, LETTERS, SUMS = range(4)


def until(name: str, parameters: Letters | None = None, **kwargs: Any) -> PartsLoop:
    """A job of which everything before this stage has run."""
    loop = job(kwargs.get("shards", SHARDS), parameters)
    for stage in loop.streams.stages.in_order:
        if stage.name == name:
            return loop
        for number in range(loop.streams.tasks[stage.name]):
            loop.run_task(stage, number)
    return loop


def refusal(loop: PartsLoop, name: str, number: int = 0) -> Reason:
    stage = loop.streams.stage(name)
    assert stage is not None
    with pytest.raises(Refusal) as caught:
        loop.run_task(stage, number)
    return caught.value.reason


def letters(producer: int, consumer: int) -> EdgeStream:
    return EdgeStream(LETTERS, producer, consumer, True)


def flip(segments: list[bytes], at: int) -> list[bytes]:
    first = bytearray(segments[0])
    first[at] ^= 1
    return [bytes(first), *segments[1:]]


@pytest.mark.parametrize("at", [0, 12, 50, 75, 80, 100, 2000, -1])
def test_one_bit_flipped(at: int) -> None:
    loop = until("bucket")
    loop.shuffled[letters(1, 0)] = flip(loop.shuffled[letters(1, 0)], at)
    assert refusal(loop, "bucket") is Reason.SEGMENT_INVALID


def put(loop: PartsLoop, wanted: EdgeStream, given: EdgeStream) -> None:
    loop.shuffled[wanted] = loop.shuffled[given]


EXCHANGED: dict[str, Callable[[PartsLoop], None]] = {
    "another bucket": lambda loop: put(loop, letters(1, 0), letters(1, 1)),
    "another producer": lambda loop: put(loop, letters(1, 0), letters(2, 0)),
    "a producer twice": lambda loop: put(loop, letters(2, 0), letters(1, 0)),
    "another edge": lambda loop: put(loop, letters(0, 0), EdgeStream(KEY, 0, TO_ALL, False)),
}


@pytest.mark.parametrize("how", EXCHANGED)
def test_another_stream_in_its_place(how: str) -> None:
    loop = until("bucket")
    EXCHANGED[how](loop)
    assert refusal(loop, "bucket") is Reason.SEGMENT_INVALID


def test_streams_of_another_plan() -> None:
    """The same header, records and stages; the plan was made again, with another result key."""
    loop, plan = until("bucket"), None
    stage = loop.streams.stage("plan")
    assert stage is not None
    plan = loop.plan
    loop.run_task(stage, 0)
    assert loop.plan != plan
    assert refusal(loop, "bucket") is Reason.SEGMENT_INVALID


def test_streams_of_another_job() -> None:
    loop, other = until("bucket"), until("bucket")
    loop.shuffled[letters(0, 0)] = other.shuffled[letters(0, 0)]
    assert refusal(loop, "bucket") is Reason.SEGMENT_INVALID


def test_a_shard_in_place_of_another() -> None:
    loop = until("split")
    loop.parts[1] = loop.parts[0]
    assert refusal(loop, "split", 1) is Reason.SEGMENT_INVALID


def test_a_stream_that_is_missing() -> None:
    loop = until("bucket")
    loop.shuffled[letters(2, 0)] = []
    assert refusal(loop, "bucket") is Reason.INCOMPLETE


def test_a_stream_that_was_cut() -> None:
    loop = until("bucket", Letters(buckets=1, times=40_000))
    segments = loop.shuffled[letters(0, 0)]
    assert len(segments) > 2
    loop.shuffled[letters(0, 0)] = segments[:-1]
    assert refusal(loop, "bucket") is Reason.SEGMENT_INVALID


def test_more_after_the_last_segment() -> None:
    loop = until("bucket")
    loop.shuffled[letters(2, 0)] = loop.shuffled[letters(2, 0)] * 2
    assert refusal(loop, "bucket") is Reason.SEGMENT_INVALID


def test_an_older_attempt_is_as_good() -> None:
    """Any mix of attempts of one plan gives the same result."""
    loop = until("bucket")
    stage = loop.streams.stage("split")
    assert stage is not None
    before = dict(loop.shuffled)
    loop.run_task(stage, 1)
    assert loop.shuffled[letters(1, 0)] != before[letters(1, 0)]
    loop.shuffled[letters(1, 1)] = before[letters(1, 1)]
    again = until("bucket")
    for one in (loop, again):
        for name in ("bucket", "label"):
            each = one.streams.stage(name)
            assert each is not None
            for number in range(one.streams.tasks[name]):
                one.run_task(each, number)
    assert {name: table.to_pylist() for name, table in result(loop).items()} == {
        name: table.to_pylist() for name, table in result(again).items()
    }


def test_an_altered_plan_has_no_result_key() -> None:
    loop = until("label")
    loop.plan = loop.plan[:-1] + bytes([loop.plan[-1] ^ 1])
    assert refusal(loop, "label") in {Reason.DEK_UNWRAP_FAILED, Reason.SEGMENT_INVALID}


def test_every_shuffle_stream_is_a_power_of_two() -> None:
    loop = until("label", Letters(buckets=3, times=9000))
    sizes = {stream: sum(map(len, segments)) for stream, segments in loop.shuffled.items()}
    assert all(size.bit_count() == 1 and size >= SHUFFLE_MIN_BYTES for size in sizes.values())
    assert max(sizes.values()) > SHUFFLE_SEGMENT_BYTES
    assert sum(size == SHUFFLE_MIN_BYTES for size in sizes.values()) > 3


def test_a_thousand_consumers() -> None:
    loop = until("bucket", Letters(buckets=1024), shards=[["DOE"] * 50])
    assert sum(stream.edge == LETTERS for stream in loop.shuffled) == 1024
    summary = loop.run_task(loop.streams.stages.in_order[3], 700)
    assert summary.rows_in == 0


def linked(*, declared: int | None, taken: int) -> PartsLoop:
    """A job of `link` whose side table has this many rows and declares as many as that."""
    message = LINK.message(Link(random_pairs=20_000))
    inputs = [
        InputPart(name=SIDE, schema="person/1", rows_declared=declared),
        InputPart(name="records", schema="person/1"),
    ]
    loop = sealed(
        [people(taken), people(4)],
        plan([message], {SIDE: "person/1", "records": "person/1"}),
        message,
        inputs=inputs,
    )
    assert loop.header.inputs[0].rows_declared == declared
    return loop


def people(rows: int) -> Batches:
    names = [f"NAME{n}" for n in range(rows)]
    return fit(pa.table({"last": names, "first": names, "DOB": ["19700101"] * rows}), PERSON).open()


@pytest.mark.parametrize(("declared", "taken"), [(None, 3), (3, 3), (0, 0)])
def test_a_side_table_with_the_rows_that_it_declares(declared: int | None, taken: int) -> None:
    loop = linked(declared=declared, taken=taken)
    loop.run()
    assert result(loop)["row_status"].num_rows == 4


@pytest.mark.parametrize(("declared", "taken"), [(2, 3), (4, 3), (0, 3), (1, 0)])
def test_a_side_table_with_other_rows_than_it_declares(declared: int, taken: int) -> None:
    """As on one machine: its submitter sealed another table than the header says."""
    loop = linked(declared=declared, taken=taken)
    with refused(Reason.SCHEMA_MISMATCH, stage=Stage.COMPUTE):
        loop.run()
