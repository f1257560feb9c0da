"""`cji job submit`, `status`, `fetch`, `cancel`, and `cji receipt verify` of what they leave behind."""

import json
import resource
import signal
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pyarrow.csv
import pytest
from click.testing import CliRunner, Result

from cji_client.asynchronous import connect_async
from cji_client.connection import connect
from cji_client.errors import NotFinished, SpecError
from cji_client.job_state import State
from cji_core.command import build
from cji_core.format.keys import save_private_key
from cji_core.jose import key_id, public_jwk
from cji_core.pool import names
from cji_core.pool.documents import SUBMISSION_BYTES, decode_submission
from tests.support.azurite import StorageCredential
from tests.support.job_specs import head
from tests.support.paused_cji import Ended, Paused
from tests.support.private_files import put_private
from tests.support.reviews import decided_toml
from tests.support.sdk_server import Certificates
from tests.support.submitter_desk import SUBMITTER, Desk

SPEC = """
[input]
schema = "person/1"
rename = { surname = "last" }

[[operations]]
kind = "deidentify"
project = "study-17"
project_key = "study-17.json"

[operations.columns]
record_id = "keep"
last = { do = "hmac_token", domain = "name" }
"""
CSV = "record_id,surname\n007,neumann\n008,painter\n"


@dataclass(kw_only=True)
class Shell:
    folder: Path
    desk: Desk

    def cji(self, *arguments: str | Path) -> Result:
        command = build(self.desk.simulation.trust)
        return CliRunner().invoke(command, [str(each) for each in arguments], catch_exceptions=False)

    def job(self, verb: str, *arguments: str | Path) -> Result:
        return self.cji("job", verb, *arguments, "--profile", self.folder / "client.toml")

    def submit(self, name: str = "people.job", *more: str) -> Result:
        f = self.folder
        return self.job("submit", f / "people.csv", "--job", f / name, "--spec", f / "job.toml", *more)


@pytest.fixture
def shell(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A profile without a worker to reach: the pool's key is in a file."""
    monkeypatch.setattr("cji_client.by_reference.default_credential", StorageCredential)
    folder, tls, azurite = desk.folder, Certificates.make().client, desk.storage.azurite
    shell = Shell(folder=folder, desk=desk)
    save_private_key(desk.signing, folder / "signing.key", passphrase=None)
    assert shell.cji("key", "new-recipient", folder / "recipient.key").exit_code == 0
    assert shell.cji("key", "project", "study-17", folder / "study-17.json").exit_code == 0
    for name, pem in (("ca", tls.ca_pem), ("client", tls.cert_pem), ("client-key", tls.key_pem)):
        put_private(folder / f"{name}.pem", pem)
    cmk = desk.pool.worker.cmk.public_key()
    (folder / "cmk.jwk").write_text(public_jwk(cmk) + "\n")
    (folder / "client.toml").write_text(
        f'target = "127.0.0.1:1"\ncloud = "simulation"\nmaa_url = "{desk.simulation.maa_url}"\n'
        'ca = "ca.pem"\ncertificate = "client.pem"\nprivate_key = "client-key.pem"\n'
        'signing_key = "signing.key"\nrecipient_key = "recipient.key"\nkek_jwk = "cmk.jwk"\n'
        f'[storage]\nblob_url = "{azurite.blob_url}"\nqueue_url = "{azurite.queue_url}"\n'
        f'ca_file = "{azurite.ca_file}"\n'
        f'[reference]\nproducts = ["Genoa"]\n' + decided_toml(desk.simulation.reference)
    )
    (folder / "job.toml").write_text(head(recipient="recipient.key.jwk", kek_thumbprint=key_id(cmk)) + SPEC)
    (folder / "people.csv").write_text(CSV)
    return shell


def test_a_file_goes_and_a_folder_comes(shell: Shell) -> None:
    submitted = shell.submit("people.job", "--json")
    assert submitted.exit_code == 0, submitted.output
    job = json.loads(submitted.stdout)["job"]
    folder, out = shell.folder / "people.job", shell.folder / "out"
    queued = shell.job("status", job)
    assert (queued.exit_code, queued.stdout) == (0, f"{job} queued; result: unknown\n")
    assert shell.job("fetch", folder, "--out", out).exit_code == 4
    assert shell.job("status", folder, "--wait", "0").exit_code == 4
    assert not out.exists()

    ticket = shell.desk.pool.ticket()
    assert ticket is not None
    sent = decode_submission(shell.desk.pool.jobs.read(names.header(job), most=SUBMISSION_BYTES))
    assert sent.submitter == SUBMITTER
    shell.desk.pool.run(ticket)
    done = shell.job("status", folder, "--wait", "10", "--json")
    assert json.loads(done.stdout)["state"] == "done"
    fetched = shell.job("fetch", folder, "--out", out, "--wait", "10")
    assert fetched.exit_code == 0, fetched.output
    assert "attested: simulated snp Genoa" in fetched.stderr
    assert "2 in, 2 out" in fetched.stdout
    assert pyarrow.csv.read_csv(out / "result.csv")["record_id"].to_pylist() == [7, 8]
    verified = shell.cji(
        "receipt", "verify", out / "receipt.jws", "--evidence", out / "evidence.json",
        "--expect-header", folder / "header.bin", "--profile", shell.folder / "client.toml",
    )  # fmt: skip
    assert verified.exit_code == 0, verified.output
    again = shell.job("submit", "--job", folder)
    assert (again.exit_code, shell.desk.pool.ticket()) == (0, None)


def test_a_job_that_was_given_up_leaves_a_receipt_to_verify(shell: Shell) -> None:
    assert shell.submit().exit_code == 0
    ticket, folder = shell.desk.pool.ticket(), shell.folder / "people.job"
    assert ticket is not None
    shell.desk.pool.give_up(ticket)
    failed = shell.job("fetch", folder, "--out", shell.folder / "out", "--wait", "10")
    assert failed.exit_code == 1
    assert "5 attempts: CELL_FAILED at compute" in failed.stderr
    assert not (shell.folder / "out").exists()
    arguments = (
        *("receipt", "verify", folder / "failure.jws", "--evidence", folder / "evidence.json"),
        *("--profile", shell.folder / "client.toml"),
    )
    verified = shell.cji(*arguments, "--expect-header", folder / "header.bin")
    assert verified.exit_code == 0, verified.output
    assert "CELL_FAILED at compute, after 5 attempts" in verified.stdout
    assert "attempts" in verified.stdout.partition("not checked:")[2]
    claims = json.loads(shell.cji(*arguments, "--json").stdout)
    assert claims["claims"]["job_id"] == ticket.job
    assert {"job", "attempts"} <= claims["not_checked"].keys()
    assert shell.cji(*arguments, "--sequence").exit_code == 2
    forged = (folder / "failure.jws").read_text().replace(".", ".A", 1)
    (folder / "failure.jws").write_text(forged)
    assert shell.cji(*arguments).exit_code == 3


def test_what_cannot_be_used_is_refused_before_anything_is_sent(shell: Shell) -> None:
    f = shell.folder
    assert shell.job("submit", "--job", f / "nothing").exit_code == 2
    assert shell.job("submit", "--job", f / "nothing", "--op", "validate").exit_code == 2
    assert "neither a folder nor a job id" in shell.job("status", "people").stderr
    assert shell.submit().exit_code == 0
    twice = shell.submit()
    assert (twice.exit_code, "exists" in twice.stderr) == (2, True)
    (f / "people.job" / "parts" / "00000").write_bytes(b"short")
    assert shell.job("submit", "--job", f / "people.job").exit_code == 0  # its ticket was sent: nothing to do
    (f / "people.job" / "ticket").unlink()
    changed = shell.job("submit", "--job", f / "people.job")
    assert (changed.exit_code, "is not the part that was sealed" in changed.stderr) == (2, True)
    (f / "people.job" / "job.json").write_text("{}")
    assert "contains no sealed job" in shell.job("submit", "--job", f / "people.job").stderr
    profile = (f / "client.toml").read_text()
    other = public_jwk(shell.desk.recipient.public_key())
    (f / "cmk.jwk").write_text(other)
    assert shell.submit("second.job").exit_code == 3
    (f / "client.toml").write_text(profile.replace("[storage]", "[storag]"))
    assert shell.submit("third.job").exit_code == 2
    assert not (f / "second.job").exists()
    without = profile[: profile.index("[storage]")] + profile[profile.index("[reference]") :]
    (f / "client.toml").write_text(without)
    assert "names no storage" in shell.submit("third.job").stderr


def test_a_result_that_is_not_the_receipts_is_not_opened(shell: Shell) -> None:
    assert shell.submit().exit_code == 0
    ticket, pool = shell.desk.pool.ticket(), shell.desk.pool
    assert ticket is not None
    output = names.output(ticket.job, pool.run(ticket), 0)
    data = pool.results.read(output, most=1 << 20)
    pool.results.write(output, data[:-1] + bytes([data[-1] ^ 1]))
    before = set(shell.folder.iterdir())
    fetched = shell.job("fetch", shell.folder / "people.job", "--out", shell.folder / "out")
    assert (fetched.exit_code, "outputs[0].sha256" in fetched.stderr) == (3, True)
    assert set(shell.folder.iterdir()) == before


def test_a_cancelled_job_says_so(shell: Shell) -> None:
    assert shell.submit().exit_code == 0
    folder = shell.folder / "people.job"
    assert shell.job("cancel", folder).exit_code == 0
    assert "cancelling; result: unknown" in shell.job("status", folder).stdout
    fetched = shell.job("fetch", folder, "--out", shell.folder / "out")
    assert (fetched.exit_code, "no end yet (cancelling)" in fetched.stderr) == (4, True)  # a worker signs its failure


def paused(shell: Shell, phase: str, verb: str, *arguments: str | Path) -> Paused:
    """A process of its own that has come to this phase."""
    trust, profile = shell.folder / "trust.json", shell.folder / "client.toml"
    trust.write_bytes(msgspec.json.encode(shell.desk.simulation.trust))
    words = ["job", verb, *map(str, arguments), "--profile", str(profile)]
    return Paused(phase, words, trust=trust, state=shell.folder / "state")


def again(shell: Shell, ended: Ended) -> Result:
    """The command that was printed as the next one."""
    return shell.cji(*ended.next)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("phase", ["uploading", "before the ticket"])
def test_a_submission_that_a_signal_ends_continues_as_printed(shell: Shell, phase: str, number: int) -> None:
    f = shell.folder
    process = paused(shell, phase, "submit", f / "people.csv", "--job", f / "people.job", "--spec", f / "job.toml")
    process.signal(number)
    ended = process.ended()
    assert ended.status == 128 + number, ended.text
    assert "Nothing was sent" not in ended.text
    ticket = "Whether its ticket was sent is unknown" if phase == "before the ticket" else "no worker begins it"
    assert f"Job {ended.job}: sent, no receipt." in ended.text
    assert ticket in ended.text
    assert shell.desk.pool.ticket() is None
    done = again(shell, ended)
    assert done.exit_code == 0, done.output
    assert shell.desk.pool.ticket() is not None


def test_a_fetch_that_ends_anywhere_is_repeated_as_printed(shell: Shell) -> None:
    f = shell.folder
    assert shell.submit().exit_code == 0
    fetch = (f / "people.job", "--out", str(f / "out"))
    process = paused(shell, "polling", "fetch", *fetch, "--wait", "60")
    process.signal(signal.SIGINT)
    ended = process.ended()
    assert ended.status == 130, ended.text
    assert "sent, no receipt. The pool has it" in ended.text
    assert ended.next[:2] == ["job", "fetch"]
    ticket = shell.desk.pool.ticket()
    assert ticket is not None
    shell.desk.pool.run(ticket)
    for phase, known in (("downloading", "sent, no receipt"), ("writing", "receipt received")):
        process = paused(shell, phase, "fetch", *fetch)
        process.signal(signal.SIGTERM)
        ended = process.ended()
        assert ended.status == 143, ended.text
        assert f"Job {ended.job}: {known}." in ended.text
        assert not (f / "out").exists()
    process = paused(shell, "writing", "fetch", *fetch)
    resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE, (64, resource.RLIM_INFINITY))
    ended = process.go_on()
    assert ended.status == 5, ended.text
    assert "receipt received. Its result stays in the pool's storage" in ended.text
    done = again(shell, ended)
    assert done.exit_code == 0, done.output
    assert (f / "out" / "result.csv").exists()


def test_an_unreachable_pool_before_and_after_the_first_byte(shell: Shell) -> None:
    f = shell.folder
    profile = f / "client.toml"
    text = profile.read_text()
    profile.write_text(text.replace(shell.desk.storage.azurite.blob_url, "https://127.0.0.1:9/devstoreaccount1"))
    refused = shell.submit()
    assert refused.exit_code == 4, refused.output
    assert "Nothing was sent." in refused.output
    profile.write_text(text.replace(shell.desk.storage.azurite.queue_url, "https://127.0.0.1:9/devstoreaccount1"))
    lost = shell.job("submit", "--job", f / "people.job", "--json")
    assert lost.exit_code == 4, lost.output
    answer = json.loads(lost.stderr.splitlines()[-1])
    assert (answer["sent"], answer["reason"]) == ("sent, no receipt", "UNAVAILABLE")
    assert f"cji job submit --job {f / 'people.job'} --profile {profile}" in answer["remedy"]


def test_a_program_has_a_handle_of_a_job_by_reference(shell: Shell) -> None:
    credential, trust, jobs = StorageCredential(), shell.desk.simulation.trust, shell.folder / "jobs"
    with connect(shell.folder / "client.toml", trusts=[trust], credential=credential) as worker:
        first = worker.submit(shell.folder / "people.csv", shell.folder / "job.toml", folder=jobs / "one")
        second = worker.submit(shell.folder / "people.csv", shell.folder / "job.toml", folder=jobs / "two")
        assert first.status().state is State.QUEUED
        with pytest.raises(NotFinished):
            first.result(0.01)
        second.cancel()
        assert second.status().state is State.CANCELLING
    ticket = shell.desk.pool.ticket()
    assert ticket is not None
    shell.desk.pool.run(ticket)
    with connect(shell.folder / "client.toml", trusts=[trust], credential=credential) as worker:
        assert [job.id for job in worker.jobs(jobs)] == [first.id, second.id]
        job = worker.job(jobs / "one")
        job.send()  # nothing is left to send
        assert job.wait(10).state is State.DONE
        with job.result() as result:
            assert result.table()["record_id"].to_pylist() == ["007", "008"]
        with pytest.raises(SpecError, match="cannot be read"):
            worker.job(jobs / "three")
        with pytest.raises(SpecError, match="is not a folder"):
            worker.jobs(shell.folder / "jbos")
        (jobs / "two" / "header.bin").write_bytes(b"")
        with pytest.raises(SpecError, match="two contains no sealed job"):
            worker.jobs(jobs)


async def test_coroutines_find_a_job_by_reference(shell: Shell) -> None:
    credential, trust, jobs = StorageCredential(), shell.desk.simulation.trust, shell.folder / "jobs"
    async with connect_async(shell.folder / "client.toml", trusts=[trust], credential=credential) as worker:
        job = await worker.submit(shell.folder / "people.csv", shell.folder / "job.toml", folder=jobs / "one")
        assert [each.id for each in await worker.jobs(jobs)] == [job.id]
        with pytest.raises(NotFinished):
            await job.wait(0.01)
