"""A job of `link` in parts, from `cji job submit --in-parts` to `cji job fetch`, on Dask, with deaths on the way."""

import json
from pathlib import Path

import pyarrow.csv
import pytest
from cji_engine.messages import Job
from cji_simulator.cluster_demo import made_up_people
from cji_simulator.raw import until
from cji_simulator.simulation import Simulation
from click.testing import CliRunner, Result

from tests.support.azurite import StorageCredential
from tests.support.engine_tools import engine
from tests.support.fleet_bench import Pool
from tests.support.fleet_storage import Storage
from tests.support.parts_bench import PartsBench
from tests.support.parts_pool import TASKS_SOCKET, start
from worker.cli import build

OPERATION = '\n[[operations]]\nkind = "link"\nrandom_pairs = 5000\n'
ITS_OWN = {"receipt.jws", "evidence.json", "report.html", "worker-evidence.json"}
"""Files that differ from job to job."""


@pytest.mark.timeout(300)
def test_what_is_fetched_is_what_one_machine_makes(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.client.by_reference.default_credential", StorageCredential)
    (tmp_path / "engine").mkdir()
    with (
        Simulation(tmp_path / "azure", release_limit=1000, report_period=0) as azure,
        engine(tmp_path / "engine") as made,
    ):
        pool = Pool(tmp_path / "p", azure, storage, workers=2, tasks_socket=TASKS_SOCKET)
        try:
            start(pool)
            profile, at = pool.members[0].files.profile, storage.azurite
            account = f'blob_url = "{at.blob_url}"\nqueue_url = "{at.queue_url}"\nca_file = "{at.ca_file}"\n'
            profile.write_text(f"{profile.read_text()}\n[storage]\n{account}")

            def cji(verb: str, *arguments: str | Path) -> Result:
                command = ["job", verb, *map(str, arguments), "--profile", str(profile)]
                found = CliRunner().invoke(build(azure.trust), command, catch_exceptions=False)
                assert found.exit_code == 0, found.output
                return found

            records, spec, folder = tmp_path / "people.csv", tmp_path / "job.toml", tmp_path / "people.job"
            pyarrow.csv.write_csv(made_up_people(300), records)
            head = '[input]\nschema = "person/1"\n'
            spec.write_text(head + OPERATION)
            cji("run", records, "--spec", spec, "--out", tmp_path / "one")
            spec.write_text("shards = 3\n" + head + OPERATION)
            submitted = cji("submit", records, "--job", folder, "--spec", spec, "--in-parts", "--json")
            named = json.loads(submitted.stdout)
            assert storage.queue().state().length == 0
            job = Job(job=named["job"], header_sha384=named["header_sha384"])

            bench = PartsBench.start(pool, made)
            bench.conduct(job)
            for stage, victim in (("split", "keyholder"), ("pairs", "scheduler"), ("cluster", "conductor")):
                until(lambda stage=stage: bench.trails.begun(job.job, stage), seconds=120)
                bench.kill(victim, bench.trails.begun(job.job, stage)[0], job)
            bench.end()
            cji("fetch", folder, "--out", tmp_path / "parts", "--wait", "60")
        finally:
            pool.close()
    one, parts = ({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("one", "parts"))
    assert one.keys() == parts.keys()
    same = one.keys() - ITS_OWN
    assert {"result.csv", "pairs.csv", "clusters.csv", "blocks.csv"} <= same
    assert {name for name in same if one[name] != parts[name]} == set()
