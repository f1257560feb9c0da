"""When the keyholder signs its trail, and what survives of that: crashes, full disks, a second start."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.errors import Refusal, StartupError
from cji_core.jose import thumbprint
from cji_core.strict import b64url
from cji_core.trail import (
    TailRecovered,
    TrailAnchored,
    TrailCheckpoint,
    WorkerStopped,
    append_record,
    read,
    utc_hundredths,
)
from cji_core.trail.checkpoint import parse_checkpoint, sign_checkpoint
from cji_core.trail.merkle import Frontier, leaf_hash
from cji_core.trail.rules import State, Watcher
from cji_core.trail.trail import verified
from cji_worker.keyholder.checkpoints import PERIOD_S, Checkpoints
from cji_worker.trail.file import AuditFile
from tests.support.audit_events import admitted, completed, ended, ledger_of, opened

HEADER = b"\x02" * 48


class Signer:
    """Signs as `ReceiptSigner` does."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP384R1())
        self.key_id = b64url(thumbprint(self.key.public_key()))

    def checkpoint(self, tree: Frontier) -> TrailCheckpoint:
        note = sign_checkpoint(tree, origin="cji-worker/worker-1", key=self.key)
        return TrailCheckpoint(note=note.decode(), receipt_key=self.key_id)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


@pytest.fixture
def trail(path: Path) -> Iterator[AuditFile]:
    with opened(path) as audit:
        yield audit


def begin(trail: AuditFile, clock: Clock, signer: Signer | None = None) -> Checkpoints:
    return Checkpoints(trail, signer or Signer(), clock=clock)  # type: ignore[arg-type]


def kinds(path: Path) -> list[str]:
    return [read(line).event.kind for line in path.read_bytes().splitlines(keepends=True)]


def inspected(path: Path, *signers: Signer) -> Watcher:
    """The trails here have no start, so its rules have nothing to compare with."""
    watcher = Watcher(keys={each.key_id: each.key.public_key() for each in signers}, state=State())
    for line, record in verified(path):
        watcher.take(line, record)
    return watcher


def test_one_at_the_start_and_one_a_minute_with_new_lines(trail: AuditFile, path: Path) -> None:
    clock, signer = Clock(), Signer()
    trail.append(WorkerStopped(jobs_completed=0))
    checkpoints = begin(trail, clock, signer)
    trail.append(admitted(bytes(16), HEADER))
    for _ in range(int(PERIOD_S) - 1):
        clock.now += 1
        checkpoints.follow()
    assert kinds(path)[1:] == ["trail_checkpoint", "job_admitted"]
    clock.now += 1
    checkpoints.follow()
    assert kinds(path)[3:] == ["trail_checkpoint"]
    found = inspected(path, signer)
    assert (found.verified[signer.key_id], found.signed) == (2, 3)


def test_neither_a_checkpoint_nor_an_anchor_causes_the_next(trail: AuditFile, path: Path) -> None:
    clock = Clock()
    checkpoints = begin(trail, clock)
    for counter in range(5):
        clock.now += PERIOD_S
        checkpoints.follow()
        checkpoints.finish()
        trail.append(TrailAnchored(counter=counter + 1))
    assert kinds(path).count("trail_checkpoint") == 1
    trail.append(WorkerStopped(jobs_completed=0))
    checkpoints.finish()
    checkpoints.finish()
    assert kinds(path).count("trail_checkpoint") == 2


def test_the_tree_is_the_same_however_it_was_reached(path: Path) -> None:
    """Continued, after a crash that lost the ledger's last group, after a torn line, and built again."""
    with opened(path) as trail:
        for number in range(20):
            trail.append(admitted(number.to_bytes(16, "big"), HEADER))
        trail.maintain()
        for number in range(10):
            trail.append(ended(number.to_bytes(16, "big"), HEADER))
        crashed = path.read_bytes(), ledger_of(path).read_bytes()
        expected = Frontier()
        for line in crashed[0].splitlines(keepends=True):
            expected.append(leaf_hash(line))
        assert trail.tree.encode() == expected.encode()
    with opened(path) as trail:
        assert trail.tree.encode() == expected.encode()
    path.write_bytes(crashed[0] + b'{"seq":31,"torn')
    with opened(path) as trail:
        assert trail.tree.size == 31
        assert isinstance(read(path.read_bytes().splitlines(keepends=True)[-1]).event, TailRecovered)
        torn = trail.tree.encode()
    with AuditFile(path, worker="worker-1", clock=trail._clock, rebuild=True) as again:
        assert again.tree.encode() == torn


def test_two_starts_have_two_keys(path: Path) -> None:
    signers = [Signer(), Signer()]
    for number, signer in enumerate(signers):
        with opened(path) as trail:
            from tests.support.trails import Writer, released

            writer = Writer()
            writer.start()
            trail.append(read(writer.lines[0]).event)
            trail.append(released())
            checkpoints = begin(trail, Clock(), signer)
            trail.append(admitted(bytes([number]) * 16, HEADER))
            trail.append(ended(bytes([number]) * 16, HEADER))
            checkpoints.finish()
    found = inspected(path, *signers)
    assert list(found.verified.values()) == [2, 2]
    assert inspected(path, signers[0]).signed == 5
    assert found.signed == 11


@pytest.mark.parametrize("damage", ["size", "root"])
def test_a_checkpoint_of_other_lines_is_not_accepted(trail: AuditFile, path: Path, damage: str) -> None:
    trail.append(admitted(bytes(16), HEADER))
    tree = Frontier(2, [bytes(32)]) if damage == "size" else Frontier(1, [bytes(32)])
    before, event = path.read_bytes(), Signer().checkpoint(tree)
    with pytest.raises(ValueError, match="out of order"):
        trail.append(event)
    assert path.read_bytes() == before
    trail.append(completed(bytes(16), HEADER))
    head = trail.head
    trail.close()
    _, line = append_record(
        Signer().checkpoint(Frontier(2, [bytes(32)])), head=head, time=utc_hundredths(trail._clock()), worker="worker-1"
    )
    with path.open("ab") as file:
        file.write(line)
    with pytest.raises(StartupError, match="audit line 3: event"):
        opened(path)


def test_after_a_full_disk_the_next_one_covers_all(
    trail: AuditFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, signer = Clock(), Signer()
    checkpoints = begin(trail, clock, signer)
    trail.append(admitted(bytes(16), HEADER))
    clock.now += PERIOD_S

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        checkpoints.follow()  # not kept for later
    with pytest.raises(Refusal):
        trail.append(ended(bytes(16), HEADER))
    checkpoints.follow()
    trail.maintain()
    assert trail.writable()
    checkpoints.follow()
    assert kinds(path) == ["trail_checkpoint", "job_admitted", "tail_recovered", "trail_checkpoint"]
    found = parse_checkpoint(read(path.read_bytes().splitlines(keepends=True)[-1]).event.note.encode())  # type: ignore[attr-defined]
    assert found.size == 3
    assert inspected(path, signer).signed == 3


def test_a_ledger_whose_tree_is_not_of_its_mark_is_damaged(path: Path) -> None:
    import sqlite3

    with opened(path) as trail:
        trail.append(admitted(bytes(16), HEADER))
    for tree in (b"", bytes(8), Frontier(2, [bytes(32)]).encode()):
        database = sqlite3.connect(ledger_of(path))
        database.execute("UPDATE mark SET tree = ?", (tree,))
        database.commit()
        database.close()
        with pytest.raises(StartupError, match="damaged"):
            opened(path)
