"""Runbooks end to end: the real program, `az` and `cji` of the simulation, a real worker. One pool for all of them."""

import subprocess
import threading

import pytest

from cji_core.trail import KeyDropped
from cji_core.trail.chain import read
from cji_core.trail.trail import lines
from cji_deploy.runbooks.values import RunbookError
from cji_simulator import Kind, Service
from tests.support.runbook_drill import KEY, LIFETIME, Agency

pytestmark = pytest.mark.timeout(900)


def test_maa_outage_is_waited_for_while_the_worker_serves(agency: Agency) -> None:
    def outage() -> None:  # it begins now, and ends after two seconds
        agency.simulation.fault(Service.MAA, Kind.STATUS, status=503, path="/certs")
        threading.Timer(2, agency.simulation.clear_faults).start()

    policy = {"policy_in_force": str(agency.folder / "policy.json")}
    execution = agency.run("maa-outage", policy, acts={"still-serving": lambda: None, "wait": outage})
    assert execution.measured["outage since this step began"] > 0, agency.said


def test_certificates_are_renewed(agency: Agency) -> None:
    file = agency.files.folder / "server.pem"
    before = file.read_bytes()
    agency.run("renew-certificates")
    assert file.read_bytes() != before
    assert any("the certificate is valid long enough" in each for each in agency.said)
    with pytest.raises(RunbookError, match="step 5, confirm"):
        agency.run("renew-certificates", {"days": "9000"})


def test_rotation_leaves_only_the_new_version(agency: Agency) -> None:
    old, profile = agency.pool.cmk, agency.files.profile
    new_profile = profile.with_name("new.toml")

    def submitters() -> None:
        new = agency.simulation.cmk(KEY)
        changed = profile.read_text().replace(old.kek_id, new.kek_id)
        new_profile.write_text(changed.replace(old.public_thumbprint, new.public_thumbprint))

    values = {
        "kek_id": old.kek_id,
        "new_profile": str(new_profile),
        "new_spec": str(agency.folder / "canary.toml"),
        "key_backup": str(agency.folder / "key.backup"),
    }
    agency.run("rotate-cmk", values, acts={"submitters": submitters})
    new = agency.simulation.cmk(KEY)
    assert new.kek_id != old.kek_id
    assert (agency.folder / "key.backup").stat().st_size
    key = agency.simulation.vault("GET", old.kek_id.removeprefix(agency.simulation.vault_url))
    assert key["attributes"]["enabled"] is False
    new_profile.replace(profile)
    agency.pool.seal_to(new)


def search_the_trail(agency: Agency) -> None:
    """What the runbook has a person do at the end."""
    search = ("audit", "search", str(agency.files.audit), "--kind", "key_dropped")
    found = subprocess.run([*agency.cji(), *search], check=True, capture_output=True, text=True)
    assert "key_dropped" in found.stdout


def test_revoke_measures_the_last_decryption(agency: Agency) -> None:
    acts = {"trail": lambda: search_the_trail(agency)}
    execution = agency.run("revoke", acts=acts)
    assert 0 <= execution.measured["last decryption"] <= LIFETIME + 30
    assert any("last decryption:" in each and "after `disable` began" in each for each in agency.said)
    drops = [
        event
        for line in lines(agency.files.audit)
        if isinstance(event := read(line).event, KeyDropped) and event.kek_id == agency.pool.cmk.kek_id
    ]
    assert drops, agency.said
    assert drops[-1].cause == "revoked"
    agency.run("revoke", acts=acts)  # again: everything is so already
    agency.run("revoke", acts=acts, chosen=frozenset({"stop"}))
    assert agency.pool.instances[0].worker is None


def test_a_step_that_fails_ends_the_run_with_its_remedy(agency: Agency) -> None:
    with pytest.raises(RunbookError) as caught:
        agency.run("rollback", {"subscription": "another"})
    assert "step 1, signed-in" in caught.value.args[0]
    assert "az login" in caught.value.remedy
