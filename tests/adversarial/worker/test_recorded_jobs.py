"""Recorded bytes start nothing, use up nobody's attempts, and a result opens with its receipt only.

Red before: a recorded job was admitted again whenever an attempt had no receipt, under any source address; and the
wrapped result key came first, so a caller that hung up early had read all but the last segment of each part.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from cji_core.errors import Reason, Stage
from cji_core.format.envelope import signer_thumbprint
from cji_core.format.keys import new_signing_key
from cji_core.suites import Suite
from cji_core.trail import JobAdmitted, JobCompleted, JobEnded, JobRefused
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator.raw import Answer, RawJob, RawWorker, events, forge, settled, until
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, open_site, people
from cji_simulator.stepwise import Stepwise
from tests.support.simulations import simulated

_MANY_ROWS = 60_000
"""More than one segment of output."""


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    with simulated(tmp_path_factory.mktemp("azure") / "azure", release_limit=1000) as simulation:
        yield simulation


@pytest.fixture(scope="module")
def site(azure: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("site"), azure) as opened:
        yield opened


@pytest.fixture
def raw(site: Site) -> Iterator[RawWorker]:
    settled(site)
    with RawWorker.of(site) as worker:
        yield worker


def trail(site: Site, job: RawJob) -> list[Any]:
    digest = hashlib.sha384(job.header).hexdigest()
    return [e for e in events(site) if getattr(e, "header_sha384", None) == digest]


def opening(raw: RawWorker, job: RawJob, *, attempt: int = 1) -> pb.RunRequest:
    """The first message with its proof, as a door sees it."""
    made = raw.admitter.admitted(job.open(), attempt=attempt)
    assert made.open.HasField("admission")
    return made


def offer(raw: RawWorker, job: RawJob, first: pb.RunRequest) -> Answer:
    """The whole job behind this first message; once, but for a cell that is not warm yet."""
    messages = [first, *job.messages(job.stream(people(2)))[1:]]
    while (answer := raw.run_once(messages)).reason is Reason.OVERLOADED:
        until(lambda: True)
    return answer


def interrupted(raw: RawWorker, job: RawJob, first: pb.RunRequest) -> None:
    """An attempt that begins and loses its connection."""
    with raw.stream() as stream:
        assert stream.begin(first).WhichOneof("message") == "accepted"


def ended(site: Site, job: RawJob, count: int) -> None:
    """Returns once so many attempts have ended."""
    until(lambda: [isinstance(e, JobEnded) for e in trail(site, job)].count(True) == count or None)


def test_recorded_bytes_start_nothing_and_burn_nothing(site: Site, raw: RawWorker) -> None:
    job = forge(site)
    recorded = opening(raw, job)
    interrupted(raw, job, recorded)
    ended(site, job, 1)
    for _ in range(5):
        answer = offer(raw, job, recorded)
        assert (answer.reason, answer.stage, answer.accepted) == (Reason.ADMISSION_ATTEMPT, Stage.ADMIT, False)
    assert sum(isinstance(e, JobAdmitted) for e in trail(site, job)) == 1
    assert offer(raw, job, opening(raw, job, attempt=2)).receipt  # the owner has its attempts
    assert [type(e) for e in trail(site, job) if not isinstance(e, JobRefused)] == [
        JobAdmitted, JobEnded, JobAdmitted, JobCompleted
    ]  # fmt: skip


def test_an_unsent_message_of_another_attempt_starts_nothing(site: Site, raw: RawWorker) -> None:
    job = forge(site)
    held_back = opening(raw, job, attempt=2)
    answer = offer(raw, job, held_back)
    assert (answer.reason, answer.stage) == (Reason.ADMISSION_ATTEMPT, Stage.ADMIT)
    assert offer(raw, job, opening(raw, job)).receipt


def test_a_job_has_three_attempts_here(site: Site, raw: RawWorker) -> None:
    job = forge(site)
    for attempt in (1, 2, 3):
        interrupted(raw, job, opening(raw, job, attempt=attempt))
        ended(site, job, attempt)
    for attempt in (1, 3, 4):
        answer = offer(raw, job, opening(raw, job, attempt=attempt))
        assert (answer.reason, answer.stage) == (Reason.ADMISSION_ATTEMPT, Stage.ADMIT)


WRONG: dict[str, tuple[Any, Reason]] = {
    "another worker": (lambda a: setattr(a, "receipt_key", b"o" * 32), Reason.ADMISSION_WORKER),
    "another nonce": (lambda a: setattr(a, "nonce", bytes(32)), Reason.ADMISSION_NONCE),
    "another attempt": (lambda a: setattr(a, "attempt", 2), Reason.ADMISSION_SIGNATURE),
    "another key": (lambda a: a.ClearField("send_jwk"), Reason.ADMISSION_SIGNATURE),
    "long members": (lambda a: setattr(a, "signature", bytes(1 << 16)), Reason.ADMISSION_SIGNATURE),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_changed_admission_is_refused_by_name(site: Site, raw: RawWorker, name: str) -> None:
    change, reason = WRONG[name]
    job = forge(site)
    first = opening(raw, job)
    change(first.open.admission)
    answer = offer(raw, job, first)
    assert (answer.reason, answer.stage, answer.accepted) == (reason, Stage.ADMIT, False)
    assert [type(e) for e in trail(site, job)] == [JobRefused]
    assert offer(raw, job, opening(raw, job)).receipt  # job and id are unharmed


def test_a_job_without_an_admission_is_refused(site: Site, raw: RawWorker) -> None:
    job = forge(site)
    first = job.open()
    first.open.admission.SetInParent()
    assert offer(raw, job, first).reason is Reason.ADMISSION_WORKER
    unknown = replace(job, header=forge(site).header)
    assert offer(raw, job, opening(raw, unknown)).reason is Reason.HEADER_SIGNATURE_INVALID


def test_p07_another_submitter_takes_no_header_over(site: Site, raw: RawWorker) -> None:
    """The header names a key, and only that key's signature makes a job of it."""
    other = signer_thumbprint(new_signing_key().public_key(), Suite.CLASSICAL_1)
    answer = raw.run(forge(site, submitter=other).messages([]))
    assert (answer.reason, answer.stage) == (Reason.SUBMITTER_MISMATCH, Stage.ADMIT)


def test_who_hangs_up_early_can_open_nothing(site: Site) -> None:
    """Everything but the last messages was read: the result header, with the wrapped key, was not among it."""
    settled(site)
    table = people(_MANY_ROWS)
    job = site.seal(rows=_MANY_ROWS)
    with Stepwise(site, job, list(job.seal_part(0, table))) as run:
        run.send()
        run.finish()
        while len(run.output(0)) < 2:
            run.read()
        seen = b"".join(message.SerializeToString() for message in run.received)
        assert run.result_header is None
        run.read_all()
        made = run.result_header
        assert made is not None
        (recipient,) = pb.ResultHeader.FromString(made).recipients
        assert run.received[-1].WhichOneof("message") == "done"
        early = b"".join(message.SerializeToString() for message in run.received[:-1])
    for secret in (recipient.wrapped_dek, made):
        assert secret not in seen
        assert secret not in early
