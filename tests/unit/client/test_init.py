"""`cji init` without a worker: its questions, and what it refuses. And a profile that names the operator's file."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cji_attestation.verbs.reference_values import reference_values
from cji_client.errors import SpecError
from cji_client.profile import load_profile
from cji_client.verbs.desk_network import network_findings
from cji_core.command import build

POOL = """\
target = "worker.example.gov:8443"
cloud = "azure-us"
maa_url = "https://m.attest.azure.net"
ca = "worker-ca.pem"

[job]
audience = "cji-pool"
kek_id = "https://v.vault.azure.net/keys/cji/0123456789abcdef0123456789abcdef"
kek_thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"

[reference]
products = ["Genoa"]
crl_max_age_days = 5
"""


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    (tmp_path / "given").mkdir()
    file = tmp_path / "given/pool.toml"
    file.write_text(POOL)
    return file


def init(folder: Path, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(build(), ["init", str(folder), "--no-check", *arguments], catch_exceptions=False)
    return done.exit_code, done.output


def test_five_questions_are_asked_in_a_terminal(pool: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "cji_core.command", "init", str(tmp_path / "desk"), "--no-check"]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        os.write(ours, f"{pool}\n\nwrong\nGA0600000\njdoe\ndeidentify\n".encode())
        out, asked = running.communicate(timeout=60)
    for each in (ours, theirs):
        os.close(each)
    assert running.returncode == 0, asked
    assert [f"{n} of 5." in asked.decode() for n in range(1, 6)] == [True] * 5
    assert "not an ORI" in asked.decode()
    assert b"client.csr" in out
    assert 'kind = "deidentify"' in (tmp_path / "desk/job.toml").read_text()
    assert load_profile(tmp_path / "desk/client.toml").job["requesting_ori"] == "GA0600000"


def test_without_a_terminal_nothing_is_asked(pool: Path, tmp_path: Path) -> None:
    status, text = init(tmp_path / "desk", "--pool", str(pool))
    assert status == 2
    assert "--ori is missing" in text
    assert not (tmp_path / "desk").exists()
    status, text = init(tmp_path / "desk")
    assert (status, text.splitlines()[1][:53]) == (2, "Give --pool. The file that the worker's operator gave")


def test_nothing_is_overwritten(pool: Path, tmp_path: Path) -> None:
    (tmp_path / "desk").mkdir()
    (tmp_path / "desk/job.toml").write_text("mine")
    (tmp_path / "desk/signing.key").write_text("mine too")
    status, text = init(tmp_path / "desk", "--pool", str(pool), "--ori", "GA0600000")
    assert status == 2
    assert "has job.toml, signing.key already" in text
    assert sorted(each.name for each in (tmp_path / "desk").iterdir()) == ["job.toml", "signing.key"]


def test_unusable_answers_leave_no_file(pool: Path, tmp_path: Path) -> None:
    pool.write_text(POOL.replace("kek_id", "kek_ids"))
    status, text = init(tmp_path / "desk", "--pool", str(pool), "--ori", "GA0600000")
    assert status == 2
    assert "kek_id" in text
    assert list((tmp_path / "desk").iterdir()) == []
    pool.write_text(POOL)
    (tmp_path / "given/worker-ca.pem").write_text("none")
    (no_certificate := tmp_path / "given/mine.pem").write_text("none")
    (tmp_path / "given/mine.key").write_text("none")
    (tmp_path / "given/mine.key").chmod(0o600)
    for wrong, says in (
        (("--certificate", str(no_certificate)), "no PEM certificate"),
        (("--operator", " "), "operator"),
    ):
        status, text = init(tmp_path / "desk", "--pool", str(pool), "--ori", "GA0600000", *wrong)
        assert (status, says in text) == (2, True)
        assert list((tmp_path / "desk").iterdir()) == []


def profile_over(pool: Path, tmp_path: Path, text: str) -> Path:
    file = tmp_path / "client.toml"
    file.write_text(f'pool = "given/{pool.name}"\ncertificate = "c.pem"\nprivate_key = "c.key"\n{text}')
    return file


def test_a_profile_comes_before_its_pool(pool: Path, tmp_path: Path) -> None:
    text = '[job]\naudience = "another"\n[reference]\nproducts = ["Turin"]\n'
    profile = load_profile(profile_over(pool, tmp_path, text))
    assert (profile.job["audience"], profile.reference.products) == ("another", ("Turin",))
    assert profile.job["kek_thumbprint"] == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    assert profile.reference.crl_max_age_days == 5
    assert (profile.ca, profile.certificate) == (str(tmp_path / "given/worker-ca.pem"), str(tmp_path / "c.pem"))


@pytest.mark.parametrize(("file", "section"), [("signing_key", "signer"), ("recipient_key", "decrypter")])
def test_a_key_of_either_kind_comes_before_the_pool(file: str, section: str, pool: Path, tmp_path: Path) -> None:
    device = f'[{section}]\nvault = "https://v.vault.azure.net/keys/k/0123456789abcdef0123456789abcdef"\n'
    on_disk = f'{file} = "x.key"\n'
    for own, theirs, absent in ((device, on_disk + POOL, file), (on_disk, POOL + device, section)):
        pool.write_text(theirs)
        profile = load_profile(profile_over(pool, tmp_path, own))
        assert not getattr(profile, absent)
        assert getattr(profile, section if absent == file else file)
    pool.write_text(POOL)
    with pytest.raises(SpecError, match="exclude each other"):
        load_profile(profile_over(pool, tmp_path, on_disk + device))


def test_reference_values_come_from_the_pool_too(pool: Path, tmp_path: Path) -> None:
    """Verbs that verify read them from the profile by themselves."""
    assert reference_values(profile_over(pool, tmp_path, ""), None).crl_max_age_days == 5
    own = reference_values(profile_over(pool, tmp_path, "[reference]\ncrl_max_age_days = 7\n"), None)
    assert (own.crl_max_age_days, own.products) == (7, ("Genoa",))


@pytest.mark.parametrize(("value", "found"), [("1", "name of a file"), ('"absent.toml"', "cannot be read")])
def test_a_pool_that_cannot_be_read_is_refused(value: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "client.toml").write_text(f"pool = {value}\n")
    with pytest.raises(SpecError, match=found):
        load_profile(tmp_path / "client.toml")


def test_a_pool_names_no_further_one(pool: Path, tmp_path: Path) -> None:
    pool.write_text(f'pool = "x.toml"\n{POOL}')
    with pytest.raises(SpecError, match="unknown field `pool`"):
        load_profile(profile_over(pool, tmp_path, ""))


def test_a_port_that_is_none_is_a_finding(pool: Path, tmp_path: Path) -> None:
    """`cji doctor --client` reports an address of the profile that no socket takes."""
    text = POOL.replace("m.attest.azure.net", "127.0.0.1:99999")
    pool.write_text(text.replace("worker.example.gov:8443", "127.0.0.1:1"))
    found = {each.name: each.state for each in network_findings(load_profile(profile_over(pool, tmp_path, "")), None)}
    assert (found["attestation provider"], found["worker"], found["evidence"]) == ("failed", "failed", "not run")
