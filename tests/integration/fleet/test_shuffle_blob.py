"""Shuffle streams in one blob, and the list of a task's attempts, in a real emulator of Blob Storage."""

import random
import threading
from typing import Any

import pytest

from cji_core.pool.documents import DocumentError
from cji_core.pool.errors import BlobChangedError
from cji_core.pool.store import Blobs, Version
from cji_worker.fleet.tasks.published import MAX_ATTEMPTS, PublishedAttempt, attempts, publish
from cji_worker.fleet.tasks.shuffle_blob import ShuffleBlobWriter, read_table
from tests.support.fleet_storage import Storage


def attempt(number: int) -> PublishedAttempt:
    return PublishedAttempt(attempt=f"{number:032x}", statement_sha256="0e" * 32, bytes_in=1, bytes_out=2, seconds=0.5)


@pytest.mark.parametrize(("streams", "held"), [(1, 1 << 20), (7, 0), (7, 3_000), (40, 1 << 20), (3, 1)], ids=str)
def test_streams_come_back_whole_however_they_were_interleaved(storage: Storage, streams: int, held: int) -> None:
    """The slow twin: a list of bytes for each stream."""
    chance, blobs = random.Random(streams * 1000 + held), storage.blobs("shuffle")
    name = f"streams/{streams}-{held}"
    writer = ShuffleBlobWriter(blobs, name, streams, held_bytes=held)
    twin = [b""] * streams
    for _ in range(60 if held > 1 else 9):
        at, data = chance.randrange(streams), chance.randbytes(chance.randrange(1, 900))
        writer.add(at, data)
        twin[at] += data
    assert writer.commit() == blobs.version(name).size
    version = blobs.version(name)
    table = read_table(blobs, name, version, streams)
    read = [
        blobs.read_range(name, version, offset=table[at], length=table[at + 1] - table[at]) for at in range(streams)
    ]
    assert read == twin
    writer.add(0, b"more")
    with pytest.raises(BlobChangedError):
        writer.commit()


@pytest.mark.parametrize(
    "changed",
    [
        b"",
        b"\0" * 23,
        (24).to_bytes(8, "big") + (25).to_bytes(8, "big") + (99).to_bytes(8, "big") + b"ab",
        (24).to_bytes(8, "big") + (27).to_bytes(8, "big") + (26).to_bytes(8, "big") + b"ab",
        (0).to_bytes(8, "big") + (25).to_bytes(8, "big") + (26).to_bytes(8, "big") + b"ab",
    ],
)
def test_a_table_that_does_not_fit_its_blob_is_refused(storage: Storage, changed: bytes) -> None:
    blobs = storage.blobs("shuffle")
    blobs.write("table", (24).to_bytes(8, "big") + (25).to_bytes(8, "big") + (26).to_bytes(8, "big") + b"ab")
    assert list(read_table(blobs, "table", blobs.version("table"), 2)) == [24, 25, 26]
    blobs.write("table", changed)
    with pytest.raises(DocumentError):
        read_table(blobs, "table", blobs.version("table"), 2)


def test_the_first_attempt_counts_and_a_forced_one_precedes(storage: Storage) -> None:
    blobs = storage.blobs("shuffle")
    assert attempts(blobs, "task") == ()
    assert publish(blobs, "task", attempt(1), again=False) == attempt(1)
    assert publish(blobs, "task", attempt(2), again=False) == attempt(1)
    assert publish(blobs, "task", attempt(3), again=True) == attempt(3)
    assert attempts(blobs, "task") == (attempt(3), attempt(1))
    for number in range(4, 4 + MAX_ATTEMPTS):
        publish(blobs, "task", attempt(number), again=True)
    assert len(attempts(blobs, "task")) == MAX_ATTEMPTS


class LostAnswers:
    """A container whose writes arrive, and whose repeated calls then find the blob changed."""

    def __init__(self, blobs: Blobs) -> None:
        self.version, self.read_range, self._blobs = blobs.version, blobs.read_range, blobs

    def create(self, name: str, data: bytes) -> bool:
        self._blobs.create(name, data)
        return False

    def replace(self, name: str, version: Version, data: bytes) -> bool:
        self._blobs.replace(name, version, data)
        return False


def test_an_attempt_whose_answer_was_lost_is_listed_once(storage: Storage) -> None:
    blobs = storage.blobs("shuffle")
    lost: Any = LostAnswers(blobs)
    for number in (1, 2):
        assert publish(lost, "lost", attempt(number), again=True) == attempt(number)
    assert attempts(blobs, "lost") == (attempt(2), attempt(1))


def test_of_nodes_that_publish_at_the_same_time_none_is_lost(storage: Storage) -> None:
    found: list[Any] = []

    def one(number: int) -> None:
        found.append(publish(storage.blobs("shuffle"), "race", attempt(number), again=True))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(MAX_ATTEMPTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found, key=lambda each: each.attempt) == [attempt(number) for number in range(MAX_ATTEMPTS)]
    kept = attempts(storage.blobs("shuffle"), "race")
    assert sorted(each.attempt for each in kept) == [f"{number:032x}" for number in range(MAX_ATTEMPTS)]
