"""`cji status` and `cji reload` as an operator types them: what is printed, and the exit status."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cji_core.command import build
from cji_core.operations.registry import OPERATIONS
from cji_core.trail import DocumentRecorded, Head
from cji_core.trail.chain import read
from cji_simulator.raw import settled, until
from cji_simulator.site import Site, people
from cji_worker.host import CATALOGUE
from cji_worker.ipc.status import ask
from cji_worker.verbs.control import RecordedDocument, Reloaded, Renewing
from tests.support.console_tools import get, over_unix, running
from tests.support.json_answers import answered, refusal


def cji(site: Site, *arguments: object) -> Result:
    return CliRunner().invoke(build(site.simulation.trust), [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture
def policy(site: Site) -> Iterator[Path]:
    """The policy file, as it was at the end."""
    text = site.files.policy.read_text()
    yield site.files.policy
    site.files.policy.write_text(text)
    assert cji(site, "reload", "--config", site.files.config).exit_code == 0


def document(site: Site) -> dict[str, object]:
    result = cji(site, "status", "--config", site.files.config, "--json")
    found: dict[str, object] = json.loads(result.stdout)
    assert result.exit_code == (0 if found["state"] == "serving" else 1)
    return found


def test_status_has_every_part_of_the_worker(site: Site) -> None:
    settled(site)
    rest = {"warm": 2, "busy": 0, "configured": 2}
    ready = (rest, "serving", None)  # the front's report may arrive before the keyholder's
    found = until(lambda: seen if ((seen := document(site))["cells"], seen["state"], seen["reason"]) == ready else None)
    assert found["worker"] == "worker-1"
    host, keys, processes = found["host"], found["keys"], found["processes"]
    assert isinstance(host, list)
    assert isinstance(keys, list)
    assert isinstance(processes, list)
    assert [each["condition"] for each in host] == list(CATALOGUE)
    assert not any(each["withdraws_readiness"] for each in host)
    assert [key["kek_id"] for key in keys] == [site.cmk.kek_id]
    pids = {each["name"]: each["pid"] for each in processes}
    assert pids == {name: pid for name, pid in site.worker.pids.items() if name != "supervisor"}
    assert all(0 <= each["beat_age_s"] < 2 for each in processes)


def test_status_shows_the_head_of_the_trail(site: Site) -> None:
    def same() -> bool:
        line = read(site.files.audit.read_bytes().splitlines(keepends=True)[-1])
        audit = document(site)["audit"]
        assert isinstance(audit, dict)
        return Head(seq=audit["line"], hash=audit["hash"]) == Head(seq=line.seq, hash=line.hash)

    until(same)


def test_status_names_no_submitter(site: Site) -> None:
    text = json.dumps(document(site))
    assert "fulton" not in text
    assert "spiffe" not in text


def test_a_table_is_for_reading(site: Site) -> None:
    lines = cji(site, "status", "--config", site.files.config).stdout.splitlines()
    assert lines[0].split() == ["state", "serving"]
    names = {line.split()[0] for line in lines}
    assert names == {
        "state",
        "worker",
        "host",
        "key",
        "until",
        "cells",
        "jobs",
        "process",
        "audit",
        "clients",
        "reload",
    }


def test_a_reload_is_done_or_explained(site: Site, policy: Path) -> None:
    done = cji(site, "reload", "--config", site.files.config)
    assert (done.exit_code, done.stdout) == (0, "reloaded: policy, authorities and revocation lists are in force\n")
    assert answered(cji(site, "reload", "--config", site.files.config, "--json"), Reloaded).reloaded
    policy.write_text(policy.read_text().replace("version = 2", "version = 3"))
    refused = cji(site, "reload", "--config", site.files.config)
    assert refused.exit_code == 1
    assert "nothing was reloaded. policy_file: " in refused.stderr
    assert "docs/policy.md" in refused.stderr
    told = refusal(cji(site, "reload", "--config", site.files.config, "--json"))
    assert (told.reason, told.remedy in refused.stderr) == ("REFUSED", True)


def test_a_document_s_digest_goes_into_the_trail(site: Site) -> None:
    at = ("--config", site.files.config)
    digests = {"review": "0a" * 48, "packet": "0b" * 48}
    for document, digest in digests.items():
        line = answered(cji(site, "record", document, digest, *at, "--json"), RecordedDocument).line
        found = read(site.files.audit.read_bytes().splitlines(keepends=True)[line - 1])
        assert found.seq == line
        assert found.event == DocumentRecorded(document=document, sha384=digest, uid=os.geteuid())  # type: ignore[arg-type]
    before = site.files.audit.read_bytes().count(b"document_recorded")
    for wrong in ("0A" * 48, "0a" * 47, "0a" * 48 + "\n"):
        refused = cji(site, "record", "review", wrong, *at)
        assert (refused.exit_code, "not a SHA-384" in refused.stderr) == (2, True)
    for words in (b"review " + b"zz" * 48, b"job " + b"0a" * 48, b"packet " + b"0a" * 47, b"review"):
        asked = ask(str(site.files.config.parent / "control.sock"), f"record {words.decode()}", timeout=10)
        assert asked == b"null\n"
    shared = ask(str(site.files.config.parent / "status.sock"), "record review " + "0a" * 48, timeout=10)
    assert shared == b""
    assert site.files.audit.read_bytes().count(b"document_recorded") == before


def test_no_worker_and_no_socket_are_told_apart(site: Site, tmp_path: Path) -> None:
    text, away = site.files.config.read_text(), tmp_path / "worker.toml"
    for signed in ("advisories.jws", "acceptance.jws"):
        shutil.copy(site.files.folder / signed, tmp_path)
    for verb in ("status", "reload"):
        away.write_text(text)
        absent = cji(site, verb, "--config", away)
        assert (absent.exit_code, "no worker answers" in absent.stderr) == (4, True)
        away.write_text(text.replace('control_socket = "control.sock"', ""))
        without = cji(site, verb, "--config", away)
        assert (without.exit_code, "no control_socket" in without.stderr) == (2, True)


def jobs_in(metrics: str) -> float:
    """Completed jobs of every operation."""
    found = re.findall(r'(?m)^cji_jobs_total\{operation="[a-z_]+",outcome="completed"\} ([0-9.]+)$', metrics)
    assert len(found) == len(OPERATIONS) + 1
    return sum(map(float, found))


def test_a_console_shows_the_worker(site: Site) -> None:
    settled(site)
    status = site.files.config.parent / "status.sock"
    assert status.stat().st_mode & 0o777 == 0o660
    with running(status) as url:
        until(lambda: "Jobs are admitted" in get(url))
        text = get(f"{url}metrics")
        subjects = {"key", "evidence", "token", "authorities", "advisories", "acceptance"}
        assert {each for each in subjects if f'cji_expiry_seconds{{subject="{each}"}}' not in text} == set()
        before = jobs_in(text)
        for _ in range(2):
            site.run(people(3))
        until(lambda: jobs_in(get(f"{url}metrics")) == before + 2)
        page = get(url)
    assert "Attestation token" in page
    for secret in ("fulton", "spiffe"):
        assert secret not in page
        assert secret not in text


def test_the_status_socket_reloads_nothing(site: Site) -> None:
    before = json.loads(over_unix(site.files.config.parent / "status.sock", b"status\n"))["reload"]
    assert over_unix(site.files.config.parent / "status.sock", b"reload\n") == b""
    assert json.loads(over_unix(site.files.config.parent / "status.sock", b"status\n"))["reload"] == before


async def test_renew_has_keys_released_again_at_once(site: Site) -> None:
    """As an operator asks, and as a tester does: `Site.renew` waits for the outcome."""
    assert answered(cji(site, "renew", "--config", site.files.config, "--json"), Renewing).renewing
    assert [each["event"] for each in site.renew()][-1] == "released"
    async with site.async_client() as client:
        assert (await client.describe()).worker_id == "worker-1"
