"""Whoever holds what a witness returned finds every change to a trail, and names it: a table of attacks."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.command import build
from cji_core.trail.checkpoint import parse_checkpoint, sign_checkpoint
from cji_core.trail.merkle import Frontier, leaf_hash
from cji_core.trail.witnesses.destination import WitnessDestination
from cji_core.trail.witnesses.file_copy import FileWitness
from cji_core.trail.witnesses.keys import read_keys
from cji_core.trail.witnesses.records import Offer, Witnessed, decode_offer, decode_witnessed
from cji_core.trail.witnesses.settings import FileTable
from tests.support.witness_services import NOW
from tests.support.witness_trails import Trail, keys_folder, new_key, rewritten

SEEN = "2026-11-24T16:00:00.00Z"


@dataclass(kw_only=True)
class Scene:
    """A trail of 21 lines, whose first 5, 11 and 17 a witness saw, with the auditor's own copies of everything."""

    folder: Path
    trail: Trail
    keys: list[ec.EllipticCurvePrivateKey] = field(default_factory=list)
    clock: list[float] = field(default_factory=lambda: [0.0])

    @property
    def records(self) -> Path:
        return self.folder / "state" / "witnesses" / "mount"

    @property
    def copies(self) -> Path:
        return self.folder / "copies"

    def witnessed(self, *, name: str = "mount") -> None:
        """Hand the newest checkpoint to the witness."""
        self.copies.mkdir(exist_ok=True)
        keys = keys_folder(self.folder / "keys", self.keys)
        destination = WitnessDestination(
            FileWitness(FileTable(name=name, folder=str(self.copies)), clock=lambda: NOW),
            name=name,
            trail=self.trail.path,
            records=self.folder / "state" / "witnesses" / name,
            keys=partial(read_keys, keys),
            interval=60,
        )
        destination.advance()

    def verify(self, *options: object) -> Result:
        config = self.folder / "audit.toml"
        config.write_text(
            'trail = "audit.log"\nstate = "state"\nreceipt_keys = "keys"\n'
            '[[witnesses]]\nkind = "file"\nname = "mount"\nfolder = "copies"\n'
        )
        command = ["audit", "witness", "verify", str(self.trail.path), "--config", str(config), *map(str, options)]
        return CliRunner().invoke(build(), command, catch_exceptions=False)

    def findings(self, *options: object) -> list[dict[str, Any]]:
        result = self.verify("--json", *options)
        found: list[dict[str, Any]] = json.loads(result.stdout)["findings"]
        assert result.exit_code == (3 if found else 0)
        return found


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    key = new_key()
    made = Scene(folder=tmp_path, trail=Trail(path=tmp_path / "audit.log", key=key), keys=[key])
    for _ in range(3):
        made.trail.write(5).checkpoint()
        made.witnessed()
    made.trail.write(3)
    return made


def test_a_good_trail(scene: Scene) -> None:
    shown = scene.verify("--copies", scene.copies)
    assert shown.exit_code == 0
    assert f"mount: 3 checkpoints, the newest of 17 lines at {SEEN} by the deliverer's clock" in shown.stdout
    assert "the first 17 lines are what witnesses saw" in shown.stdout
    assert f"{scene.copies}: 3 checkpoints, the newest of 17 lines" in shown.stdout
    key = scene.folder / "keys" / "0.jwk"
    evidence = scene.folder / "evidence.json"
    evidence.write_text(json.dumps({"version": 5, "receipt_jwk": key.read_text()}))
    assert scene.verify("--key", evidence).exit_code == 0


def flip(line: bytes) -> bytes:
    return line.replace(b'"counter":', b'"counter":9', 1)


def recompute(scene: Scene, line: int, *, checkpoints: bool = False) -> None:
    """Write another line in its place and recompute the chain after it; without the key there are no checkpoints."""
    old, trail = scene.trail.lines, scene.trail.restore(line - 1)
    while len(trail.lines) < len(old):
        trail.write(mark=1000)
        if checkpoints and len(trail.lines) == 20:
            trail.checkpoint()
    scene.trail = trail


def restart_on_older_copy(scene: Scene, lines: int) -> None:
    """A backup is put in its place, and the next start of the worker, with another key, continues it."""
    trail = scene.trail.restore(lines)
    trail.key = new_key()
    scene.keys.append(trail.key)
    keys_folder(scene.folder / "keys", scene.keys)
    trail.write(10, mark=1000).checkpoint()
    scene.trail = trail


def two_histories(scene: Scene) -> None:
    """Whoever has the key of this start of the worker signs another history."""
    trail = scene.trail.restore(8)
    trail.write(10, mark=1000).checkpoint()
    scene.trail = trail


def exchange(scene: Scene, one: int, other: int) -> None:
    lines = list(scene.trail.lines)
    lines[one - 1], lines[other - 1] = lines[other - 1], lines[one - 1]
    scene.trail.path.write_bytes(b"".join(lines))


def keep(scene: Scene, *lines: bytes) -> None:
    scene.trail.path.write_bytes(b"".join(lines))


# name: what the attacker does; the fault; the first wrong line, or the last good one
ATTACKS: dict[str, tuple[Callable[[Scene], Any], str, dict[str, Any]]] = {
    "a rewritten line": (lambda s: rewritten(s.trail.path, 3, flip), "rewritten", {"line": 3, "size": 5}),
    "a rewritten line later": (lambda s: rewritten(s.trail.path, 14, flip), "rewritten", {"line": 14, "after": 11}),
    "a removed line": (
        lambda s: keep(s, *s.trail.lines[:6], *s.trail.lines[7:]), "rewritten", {"line": 7, "after": 5},
    ),
    "a doubled line": (
        lambda s: keep(s, *s.trail.lines[:7], *s.trail.lines[6:]), "rewritten", {"line": 8, "after": 5},
    ),
    "swapped lines": (lambda s: exchange(s, 8, 9), "rewritten", {"line": 8, "after": 5}),
    "a whole new chain": (lambda s: recompute(s, 1), "rewritten", {"after": 0, "size": 5}),
    "a new chain from a line on": (lambda s: recompute(s, 8), "rewritten", {"after": 5, "size": 11}),
    "a new chain in the last witnessed lines": (lambda s: recompute(s, 13), "rewritten", {"after": 11, "size": 17}),
    "a cut tail": (lambda s: keep(s, *s.trail.lines[:13]), "cut", {"line": 14, "after": 11, "size": 17}),
    "a cut tail at a checkpoint": (
        lambda s: keep(s, *s.trail.lines[:11]), "cut", {"line": 12, "after": 11, "size": 17},
    ),
    "a tail cut by one line": (lambda s: keep(s, *s.trail.lines[:16]), "cut", {"line": 17, "after": 11, "size": 17}),
    "an empty trail": (keep, "cut", {"line": 1, "after": 0, "size": 17}),
    "a rollback": (lambda s: restart_on_older_copy(s, 13), "rollback", {"after": 11, "size": 17}),
    "a rollback to the start": (lambda s: restart_on_older_copy(s, 1), "rollback", {"after": 0, "size": 5}),
    "a fork": (two_histories, "fork", {"after": 5, "size": 11}),
}  # fmt: skip


@pytest.mark.parametrize("source", ["state", "copies"])
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_named(scene: Scene, name: str, source: str) -> None:
    attack, fault, expected = ATTACKS[name]
    assert not scene.findings()
    kept = scene.folder / "auditor"
    shutil.copytree(scene.folder / "state", kept)
    shutil.copytree(scene.copies, scene.folder / "auditors-copies")
    attack(scene)
    if source == "state":
        [found] = scene.findings("--state", kept)
        assert found["witness"] == "mount"
        assert SEEN in found["text"]
    else:
        (scene.folder / "empty").mkdir()
        [found] = scene.findings("--state", scene.folder / "empty", "--copies", scene.folder / "auditors-copies")
    assert found["fault"] == fault, found
    assert {key: found[key] for key in expected} == expected, found


def test_a_checkpoint_that_no_witness_saw_makes_no_fork(scene: Scene) -> None:
    scene.trail.write(2).checkpoint()
    scene.trail.write(3).checkpoint()
    scene.witnessed()
    recompute(scene, 25)
    [found] = scene.findings()
    assert (found["fault"], found["after"], found["size"]) == ("rewritten", 17, 27)


@pytest.mark.parametrize("size", [5, 11, 17])
def test_any_one_checkpoint_finds_a_whole_new_chain(scene: Scene, size: int) -> None:
    one = scene.folder / "one"
    one.mkdir()
    shutil.copy(scene.copies / f"{size:020}.json", one)
    recompute(scene, 1)
    (scene.folder / "empty").mkdir()
    faults = {each["fault"] for each in scene.findings("--state", scene.folder / "empty", "--copies", one)}
    assert faults == ({"rewritten"} if size == 5 else {"rewritten", "gap"})  # the ones before it are not there


def changed_offer(scene: Scene, size: int, change: Callable[[Offer], Offer]) -> None:
    path = scene.records / f"{size:020}.json"
    record = decode_witnessed(path.read_bytes())
    path.write_bytes(msgspec.structs.replace(record, offer=change(record.offer)).encode())


def renote(scene: Scene, size: int, note: bytes) -> None:
    changed_offer(scene, size, lambda offer: msgspec.structs.replace(offer, note=note.decode()))


def other_tree(size: int) -> Frontier:
    tree = Frontier()
    for i in range(size):
        tree.append(leaf_hash(str(i).encode()))
    return tree


def forge(scene: Scene) -> None:
    """The signature of another checkpoint under this one."""
    path = scene.records / f"{11:020}.json"
    mine = parse_checkpoint(decode_witnessed(path.read_bytes()).offer.note.encode())
    stranger = sign_checkpoint(other_tree(11), origin=mine.origin, key=scene.trail.key).decode()
    note = mine.text.decode() + "\n" + stranger.split("\n\n")[1]
    renote(scene, 11, note.encode())


def another_key(scene: Scene) -> None:
    renote(scene, 11, sign_checkpoint(other_tree(11), origin="cji-worker/worker-1", key=new_key()))


def another_trail(scene: Scene) -> None:
    """A good checkpoint of another worker, by a key that is trusted."""
    renote(scene, 17, sign_checkpoint(other_tree(17), origin="cji-worker/worker-2", key=scene.trail.key))


def contradict(scene: Scene) -> None:
    """A copy with another history of the same size, signed by the same key."""
    other = scene.folder / "other"
    other.mkdir()
    note = sign_checkpoint(other_tree(5), origin="cji-worker/worker-1", key=scene.trail.key).decode()
    (other / f"{5:020}.json").write_bytes(Offer(previous=0, consistency=(), note=note).encode())


def rename(scene: Scene) -> None:
    shutil.copytree(scene.records, scene.records.with_name("stranger"))


def move(scene: Scene) -> None:
    path = scene.records / f"{11:020}.json"
    record = decode_witnessed(path.read_bytes())
    path.write_bytes(msgspec.structs.replace(record, witness="another").encode())


def wrong_receipt(scene: Scene) -> None:
    path, other = scene.records / f"{11:020}.json", scene.records / f"{17:020}.json"
    receipt = decode_witnessed(other.read_bytes()).receipt
    path.write_bytes(msgspec.structs.replace(decode_witnessed(path.read_bytes()), receipt=receipt).encode())


FALSE_RECORDS: dict[str, tuple[Callable[[Scene], Any], set[str]]] = {
    "a forged checkpoint": (forge, {"forged"}),
    "a checkpoint of another key": (another_key, {"unknown_key"}),
    "a checkpoint of another trail": (another_trail, {"mixed", "fork"}),
    "two histories of one size": (contradict, {"fork"}),
    "a witness that is not configured": (rename, {"witness"}),
    "a record under another name": (move, {"witness", "gap"}),
    "a receipt for another checkpoint": (wrong_receipt, {"receipt"}),
    "a removed record": (lambda s: (s.records / f"{11:020}.json").unlink(), {"gap"}),
    "a file that is no record": (lambda s: (s.records / f"{17:020}.json").write_bytes(b"{}\n"), {"unreadable"}),
    "a torn file": (lambda s: (s.records / f"{17:020}.json").write_bytes(b'{"version":1,'), {"unreadable"}),
    "a proof of another tree": (
        lambda s: changed_offer(
            s, 11, lambda o: msgspec.structs.replace(o, consistency=("00" * 32, *o.consistency[1:]))
        ),
        {"fork"},
    ),
}


@pytest.mark.parametrize("name", FALSE_RECORDS)
def test_a_false_record_is_named(scene: Scene, name: str) -> None:
    attack, faults = FALSE_RECORDS[name]
    attack(scene)
    other = scene.folder / "other"
    found = scene.findings(*(("--copies", other) if other.exists() else ()))
    assert {each["fault"] for each in found} == faults, found
    for each in found:
        assert each["text"].isprintable()


def test_a_trail_without_anything_seen_is_not_good(scene: Scene) -> None:
    shutil.rmtree(scene.folder / "state")
    shown = scene.verify()
    assert shown.exit_code == 3
    assert "No witness saw this trail" in shown.output


def test_a_trail_of_two_workers_is_named(scene: Scene) -> None:
    scene.trail.worker = "worker-2"
    scene.trail.write()
    [found] = scene.findings()
    assert (found["fault"], found["text"]) == (
        "mixed",
        "lines of several workers: cji-worker/worker-1, cji-worker/worker-2",
    )


@pytest.mark.parametrize("kind", ["root", "origin", "size", "signature"])
def test_a_false_checkpoint_in_the_trail_is_named(scene: Scene, kind: str) -> None:
    """A line whose chain is right, written by someone with the file and without the key."""
    trail, origin = scene.trail, "cji-worker/worker-1"
    signed = partial(sign_checkpoint, key=trail.key)
    text = signed(trail.tree, origin=origin).decode().split("\n\n")[0]
    signature = signed(other_tree(21), origin=origin).decode().split("\n\n")[1]
    note = {
        "root": signed(other_tree(21), origin=origin),
        "origin": signed(trail.tree, origin="cji-worker/worker-2"),
        "size": signed(other_tree(20), origin=origin),
        "signature": f"{text}\n\n{signature}".encode(),
    }[kind]
    trail.checkpoint(note.decode())
    [found] = scene.findings()
    assert (found["fault"], found["line"], found["after"]) == ("rewritten", 22, 17)


def test_copies_are_what_the_file_witness_has(scene: Scene) -> None:
    offers = [decode_offer(path.read_bytes()) for path in sorted(scene.copies.iterdir())]
    records = [decode_witnessed(path.read_bytes()) for path in sorted(scene.records.iterdir())]
    assert [each.offer for each in records] == offers
    assert all(isinstance(each, Witnessed) for each in records)
