import pytest

from worker.errors import Reason, Refusal
from worker.job import Attempt, Entry, MemoryLedger, decide

JOB, ONE, TWO = b"j" * 16, b"1" * 48, b"2" * 48

TABLE = [
    (None, ONE, None),
    (Attempt.ENDED, ONE, None),
    (Attempt.RUNNING, ONE, Reason.ALREADY_EXISTS),
    (Attempt.RECEIPTED, ONE, Reason.ALREADY_EXISTS),
    (Attempt.ENDED, TWO, Reason.REPLAYED),
    (Attempt.RUNNING, TWO, Reason.REPLAYED),
    (Attempt.RECEIPTED, TWO, Reason.REPLAYED),
]


@pytest.mark.parametrize(("attempt", "digest", "reason"), TABLE)
def test_the_table_of_decisions(attempt: Attempt | None, digest: bytes, reason: Reason | None) -> None:
    known = None if attempt is None else Entry(header_sha384=ONE, attempt=attempt)
    if reason is None:
        decide(known, digest)
        return
    with pytest.raises(Refusal) as caught:
        decide(known, digest)
    assert caught.value.reason is reason


def _reason(ledger: MemoryLedger, digest: bytes) -> Reason:
    with pytest.raises(Refusal) as caught:
        ledger.begin(JOB, digest)
    return caught.value.reason


def test_a_job_runs_once_until_it_ends_without_a_receipt() -> None:
    ledger = MemoryLedger()
    ledger.begin(JOB, ONE)
    assert _reason(ledger, ONE) is Reason.ALREADY_EXISTS
    ledger.finish(JOB, receipted=False)
    assert _reason(ledger, TWO) is Reason.REPLAYED
    ledger.begin(JOB, ONE)
    ledger.finish(JOB, receipted=True)
    assert _reason(ledger, ONE) is Reason.ALREADY_EXISTS
    assert _reason(ledger, TWO) is Reason.REPLAYED


def test_only_a_running_attempt_can_finish() -> None:
    ledger = MemoryLedger()
    with pytest.raises(LookupError):
        ledger.finish(JOB, receipted=True)
    ledger.begin(JOB, ONE)
    ledger.finish(JOB, receipted=True)
    with pytest.raises(LookupError):
        ledger.finish(JOB, receipted=False)


def test_what_ran_when_the_process_died_may_run_again_and_nothing_else() -> None:
    running, done = (Entry(header_sha384=ONE, attempt=each) for each in (Attempt.RUNNING, Attempt.RECEIPTED))
    ledger = MemoryLedger([(JOB, running)])
    assert _reason(ledger, TWO) is Reason.REPLAYED
    ledger.begin(JOB, ONE)
    assert _reason(MemoryLedger([(JOB, done)]), ONE) is Reason.ALREADY_EXISTS
