"""The policy at a real worker: which rule denied is in the trail alone, and a denied job opens no key."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pyarrow as pa
import pytest
from cji_simulator.launch import Agency, Deployment, worker_config
from cji_simulator.raw import Answer, RawJob, RawWorker, events, forge, until
from cji_simulator.simulation import Cmk, Simulation
from cji_simulator.site import Site, people
from cji_simulator.worker import Worker, WorkerDied
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from worker.audit import FilesReloaded, JobAdmitted, JobEnded, JobRefused, ReloadRefused, WorkerStarted
from worker.cli import build
from worker.client import load_profile
from worker.errors import DeniedBy, Reason, Stage
from worker.job import Recipient
from worker.job.policy.signatures import sign
from worker.jose import key_id, public_jwk
from worker.operator_files import signatures_path
from worker.wire.v1 import worker_pb2 as pb

CANARY: Final = "Acme-canary-5e"
LISTED: Final = "Board of Private Security"
ROWS: Final = 100
BYTES: Final = 50_000
JOBS: Final = 3
AGENCY: Final = Agency(
    data_classes=("biographic", "control number"), secondary_recipients=(LISTED,), rows=ROWS, job_bytes=BYTES
)


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    with Simulation(tmp_path_factory.mktemp("policy") / "azure", release_limit=1000) as simulation:
        yield simulation


def started(files: Deployment, azure: Simulation, cmk: Cmk) -> Site:
    worker = Worker(files.config, trust=azure.trust, log=files.folder / "worker.log")
    return Site(simulation=azure, cmk=cmk, files=files, worker=worker, profile=load_profile(files.profile))


@pytest.fixture(scope="module")
def site(azure: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    azure = azure.another_vm()
    cmk = azure.create_cmk("cji-policy")
    files = worker_config(tmp_path_factory.mktemp("site"), simulation=azure, keys=[cmk], agency=AGENCY, reference_mib=0)
    found = started(files, azure, cmk)
    with found.worker:
        yield found


def cji(site: Site, *arguments: str) -> tuple[int, str]:
    command = [*arguments[:1], "--config", str(site.files.config), *arguments[1:]]
    result = CliRunner().invoke(build(site.simulation.trust), command, catch_exceptions=False)
    return result.exit_code, result.output


def keys_opened(site: Site) -> int:
    """The worker's own counter, from a report that knows the trail as it is now."""
    lines = site.files.audit.read_bytes().count(b"\n")

    def report() -> tuple[int] | None:
        status = json.loads(cji(site, "status", "--json")[1])
        return (status["keys_opened"],) if status["audit"]["line"] >= lines else None

    return until(report)[0]


def run(site: Site, job: RawJob, rows: int = 2) -> Answer:
    with RawWorker.of(site) as raw:
        return raw.run(job.messages(job.stream(people(rows))), timeout=30)


def job_id(job: RawJob) -> str:
    return pb.JobHeader.FromString(job.header).job_id.hex()


def end_of(site: Site, job: RawJob) -> JobRefused | JobEnded:
    """The line about the end of this job."""
    number = job_id(job)

    def found() -> list[JobRefused | JobEnded]:
        return [e for e in events(site) if isinstance(e, JobRefused | JobEnded) and e.job_id == number]

    return until(found)[0]


def other_recipient() -> Recipient:
    key = rsa.generate_private_key(65537, 3072).public_key()
    return Recipient(key_id=key_id(key), jwk=public_jwk(key))


def to(header: pb.JobHeader, recipient: Recipient) -> None:
    header.recipients.append(pb.Recipient(key_id=recipient.key_id, jwk=recipient.jwk))


def hotfile(header: pb.JobHeader) -> None:
    header.inputs[0].schema = "hotfile/1"


def test_a_denied_job_opens_no_key(site: Site) -> None:
    assert run(site, forge(site)).receipt
    before = keys_opened(site)
    assert before >= 1
    stranger = other_recipient()
    denied: list[tuple[DeniedBy, RawJob]] = [
        (DeniedBy.REQUESTING_AGENCY, forge(site, requesting_ori="GA0330000")),
        (DeniedBy.ORIGINATING_AGENCY, forge(site, originating_ori="GA0330000")),
        (DeniedBy.PURPOSE, forge(site, purpose_code="F")),
        (DeniedBy.DATA_CLASS, forge(site, hotfile)),
        (DeniedBy.RECIPIENT, forge(site, lambda header: to(header, stranger))),
        (DeniedBy.ROWS, forge(site, rows=ROWS + 1)),
    ]
    texts = set[str]()
    for by, job in denied:
        answer = run(site, job)
        assert (answer.reason, answer.stage, answer.accepted) == (Reason.POLICY_DENIED, Stage.ADMIT, False)
        texts.add(answer.details.partition(" (")[0])
        end = end_of(site, job)
        assert isinstance(end, JobRefused)
        assert (end.denied_by, end.reason) == (by, Reason.POLICY_DENIED)
    assert keys_opened(site) == before
    assert len(texts) == 1  # the caller learns nothing but that


def test_a_secondary_recipient_is_checked_before_the_cell_gets_a_key(site: Site) -> None:
    assert run(site, forge(site, secondary_recipient=LISTED)).receipt
    job = forge(site, secondary_recipient=CANARY)
    answer = run(site, job)
    assert (answer.reason, answer.stage, answer.accepted) == (Reason.POLICY_DENIED, Stage.ADMIT, False)
    assert CANARY not in answer.details
    assert CANARY.encode() not in site.worker.log.read_bytes()
    admitted = next(e for e in events(site) if isinstance(e, JobAdmitted) and e.job_id == job_id(job))
    assert admitted.attribution is not None
    assert admitted.attribution.secondary_recipient == CANARY
    end = end_of(site, job)
    assert isinstance(end, JobEnded)
    assert (end.denied_by, end.stage) == (DeniedBy.SECONDARY_RECIPIENT, Stage.ADMIT)


@pytest.mark.parametrize(
    ("rows", "by", "stage"), [(ROWS + 1, DeniedBy.ROWS, Stage.COMPUTE), (3000, DeniedBy.BYTES, Stage.UNSEAL)]
)
def test_more_than_the_limit_ends_the_job(site: Site, rows: int, by: DeniedBy, stage: Stage) -> None:
    """Undeclared rows, and ciphertext bytes: counted in the cell as they come."""
    assert run(site, forge(site), rows=ROWS).receipt
    job = forge(site)
    answer = run(site, job, rows=rows)
    assert (answer.reason, answer.stage, answer.receipt) == (Reason.POLICY_DENIED, stage, None)
    assert end_of(site, job).denied_by is by


@pytest.mark.parametrize("column", ["shoe_size", "VIN"])
def test_a_column_beyond_the_schema_is_refused(site: Site, column: str) -> None:
    """Of no class, or of one that the policy denies: neither is passed through under a schema that it grants."""
    job, table = forge(site), people(2)
    extended = table.append_column(column, pa.array(["a", "b"]))
    with RawWorker.of(site) as raw:
        answer = raw.run(job.messages(job.stream(extended)), timeout=30)
    assert (answer.reason, answer.stage, answer.receipt) == (Reason.SCHEMA_MISMATCH, Stage.COMPUTE, None)


def test_a_withdrawn_grant_ends_a_running_job_by_its_rule(site: Site) -> None:
    job, text = forge(site), site.files.policy.read_text()
    try:
        with RawWorker.of(site) as raw, raw.stream() as stream:
            assert stream.begin(job.open()).WhichOneof("message") == "accepted"
            site.files.policy.write_text(text.replace('["biographic", "control number"]', '["biographic"]'))
            assert cji(site, "reload")[0] == 0
            answer = stream.answer()
        assert (answer.reason, answer.stage) == (Reason.POLICY_DENIED, Stage.COMPUTE)
        assert end_of(site, job).denied_by is DeniedBy.DATA_CLASS
        yesterday = datetime.now(UTC).date() - timedelta(days=1)
        site.files.policy.write_text(re.sub(r"until = [0-9-]+", f"until = {yesterday}", text))
        assert cji(site, "reload")[0] == 0
        late = forge(site)
        assert run(site, late).reason is Reason.POLICY_DENIED
        assert end_of(site, late).denied_by is DeniedBy.AGREEMENT
    finally:
        site.files.policy.write_text(text)
        assert cji(site, "reload")[0] == 0


def test_jobs_per_day_outlive_a_restart_and_two_must_sign(azure: Simulation, tmp_path: Path) -> None:
    """One worker for both: it needs two signatures to start and to reload, and admits three jobs on a day."""
    azure = azure.another_vm()
    cmk = azure.create_cmk("cji-signed")
    agency = Agency(jobs_per_day=JOBS)
    files = worker_config(tmp_path / "site", simulation=azure, keys=[cmk], agency=agency, reference_mib=0)
    keys = [ec.generate_private_key(ec.SECP384R1()) for _ in range(3)]
    signers = json.dumps([public_jwk(key.public_key()) for key in keys])
    files.config.write_text(f"policy_signers = {signers}\npolicy_signatures = 2\n{files.config.read_text()}")
    signatures = Path(signatures_path(str(files.policy)))

    def signed(*by: ec.EllipticCurvePrivateKey) -> None:
        lines = [sign(files.policy.read_bytes(), key, now=datetime.now(UTC)) for key in by]
        signatures.write_text("".join(f"{line}\n" for line in lines))

    signed(keys[0], keys[0])
    with pytest.raises(WorkerDied):
        started(files, azure, cmk)
    assert b"1 of 2 signatures of different signers" in (files.folder / "worker.log").read_bytes()
    signed(keys[0], keys[2])
    azure.reboot()
    site = started(files, azure, cmk)
    with site.worker:
        assert run(site, forge(site)).receipt
        assert run(site, forge(site)).receipt
        by = tuple(sorted(key_id(key.public_key()) for key in (keys[0], keys[2])))
        assert [e.policy_signers for e in events(site) if isinstance(e, WorkerStarted)][-1] == by
        files.policy.write_text(files.policy.read_text() + "\n# changed\n")  # the signatures are on other bytes
        status, output = cji(site, "reload")
        assert (status, "policy_signatures: 0 of 2" in output) == (1, True)
        assert [e.file for e in events(site) if isinstance(e, ReloadRefused)] == ["policy_signatures"]
        signed(keys[1], keys[2])
        assert cji(site, "reload")[0] == 0
        by = tuple(sorted(key_id(key.public_key()) for key in keys[1:]))
        assert [e.policy_signers for e in events(site) if isinstance(e, FilesReloaded)] == [by]
    azure.reboot()
    site = started(files, azure, cmk)
    with site.worker:
        done = forge(site)
        assert run(site, done).receipt
        one_more = forge(site)
        day = datetime.now(UTC).date()
        answer = run(site, one_more)
        if datetime.now(UTC).date() == day:  # else midnight has passed
            assert (answer.reason, answer.stage) == (Reason.POLICY_DENIED, Stage.ADMIT)
            assert end_of(site, one_more).denied_by is DeniedBy.JOBS_PER_DAY
        assert run(site, done).reason is Reason.ALREADY_EXISTS  # not the day's limit: its receipt can be fetched
