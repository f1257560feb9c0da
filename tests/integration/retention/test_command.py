"""`cji retention`, from the rules to an auditor's verification."""

import json
import re
import shlex
import textwrap
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cji_core.command import build
from cji_core.pool import names
from cji_core.pool.documents import Published, decode
from tests.support.azurite import StorageCredential
from tests.support.blob_service import BlobService, RefusedError
from tests.support.paths import ROOT
from tests.support.retention_desk import CANARY, ENDED, put_job

Run = Callable[..., Result]
RULES = """
signers = ["retention.key.pub"]
[storage]
blob_url = "{url}"
ca_file = "{ca}"
[keep]
input_days = 7
result_days = 60
proof_days = 400
"""


@pytest.fixture
def run(service: BlobService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a verb with the rules and the key beside it."""
    monkeypatch.setattr("cji_audit.verbs.retention._credential", StorageCredential)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "disposal.toml").write_text(RULES.format(url=service.url, ca=service.ca_file))

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(build(), [*arguments], catch_exceptions=False)

    assert run("key", "new-signing", "retention.key").exit_code == 0
    # this machine's clock is right in these tests, and the service's decides
    service.now = ENDED + timedelta(days=7, minutes=1)
    monkeypatch.setattr("cji_audit.retention.rules.earlier", lambda found, _: found)
    monkeypatch.setattr("cji_audit.retention.desk.earlier", lambda found, _: found)
    return run


MAKER = ("--rules", "disposal.toml", "--key", "retention.key", "--operator", "jdoe", "--explanation", "schedule 7")


def test_a_month_of_retention(run: Run, service: BlobService, tmp_path: Path) -> None:
    job, held = put_job(service.put, 1), put_job(service.put, 2)
    listed = run("retention", "due", "--rules", "disposal.toml", "--json")
    assert {each["state"] for each in json.loads(listed.stdout)["areas"]} == {"due", "kept"}
    assert run("retention", "hold", "26-CR-0117", held, *MAKER).exit_code == 0
    done = run("retention", "run", *MAKER)
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "1 deletion, 1 job on hold")
    assert service.names("jobs") == {names.header(held), names.part(held, 0), names.part(held, 1)}
    (tmp_path / "receipts").mkdir()
    published = decode(service.current("results", names.receipt(job)).data, Published)
    (tmp_path / "receipts" / "job.jws").write_text(published.receipt + "\n")
    verified = ("retention", "verify", "retention-log", "--signer", "retention.key.pub", "--receipts", "receipts")
    proof = json.loads(run(*verified, "--json").stdout)
    assert (proof["records"], proof["findings"], proof["holds"]) == (3, [], {"26-CR-0117": [held]})
    (deleted,) = proof["deleted"]
    assert (deleted["job"], deleted["operator"], deleted["blobs"], deleted["erased"]) == (job, "jdoe", 3, False)
    text = run(*verified).stdout
    assert deleted["receipt_sha384"][:16] in text
    assert deleted["principal"] in text
    assert "on hold" in text
    assert run("retention", "release", "26-CR-0117", *MAKER).exit_code == 0
    assert run("retention", "run", *MAKER).exit_code == 0
    assert service.names("jobs") == set()
    for output in (done.output, text, listed.output):
        assert CANARY.decode() not in output


def test_the_page_runs_as_printed(run: Run, service: BlobService, tmp_path: Path) -> None:
    """Every command of docs/how-to/retention.md, in its order; the address alone is another."""
    page = (ROOT / "docs/how-to/retention.md").read_text()
    (rules,) = re.findall(r"(?s)```toml\n(.*?)```", page)
    own = f'blob_url = "{service.url}"\nca_file = "{service.ca_file}"'
    (tmp_path / "disposal.toml").write_text(re.sub(r"blob_url = .*", own, textwrap.dedent(f"   {rules.strip()}")))
    (tmp_path / "receipts").mkdir()
    assert run("key", "new-signing", "counsel.key").exit_code == 0
    for number in (1, 0x6B1F0C1E2D3A4B5C6D7E8F9001122334):
        put_job(service.put, number)
    blocks = "".join(re.findall(r"(?s)```sh\n(.*?)```", page)).replace("\\\n", " ")
    commands = [shlex.split(line, comments=True)[1:] for line in blocks.splitlines() if line.startswith("cji ")]
    assert [command[1] for command in commands] == ["due", "run", "hold", "release", "verify"]
    for command in commands:
        done = run(*command)
        assert done.exit_code == 0, done.output


def test_a_changed_copy_is_refused(run: Run, service: BlobService, tmp_path: Path) -> None:
    put_job(service.put, 1)
    assert run("retention", "run", *MAKER).exit_code == 0
    record = tmp_path / "retention-log" / "0000000000.jws"
    text = record.read_text()
    record.write_text(text.replace(text[200], "A" if text[200] != "A" else "B"))
    found = run("retention", "verify", "retention-log", "--signer", "retention.key.pub")
    assert found.exit_code == 3
    assert "record 0 of the retention log is refused" in found.output
    assert run("retention", "due", "--rules", "disposal.toml").exit_code == 3
    record.unlink()
    found = run("retention", "verify", "retention-log", "--signer", "retention.key.pub")
    assert (found.exit_code, "record 0 of the retention log is refused: number" in found.output) == (3, True)
    (tmp_path / "empty").mkdir()
    found = run("retention", "verify", "empty", "--signer", "retention.key.pub")
    assert (found.exit_code, "has no record" in found.output) == (2, True)


def test_what_needs_a_person_has_an_exit_status(run: Run, service: BlobService) -> None:
    job = put_job(service.put, 1)
    service.put("results", names.receipt(job), b"{}", at=ENDED)
    found = run("retention", "run", *MAKER)
    assert found.exit_code == 1
    assert f"refused  {job} input  UNREADABLE" in found.output
    assert run("retention", "hold", "4711", "ab" * 16, *MAKER).exit_code == 1
    assert run("retention", "release", "4711", *MAKER).exit_code == 1


def test_rights_and_outages_are_told_apart(run: Run, service: BlobService) -> None:
    put_job(service.put, 1)

    def denied(_method: str, _path: str) -> None:
        raise RefusedError(403, "AuthorizationPermissionMismatch")

    service.before = denied
    found = run("retention", "due", "--rules", "disposal.toml")
    assert (found.exit_code, "docs/how-to/retention.md" in found.output) == (1, True)

    def away(_method: str, _path: str) -> None:
        raise RefusedError(503, "ServerBusy")

    service.before = away
    assert run("retention", "due", "--rules", "disposal.toml").exit_code == 4


def test_words_that_fit_no_record_are_refused(run: Run, service: BlobService) -> None:
    job = put_job(service.put, 1)
    for case in ("a case", "x" * 65):
        assert run("retention", "hold", case, job, *MAKER).exit_code == 2
    assert not any(of == "retention" for of, _ in service.blobs)
    assert not any(version.held for versions in service.blobs.values() for version in versions)
