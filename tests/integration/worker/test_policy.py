"""The policy at a real worker: which rule denied is in the trail alone, and a denied job opens no key."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pyarrow as pa
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cji_client.profile import load_profile
from cji_core.command import build
from cji_core.errors import DeniedBy, Reason, Stage
from cji_core.format.configuration.operator_files import signatures_path
from cji_core.format.job import Recipient
from cji_core.format.job.policy.signatures import sign
from cji_core.format.records import tagged
from cji_core.jose import key_id, public_jwk
from cji_core.trail import FilesReloaded, JobAdmitted, JobEnded, JobRefused, ReloadRefused, WorkerStarted
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator.launch import Agency, Deployment, worker_config
from cji_simulator.raw import Answer, RawJob, RawWorker, events, forge, until
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, people
from cji_simulator.worker import Worker
from tests.support.simulations import simulated

CANARY: Final = "Acme-canary-5e"
LISTED: Final = "Board of Private Security"
ROWS: Final = 100
BYTES: Final = 50_000
AGENCY: Final = Agency(
    data_classes=("biographic", "control number"), secondary_recipients=(LISTED,), rows=ROWS, job_bytes=BYTES
)


SIGNERS: Final = [ec.generate_private_key(ec.SECP384R1()) for _ in range(3)]
"""Two of them must sign the policy."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("policy")
    with simulated(folder / "azure", release_limit=1000) as azure:
        cmk = azure.create_cmk("cji-policy")
        files = worker_config(folder / "site", simulation=azure, keys=[cmk], agency=AGENCY, reference_mib=0)
        signers = json.dumps([public_jwk(key.public_key()) for key in SIGNERS])
        files.config.write_text(f"policy_signers = {signers}\npolicy_signatures = 2\n{files.config.read_text()}")
        sign_policy(files, SIGNERS[0], SIGNERS[2])
        with started(files, azure) as worker:
            yield Site(simulation=azure, cmk=cmk, files=files, worker=worker, profile=load_profile(files.profile))


def started(files: Deployment, azure: Simulation) -> Worker:
    return Worker(files.config, trust=azure.trust, log=files.folder / "worker.log")


def sign_policy(files: Deployment, *by: ec.EllipticCurvePrivateKey) -> None:
    lines = [sign(files.policy.read_bytes(), key, now=datetime.now(UTC)) for key in by]
    Path(signatures_path(str(files.policy))).write_text("".join(f"{line}\n" for line in lines))


def reload(site: Site, text: str) -> None:
    """Put this policy in force, signed."""
    site.files.policy.write_text(text)
    sign_policy(site.files, *SIGNERS[:2])
    status, output = cji(site, "reload")
    assert status == 0, output


def names(*keys: ec.EllipticCurvePrivateKey) -> tuple[str, ...]:
    return tuple(sorted(key_id(key.public_key()) for key in keys))


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


def test_a_job_without_the_escrow_opens_no_key(site: Site) -> None:
    """The same job with it has a receipt; the caller learns no more of this rule than of any other."""
    text, escrow = site.files.policy.read_text(), other_recipient()
    demand = f'escrow = [{{ one_of = ["{escrow.key_id}"] }}]\n'
    recipients = re.compile(r'^recipients = \["', re.MULTILINE)
    assert recipients.search(text)
    try:
        reload(site, recipients.sub(f'{demand}recipients = ["{escrow.key_id}", "', text))
        before, job = keys_opened(site), forge(site)
        answer = run(site, job)
        assert (answer.reason, answer.stage, answer.accepted) == (Reason.POLICY_DENIED, Stage.ADMIT, False)
        assert end_of(site, job).denied_by is DeniedBy.ESCROW
        assert keys_opened(site) == before
        assert run(site, forge(site, lambda header: to(header, escrow))).receipt
    finally:
        reload(site, text)


def test_a_secondary_recipient_is_checked_before_any_key_moves(site: Site) -> None:
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


@pytest.mark.parametrize("column", ["last", "shoe_size", "VIN"])
def test_a_column_beyond_the_schema_is_refused(site: Site, column: str) -> None:
    """Of no class, or of one that the policy denies: neither is passed through under a schema that it grants."""
    job, sink = forge(site), pa.BufferOutputStream()
    table = people(2).drop_columns("last").append_column(column, pa.array(["a", "b"]))
    records = table.cast(tagged("person/1", list(table.schema)))
    with pa.ipc.new_stream(sink, records.schema) as writer:
        writer.write_table(records)
    with RawWorker.of(site) as raw:
        answer = raw.run(job.messages(job.plain([sink.getvalue()])), timeout=30)
    if column == "last":
        assert answer.receipt
    else:
        assert (answer.reason, answer.stage, answer.receipt) == (Reason.SCHEMA_MISMATCH, Stage.COMPUTE, None)


def test_a_withdrawn_grant_ends_a_running_job_by_its_rule(site: Site) -> None:
    job, text = forge(site), site.files.policy.read_text()
    try:
        with RawWorker.of(site) as raw, raw.stream() as stream:
            assert stream.begin(job.open()).WhichOneof("message") == "accepted"
            reload(site, text.replace('["biographic", "control number"]', '["biographic"]'))
            answer = stream.answer()
        assert (answer.reason, answer.stage) == (Reason.POLICY_DENIED, Stage.COMPUTE)
        assert end_of(site, job).denied_by is DeniedBy.DATA_CLASS
        yesterday = datetime.now(UTC).date() - timedelta(days=1)
        reload(site, re.sub(r"until = [0-9-]+", f"until = {yesterday}", text))
        late = forge(site)
        assert run(site, late).reason is Reason.POLICY_DENIED
        assert end_of(site, late).denied_by is DeniedBy.AGREEMENT
    finally:
        reload(site, text)


def test_a_policy_needs_two_signatures(site: Site) -> None:
    assert [e.policy_signers for e in events(site) if isinstance(e, WorkerStarted)] == [names(SIGNERS[0], SIGNERS[2])]
    text = site.files.policy.read_text()
    reload(site, text)
    before = events(site)
    site.files.policy.write_text(f"{text}\n# changed\n")  # the signatures are on other bytes
    for by, said in (((), "0 of 2"), ((SIGNERS[2], SIGNERS[2]), "1 of 2")):
        if by:
            sign_policy(site.files, *by)
        status, output = cji(site, "reload")
        assert (status, f"policy_signatures: {said} signatures of different signers" in output) == (1, True)
    sign_policy(site.files, *SIGNERS[1:])
    assert cji(site, "reload")[0] == 0
    new = events(site)[len(before) :]
    assert [e.file for e in new if isinstance(e, ReloadRefused)] == ["policy_signatures"] * 2
    assert [e.policy_signers for e in new if isinstance(e, FilesReloaded)] == [names(*SIGNERS[1:])]
    reload(site, text)


def test_jobs_per_day_outlive_a_restart(site: Site) -> None:
    """The last test: two more jobs may be admitted, one before the restart and one after it."""
    day, text = datetime.now(UTC).date(), site.files.policy.read_text()
    used = sum(isinstance(e, JobAdmitted) for e in events(site))
    reload(site, re.sub(r"jobs_per_day = [0-9]+", f"jobs_per_day = {used + 2}", text))
    assert run(site, forge(site)).receipt
    site.worker.stop()
    site.simulation.reboot()
    again = replace(site, worker=started(site.files, site.simulation))
    with again.worker:
        done, one_more = forge(again), forge(again)
        assert run(again, done).receipt
        answer = run(again, one_more)
        if datetime.now(UTC).date() == day:  # else midnight has passed
            assert (answer.reason, answer.stage) == (Reason.POLICY_DENIED, Stage.ADMIT)
            assert end_of(again, one_more).denied_by is DeniedBy.JOBS_PER_DAY
        assert run(again, done).reason is Reason.ALREADY_EXISTS  # not the day's limit: its receipt can be fetched
