"""Blob and Queue Storage through Microsoft's clients, against Azurite."""

import secrets
import threading
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from cji_core.errors import StartupError
from cji_core.pool.errors import BlobAbsentError, BlobChangedError, BlobTooLargeError, LeaseLostError, StoreAwayError
from cji_core.pool.queue import Queue
from cji_core.pool.store import Blobs
from cji_worker.keyholder.pool_days import Allowance, PoolDays
from tests.support.azurite import StorageCredential
from tests.support.fleet_storage import Storage


@pytest.fixture
def blobs(storage: Storage) -> Blobs:
    return storage.blobs("jobs")


@pytest.fixture
def queue(storage: Storage) -> Queue:
    storage.clear()
    return storage.queue()


def test_a_blob_is_read_by_ranges_of_one_version(blobs: Blobs) -> None:
    name, data = secrets.token_hex(8), secrets.token_bytes(10_000)
    blobs.write(name, data)
    version = blobs.version(name)
    assert version.size == len(data)
    read = [blobs.read_range(name, version, offset=at, length=min(4096, len(data) - at)) for at in (0, 4096, 8192)]
    assert b"".join(read) == data == blobs.read(name, most=len(data))


def test_a_blob_that_is_replaced_while_it_is_read_is_refused(blobs: Blobs) -> None:
    name = secrets.token_hex(8)
    blobs.write(name, b"a" * 100)
    version = blobs.version(name)
    blobs.write(name, b"b" * 100)
    with pytest.raises(BlobChangedError):
        blobs.read_range(name, version, offset=0, length=10)


def test_a_missing_or_too_large_blob(blobs: Blobs) -> None:
    with pytest.raises(BlobAbsentError):
        blobs.read("absent", most=10)
    assert not blobs.exists("absent")
    blobs.write("large", bytes(11))
    with pytest.raises(BlobTooLargeError):
        blobs.read("large", most=10)
    blobs.write("empty", b"")
    assert blobs.read("empty", most=10) == b""


def test_of_many_creators_exactly_one_wins(storage: Storage) -> None:
    name, won = secrets.token_hex(8), list[bool]()

    def create() -> None:
        won.append(storage.blobs("results").create(name, b"mine"))

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 5 + [True]


def test_of_many_workers_as_many_jobs_succeed_as_a_day_has(storage: Storage) -> None:
    allowance = Allowance(submitter=secrets.token_hex(8), ori="WI0130000", most=20)
    won = list[int]()

    def admit(worker: int) -> None:
        days, ledger = PoolDays(), storage.blobs("ledger")
        won.extend(
            n for n in range(worker, 32, 4) if days.take(ledger, allowance, date(2026, 1, 1), n.to_bytes(16, "big"))
        )

    threads = [threading.Thread(target=admit, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == len(set(won)) == 20


def test_the_service_states_its_own_time(blobs: Blobs) -> None:
    assert blobs.date is None
    assert not blobs.exists("absent")  # an answer that is an error has it too
    assert blobs.date is not None
    assert abs((datetime.now(UTC) - blobs.date).total_seconds()) < 60


def test_a_blob_of_blocks_is_created_once(blobs: Blobs) -> None:
    name = secrets.token_hex(8)
    for number, data in enumerate((b"one", b"two")):
        blobs.stage(name, number, data)
    assert not blobs.exists(name)
    blobs.commit(name, 2, size=6)
    assert blobs.read(name, most=6) == b"onetwo"
    blobs.commit(name, 2, size=6)  # the answer was lost
    blobs.stage(name, 0, b"other")
    with pytest.raises(BlobChangedError):
        blobs.commit(name, 1, size=5)
    assert blobs.read(name, most=6) == b"onetwo"


def test_a_message_is_leased_renewed_given_back_and_deleted(queue: Queue) -> None:
    queue.send("text")
    first = queue.receive(lease=30)
    assert first is not None
    assert (first.text, first.tries) == ("text", 1)
    assert queue.receive(lease=30) is None
    renewed = queue.renew(first, lease=30)
    with pytest.raises(LeaseLostError):
        queue.delete(first)
    queue.renew(renewed, lease=0)
    second = queue.receive(lease=30)
    assert second is not None
    assert second.tries == 2
    with pytest.raises(LeaseLostError):
        queue.renew(renewed, lease=30)
    assert queue.state().length == 1
    queue.delete(second)
    assert queue.state().length == 0
    with pytest.raises(LeaseLostError):
        queue.renew(second, lease=30)


def test_the_state_of_a_queue(queue: Queue) -> None:
    assert (queue.state().length, queue.state().oldest_seconds) == (0, 0)
    queue.send("one")
    queue.send("two", delay=60)
    assert queue.state().length == 2


def test_a_service_that_is_away_or_has_no_such_container_is_away(storage: Storage) -> None:
    with pytest.raises(StoreAwayError, match="404"):
        storage.blobs("elsewhere").read("name", most=1)
    ca = str(storage.azurite.ca_file)
    nobody = Blobs("https://127.0.0.1:9/devstoreaccount1", "jobs", credential=StorageCredential(), ca_file=ca)
    with pytest.raises(StoreAwayError, match="does not answer"):
        nobody.exists("name")


def test_a_file_of_authorities_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StartupError):
        Blobs("https://localhost", "jobs", credential=StorageCredential(), ca_file=str(tmp_path / "none.pem"))
