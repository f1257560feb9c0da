"""Trails with checkpoints, as a worker writes them, and the ways to falsify one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.jose import key_id, public_jwk
from cji_core.trail import GENESIS, Event, Head, TrailAnchored, append_record
from cji_core.trail.chain import verify_next
from cji_core.trail.checkpoint import origin_of, sign_checkpoint
from cji_core.trail.merkle import Frontier, leaf_hash
from cji_core.trail.worker_events import TrailCheckpoint

WORKER: Final = "worker-1"
TIME: Final = "2026-11-24T15:00:00.12Z"


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


@dataclass(kw_only=True)
class Trail:
    """A trail that a worker with this key writes."""

    path: Path
    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    worker: str = WORKER
    time: str = TIME
    head: Head = GENESIS
    tree: Frontier = field(default_factory=Frontier)
    lines: list[bytes] = field(default_factory=list)

    def write(self, count: int = 1, *, mark: int = 0) -> "Trail":
        """Append lines; `mark` makes them other lines."""
        for _ in range(count):
            self.append(TrailAnchored(counter=mark + self.head.seq))
        return self

    def checkpoint(self, note: str | None = None) -> bytes:
        """Append the checkpoint over all lines so far, or a false one."""
        if note is None:
            note = sign_checkpoint(self.tree, origin=origin_of(self.worker), key=self.key).decode()
        self.append(TrailCheckpoint(note=note, receipt_key=key_id(self.key.public_key())))
        return note.encode()

    def append(self, event: Event) -> None:
        self.head, line = append_record(event, head=self.head, time=self.time, worker=self.worker)
        self.tree.append(leaf_hash(line))
        self.lines.append(line)
        with self.path.open("ab") as file:
            file.write(line)

    def restore(self, lines: int) -> "Trail":
        """An older copy of the trail, in its place."""
        older = Trail(path=self.path, key=self.key, worker=self.worker)
        self.path.write_bytes(b"")
        for line in self.lines[:lines]:
            older._take(line)
        return older

    def _take(self, line: bytes) -> None:
        self.head, _ = verify_next(line, head=self.head, number=self.head.seq + 1)
        self.tree.append(leaf_hash(line))
        self.lines.append(line)
        with self.path.open("ab") as file:
            file.write(line)


def keys_folder(folder: Path, keys: Sequence[ec.EllipticCurvePrivateKey]) -> Path:
    folder.mkdir(exist_ok=True)
    for number, key in enumerate(keys):
        (folder / f"{number}.jwk").write_text(public_jwk(key.public_key()))
    return folder


def rewritten(path: Path, line: int, change: Callable[[bytes], bytes]) -> None:
    """Change one line in its file and leave the rest."""
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line - 1] = change(lines[line - 1])
    path.write_bytes(b"".join(lines))
