"""The jobs of a day in a pool: never more than are allowed, and every one below that is admitted."""

import threading
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_core.pool.errors import BlobAbsentError, StoreAwayError, StoreError
from cji_worker.keyholder.pool_days import Allowance, PoolDays, _all_taken

DAY = date(2026, 1, 1)
ALLOWED = Allowance(submitter="metro", ori="WI0130000", most=3)


class Blobs:
    """A container in memory; it counts exchanges."""

    def __init__(self) -> None:
        self.found: dict[str, bytes] = {}
        self.exchanges = 0
        self._lock = threading.Lock()

    def create(self, name: str, data: bytes) -> bool:
        with self._lock:
            self.exchanges += 1
            return self.found.setdefault(name, data) is data

    def read(self, name: str, *, most: int) -> bytes:
        self.exchanges += 1
        if name not in self.found:
            raise BlobAbsentError
        assert len(self.found[name]) <= most
        return self.found[name]


def job(number: int) -> bytes:
    return number.to_bytes(16, "big")


CALLERS = (("metro", "WI0130000"), ("metro", "WI0130001"), ("county", "WI0130000"))
CLAIMS = st.tuples(
    st.integers(0, 3),  # worker
    st.sampled_from(CALLERS),
    st.integers(1, 2),  # day
    st.integers(1, 6),  # jobs that are allowed: the policy may change
)


@given(st.lists(CLAIMS, max_size=60))
def test_new_jobs_are_admitted_up_to_the_number_that_is_allowed(
    claims: list[tuple[int, tuple[str, str], int, int]],
) -> None:
    blobs, workers = Blobs(), [PoolDays() for _ in range(4)]
    admitted: dict[tuple[object, ...], int] = {}
    for number, (worker, (submitter, ori), day, most) in enumerate(claims):
        allowance = Allowance(submitter=submitter, ori=ori, most=most)
        counted = admitted.get((submitter, ori, day), 0)
        assert workers[worker].take(blobs, allowance, date(2026, 1, day), job(number)) is (counted < most)
        admitted[submitter, ori, day] = counted + (counted < most)


@given(st.integers(1, 200), st.integers(0, 199), st.integers(1, 250))
def test_as_many_are_taken_as_counting_finds(taken: int, known: int, most: int) -> None:
    known = min(taken, most, known + 1) - 1
    blobs = Blobs()
    for number in range(taken):
        blobs.create(f"f/{number}", job(number).hex().encode())
    counted = next(number for number in range(known, most + 1) if number in (taken, most))
    assert _all_taken(blobs, "f", known, most) == (counted, job(counted - 1).hex().encode())


def test_a_worker_that_starts_finds_its_number_in_few_steps() -> None:
    blobs, first = Blobs(), PoolDays()
    many = replace(ALLOWED, most=10_000)
    for number in range(5000):
        assert first.take(blobs, many, DAY, job(number))
    assert blobs.exchanges == 5000
    assert PoolDays().take(blobs, many, DAY, job(5000))
    assert blobs.exchanges < 5000 + 32


def test_a_job_that_died_before_its_entry_finds_its_number() -> None:
    blobs = Blobs()
    assert PoolDays().take(blobs, ALLOWED, DAY, job(1))
    for days in (one := PoolDays(), PoolDays(), one):
        assert days.take(blobs, ALLOWED, DAY, job(1))
    assert len(blobs.found) == 1


def test_a_caller_without_jobs_left_costs_no_exchange() -> None:
    blobs, days = Blobs(), PoolDays()
    assert [days.take(blobs, ALLOWED, DAY, job(number)) for number in range(4)] == [True] * 3 + [False]
    before = blobs.exchanges
    assert not days.take(blobs, ALLOWED, DAY, job(5))
    assert blobs.exchanges == before


def test_names_of_callers_are_not_confused() -> None:
    pairs = [("a", "bc"), ("ab", "c"), ('a","b', "c"), ("a", "b")]
    folders = {replace(ALLOWED, submitter=submitter, ori=ori).folder(DAY) for submitter, ori in pairs}
    assert len(folders) == len(pairs)
    assert all(set(folder) <= set("days/-0123456789abcdef") for folder in folders)


def test_storage_that_is_away_is_not_a_job_left() -> None:
    class Away(Blobs):
        def create(self, name: str, data: bytes) -> bool:
            raise StoreAwayError

    with pytest.raises(StoreAwayError):
        PoolDays().take(Away(), ALLOWED, DAY, job(1))


@pytest.mark.parametrize("ahead", [0, 1])
def test_contradicting_storage_does_not_keep_the_thread(ahead: int) -> None:
    """No number can be created; none is there, or always one more than was asked for."""

    class Contradicting(Blobs):
        asked = -1

        def create(self, name: str, data: bytes) -> bool:
            self.exchanges += 1
            self.asked = int(name.rpartition("/")[2])
            return False

        def read(self, name: str, *, most: int) -> bytes:
            self.exchanges += 1
            if int(name.rpartition("/")[2]) >= self.asked + ahead:
                raise BlobAbsentError
            return b"another"[:most]

    blobs = Contradicting()
    with pytest.raises(StoreError):
        PoolDays().take(blobs, replace(ALLOWED, most=1 << 40), DAY, job(1))
    assert blobs.exchanges < 1000


def test_as_many_workers_succeed_at_once_as_are_allowed() -> None:
    blobs, allowed, won = Blobs(), replace(ALLOWED, most=50), list[int]()

    def claim(worker: int) -> None:
        days = PoolDays()
        won.extend(number for number in range(worker, 80, 4) if days.take(blobs, allowed, DAY, job(number)))

    in_threads(claim)
    assert len(won) == len(set(won)) == len(blobs.found) == 50


def in_threads(claim: Any) -> None:
    threads = [threading.Thread(target=claim, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
