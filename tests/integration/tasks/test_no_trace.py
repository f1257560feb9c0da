"""Nothing of records or keys of a job in parts is in the memory of any process, in a file, or between the tasks.

Two of its tasks are held when their cells have everything but the end: one that reads records, and one that reads what
the others sealed. That both cells hold records and keys then is shown by a look inside their regions.
"""

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pytest

from cji_client.seal import INPUT_NAME
from cji_core.format.envelope import NO_PLAN, bucket_key, open_result_key, shuffle_key, statement_key
from cji_core.operations.link import Link
from cji_core.operations.link.edges import TABLE
from cji_simulator.processes import until_idle
from cji_simulator.raw import settled
from cji_simulator.scan import Canaries, ProcessScan, encodings, look_inside, scan_file, scan_worker
from tests.support.task_driver import Node, PartsJob, sharded

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="reading the memory of other processes needs root"),
    pytest.mark.timeout(600),
]
ROWS = 2000
CELL_REGION, KEYHOLDER_REGION = 160 << 20, 96 << 20


@dataclass(slots=True, kw_only=True)
class Seen:
    """All that was searched, by the stage whose task was held."""

    inside: dict[str, set[str]] = field(default_factory=dict)
    keyholder: dict[str, set[str]] = field(default_factory=dict)
    scans: list[ProcessScan] = field(default_factory=list)
    between: set[str] = field(default_factory=set)
    files: dict[str, set[str]] = field(default_factory=dict)
    read: int = 0


def records(mark: str) -> pa.Table:
    """Persons, each twice, whose last names have the mark."""
    who = [n % (ROWS // 2) for n in range(ROWS)]
    columns = {
        "last": [f"{mark}{n:05d}" for n in who],
        "first": [f"FIRST{n % 23:02d}" for n in who],
        "DOB": [f"19{50 + n % 50:02d}{1 + n % 12:02d}{1 + n % 28:02d}" for n in who],
    }
    return pa.table(columns)


@pytest.fixture(scope="module")
def seen(pool: list[Node]) -> Seen:
    node, mark = pool[0], f"QZ{secrets.token_hex(6).upper()}"
    job = sharded(node, {INPUT_NAME: records(mark)}, Link(random_pairs=20_000), shards=2)
    dek, header = job.job._dek, job.job.header.sha384
    patterns = {f"name {how}": data for how, data in encodings(mark).items()}
    patterns |= {
        "data key": dek,
        "statement key": statement_key(dek, header),
        "bucket key": bucket_key(dek, header),
        "shuffle key": shuffle_key(dek, header, NO_PLAN),
    }
    stages, seen = job.streams.stages.in_order, Seen()
    reading = next(stage for stage in stages[job.streams.planning + 1 :] if stage.records)
    later = next(stage for stage in stages if not stage.records and TABLE.name in stage.reads)
    for stage in stages:
        if stage.name in {reading.name, later.name}:
            plan = job.parsed_plan
            patterns |= {
                "planned shuffle key": shuffle_key(dek, header, plan.sha384),
                "result key": open_result_key(dek, plan.facts, plan.sealed_result_key),
            }
            canaries = Canaries(patterns)
            with job.held(node, stage, 0) as end:
                until_idle(node.pids)
                _look(node, canaries, seen, stage.name)
                job.keep(stage, 0, end())
            for number in range(1, job.streams.tasks[stage.name]):
                job.keep(stage, number, job.attempt(node, stage, number))
        else:
            job.run_stage(stage, node)
    job.result(node, job.finish(node))
    settled(node.site)
    canaries = Canaries(patterns)
    _look(node, canaries, seen, "after")
    for data in _between(job):
        seen.read += len(data)
        seen.between |= {name for name, _ in canaries.find(data)}
    files = [file for file in node.site.files.folder.rglob("*") if file.is_file()]
    seen.files = {str(file): scan_file(file, canaries) for file in [*files, node.site.worker.log]}
    return seen


def _between(job: PartsJob) -> Iterator[bytes]:
    """Everything that a fleet has of the job."""
    for segments in (*job.parts.values(), *job.shuffled.values(), *job.results.values()):
        yield b"".join(segments)
    yield job.plan
    yield from (statement.encode() for statement in job.ordered())


def _look(node: Node, canaries: Canaries, seen: Seen, moment: str) -> None:
    seen.scans += scan_worker(node.pids, canaries)
    seen.inside[moment] = set().union(*look_inside(node.pids["supervisor"], canaries, size=CELL_REGION))
    (seen.keyholder[moment],) = look_inside(node.pids["supervisor"], canaries, size=KEYHOLDER_REGION)


def test_the_cells_held_records_and_keys_when_looked_at(seen: Seen) -> None:
    held = [moment for moment in seen.inside if moment != "after"]
    assert len(held) == 2
    for moment in held:
        assert {"name utf-8", "data key", "planned shuffle key"} <= seen.inside[moment]
        assert "statement key" in seen.keyholder[moment]
    assert all(scan.bytes_read > 1 << 20 for scan in seen.scans)


def test_l08_nothing_is_readable_in_any_process(seen: Seen) -> None:
    assert not [hit for scan in seen.scans for hit in scan.hits]


def test_nothing_is_left_in_a_region(seen: Seen) -> None:
    assert seen.inside["after"] == set()


def test_nothing_is_in_what_lies_between_the_tasks(seen: Seen) -> None:
    assert seen.between == set()
    assert seen.read > 1 << 17


def test_l01_nothing_is_in_a_log_or_a_file(seen: Seen) -> None:
    assert len(seen.files) > 3
    assert {name: found for name, found in seen.files.items() if found} == {}
