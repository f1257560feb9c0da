"""Runbooks end to end: the real program, `az` and `cji` of the simulation, a real worker. One pool for all of them."""

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from cji_simulator import Kind, Service, Simulation
from cji_simulator.azcli import SUBSCRIPTION
from cji_simulator.pool import Pool
from cji_simulator.pool_service import PoolService
from cji_simulator.releases import Release, next_release

from deploy.runbooks.books import BOOKS
from deploy.runbooks.run import Execution
from deploy.runbooks.values import RunbookError, Site
from worker.audit import KeyDropped
from worker.audit.chain import read
from worker.audit.trail import lines

pytestmark = pytest.mark.timeout(900)
LIFETIME = 60
IMAGES = ("/gallery/images/cji/versions/1.0.0", "/gallery/images/cji/versions/2.0.0")


@dataclass(frozen=True, kw_only=True)
class Agency:
    """A pool of one worker and its operator."""

    folder: Path
    simulation: Simulation
    pool: Pool
    service: PoolService
    images: Mapping[str, Release]

    def site(self, **values: str) -> Site:
        """The site's file, with other values where given."""
        state = str(self.simulation.state)
        az = (sys.executable, "-m", "cji_simulator.azcli", state)
        cji = (str(Path(sys.executable).with_name("cji-simulator")), "cji", "--state", state)
        client = self.pool.instances[0].files.folder / "client"
        known = {
            "subscription": SUBSCRIPTION,
            "group": "cji",
            "scale_set": "cji-workers",
            "vault": "cji-kv",
            "key": "cji-runbooks",
            "profile": str(client / "client.toml"),
            "canary": str(self.folder / "canary.csv"),
            "canary_spec": str(self.folder / "canary.toml"),
            "export": str(self.folder / "export.json"),
            "wait_s": "200",
            "authority": self.simulation.maa_url,
            "policy_in_force": str(self.folder / "policy.json"),
            "target": self.pool.instances[0].files.target,
            "ca": str(client / "ca.pem"),
            "days": "1",
            "image": IMAGES[1],
            "previous_image": IMAGES[0],
            "job_hours": "1",
            **values,
        }
        python = ("env", f"SSL_CERT_FILE={self.folder / 'roots.pem'}", sys.executable)
        tools = {"az": az, "cji": cji, "python": python}
        persons = {"add-key": (*az, "operator", "add-key"), "renew": (*az, "operator", "renew")}
        return Site(known, tools=tools, persons=persons)

    def run(
        self, name: str, *, person: Callable[[str], bool] = lambda _: True, **values: str
    ) -> tuple[Execution, list[str]]:
        """Execute a runbook; `person` acts and confirms."""
        said: list[str] = []
        execution = Execution(
            BOOKS[name],
            self.site(**values),
            confirm=person,
            say=said.append,
            every=0.5,
        )
        execution.run()
        return execution, said


@pytest.fixture(scope="module")
def agency(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agency]:
    folder = tmp_path_factory.mktemp("rb")
    (folder / "canary.csv").write_text("last,first\nDOE,JANE\n")
    (folder / "canary.toml").write_text(
        '[input]\nschema = "person/1"\n\n[[operations]]\nkind = "deidentify"\n\n'
        '[operations.columns]\nlast = "keep"\nfirst = "drop"\n'
    )
    with ExitStack() as stack:
        simulation = stack.enter_context(Simulation(folder / "azure"))
        (simulation.state / "trust.json").write_bytes(msgspec.json.encode(simulation.trust))
        (folder / "roots.pem").write_text(simulation.endpoints.tls_roots)
        cmk = simulation.create_cmk("cji-runbooks")
        pool = stack.enter_context(Pool(folder=folder, simulation=simulation, cmk=cmk, key_lifetime_s=LIFETIME, size=1))
        pool.scale(1)
        images = {IMAGES[0]: Release(name="1"), IMAGES[1]: next_release(folder / "two", "2")}
        service = stack.enter_context(PoolService(pool, state=simulation.state, images=images, image=IMAGES[0]))
        yield Agency(folder=folder, simulation=simulation, pool=pool, service=service, images=images)


def test_maa_outage_is_waited_for_while_the_worker_serves(agency: Agency) -> None:
    def person(text: str) -> bool:
        if text.startswith("Look at Azure Service Health"):  # the outage begins, and ends after two seconds
            agency.simulation.fault(Service.MAA, Kind.STATUS, status=503, path="/certs")
            threading.Timer(2, agency.simulation.clear_faults).start()
        return True

    execution, said = agency.run("maa-outage", person=person)
    assert execution.measured["outage since this step began"] > 0, said


def test_rollback_after_an_upgrade_that_was_only_begun(agency: Agency) -> None:
    worker = agency.pool.instances[0]
    agency.service.answer("PUT", "/model", {"image": IMAGES[1]})
    agency.pool.instances[0].release = agency.images[IMAGES[1]]
    execution, _ = agency.run("rollback")
    assert worker.release.name == "1"
    assert "rolling upgrade" in execution.measured


def test_certificates_are_renewed(agency: Agency) -> None:
    file = agency.pool.instances[0].files.folder / "server.pem"
    before = file.read_bytes()
    _, said = agency.run("renew-certificates")
    assert file.read_bytes() != before
    assert any("the certificate is valid long enough" in each for each in said)
    with pytest.raises(RunbookError, match="step 5, confirm"):
        agency.run("renew-certificates", days="9000")


def test_rotation_leaves_only_the_new_version(agency: Agency) -> None:
    old, profile = agency.pool.cmk, agency.pool.instances[0].files.profile
    new_profile = profile.with_name("new.toml")

    def person(text: str) -> bool:
        if text.startswith("Publish"):  # what submitters do when they hear of the new version
            new = agency.simulation.cmk("cji-runbooks")
            changed = profile.read_text().replace(old.kek_id, new.kek_id)
            new_profile.write_text(changed.replace(old.public_thumbprint, new.public_thumbprint))
        return True

    values = {"kek_id": old.kek_id, "new_profile": str(new_profile), "new_spec": str(agency.folder / "canary.toml")}
    agency.run("rotate-cmk", person=person, **values)
    new = agency.simulation.cmk("cji-runbooks")
    assert new.kek_id != old.kek_id
    key = agency.simulation.vault("GET", old.kek_id.removeprefix(agency.simulation.vault_url))
    assert key["attributes"]["enabled"] is False
    new_profile.replace(profile)
    agency.pool.seal_to(new)


def test_revoke_measures_the_last_decryption(agency: Agency) -> None:
    execution, said = agency.run("revoke")
    assert 0 <= execution.measured["last decryption"] <= LIFETIME + 30
    drops = [
        event
        for line in lines(agency.pool.instances[0].files.audit)
        if isinstance(event := read(line).event, KeyDropped) and event.kek_id == agency.pool.cmk.kek_id
    ]
    assert drops, said
    assert drops[-1].cause == "revoked"
    agency.run("revoke")  # again: everything is so already


def test_a_step_that_fails_ends_the_run_with_its_remedy(agency: Agency) -> None:
    with pytest.raises(RunbookError) as caught:
        agency.run("rollback", subscription="another")
    assert "step 1, signed-in" in caught.value.args[0]
    assert "az login" in caught.value.remedy
