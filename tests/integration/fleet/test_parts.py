"""Jobs in parts on two workers with their fleet processes, Blob Storage and, in one test, the engine on Dask."""

import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from cji_engine.messages import Done, Refused, Request
from cji_simulator.scan import Canaries, scan_process
from cji_simulator.simulation import Simulation
from cji_simulator.site import people

from tests.support.engine_tools import engine, until, wait
from tests.support.fleet_bench import Pool
from tests.support.fleet_storage import Storage
from tests.support.parts_pool import TASKS_SOCKET, ask, conduct, names_of, opened, sockets, start, submit
from worker.audit import JobAdmitted, TaskAdmitted, TaskCompleted
from worker.fleet import names

ROWS = 60


@pytest.fixture(scope="module")
def pool(storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    folder = tmp_path_factory.mktemp("p")
    with Simulation(folder / "azure", release_limit=1000, report_period=0) as azure:
        pool = Pool(folder / "p", azure, storage, workers=2, tasks_socket=TASKS_SOCKET)
        start(pool)
        yield pool
        pool.close()


def admitted(pool: Pool) -> list[int]:
    """How often each worker opened keys for a task, or for the end of a job."""
    return [sum(isinstance(one, TaskAdmitted | JobAdmitted) for one in member.events) for member in pool.members]


def right(tables: dict[str, pa.Table], records: pa.Table) -> bool:
    """Whether these are the outputs of `records`, whose `last` is kept."""
    return bool(tables["result"]["last"] == records["last"] and tables["row_status"].num_rows == records.num_rows)


def test_a_job_runs_on_both_nodes_and_again_runs_nothing(pool: Pool) -> None:
    records = people(ROWS, tag="a")
    sealed = submit(pool, records, shards=3)
    conductor, cluster = conduct(pool, sealed)
    assert [(one.name, one.done) for one in conductor.reports] == [("plan", 1), ("apply", 3), ("finish", 1)]
    assert {node for node, _, _ in cluster.answers} == {"n1", "n2"}
    assert right(opened(pool, sealed), records)
    before = admitted(pool)
    again, _ = conduct(pool, sealed)
    assert [one.bytes_out for one in again.reports] == [one.bytes_out for one in conductor.reports]
    assert admitted(pool) == before


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"job": "0" * 32}, "MALFORMED_HEADER"),
        ({"header_sha384": "0" * 96}, "REPLAYED"),
        ({"plan": "0" * 32, "stage": "apply"}, "BAD_PARAMETERS"),
        ({"stage": "apply"}, "BAD_PARAMETERS"),
        ({"stage": "elsewhere"}, "BAD_PARAMETERS"),
        ({"task": 1}, "BAD_PARAMETERS"),
        ({"stage": "finish"}, "INCOMPLETE"),
    ],
    ids=str,
)
def test_another_name_is_refused_before_a_key_is_opened(pool: Pool, changed: dict[str, object], reason: str) -> None:
    named = names_of(submit(pool, people(2), shards=2))
    before = admitted(pool)
    sound = {"job": named.job, "header_sha384": named.header_sha384, "plan": "none", "stage": "plan", "task": 0}
    answer = ask(sockets(pool)["n1"], Request(**{**sound, **changed}))  # type: ignore[arg-type]
    assert isinstance(answer, Refused)
    assert answer.reason == reason
    assert admitted(pool) == before


def test_a_cancelled_job_runs_no_further_task(pool: Pool) -> None:
    named = names_of(submit(pool, people(2), shards=2))
    pool.storage.blobs("jobs").write(names.cancel(named.job), b"")
    request = Request(job=named.job, header_sha384=named.header_sha384, plan="none", stage="plan", task=0)
    assert isinstance(ask(sockets(pool)["n1"], request), Refused)


def test_what_sends_no_request_is_dropped_and_others_served(pool: Pool) -> None:
    named, path = names_of(submit(pool, people(2), shards=2)), sockets(pool)["n1"]
    for data in (b"", b"\xff\xff\xff\xff", b"\0\0\0\2{}", b"\0\0\0\5"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(str(path))
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b""
    start_ = Request(job=named.job, header_sha384=named.header_sha384, plan="none", stage="start", task=0)
    answer = ask(path, start_)
    assert isinstance(answer, Done)
    assert (answer.rows, answer.shards, answer.tasks) == (2, 2, {"plan": 1})


def test_what_dies_on_dask_loses_nothing_and_shows_nothing(pool: Pool, tmp_path: Path) -> None:
    """Conductor, worker of the engine and fleet process die; no memory of theirs and no blob has a planted value."""
    records = people(ROWS, tag="planted")
    sealed = submit(pool, records, shards=6)
    job, digest = sealed.header.job_id.hex(), sealed.header.sha384.hex()
    with engine(tmp_path) as made:
        scheduler = made.scheduler().address()
        nodes = {name: made.worker(scheduler, name, path) for name, path in sockets(pool).items()}
        first = made.conductor(scheduler, job, digest)
        until(lambda: _completed(pool, job), "a task ends")
        first.kill()
        nodes["n1"].kill()
        pool.members[0].kill_fleet()
        second = made.conductor(scheduler, job, digest)
        until(lambda: _completed(pool, job) > 3, "tasks end on the other node")
        fleet = pool.members[1].fleet
        assert fleet is not None
        alive = [one.process.pid for one in made.processes if one.process.poll() is None]
        planted = Canaries({value: value.encode() for value in records["first"].to_pylist()} | {"key": sealed._dek})
        scans = [scan_process(pid, planted, name="engine") for pid in (*alive, fleet.pid)]
        assert scan_process(os.getpid(), planted, name="this test").hits
        printed = wait(second)
        assert second.process.returncode == 0, printed
    assert json.loads(printed.splitlines()[-1])["refused"] is None
    assert len(scans) > 3
    assert [scan.hits for scan in scans] == [[]] * len(scans)
    assert all(scan.bytes_read and not scan.refused for scan in scans)
    for container in ("jobs", "results", "shuffle"):
        blobs = pool.storage.blobs(container)
        for name in blobs._container.list_blob_names(name_starts_with=job):
            assert not list(planted.find(blobs.read(name, most=1 << 20)))
    assert right(opened(pool, sealed), records)
    pool.members[0].start_fleet()


def _completed(pool: Pool, job: str) -> int:
    time.sleep(0.1)
    return sum(isinstance(one, TaskCompleted) and one.job_id == job for member in pool.members for one in member.events)
