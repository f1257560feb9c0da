"""Keys that outlive people: last days, escrow in every job, and the rehearsed recovery (docs/how-to/keys.md)."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from cji_client.connection import connect
from cji_client.errors import SpecError, Unverified
from cji_client.expiry import WARNING, described, ends_of_certificates, is_due, notices, today
from cji_client.new_keys import make_recipient_key, make_signing_key
from cji_client.profile import load_profile
from cji_client.rehearsal import rehearse
from cji_client.seal import seal
from cji_client.signers import KeyDecrypter
from cji_client.spec import JobSpec, load_spec
from cji_core.command import build
from cji_core.documents import convert
from cji_core.format.keys import (
    PinnedKey,
    last_day_of,
    load_recipient_key,
    load_signing_key,
    new_recipient_key,
    new_signing_key,
)
from cji_core.jose import key_id, public_jwk
from cji_core.suites import Suite
from tests.support.paths import ROOT
from tests.support.rsa_keys import rsa_key
from tests.support.sdk_server import Certificates
from tests.support.walk import commands
from tests.unit.client.test_init import POOL

PUBLIC = rsa_key(bits=3072).public_key()
JOB = {
    "audience": "a",
    "originating_ori": "GA0600000",
    "requesting_ori": "GA0600000",
    "operator_id": "o",
    "requestor": "r",
    "reason": "test",
    "purpose_code": "C",
    "kek_id": "https://v.vault.azure.net/keys/cji/0123456789abcdef0123456789abcdef",
    "kek_thumbprint": key_id(PUBLIC),
    "input": {"schema": "person/1"},
    "operations": [{"kind": "link"}],
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile with its keys, all made now."""
    folder = tmp_path_factory.mktemp("desk")
    for name in ("recipient.key", "escrow.key"):
        make_recipient_key(folder / name, hybrid=False)
    tls = Certificates.make().client
    for name, data in (("client.pem", tls.cert_pem), ("client.key", tls.key_pem), ("worker-ca.pem", tls.ca_pem)):
        (folder / name).write_bytes(data)
        (folder / name).chmod(0o600)
    head = 'certificate = "client.pem"\nprivate_key = "client.key"\nrecipient_key = "recipient.key"\n'
    job = '[job]\nrecipients = ["recipient.key.jwk"]\nescrow = ["escrow.key.jwk"]\n'
    (folder / "client.toml").write_text(head + POOL.replace("[job]\n", job))
    return folder


def jwk(file: Path) -> str:
    return file.read_text().strip()


def test_the_page_runs_as_it_stands(desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("client.toml", "client.pem", "recipient.key.jwk"):
        (tmp_path / name).write_bytes((desk / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    for command in commands(ROOT / "docs/how-to/keys.md"):
        done = CliRunner().invoke(build(), command.words[1:], catch_exceptions=False)
        assert done.exit_code == command.status, (command.text, done.output)
    record = json.loads((tmp_path / "rehearsal.json").read_text())
    assert record["opened"] is True
    assert len(record["recipients"]) == 2
    assert record["date"].startswith(str(today()))


def test_escrow_is_in_every_job(desk: Path, tmp_path: Path) -> None:
    """A spec adds to it, and takes nothing out."""
    profile = load_profile(desk / "client.toml")
    extra = public_jwk(new_recipient_key().public_key())
    spec = tmp_path / "job.toml"
    defaults: Mapping[str, object] = {**JOB, **profile.job}
    for text, more in (("", []), ("escrow = []\n", []), (f"escrow = ['{extra}']\n", [extra])):
        spec.write_text(text)
        found = load_spec(spec, defaults=defaults)
        assert list(found.recipients) == [jwk(desk / "recipient.key.jwk"), jwk(desk / "escrow.key.jwk"), *more]


def test_no_form_of_a_spec_takes_the_escrow_out(desk: Path) -> None:
    """A spec as a dict, and one that was read without the profile: `connect` and `seal` take both."""
    extra = public_jwk(new_recipient_key().public_key())
    alone = {"recipients": [jwk(desk / "recipient.key.jwk")]}
    with connect(load_profile(desk / "client.toml")) as worker:
        for given in ([], [extra]):
            read = convert({**JOB, **alone, "escrow": given}, JobSpec)
            for spec in ({**JOB, "escrow": given}, {**JOB, **alone, "escrow": tuple(given)}, read):
                wanted = {*alone["recipients"], jwk(desk / "escrow.key.jwk"), *given}
                assert set(worker.spec(spec).recipients) == wanted
            kek = PinnedKey(kek_id=read.kek_id, thumbprint=read.kek_thumbprint, public=PUBLIC)
            header = seal(read, kek=kek, signing_key=new_signing_key(), now=datetime.now(UTC)).header
            assert [each.jwk for each in header.recipients] == [*alone["recipients"], *given]


def test_an_escrow_that_is_no_list_is_refused(desk: Path, tmp_path: Path) -> None:
    """A spec with one of its own does not hide it."""
    (tmp_path / "job.toml").write_text("escrow = []\n")
    with pytest.raises(SpecError, match="escrow"):
        load_spec(tmp_path / "job.toml", defaults={**JOB, "recipients": ["{}"], "escrow": "escrow.key.jwk"})


def test_more_recipients_than_a_header_has_are_refused() -> None:
    keys = [f'{{"n":"{number}"}}' for number in range(9)]
    with pytest.raises(SpecError, match="9 recipients, and may have 8"):
        load_spec(None, defaults={**JOB, "recipients": keys[:4], "escrow": keys[4:]})


def test_a_copy_of_no_recipient_is_refused(desk: Path) -> None:
    other = KeyDecrypter(new_recipient_key())
    with pytest.raises(SpecError, match="not a recipient of this profile"):
        rehearse([jwk(desk / "recipient.key.jwk")], Suite.CLASSICAL_1, other)


def test_a_recipient_of_another_suite_is_refused(desk: Path) -> None:
    copy = KeyDecrypter(load_recipient_key(desk / "recipient.key"))
    with pytest.raises(SpecError, match="in a hybrid-1 job"):
        rehearse([jwk(desk / "recipient.key.jwk")], Suite.HYBRID_1, copy)


def test_a_copy_that_does_not_unwrap_is_found(desk: Path) -> None:
    """A token whose label still shows the public key, and which has lost the private one."""

    class Broken(KeyDecrypter):
        def unwrap(self, wrapped: bytes, header_sha384: bytes) -> bytes:
            return KeyDecrypter(new_recipient_key()).unwrap(wrapped, header_sha384)

    with pytest.raises(Unverified):
        rehearse(
            [jwk(desk / "recipient.key.jwk")], Suite.CLASSICAL_1, Broken(load_recipient_key(desk / "recipient.key"))
        )


@pytest.mark.parametrize("hybrid", [False, True])
def test_a_last_day_stands_in_the_file_of_a_key(hybrid: bool, tmp_path: Path) -> None:
    made = make_signing_key(tmp_path / "s.key", hybrid=hybrid, days=29)
    assert last_day_of(tmp_path / "s.key") == made.until == today() + timedelta(days=29)
    load_signing_key(tmp_path / "s.key")
    shown = CliRunner().invoke(build(), ["key", "show", str(tmp_path / "s.key")], catch_exceptions=False)
    assert f"until {made.until}, in 29 days" in shown.output


def test_the_warning_begins_30_days_before() -> None:
    first = today() + WARNING
    assert not is_due(first)
    assert not is_due(None)
    assert is_due(first - timedelta(days=1))
    assert described(today() - timedelta(days=1)).startswith("ended on")


def test_a_profile_notes_what_ends(desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = load_profile(desk / "client.toml")
    monkeypatch.setattr("cji_client.expiry.WARNING", timedelta(days=10_000))
    assert [line.split()[0] for line in notices(profile)] == ["recipient_key"]  # the certificate is for a day or two
    last = ends_of_certificates(desk / "client.pem", first=True)
    monkeypatch.setattr("cji_client.expiry.today", lambda: last)
    assert [line.split()[0] for line in notices(profile)] == ["recipient_key", "certificate"]
    monkeypatch.setattr("cji_client.expiry.WARNING", timedelta(0))
    assert list(notices(profile)) == []


def test_a_day_that_is_none_is_refused(tmp_path: Path) -> None:
    make_signing_key(tmp_path / "s.key", hybrid=False)
    text = (tmp_path / "s.key").read_text().replace(str(today() + timedelta(days=730)), "soon")
    (tmp_path / "s.key").write_text(text)
    with pytest.raises(SpecError, match="no day after Not-After"):
        last_day_of(tmp_path / "s.key")
