"""An incident, and the end of a deployment: what leaves the worker has no record, and what is kept can be proven."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cji_client.seal import INPUT_NAME
from cji_deploy.runbooks.values import RunbookError
from cji_simulator import SimulationError
from cji_simulator.canary import Planted, key_patterns
from cji_simulator.scan import Canaries, scan_file
from tests.support.deployed import as_file, good
from tests.support.runbook_drill import KEY, Agency

pytestmark = pytest.mark.timeout(900)
OWNER = "SMITH-JOHN-123-45-6789"


@pytest.fixture(scope="module")
def canaries(agency: Agency) -> Canaries:
    """A job of planted records that the worker ran, before its key was revoked."""
    site, planted = agency.pool.instances[0].site, Planted.new(200)
    job = planted.seal(site)
    segments = list(job.seal_part(0, planted.table))
    with site.client() as client:
        client.run(job, {INPUT_NAME: planted.table}, attested=client.attest(), deadline=60)
    return Canaries(planted.patterns() | key_patterns(planted, job, segments[0]) | planted.person_patterns())


def test_the_search_finds_what_it_is_for(canaries: Canaries, tmp_path: Path) -> None:
    names = [label for label in canaries.patterns if label.endswith("utf-8") or "key" in label]
    (tmp_path / "leak").write_bytes(b" ".join(canaries.patterns[label] for label in names))
    assert set(names) <= scan_file(tmp_path / "leak", canaries)


def secured(agency: Agency, name: str) -> dict[str, str]:
    """Values of an incident whose files are in a folder of their own; the export names a person."""
    folder = agency.folder / name
    folder.mkdir()
    export = folder / "export.json"
    export.write_bytes(as_file({**good(), "group": OWNER}))
    return {
        "since": "2020-01-01T00:00:00Z",
        "until": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "case": name,
        "evidence": str(agency.folder / "result" / "evidence.json"),
        "export": str(export),
        "bundle": str(folder / "support.json"),
    }


def test_a_lost_device_loses_its_keys(agency: Agency) -> None:
    values = {"graph": "https://graph.microsoft.com", "device": "d", "serial": "s", "user": "u", "case": "case-16"}
    replaced: list[str] = []
    done = agency.run("lost-device", values, acts={"keys": lambda: replaced.append("keys")})
    assert replaced == ["keys"]
    assert set(done.printed) == {"device", "sessions", "wipe"}
    assert "retire" in agency.run("lost-device", values, acts={"keys": list}, chosen=frozenset({"personal"})).printed


def test_incident_secures_facts_without_records(agency: Agency, canaries: Canaries) -> None:
    agency.job(agency.folder / "result")
    site, values = agency.pool.instances[0].site, secured(agency, "case-17")

    def contain() -> None:
        agency.simulation.enable_cmk(agency.pool.cmk, enabled=False)
        site.renew()
        agency.until_covered()

    with pytest.raises(RunbookError, match="bundle: ") as caught:
        agency.run("incident", {**values, "bundle": "/dev/null/support.json"}, acts={"contain": contain})
    assert "Make the support bundle" not in caught.value.remedy
    assert "names the input" in caught.value.remedy
    execution = agency.run("incident", values, acts={"contain": lambda: None}, chosen=frozenset({"lock"}))
    assert execution.printed == ["lock", "activity", "export", "report"]

    bundle = json.loads(Path(values["bundle"]).read_text())
    kinds = {each["kind"] for each in bundle["trails"][0]["events"]}
    assert {"job_admitted", "key_dropped"} <= kinds
    written = [path for path in (agency.folder / "case-17").rglob("*") if path.is_file()]
    found = {path.name: scan_file(path, canaries) for path in written}
    requestor = {label for label in canaries.patterns if label.startswith("requestor")}
    assert any(found.values()), "the trail's lines name the requestor: the search finds what it is for"
    assert not {name for name, labels in found.items() if labels - requestor}
    assert found["support.json"] == set()
    named = (OWNER, agency.simulation.vault_url, "cji-kv", "fulton-pd", "worker-1")
    assert not [name for name in named if name in Path(values["bundle"]).read_text()]
    agency.run("incident", values, acts={"contain": lambda: None})
    assert "   already so: an earlier run has made the bundle" in agency.said


def test_a_broken_trail_is_a_finding_and_stops_its_export_alone(agency: Agency) -> None:
    values = secured(agency, "case-18")
    broken = agency.folder / "broken.log"
    lines = agency.files.audit.read_bytes().splitlines(keepends=True)
    broken.write_bytes(b"".join(lines[:3] + lines[4:]))
    with pytest.raises(RunbookError, match="lines") as caught:
        agency.run("incident", {**values, "trail": str(broken)}, acts={"contain": lambda: None})
    assert "cannot be exported: keep all its files" in caught.value.remedy
    assert any("a finding: status 3" in each for each in agency.said)
    assert json.loads(Path(values["bundle"]).read_text())["trails"][0]["lines"] == 3


def test_decommission_keeps_what_must_be_provable(agency: Agency) -> None:
    kept = agency.folder / "kept"
    values = {
        "kept": str(kept),
        "receipt": str(agency.folder / "result" / "receipt.jws"),
        "evidence": str(agency.folder / "result" / "evidence.json"),
        "release_principal": "p",
        "key_scope": "/k",
    }
    agency.simulation.enable_cmk(agency.pool.cmk, enabled=True)
    with pytest.raises(RunbookError, match="step 2, revoked: not so: every version is disabled") as caught:
        agency.run("decommission", values)
    assert caught.value.remedy == "Run `revoke` first."
    agency.simulation.enable_cmk(agency.pool.cmk, enabled=False)

    chosen = frozenset({"delete-key"})
    kept.write_text("in the way")
    with pytest.raises(RunbookError, match="keep-trail"):
        agency.run("decommission", values, chosen=chosen)
    assert agency.pool.instances, "nothing is deleted before the export verifies"
    kept.unlink()
    execution = agency.run("decommission", values, chosen=chosen)
    assert execution.printed == ["release-role", "record"]
    assert not agency.pool.instances
    with pytest.raises(SimulationError, match="404"):
        agency.simulation.cmk(KEY)
    assert any("the canary job is not opened" in each for each in agency.said)

    agency.run("decommission", values, chosen=chosen)
    assert [each for each in agency.said if "already so" in each] == [
        "   already so: the key is deleted",
        "   already so: the group has no scale set",
        "   already so: the group has no scale set",
        "   already so: the export verifies",
        "   already so: the group has no scale set",
        "   already so: the key is deleted",
    ]
