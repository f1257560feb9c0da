"""The floor of the pool: entries that count, the bundle in force beside them, and claims that wait for both."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation.bundle.archive import Bundle
from cji_attestation.bundle.head import MAX_HEAD
from cji_core.errors import Reason, Refusal
from cji_core.format.configuration.worker import Config
from cji_core.pool import names
from cji_core.pool.entries import Kind
from cji_core.pool.errors import BlobTooLargeError, StoreAwayError
from cji_worker.keyholder.bundle_in_force import BundleInForce
from cji_worker.keyholder.floors import MOST_READS, Floors
from cji_worker.keyholder.pool_days import Allowance
from cji_worker.keyholder.pool_exchanges import PoolExchanges
from cji_worker.keyholder.pool_ledger import MOST_FLOORS
from tests.support.bundles import accepted, made
from tests.support.memory_ledger import JOB, AtOnce, MemoryLedger, exchanges, settled

NEW = ec.generate_private_key(ec.SECP384R1())


class Place(MemoryLedger):
    """The container of floors; reads are counted, and a blob above `most` is refused as storage refuses it."""

    reads = 0

    def read(self, name: str, *, most: int) -> bytes:
        self.reads += 1
        if len(self.found.get(name, b"")) > most:
            raise BlobTooLargeError
        return super().read(name, most=most)

    def put(self, *entries: bytes) -> None:
        """The next entries."""
        for entry in entries:
            self.found[names.floor(len(self.found) + 1)] = entry


def floors(config: Config, place: Place, bundle: Bundle, *, now: Callable[[], float] = lambda: 0.0) -> Floors:
    pool = AtOnce(MemoryLedger, open_floors=lambda: place, seconds=10)
    in_force = BundleInForce(config, bundle, accepted())
    return Floors(pool, in_force, pool_name="pool-7", clock=now)


async def checked(found: Floors) -> Reason | None:
    answers = list[Refusal | None]()
    found.check(answers.append)
    await settled()
    (answer,) = answers
    return None if answer is None else answer.reason


def test_a_bundle_behind_the_floor_admits_nothing(config: Config) -> None:
    async def run() -> None:
        place = Place()
        found = floors(config, place, made(serial=7))
        assert await checked(found) is None
        place.put(made(serial=7).to_head())
        assert await checked(found) is None
        place.put(made(serial=8).to_head())
        assert await checked(found) is Reason.NOT_READY
        place.put(made(serial=3).to_head())  # the highest counts
        assert await checked(found) is Reason.NOT_READY
        found._bundle.take(made(serial=8))
        assert await checked(found) is None

    asyncio.run(run())


def test_what_is_no_signed_head_of_the_pool_counts_nothing(config: Config) -> None:
    async def run() -> None:
        place, high = Place(), made(serial=99)
        place.put(
            b"", b"garbage", made(serial=99, by=None).to_head(), made(serial=99, by=NEW).to_head(), high.to_bytes(),
            made(serial=99, pool="pool-8").to_head(), bytes(MAX_HEAD + 1),
            replace(made(serial=98, by=None), signatures=high.signatures).to_head(),
        )  # fmt: skip
        found = floors(config, place, made(serial=7))
        assert await checked(found) is None
        place.put(made(serial=8).to_head())
        assert await checked(found) is Reason.NOT_READY

    asyncio.run(run())


def test_every_entry_is_read_once_and_none_is_left_out(config: Config) -> None:
    async def run() -> None:
        place = Place()
        place.put(*([b"x"] * 40), made(serial=8).to_head())
        found = floors(config, place, made(serial=7))
        assert await checked(found) is Reason.NOT_READY
        place.reads = 0
        assert await checked(found) is Reason.NOT_READY
        assert place.reads == 1

    asyncio.run(run())


def test_a_flood_of_entries_ends_a_claim_and_not_the_next(config: Config) -> None:
    async def run() -> None:
        place = Place()
        place.put(*([b"x"] * (MOST_FLOORS * MOST_READS + 1)))
        found = floors(config, place, made(serial=7))
        assert await checked(found) is Reason.LEDGER_UNAVAILABLE
        assert not found.known
        assert await checked(found) is None

    asyncio.run(run())


def test_no_job_begins_while_the_floors_are_away(config: Config) -> None:
    async def run() -> None:
        place = Place()
        place.fault = StoreAwayError()
        found = floors(config, place, made(serial=7))
        assert await checked(found) is Reason.LEDGER_UNAVAILABLE
        assert not found.known

    asyncio.run(run())


def test_a_claim_reads_the_floor_first(config: Config) -> None:
    """A machine that no reload reached: it admitted a job, the floor rose, and it admits no other."""

    async def run() -> None:
        place, ledger = Place(), MemoryLedger()
        pool = exchanges(ledger)
        guarded = PoolExchanges(
            pool._pool, pool.keys, pool._entrant, tries=3, floors=floors(config, place, made(serial=7))
        )
        allowance = Allowance(submitter="metro", ori="WI0130000", most=10)

        async def claimed() -> int | Refusal:
            answers = list[int | Refusal]()
            guarded.claim(JOB, name=None, kind=Kind.WHOLE, allowance=allowance, answer=answers.append)
            await settled()
            return answers[0]

        assert await claimed() == 0
        before = dict(ledger.found)
        place.put(made(serial=8).to_head())
        refusal = await claimed()
        assert isinstance(refusal, Refusal)
        assert refusal.reason is Reason.NOT_READY
        assert ledger.found == before

    asyncio.run(run())


def test_an_idle_machine_looks_every_minute(config: Config) -> None:
    async def run() -> None:
        place, now = Place(), [0.0]
        found = floors(config, place, made(serial=7), now=lambda: now[0])
        for _ in range(3):
            found.follow()
            await settled()
        assert (found.known, place.reads) == (True, 1)
        place.put(made(serial=8).to_head())
        now[0] = 60.0
        found.follow()
        await settled()
        assert found.is_outdated
        place.fault, now[0] = StoreAwayError(), 120.0
        found.follow()
        await settled()
        place.fault, now[0], place.reads = None, 125.0, 0
        found.follow()
        await settled()
        assert place.reads == 1

    asyncio.run(run())


@pytest.fixture
def config() -> Config:
    return None  # type: ignore[return-value]  # a floor needs none
