"""The end of a job in parts: what its statements may do to the keyholder, and one end for every admission."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from cji_attestation import AZURE_US
from cji_core.errors import Reason, Refusal, RetryLater, Stage
from cji_core.format.job import InputPart, new_job_id, parse
from cji_core.operations.registry import plan
from cji_core.trail import (
    JobAdmitted,
    JobCompleted,
    JobEnded,
    JobRefused,
    StatementsRefused,
    TasksClaim,
    claims_unverified,
)
from cji_worker.ipc.messages import Admit, Completed, Ended, Presented, StatementData, StatementsDone, StatementsWanted
from cji_worker.keyholder.admission import AdmissionControl
from cji_worker.keyholder.admissions import Admissions
from cji_worker.keyholder.cells import Cells
from cji_worker.keyholder.delivery import DeliveryWatch
from cji_worker.keyholder.effects import unsigned
from cji_worker.keyholder.entra import KeySets, SecondIdentity
from cji_worker.keyholder.finishing import Finishes
from cji_worker.keyholder.holdings import Holdings
from cji_worker.keyholder.jobs import Jobs
from cji_worker.keyholder.lifecycle import Done
from cji_worker.keyholder.policy import PolicyInForce
from cji_worker.keyholder.refusals import Refusals
from cji_worker.keyholder.tasks import streams_of
from tests.support.contexts import TABLES
from tests.support.job_headers import make
from tests.support.keyholder_bench import KEK, Bench, admission, bench, finish_order, policy_of, sealed_to
from tests.support.refusals import refused
from tests.support.task_statements import DEK, ROWS, Honest, plan_of

HONEST = Honest(changes=sealed_to(DEK))
CLOSED = Honest(changes=sealed_to(DEK, attribution_under=bytes(32)))
STOP = Refusal(Reason.DEADLINE, stage=Stage.COMMIT)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as found:
        yield found


@pytest.fixture
def finishes(desk: Bench) -> Finishes:
    return Finishes(effects=desk.effects, signer=desk.signer, custody=desk.custody)


def order(honest: Honest = HONEST, *, call: int = 1) -> Admit:
    return finish_order(honest.header, honest.plan, call=call)


def begin(desk: Bench, finishes: Finishes, honest: Honest = HONEST) -> None:
    assert finishes.begin(order(honest), admission(desk, honest)) is None
    assert list(desk.messages()) == [StatementsWanted(call=1)]


def tell(finishes: Finishes, *statements: str, call: int = 1) -> None:
    """All statements, each in two pieces."""
    for statement in statements:
        finishes.take(StatementData(call=call, data=statement[:100].encode(), last=False))
        finishes.take(StatementData(call=call, data=statement[100:].encode(), last=True))
    finishes.take(StatementsDone(call=call))


def ended(desk: Bench, reason: Reason, stage: Stage = Stage.COMMIT) -> None:
    """The front has one refusal, the trail one end, and the keyholder lives."""
    assert list(desk.messages()) == [Ended(call=1, reason=reason, stage=stage)]
    kinds = [type(event) for event in desk.events if not isinstance(event, StatementsRefused)]
    assert kinds == [JobAdmitted, JobEnded]
    assert (desk.events[-1].reason, desk.events[-1].stage) == (reason, stage)


# ------------------------------------------------------------------ begin


def test_keys_are_opened_once_the_admission_is_on_disk(desk: Bench, finishes: Finishes) -> None:
    secret = Presented(authorization=("Bearer secret",))
    finishes.begin(replace(order(), presented=secret), admission(desk, HONEST))
    (admitted,) = desk.events
    assert isinstance(admitted, JobAdmitted)
    assert admitted.attribution is not None
    assert desk.effects.keys_opened == 1
    assert finishes.current is not None
    assert finishes.current.opened is None  # nothing of the opened keys is left but the statement key
    assert finishes.current.request.presented == Presented()


def test_keys_that_do_not_open_are_returned_and_recorded(desk: Bench, finishes: Finishes) -> None:
    refusal = finishes.begin(order(CLOSED), admission(desk, CLOSED))
    assert refusal is not None
    assert refusal.reason is Reason.DEK_UNWRAP_FAILED
    ended(desk, Reason.DEK_UNWRAP_FAILED, Stage.ADMIT)
    assert desk.events[0].attribution is None
    assert finishes.current is None
    assert desk.effects.keys_opened == 1


def test_an_altered_plan_is_another_refusal(desk: Bench, finishes: Finishes) -> None:
    """The keys open, and the plan was not made with them."""
    honest = Honest(changes=sealed_to(bytes(32)))
    refusal = finishes.begin(order(honest), admission(desk, honest))
    assert refusal is not None
    assert refusal.reason is Reason.BAD_PARAMETERS
    ended(desk, Reason.BAD_PARAMETERS, Stage.ADMIT)


def test_one_job_at_a_time(desk: Bench, finishes: Finishes) -> None:
    begin(desk, finishes)
    with refused(Reason.OVERLOADED, stage=Stage.ADMIT) as caught:
        finishes.begin(order(call=2), admission(desk, HONEST))
    assert isinstance(caught.value, RetryLater)
    assert len(desk.events) == desk.effects.keys_opened == 1


def test_no_admission_without_a_trail(desk: Bench, finishes: Finishes) -> None:
    found = admission(desk, HONEST)
    desk.audit.close()
    with refused(Reason.AUDIT_UNAVAILABLE):
        finishes.begin(order(), found)
    assert finishes.current is None
    assert list(desk.messages()) == []


# ------------------------------------------------------------------ receive, complete


def test_honest_statements_give_a_receipt(desk: Bench, finishes: Finishes) -> None:
    begin(desk, finishes)
    tell(finishes, *HONEST.statements())
    admitted, completed = desk.events
    assert isinstance(admitted, JobAdmitted)
    assert isinstance(completed, JobCompleted)
    assert completed.volumes.rows_in == 2 * ROWS
    # it came by reference: its signature leaves with the end of the job
    assert list(desk.messages()) == [Completed(call=1, receipt=unsigned(completed.compact))]
    assert finishes.current is None
    assert desk.effects.tally.jobs_completed == 1


def test_receipts_follow_each_other(desk: Bench, finishes: Finishes) -> None:
    """The second job's is the next one, also after a job that had none."""
    second = Honest(changes={**sealed_to(DEK), "job_id": new_job_id()})
    begin(desk, finishes)
    tell(finishes, *HONEST.statements())
    third = Honest(changes={**sealed_to(DEK), "job_id": new_job_id()})
    for honest, statements in ((third, ["x" * 200]), (second, second.statements())):
        finishes.begin(order(honest), admission(desk, honest))
        tell(finishes, *statements)
    receipts = [claims_unverified(event.compact) for event in desk.events if isinstance(event, JobCompleted)]
    assert [claims.sequence for claims in receipts] == [1, 2]
    assert isinstance(receipts[1].tasks, TasksClaim)
    assert receipts[1].tasks.statements == len(second.statements())


def test_what_is_for_no_job_changes_nothing(desk: Bench, finishes: Finishes) -> None:
    tell(finishes, *HONEST.statements())
    begin(desk, finishes)
    tell(finishes, *HONEST.statements(), call=2)
    assert not finishes.abort(2, STOP)
    assert list(desk.messages()) == []
    assert finishes.current is not None
    tell(finishes, *HONEST.statements())
    assert isinstance(desk.events[-1], JobCompleted)


@pytest.mark.parametrize(
    ("statements", "reason", "about"),
    [
        ([], Reason.INCOMPLETE, "missing"),
        (HONEST.statements()[:-1], Reason.INCOMPLETE, "missing"),
        (["x" * 200], Reason.SEGMENT_INVALID, "form"),
        (CLOSED.statements(), Reason.SEGMENT_INVALID, "proof"),
    ],
    ids=["none", "one less", "no statement", "of another job"],
)
def test_statements_that_do_not_make_the_job(
    desk: Bench, finishes: Finishes, statements: list[str], reason: Reason, about: str
) -> None:
    begin(desk, finishes)
    tell(finishes, *statements)
    ended(desk, reason)
    assert [event.about for event in desk.events if isinstance(event, StatementsRefused)] == [about]
    assert finishes.current is None


def test_a_statement_without_an_end(desk: Bench, finishes: Finishes) -> None:
    begin(desk, finishes)
    for _ in range(33):
        finishes.take(StatementData(call=1, data=bytes(1 << 16), last=False))
    ended(desk, Reason.LIMIT_EXCEEDED)


def test_sums_that_no_receipt_has_room_for(desk: Bench, finishes: Finishes) -> None:
    """Each statement is honest in form; together they overflow."""
    begin(desk, finishes)
    most = (1 << 63) - 1
    tell(
        finishes,
        *(
            HONEST.signed(HONEST.facts(stage, n, **({"rows_out": most} if stage.name == "label" else {})))
            for stage, n in HONEST.places
        ),
    )
    ended(desk, Reason.LIMIT_EXCEEDED)
    assert finishes.current is None


def test_nodes_that_no_receipt_has_room_for(desk: Bench, finishes: Finishes) -> None:
    """Fewer nodes than a job may have, with the longest names."""
    honest = Honest(shards=30, changes=sealed_to(DEK))
    begin(desk, finishes, honest)
    tell(
        finishes,
        *(
            honest.signed(honest.facts(stage, n, worker="w" * 256, region="r" * 256, evidence_sha384=f"{at:096x}"))
            for at, (stage, n) in enumerate(honest.places)
        ),
    )
    ended(desk, Reason.LIMIT_EXCEEDED)


def test_more_rows_than_the_policy_allows(desk: Bench, finishes: Finishes) -> None:
    rows, changes = 500_001, sealed_to(DEK)
    inputs = [InputPart(name="records", schema="person/1", shards=2)]
    honest = Honest(changes={**changes, "inputs": inputs})
    begin(desk, finishes, honest)
    tell(
        finishes,
        *(
            honest.signed(
                honest.facts(stage, n, rows_in=rows * stage.records, rows_status=rows * (stage.name == "label"))
            )
            for stage, n in honest.places
        ),
    )
    ended(desk, Reason.POLICY_DENIED)


def test_evidence_that_expired_meanwhile(desk: Bench, finishes: Finishes) -> None:
    begin(desk, finishes)
    desk.custody.holdings = Holdings(reason=Reason.ATTESTATION_REJECTED)
    tell(finishes, *HONEST.statements())
    ended(desk, Reason.ATTESTATION_REJECTED)


def test_a_receipt_counts_once_it_is_on_disk(desk: Bench, finishes: Finishes) -> None:
    begin(desk, finishes)
    desk.audit.close()
    tell(finishes, *HONEST.statements())
    assert list(desk.messages()) == [Ended(call=1, reason=Reason.AUDIT_UNAVAILABLE, stage=Stage.COMMIT)]
    assert desk.effects.tally.jobs_completed == 0
    assert finishes.current is None


# ------------------------------------------------------------------ abort


def test_the_front_may_abort(desk: Bench, finishes: Finishes) -> None:
    begin(desk, finishes)
    assert finishes.abort(1, STOP)
    ended(desk, Reason.DEADLINE)
    assert not finishes.abort(1, STOP)
    tell(finishes, *HONEST.statements())
    assert list(desk.messages()) == []


def test_a_dropped_key_ends_its_job_alone(desk: Bench, finishes: Finishes) -> None:
    begin(desk, finishes)
    finishes.end_of_key(KEK[:-1] + "c", Reason.KEY_RELEASE_DENIED)
    assert finishes.current is not None
    finishes.end_of_key(KEK, Reason.KEY_RELEASE_DENIED)
    ended(desk, Reason.KEY_RELEASE_DENIED)


def test_the_end_of_the_keyholder_ends_the_job(desk: Bench, finishes: Finishes) -> None:
    begin(desk, finishes)
    finishes.end_all()
    ended(desk, Reason.CELL_FAILED)
    finishes.end_all()
    assert len(desk.events) == 2


# ------------------------------------------------------------------ among the jobs of the worker


@pytest.fixture
def jobs(desk: Bench, finishes: Finishes) -> Jobs:
    config: Any = SimpleNamespace(worker=SimpleNamespace(cells=1), limits=SimpleNamespace(queue_seconds=0))
    nothing: Any = None
    policy = PolicyInForce(desk.policy)
    return Jobs(
        config=config,
        policy=policy,
        audit=desk.audit,
        admission=AdmissionControl(
            audience="pool-1",
            policy=policy,
            audit=desk.audit,
            tables=TABLES,
            second=SecondIdentity(audience=None, keys=KeySets(AZURE_US)),
            admissions=Admissions(desk.signer.thumbprint),
            clock=lambda: 0.0,
        ),
        custody=desk.custody,
        cells=Cells(()),
        references=nothing,
        host=desk.host,
        delivery=DeliveryWatch(None, trail=desk.path, audit=desk.audit),
        effects=desk.effects,
        refusals=Refusals(policy, lambda event: isinstance(desk.effects.write(event), Done)),
        finishes=finishes,
    )


def a_job(*, call: int = 1, opens: bool = True) -> Admit:
    """The end of a job that is admitted now."""
    now = datetime.now(UTC).replace(microsecond=0)
    header = parse(
        make(
            job_id=new_job_id(),
            inputs=[InputPart(name="records", schema="person/1", shards=2)],
            created=now,
            not_after=now + timedelta(hours=1),
            **sealed_to(DEK, attribution_under=None if opens else bytes(32)),
        )
    )
    streams = streams_of(header, plan(header.operations, header.input_schemas, TABLES)).under({})
    return finish_order(header, plan_of(header, streams), call=call)


def reasons(desk: Bench) -> list[Reason]:
    return [message.reason for message in desk.messages() if isinstance(message, Ended)]


def test_failed_unwraps_are_counted_against_the_submitter(desk: Bench, jobs: Jobs) -> None:
    """As those of other jobs: ten at once, and then none is tried."""
    for _ in range(11):
        jobs.admit(a_job(opens=False))
    assert reasons(desk) == [Reason.DEK_UNWRAP_FAILED] * 10 + [Reason.OVERLOADED]
    assert desk.effects.keys_opened == 10
    assert isinstance(desk.events[-1], JobRefused)
    jobs.admit(a_job())  # whichever job it is
    assert reasons(desk) == [Reason.OVERLOADED]


def test_other_ends_are_not_counted_as_failed_unwraps(desk: Bench, jobs: Jobs) -> None:
    for _ in range(11):
        jobs.admit(a_job())
        jobs.abort(1, STOP)
    assert reasons(desk) == [Reason.DEADLINE] * 11


def test_it_needs_no_cell_and_has_no_phase(desk: Bench, jobs: Jobs, finishes: Finishes) -> None:
    """It is none of the jobs that `lifecycle` leads, and waits in no queue."""
    jobs.admit(a_job())
    assert list(desk.messages()) == [StatementsWanted(call=1)]
    assert (jobs.running, jobs.waiting) == (0, 0)
    assert finishes.current is not None
    jobs.admit(a_job(call=2))
    assert reasons(desk) == [Reason.OVERLOADED]
    assert finishes.current.call == 1


def test_a_policy_that_forbids_it_ends_it(desk: Bench, finishes: Finishes, jobs: Jobs) -> None:
    jobs.admit(a_job())
    jobs.end_unauthorised()
    assert finishes.current is not None
    jobs._policy.now = policy_of("spiffe://cji.example/agency/other")
    jobs.end_unauthorised()
    assert reasons(desk) == [Reason.POLICY_DENIED]
    assert finishes.current is None
    assert desk.events[-1].stage is Stage.COMPUTE


@pytest.mark.parametrize("how", ["a dropped key", "the end"])
def test_what_ends_all_jobs_ends_it(desk: Bench, finishes: Finishes, jobs: Jobs, how: str) -> None:
    jobs.admit(a_job())
    if how == "the end":
        jobs.end_all()
    else:
        jobs.end_of_key(KEK, Reason.KEY_RELEASE_DENIED)
    assert finishes.current is None
    assert isinstance(desk.events[-1], JobEnded)
