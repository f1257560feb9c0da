"""`cji init` and `cji doctor --client` at a submitter's desk, against the live worker."""

import json
import os
import shutil
import stat
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cji_client.profile import load_profile
from cji_client.samples import SAMPLES
from cji_core.command import build
from cji_simulator.ports import free_port
from cji_simulator.site import Site


def cji(site: Site, *arguments: object) -> Result:
    words = [str(each) for each in arguments]
    return CliRunner().invoke(build(site.simulation.trust), words, catch_exceptions=False)


def pool_without_keys(site: Site, folder: Path, *left_out: str) -> Path:
    """What an operator hands out: the simulation's profile without the lines that begin with these words."""
    shutil.copytree(site.files.profile.parent, folder)
    file = folder / "client.toml"
    kept = [line for line in file.read_text().splitlines() if line.partition(" = ")[0] not in left_out]
    file.write_text("\n".join(kept) + "\n")
    return file


@pytest.mark.parametrize("operation", SAMPLES)
def test_a_sample_of_each_operation_runs(operation: str, site: Site, tmp_path: Path) -> None:
    desk = tmp_path / "desk"
    done = cji(site, "init", desk, "--pool", site.files.profile, "--operation", operation, "--json")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert (answer["attested"], answer["ran"]) == (True, True)
    assert {Path(each["file"]).name for each in answer["files"]} == {"client.toml", "job.toml", "sample.csv"}
    assert (desk / "result" / "result.csv").exists()
    assert (desk / "result" / "receipt.jws").exists()


def test_new_keys_are_private_and_wait_for_the_operator(site: Site, tmp_path: Path) -> None:
    pool = pool_without_keys(site, tmp_path / "given", "signing_key", "recipient_key", "recipients")
    done = cji(site, "init", tmp_path / "desk", "--pool", pool, "--operator", "jdoe")
    assert done.exit_code == 0, done.output
    assert "attested: simulated" in done.output
    assert not (tmp_path / "desk/result").exists()
    for name in ("signing.key", "recipient.key"):
        assert stat.S_IMODE((tmp_path / "desk" / name).stat().st_mode) == 0o600
    assert "signing.key.pub" in done.output.partition("Give the operator")[2]
    assert "Next: cji job run" in done.output
    profile = load_profile(tmp_path / "desk/client.toml")
    assert profile.signing_key == str(tmp_path / "desk/signing.key")
    assert profile.job["operator_id"] == "jdoe"
    assert profile.job["recipients"] == [str(tmp_path / "desk/recipient.key.jwk")]
    assert profile.ca == str(tmp_path / "given/ca.pem")


def test_without_a_certificate_a_request_is_made(site: Site, tmp_path: Path) -> None:
    pool = pool_without_keys(site, tmp_path / "given", "certificate", "private_key")
    done = cji(site, "init", tmp_path / "desk", "--pool", pool)
    assert done.exit_code == 0, done.output
    assert "BEGIN CERTIFICATE REQUEST" in (tmp_path / "desk/client.csr").read_text()
    assert "attested" not in done.output
    assert load_profile(tmp_path / "desk/client.toml").certificate == str(tmp_path / "desk/client.pem")


def findings(site: Site, profile: Path) -> tuple[int, Mapping[str, Mapping[str, Any]]]:
    done = cji(site, "doctor", "--client", "--profile", profile, "--json")
    return done.exit_code, {each["name"]: each for each in json.loads(done.stdout)}


def test_doctor_finds_a_desk_fit(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("grpc_proxy", "https_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    status, found = findings(site, site.files.profile)
    assert status == 0, found
    states = {name: each["state"] for name, each in found.items()}
    fit = ("Python", "versions", "OpenSSL", "profile", "proxy", "worker", "clock of others", "evidence", "signing_key")
    assert [states[name] for name in fit] == ["ok"] * len(fit)
    assert all(each["remedy"] for each in found.values() if each["state"] != "ok")


def test_doctor_names_each_fault_of_a_desk(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = tmp_path / "desk"
    shutil.copytree(site.files.profile.parent, desk)
    profile = desk / "client.toml"
    text = profile.read_text()
    os.chmod(desk / "signing.key", 0o644)
    monkeypatch.setenv("https_proxy", "http://somebody:secret@proxy.invalid:3128")
    status, found = findings(site, profile)
    assert status == 1
    assert found["signing_key"]["state"] == "failed"
    assert "chmod 600" in found["signing_key"]["remedy"]
    assert found["proxy"]["state"] == "warning"
    assert "proxy.invalid" in found["proxy"]["found"]
    assert "secret" not in json.dumps(found)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    profile.write_text(text.replace(site.files.target, f"127.0.0.1:{free_port()}"))
    assert "port" in findings(site, profile)[1]["worker"]["remedy"]
    monkeypatch.delenv("https_proxy")
    profile.write_text(text.replace(site.files.target, "worker.invalid:8443"))
    assert "no address" in findings(site, profile)[1]["worker"]["found"]


def test_doctor_warns_before_a_certificate_ends(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cji_client.expiry.WARNING", timedelta(days=4000))
    _, found = findings(site, site.files.profile)
    assert (found["certificate"]["state"], found["roots"]["state"]) == ("warning", "warning")
    assert "renewed" in found["certificate"]["remedy"]
