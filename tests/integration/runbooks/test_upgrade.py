"""Upgrade and rollback under a release policy that pins the image: who gets the key is decided by the vault."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from cji_deploy.runbooks.values import RunbookError
from cji_simulator.site import people
from tests.support.runbook_drill import KEY, Agency

pytestmark = pytest.mark.timeout(1800)


def printed(agency: Agency, *arguments: str) -> str:
    """The output of `cji`."""
    done = subprocess.run([*agency.cji(), *arguments], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout


def golden(agency: Agency) -> Path:
    """Evidence of a machine that booted the second image."""
    vm, out = agency.simulation.another_vm(), agency.folder / "golden.json"
    vm.reboot("2")
    issuers = str(agency.files.folder / "ak-issuers.pem")
    collect = ("evidence", "collect", "--out", str(out), "--ak-issuers", issuers, "--cloud", "simulation")
    subprocess.run([*agency.cji(vm), *collect], check=True, capture_output=True)
    return out


def policy_of(agency: Agency, name: str, evidence: Path, *also: Path) -> Path:
    """A release policy that names the boot application of this evidence, and what other policies accept."""
    file = agency.folder / f"{name}.json"
    of = ["--authority", agency.simulation.maa_url, "--config", str(agency.files.config), "--cloud", "simulation"]
    others = [word for each in also for word in ("--also", str(each))]
    file.write_text(printed(agency, "policy", "build", *of, "--pcrs-from", str(evidence), "--pcr", "4", *others))
    return file


def pin(agency: Agency, *evidence: Path) -> None:
    """What the operator publishes: the key's policy as it is, and the PCRs, for the worker and its submitter."""
    arguments = ["--pcr", "4", "--config", str(agency.files.config), "--cloud", "simulation", "--json"]
    allowed = json.loads(printed(agency, "evidence", "pcrs", *map(str, evidence), *arguments))["pcrs"]["4"]
    for file in (agency.files.config, agency.files.profile):
        text = re.sub(r"(?m)^pcrs = .*\n", "", file.read_text())
        text = re.sub(r"(?m)^products = ", f"pcrs = {{ 4 = {json.dumps(allowed)} }}\nproducts = ", text)
        digest = agency.simulation.cmk(KEY).policy_sha256
        file.write_text(re.sub(r'policy_sha256 = "[0-9a-f]+"', f'policy_sha256 = "{digest}"', text))


def code(agency: Agency) -> str:
    """The code that a receipt names."""
    return agency.pool.instances[0].site.run(people(3)).receipt.claims.code_sha384


def test_upgrade_and_rollback_of_measured_images(agency: Agency) -> None:
    agency.job(agency.folder / "first")
    first, second = agency.folder / "first" / "evidence.json", golden(agency)
    one, new = policy_of(agency, "one", first), policy_of(agency, "new", second)
    both = policy_of(agency, "both", second, one)
    old = code(agency)
    values = {"policy_of_both": str(one), "policy_of_new": str(new), "cloud": "simulation"}
    acts = {
        "reference-values": lambda: pin(agency, first, second),
        "accept-both-pinned": lambda: pin(agency, first, second),
        "drop-old-pinned": lambda: pin(agency, second),
    }
    # a policy that does not name the new image: the vault refuses it, and a rollback is possible
    with pytest.raises(RunbookError, match="roll: not so: the rolling upgrade has completed") as caught:
        agency.run("upgrade", values, acts=acts, chosen=frozenset({"measured"}))
    assert "Run `rollback`." in caught.value.remedy
    assert '"reason": "KEY_RELEASE_DENIED"' in agency.worker_log
    execution = agency.run("rollback")
    assert "rolling upgrade" in execution.measured
    assert code(agency) == old

    values["policy_of_both"] = str(both)
    execution = agency.run("upgrade", values, acts=acts, chosen=frozenset({"measured", "drop"}))
    assert execution.printed == ["verified"]
    assert agency.pool.instances[0].release.name == "2"
    assert code(agency) != old
    before = len(agency.worker_log)

    # the old image is dropped: its worker refuses itself by the reference values, before the vault would
    with pytest.raises(RunbookError, match="roll: not so: the rolling upgrade has completed"):
        agency.run("rollback")
    assert '"check": "E19", "reason": "ATTESTATION_REJECTED"' in agency.worker_log[before:]
