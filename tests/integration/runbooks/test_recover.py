"""A deleted vault, and a lost region: the key comes back, a kept trail continues, an older copy of it is refused."""

import json
import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from cji_client.errors import WorkerRefused
from cji_client.seal import INPUT_NAME, SealedJob
from cji_core.trail import TrailResumed
from cji_core.trail.chain import read
from cji_core.trail.trail import lines
from cji_deploy.runbooks.values import RunbookError
from cji_simulator.azcli import SECOND_VAULT
from cji_simulator.pool import Instance
from cji_simulator.site import people
from cji_simulator.worker import WorkerDied
from tests.support.runbook_drill import KEY, Agency

pytestmark = pytest.mark.timeout(1800)
DATA = people(3)


def refused(instance: Instance, job: SealedJob) -> str:
    """The reason for which a worker refuses a job."""
    with instance.site.client() as client, pytest.raises(WorkerRefused) as caught:
        client.run(job, {INPUT_NAME: DATA}, attested=client.attest(), deadline=60)
    return str(caught.value)


def az(agency: Agency, *arguments: str) -> None:
    subprocess.run([str(agency.folder / "bin" / "az"), *arguments], check=True, capture_output=True)


def test_a_deleted_vault_is_recovered(agency: Agency) -> None:
    agency.simulation.delete_vault()
    site = agency.pool.instances[0].site
    assert any(event["event"] == "not released" for event in site.renew())
    with pytest.raises(RunbookError, match="trail: ") as caught:
        agency.run("recover", {"trail": "/dev/null/audit"}, chosen=frozenset({"deleted"}))
    assert "Take another copy" in caught.value.remedy
    assert agency.simulation.vault_deleted
    execution = agency.run("recover", chosen=frozenset({"deleted"}))
    assert execution.printed == ["export", "drift"]
    assert not agency.simulation.vault_deleted
    agency.run("recover", chosen=frozenset({"deleted"}))
    assert "   already so: the vault exists" in agency.said


def test_a_lost_region_is_replaced(agency: Agency) -> None:
    first = agency.pool.instances[0]
    state, older = first.files.folder / "state", agency.folder / "older"
    agency.pool.stop(first)
    shutil.copytree(state, older)
    agency.pool.reboot(first)
    first_site = first.site
    first_site.run(DATA)
    backup = agency.folder / "key.backup"
    az(agency, "keyvault", "key", "backup", "--vault-name", "cji-kv", "--name", KEY, "--file", str(backup))
    agency.pool.stop(first)

    # the same machine with an older copy of trail and ledger: its counter shows that lines are missing
    newest = agency.folder / "newest"
    state.rename(newest)
    shutil.copytree(older, state)
    first.vm.reboot()
    with pytest.raises(WorkerDied):
        agency.pool.start(first)
    assert "but the vTPM's counter is" in agency.worker_log
    shutil.rmtree(state)
    newest.rename(state)

    agency.simulation.delete_vault()
    second = another_region(agency)
    policy = agency.folder / "recovery.json"
    policy.write_text(json.dumps(second.vm.release_policy()))
    sealed_meanwhile: list[SealedJob] = []

    def resume() -> None:
        with pytest.raises(WorkerDied):  # the trail is of another machine, which nobody has explained yet
            agency.pool.start(second)
        configure(agency, second)
        sealed_meanwhile.append(replace(first_site, cmk=second.cmk).seal(rows=DATA.num_rows))
        explained = ("--operator", "jdoe", "--explanation", "region lost, ticket 17")
        subprocess.run(
            [*agency.cji(second.vm), "audit", "resume", "--config", str(second.files.config), *explained],
            check=True,
            capture_output=True,
        )

    def start() -> None:
        second.vm.reboot()
        agency.pool.start(second)

    values = {
        "recovery_vault": SECOND_VAULT,
        "recovery_policy": str(policy),
        "cloud": "simulation",
        "deployment": "cji-west",
        "parameters": "west.parameters.json",
        "key_backup": str(agency.folder / "absent.backup"),
        "profile": str(second.files.profile),
    }
    acts, chosen = {"resume": resume, "configure": start}, frozenset({"region"})
    with pytest.raises(RunbookError, match="restore-key: "):
        agency.run("recover", values, acts=acts, chosen=chosen, vm=second.vm)
    execution = agency.run("recover", {**values, "key_backup": str(backup)}, acts=acts, chosen=chosen, vm=second.vm)
    assert execution.printed == ["deploy", "export", "drift"]

    resumed = [each for line in lines(second.files.audit) if isinstance(each := read(line).event, TrailResumed)]
    assert len(resumed) == 1
    assert "EXPIRED" in refused(second, sealed_meanwhile[0])
    assert "UNKNOWN_KEY" in refused(second, first_site.seal(rows=DATA.num_rows))
    second.site.run(DATA)


def another_region(agency: Agency) -> Instance:
    """A machine there with the kept disk of the first worker; its files still name the lost vault and provider."""
    first, home = agency.pool.instances[0], agency.folder / "node-2"
    shutil.copytree(first.files.folder, home, ignore=shutil.ignore_patterns("*.sock", "*.log", "*.door"))
    files = replace(
        first.files,
        folder=home,
        config=home / "worker.toml",
        policy=home / "policy.toml",
        audit=home / "state" / "audit.jsonl",
        profile=home / "client" / "client.toml",
        hybrid_recipient=home / "client" / first.files.hybrid_recipient.name,
    )
    instance = Instance(
        number=2, vm=agency.simulation.second_region.another_vm(), files=files, cmk=first.cmk, release=first.release
    )
    agency.pool.instances.append(instance)
    return instance


def configure(agency: Agency, instance: Instance) -> None:
    """Name the second region's vault and provider, in the files of the worker and of its submitter."""
    instance.cmk = instance.vm.cmk(KEY)
    jwk = agency.folder / "cmk.jwk"
    jwk.write_text(json.dumps(instance.cmk.public_jwk))
    pins = ("--kek-id", instance.cmk.kek_id, "--thumbprint", instance.cmk.public_thumbprint)
    seed = ("--out", str(instance.files.config.parent / "second-region.seed"))
    half = subprocess.run(
        [*agency.cji(instance.vm), "key", "new-ml-kem-seed", str(jwk), *pins, *seed, "--json"],
        check=True,
        capture_output=True,
    )
    for name, value in json.loads(half.stdout).items():
        text = instance.files.config.read_text()
        instance.files.config.write_text(re.sub(rf'(?m)^{name} = ".*"', f'{name} = "{value}"', text))
    for file in (instance.files.config, instance.files.profile):
        text = file.read_text().replace(agency.simulation.maa_url, instance.vm.maa_url)
        text = re.sub(r'kek_id = ".*"', f'kek_id = "{instance.cmk.kek_id}"', text)
        file.write_text(re.sub(r'policy_sha256 = ".*"', f'policy_sha256 = "{instance.cmk.policy_sha256}"', text))
