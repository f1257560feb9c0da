"""One bundle for three machines: each has a name of its own, which its evidence bears out."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cji_attestation.evidence import Evidence
from cji_attestation.evidence.collect import vm_id
from cji_attestation.evidence.hcl import parse_hcl
from cji_client.profile import load_profile
from cji_core.format.configuration.machine import MACHINE
from cji_core.format.configuration.worker import load
from cji_simulator.launch import Deployment, worker_config
from cji_simulator.simulation import Cmk, Simulation
from cji_simulator.site import Site, people
from cji_simulator.worker import Worker, WorkerDied
from cji_worker.bundle.apply import apply
from tests.support.bundles import files, made, worker_toml

GROUPS = {"cji": 4001, "cji-door": 4002, "cji-audit": 4003, "cji-console": 4004}
OTHER = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"


@pytest.fixture(scope="module")
def cmk(azure: Simulation) -> Cmk:
    return azure.create_cmk("cji-named")


@pytest.fixture
def run() -> Iterator[Path]:
    """A folder in memory, as /run is."""
    folder = Path(tempfile.mkdtemp(prefix="cji-bundle-", dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="apply gives files to groups, as root")
def test_one_bundle_names_three_machines(azure: Simulation, run: Path) -> None:
    toml = worker_toml(cloud="simulation").replace(b'id = "worker-1"', b'id = "cji-{vm_id}"')
    bundle = made(files(changed={"worker.toml": toml}))
    configs, attested = [], []
    for number in range(3):
        vm, folder = azure.another_vm(), run / str(number) / "config"
        apply(bundle, trust=vm.trust, folder=folder, state=run / str(number) / "state", gid=GROUPS.__getitem__)
        configs.append(load(folder / "worker.toml"))
        evidence = Evidence.from_json(vm.collect(b"q" * 32).to_json())
        attested.append(parse_hcl(evidence.hcl_report).vm_unique_id.lower())
    assert [each.worker.id for each in configs] == [f"cji-{each}" for each in attested]
    assert len(set(attested)) == 3
    assert len({each.sha384 for each in configs}) == 1


def deployed(folder: Path, azure: Simulation, cmk: Cmk, machine: str | None) -> Deployment:
    found = worker_config(folder, simulation=azure, keys=[cmk])
    worker_id = load(found.config).worker.id
    text = found.config.read_text()
    assert f'id = "{worker_id}"' in text
    found.config.write_text(text.replace(f'id = "{worker_id}"', 'id = "cji-{vm_id}"'))
    if machine is not None:
        (found.folder / MACHINE).write_text(f'{{"vm_id":"{machine}"}}')
    return found


def test_a_receipt_has_the_name_that_evidence_bears_out(tmp_path: Path, azure: Simulation, cmk: Cmk) -> None:
    azure = azure.another_vm()
    found = deployed(tmp_path, azure, cmk, vm_id(azure.trust))
    with Worker(found.config, trust=azure.trust, log=tmp_path / "log") as worker:
        site = Site(simulation=azure, cmk=cmk, files=found, worker=worker, profile=load_profile(found.profile))
        assert site.run(people(2)).receipt.claims.worker == f"cji-{vm_id(azure.trust)}"


@pytest.mark.parametrize(
    ("machine", "says"),
    [(OTHER, f"worker.id is of machine {OTHER}, the evidence of"), (None, "there is no machine.json")],
)
def test_a_worker_under_another_name_does_not_start(
    tmp_path: Path, azure: Simulation, cmk: Cmk, machine: str | None, says: str
) -> None:
    azure = azure.another_vm()
    found = deployed(tmp_path, azure, cmk, machine)
    with pytest.raises(WorkerDied):
        Worker(found.config, trust=azure.trust, log=tmp_path / "log")
    assert says in (tmp_path / "log").read_text()
