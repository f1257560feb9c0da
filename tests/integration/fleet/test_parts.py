"""Jobs in parts on two workers with their fleet processes, Blob Storage and, in one test, the engine on Dask."""

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest
from click.testing import CliRunner, Result

from cji_core.command import build
from cji_core.operations.link import Link
from cji_core.pool import names
from cji_core.trail import JobAdmitted, TaskAdmitted, TaskCompleted
from cji_engine.messages import Done, Job, Refused, Request
from cji_simulator.made_up import made_up_people
from cji_simulator.raw import until as eventually
from cji_simulator.scan import Canaries, ProcessScan, scan_process
from cji_simulator.site import people
from cji_worker.fleet.tasks.published import MAX_ATTEMPTS, read_plan
from tests.support.attacked_job import Attacked, alter_inputs, alter_statements, alter_streams, ask_again
from tests.support.azurite import StorageCredential
from tests.support.engine_tools import engine, until, wait
from tests.support.fleet_bench import Pool
from tests.support.fleet_storage import Storage
from tests.support.parts_bench import PartsBench, of_one_machine, plain
from tests.support.parts_pool import TASKS_SOCKET, ask, conduct, names_of, opened, sockets, start, submit
from tests.support.simulations import simulated

ROWS = 60
LINKED = '[input]\nschema = "person/1"\n\n[[operations]]\nkind = "link"\nrandom_pairs = 5000\n'
ITS_OWN = {"receipt.jws", "evidence.json", "header.bin", "report.html"}
"""Files of a result that differ from job to job."""


@pytest.fixture(scope="module")
def pool(storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    folder = tmp_path_factory.mktemp("p")
    with simulated(folder / "azure", release_limit=1000, report_period=0) as azure:
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


def test_a_job_completes_under_an_owner_of_its_blobs(pool: Pool) -> None:
    records, operation = made_up_people(30), Link(random_pairs=1_000)
    own, other = (Attacked(pool, submit(pool, records, operation, shards=1)) for _ in range(2))
    for each in (own, other):
        each.run("count", "unite", "plan", "frequencies", "split")
    alter_inputs(own, other)
    alter_streams(own, other)
    own.run("observe")
    ask_again(own)
    own.run("train", "pairs", "components", "gather", "list", "report", "cluster", "order", "label")
    alter_statements(own, other)
    assert isinstance(own.ask("finish"), Done)
    wanted = of_one_machine(pool, records, operation)
    assert {name: plain(table) for name, table in opened(pool, own.sealed).items()} == wanted


def test_a_job_that_runs_again_gets_a_plan_of_its_own(pool: Pool) -> None:
    """The first one is of workers that may be of another release: nothing under it is asked for any more."""
    records, operation = made_up_people(30), Link(random_pairs=1_000)
    job = Attacked(pool, submit(pool, records, operation, shards=1))
    job.run("count", "unite", "plan", "frequencies", "split")
    shuffle = pool.storage.blobs("shuffle")
    first = read_plan(shuffle, job.job)
    again = [job.ask("plan", again=True) for _ in range(2 * MAX_ATTEMPTS)]
    assert len({each.plan for each in again if isinstance(each, Done)}) == MAX_ATTEMPTS - 1
    conduct(pool, job.sealed, again=True)
    second = read_plan(shuffle, job.job)
    assert first is not None
    assert second is not None
    assert first.plan != second.plan
    wanted = of_one_machine(pool, records, operation)
    assert {name: plain(table) for name, table in opened(pool, job.sealed).items()} == wanted


def test_a_cancelled_job_runs_no_further_task(pool: Pool) -> None:
    named = names_of(submit(pool, people(2), shards=2))
    pool.storage.blobs("jobs").write(names.cancel(named.job), b"")
    request = Request(job=named.job, header_sha384=named.header_sha384, plan="none", stage="plan", task=0)
    assert isinstance(ask(sockets(pool)["n1"], request), Refused)


def test_what_sends_no_request_is_dropped_and_others_served(pool: Pool) -> None:
    named, path = names_of(submit(pool, people(2), shards=2)), sockets(pool)["n1"]
    for data in (b"", b"\xff\xff\xff\xff", b"\0\0\0\2{}", b"\0\0\0\5"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(str(path))
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b""
    start_ = Request(job=named.job, header_sha384=named.header_sha384, plan="none", stage="start", task=0)
    answer = ask(path, start_)
    assert isinstance(answer, Done)
    assert (answer.rows, answer.shards, answer.tasks) == (2, 2, {"plan": 1})


def _scanned(pid: int, planted: Canaries) -> ProcessScan | None:
    """The memory of a process; None if it has ended, as the conductor does with its job."""
    with contextlib.suppress(ProcessLookupError):
        return scan_process(pid, planted, name="engine")
    return None


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
        scans = [scan for pid in (*alive, fleet.pid) if (scan := _scanned(pid, planted)) is not None]
        assert scan_process(os.getpid(), planted, name="this test").hits
        printed = wait(second)
        assert second.process.returncode == 0, printed
    assert json.loads(printed.splitlines()[-1])["refused"] is None
    assert len(scans) >= len(("scheduler", "worker of the engine", "fleet process"))
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


def test_what_is_fetched_is_what_one_machine_makes(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From `cji job submit --in-parts` to `cji job fetch`, with a keyholder and a conductor killed on the way."""
    monkeypatch.setattr("cji_client.by_reference.default_credential", StorageCredential)
    profile, at = pool.members[0].files.profile, pool.storage.azurite
    account = f'blob_url = "{at.blob_url}"\nqueue_url = "{at.queue_url}"\nca_file = "{at.ca_file}"\n'
    profile.write_text(f"{profile.read_text()}\n[storage]\n{account}")

    def cji(verb: str, *arguments: str | Path) -> Result:
        command = ["job", verb, *map(str, arguments), "--profile", str(profile)]
        found = CliRunner().invoke(build(pool.members[0].azure.trust), command, catch_exceptions=False)
        assert found.exit_code == 0, found.output
        return found

    records, spec, folder = tmp_path / "people.csv", tmp_path / "job.toml", tmp_path / "people.job"
    pyarrow.csv.write_csv(made_up_people(300), records)
    spec.write_text(LINKED)
    cji("run", records, "--spec", spec, "--out", tmp_path / "one")
    spec.write_text(f"shards = 3\n{LINKED}")
    named = json.loads(cji("submit", records, "--job", folder, "--spec", spec, "--in-parts", "--json").stdout)
    assert pool.storage.queue().state().length == 0
    job = Job(job=named["job"], header_sha384=named["header_sha384"])
    with engine(tmp_path) as made:
        bench = PartsBench.start(pool, made)
        bench.conduct(job)
        eventually(lambda: bench.trails.begun(job.job, "split"), seconds=120)
        bench.kill("keyholder", bench.trails.begun(job.job, "split")[0], job)
        eventually(lambda: bench.trails.begun(job.job, "pairs"), seconds=120)
        bench.kill("conductor", 1, job)
        bench.end()
    cji("fetch", folder, "--out", tmp_path / "parts", "--wait", "60")
    one, parts = ({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("one", "parts"))
    assert one.keys() == parts.keys()
    assert {"result.csv", "pairs.csv", "clusters.csv", "blocks.csv"} <= one.keys() - ITS_OWN
    assert {name for name in one.keys() - ITS_OWN if one[name] != parts[name]} == set()
