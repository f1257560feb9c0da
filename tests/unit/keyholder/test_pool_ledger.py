"""The pool ledger: whatever blobs do, a claim has one answer, and no answer but "yes" lets a job begin."""

import itertools
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_attestation import AttestationError, Fault
from cji_core.errors import Denied, DeniedBy, Reason, Refusal, StartupError
from cji_core.pool.errors import BlobAbsentError, BlobTooLargeError, StoreAwayError
from cji_worker.keyholder.pool_days import Allowance
from cji_worker.keyholder.pool_ledger import CAPACITY, PROBE, Entry, PoolLedger, decide

ALLOWED = Allowance(day=date(2026, 1, 1), submitter="s", ori="WI0130000", most=1000)
JOB, HEADER, OTHER, ATTEMPT = bytes(15) + b"\1", bytes(48), bytes(47) + b"\1", b"a" * 16


class Blobs:
    """A container in memory."""

    def __init__(self) -> None:
        self.found: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def create(self, name: str, data: bytes) -> bool:
        with self._lock:
            return self.found.setdefault(name, data) is data

    def read(self, name: str, *, most: int) -> bytes:
        if name not in self.found:
            raise BlobAbsentError
        return self.found[name]


class Asked(list[Refusal | None]):
    """The answers to claims."""


def ledger(blobs: Any, worker: str = "worker-1", *, clock: Callable[[], float] = lambda: 0.0) -> PoolLedger:
    return PoolLedger(lambda: blobs, worker=worker, seconds=10, clock=clock)


def answered(
    pool: PoolLedger, *, job: bytes = JOB, header: bytes = HEADER, attempt: bytes | None = ATTEMPT, most: int = 1000
) -> Refusal | None:
    answers: list[Refusal | None] = []
    allowance = replace(ALLOWED, most=most)
    pool.claim(job, header_sha384=header, attempt=attempt, allowance=allowance, answer=answers.append)
    pool.step(pool._waiting.get_nowait())
    (answer,) = answers
    return answer


def ask(pool: PoolLedger, **claim: Any) -> Reason | None:
    answer = answered(pool, **claim)
    return None if answer is None else answer.reason


def allowed(first: tuple[bytes, bytes | None, str], second: tuple[bytes, bytes | None, str]) -> Reason | None:
    """The table of the module, as a slow twin."""
    (header1, attempt1, worker1), (header2, attempt2, worker2) = first, second
    table = {
        (True, True): None,
        (False, False): None if worker1 == worker2 else Reason.ALREADY_EXISTS,
    }
    if header1 != header2:
        return Reason.REPLAYED
    return table.get((attempt1 is not None, attempt2 is not None), Reason.ALREADY_EXISTS)


CLAIMS = list(itertools.product((HEADER, OTHER), (None, ATTEMPT, b"b" * 16), ("worker-1", "worker-2")))


@pytest.mark.parametrize("first", CLAIMS)
def test_a_second_claim_is_answered_by_the_table(first: tuple[bytes, bytes | None, str]) -> None:
    for second in CLAIMS:
        blobs = Blobs()
        assert ask(ledger(blobs, first[2]), header=first[0], attempt=first[1]) is None
        assert ask(ledger(blobs, second[2]), header=second[0], attempt=second[1]) is allowed(first, second)


def test_jobs_of_a_day_are_those_of_all_workers() -> None:
    blobs = Blobs()
    one, other = ledger(blobs, "worker-1"), ledger(blobs, "worker-2")
    jobs = [bytes(15) + bytes([number]) for number in range(4)]
    assert [answered(pool, job=job, most=3) for pool, job in zip((one, other, one), jobs, strict=False)] == [None] * 3
    for pool in (one, other, ledger(blobs, "worker-3")):
        denied = answered(pool, job=jobs[3], most=3)
        assert isinstance(denied, Denied)
        assert denied.by is DeniedBy.JOBS_PER_DAY
        # they have counted: another attempt, a task, and a receipt that is asked for again
        assert [answered(pool, job=job, most=3) for job in jobs[:3]] == [None] * 3
    assert jobs[3].hex() not in blobs.found
    assert answered(other, job=jobs[3], most=4) is None


def test_the_entry_decides_a_job_that_another_worker_begins() -> None:
    class Race(Blobs):
        def create(self, name: str, data: bytes) -> bool:
            if name == JOB.hex():
                super().create(name, msgspec.json.encode(Entry(header_sha384="00" * 48, worker="w", attempt=None)))
            return super().create(name, data)

    assert ask(ledger(Race()), header=OTHER) is Reason.REPLAYED
    assert ask(ledger(Race()), header=bytes(48)) is Reason.ALREADY_EXISTS


@pytest.mark.parametrize(
    "fault",
    [StoreAwayError(), BlobTooLargeError(), AttestationError(Fault.IDENTITY_UNAVAILABLE, check="x"), KeyError()],
    ids=lambda fault: type(fault).__name__,
)
def test_a_ledger_that_is_away_means_no_job(fault: Exception) -> None:
    class Away(Blobs):
        def create(self, name: str, data: bytes) -> bool:
            raise fault

    assert ask(ledger(Away())) is Reason.LEDGER_UNAVAILABLE


def test_a_ledger_that_cannot_be_opened_means_no_job() -> None:
    tries = iter([StartupError("no file", "write it"), None])

    def open_blobs() -> Blobs:
        if (fault := next(tries)) is not None:
            raise fault
        return Blobs()

    pool = PoolLedger(open_blobs, worker="w", seconds=10, clock=lambda: 0.0)
    assert ask(pool) is Reason.LEDGER_UNAVAILABLE
    assert ask(pool) is None


@given(st.binary(max_size=200))
def test_anything_else_in_place_of_an_entry_means_no_job(data: bytes) -> None:
    blobs = Blobs()
    blobs.found[JOB.hex()] = data
    assert ask(ledger(blobs)) is Reason.LEDGER_UNAVAILABLE


def test_a_claim_that_waited_too_long_is_not_looked_at() -> None:
    now = [0.0]
    blobs = Blobs()
    pool, answers = ledger(blobs, clock=lambda: now[0]), Asked()
    pool.claim(JOB, header_sha384=HEADER, attempt=None, allowance=ALLOWED, answer=answers.append)
    now[0] = 11.0
    pool.step(pool._waiting.get_nowait())
    assert [each.reason for each in answers if each] == [Reason.LEDGER_UNAVAILABLE]
    assert not blobs.found


def test_claims_beyond_the_capacity_are_refused_at_once() -> None:
    pool, answers = ledger(Blobs()), Asked()
    for _ in range(CAPACITY + 2):
        pool.claim(JOB, header_sha384=HEADER, attempt=None, allowance=ALLOWED, answer=answers.append)
    assert [each.reason for each in answers if each] == [Reason.OVERLOADED] * 2


def test_an_entry_says_who_came_first() -> None:
    blobs = Blobs()
    ask(ledger(blobs, "worker-7"))
    found = msgspec.json.decode(blobs.found[JOB.hex()], type=Entry)
    assert found == Entry(header_sha384=HEADER.hex(), worker="worker-7", attempt=ATTEMPT.hex())
    assert decide(found, found) is None


class Sometimes(Blobs):
    """A container that is there while `fault` is None; it counts its probes."""

    def __init__(self) -> None:
        super().__init__()
        self.fault: Exception | None = None
        self.probes = 0

    def create(self, name: str, data: bytes) -> bool:
        if self.fault is not None:
            raise self.fault
        return super().create(name, data)

    def read(self, name: str, *, most: int) -> bytes:
        self.probes += name == PROBE
        if self.fault is not None:
            raise self.fault
        return super().read(name, most=most)


@pytest.mark.parametrize("fault", [StoreAwayError(), StartupError("no file", "write it"), KeyError()])
def test_it_is_away_until_it_answers(fault: Exception) -> None:
    blobs = Sometimes()
    pool = ledger(blobs)
    assert not pool.away
    blobs.fault = fault
    assert ask(pool) is Reason.LEDGER_UNAVAILABLE
    assert pool.away
    pool.probe()
    assert pool.away
    blobs.fault = None
    pool.probe()
    assert not pool.away
    assert blobs.found == {}
    blobs.fault = fault
    pool.probe()
    assert pool.away
    blobs.fault = None
    assert ask(pool) is None  # a claim shows it as well
    assert not pool.away


def test_claims_that_wait_while_it_is_away_are_not_probed_for() -> None:
    """Each probe of a silent service takes long, and the last claims would wait for them all."""
    blobs = Sometimes()
    blobs.fault = StoreAwayError()
    pool = ledger(blobs)
    assert [ask(pool) for _ in range(5)] == [Reason.LEDGER_UNAVAILABLE] * 5
    assert blobs.probes == 1


def test_one_claim_that_is_not_decided_is_not_the_ledger() -> None:
    """Else whoever may write there, or sends a job that it refuses, could stop every worker of the pool."""
    blobs = Blobs()
    blobs.found[JOB.hex()] = b"x"
    pool = ledger(blobs)
    assert ask(pool) is Reason.LEDGER_UNAVAILABLE
    assert not pool.away


def test_the_probe_is_no_job_id() -> None:
    assert set(PROBE) - set("0123456789abcdef")


def test_the_thread_probes_until_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cji_worker.keyholder.pool_ledger.PROBE_S", 0.01)
    blobs, away, back = Sometimes(), threading.Event(), threading.Event()
    blobs.fault = StoreAwayError()

    def read(name: str, *, most: int) -> bytes:
        (back if blobs.fault is None else away).set()
        return Sometimes.read(blobs, name, most=most)

    blobs.read = read  # type: ignore[method-assign]
    pool = ledger(blobs)
    pool.start()
    assert away.wait(10)
    blobs.fault = None
    assert back.wait(10)


def test_the_thread_answers() -> None:
    pool, answered = ledger(Blobs()), threading.Event()
    pool.start()
    pool.claim(JOB, header_sha384=HEADER, attempt=None, allowance=ALLOWED, answer=lambda _: answered.set())
    assert answered.wait(10)
