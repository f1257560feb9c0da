"""Whoever holds what the log took finds every change to a trail, and names it: a table of attacks."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from cji_core.command import build
from cji_core.jose import public_jwk
from cji_core.trail.checkpoint import parse_checkpoint, sign_checkpoint
from cji_core.trail.delivered import own_evidence
from cji_core.trail.delivery import DeliveryError
from cji_core.trail.merkle import Frontier, leaf_hash
from cji_core.trail.witnesses.records import Offer, decode_witnessed
from cji_core.trail.worker_events import TrailStarted
from tests.support.tlog_site import Delivery, Site, site
from tests.support.witness_trails import Trail, new_key, rewritten

SEEN = "2026-11-24T16:00:00.00Z"
RESUMED = TrailStarted(nonce="08" * 32)  # any event but an anchor or a checkpoint waits for a witness
NOW = datetime(2026, 11, 24, 16, tzinfo=UTC).timestamp()


@dataclass(kw_only=True)
class Scene:
    """A trail of 21 lines, of whose first 5, 11 and 17 the log has checkpoints, with the auditor's own copies."""

    folder: Path
    trail: Trail

    @property
    def records(self) -> Path:
        return self.folder / "state" / "log"

    @property
    def monitor(self) -> Path:
        return self.folder / "monitor.db"

    def verify(self, *options: object) -> Result:
        config = self.folder / "audit.toml"
        command = ["audit", "witness", "verify", str(self.trail.path), "--config", str(config), *map(str, options)]
        return CliRunner().invoke(build(), command, catch_exceptions=False)

    def findings(self, *options: object) -> list[dict[str, Any]]:
        result = self.verify("--json", *options)
        found: list[dict[str, Any]] = json.loads(result.stdout)["findings"]
        assert result.exit_code == (3 if found else 0)
        return found

    def add_key(self) -> None:
        """The auditor trusts the key with which the trail is signed now."""
        jwk = public_jwk(self.trail.key.public_key())
        (self.folder / "keys" / f"{len(list((self.folder / 'keys').iterdir())):03}.jwk").write_text(jwk)


def begun(folder: Path, nonce: str) -> Trail:
    trail = Trail(path=folder / "audit.log")
    trail.append(TrailStarted(nonce=nonce * 32))
    return trail.write(4)


@pytest.fixture(scope="module")
def agency(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("agency"), count=2, quorum=2, clock=lambda: NOW) as found:
        yield found


@pytest.fixture(scope="module")
def prepared(agency: Site) -> Scene:
    """Delivered once for all tests, each of which has a copy."""
    folder = agency.folder / "worker"
    folder.mkdir()
    trail = begun(folder, "07")
    delivery = Delivery(agency, folder, trail.path)
    delivery.attest(trail.key)
    for size in (5, 11, 17):
        trail.checkpoint()
        assert delivery.advance() == size
        trail.append(RESUMED)
        trail.write(4 if size < 17 else 2)
    assert not agency.monitor("worker/monitor.db").findings
    return Scene(folder=folder, trail=trail)


@pytest.fixture
def scene(prepared: Scene, tmp_path: Path) -> Scene:
    shutil.copytree(prepared.folder, tmp_path / "copy")
    trail = Trail(path=tmp_path / "copy" / "audit.log", key=prepared.trail.key)
    trail.lines = list(prepared.trail.lines)
    return Scene(folder=tmp_path / "copy", trail=trail.restore(21))


def test_a_good_trail(scene: Scene) -> None:
    shown = scene.verify("--monitor", scene.monitor)
    assert shown.exit_code == 0, shown.output
    assert f"log: 3 checkpoints, the newest of 17 lines, cosigned at {SEEN}" in shown.stdout
    assert "lines 1 to 17 are those of the log" in shown.stdout
    assert "monitor: 3 checkpoints, the newest of 17 lines" in shown.stdout
    assert scene.verify("--key", scene.folder / "keys" / "000.json").exit_code == 0


def test_keys_beside_the_trail_examine_nothing(scene: Scene) -> None:
    """The machine under examination writes that folder: its keys would call a rewritten trail a rollback."""
    config = scene.folder / "audit.toml"
    config.write_text(config.read_text().replace('receipt_keys = "keys"\n', ""))
    shutil.copytree(scene.folder / "keys", own_evidence(scene.trail.path))
    shown = scene.verify()
    assert (shown.exit_code, "No receipt key was given" in shown.stderr) == (2, True)
    assert scene.verify("--key", scene.folder / "keys" / "000.json").exit_code == 0


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
    trail.write(10, mark=1000).checkpoint()
    scene.trail = trail
    scene.add_key()


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


@pytest.mark.parametrize("source", ["state", "monitor"])
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_named(scene: Scene, name: str, source: str) -> None:
    attack, fault, expected = ATTACKS[name]
    assert not scene.findings()
    kept = scene.folder / "auditor"
    shutil.copytree(scene.folder / "state", kept)
    attack(scene)
    if source == "state":
        [found] = scene.findings("--state", kept)
        assert found["source"] == "log"
        assert SEEN in found["text"]
    else:
        (scene.folder / "empty").mkdir()
        options = ("--state", scene.folder / "empty", "--monitor", scene.monitor)
        if name in {"a whole new chain", "an empty trail"}:  # another trail, or none: the log has nothing of it
            assert scene.verify(*options).exit_code in {3, 4}
            return
        [found] = scene.findings(*options)
    assert found["fault"] == fault, found
    assert {key: found[key] for key in expected} == expected, found


def test_a_checkpoint_that_the_log_lacks_makes_no_fork(agency: Site, tmp_path: Path) -> None:
    trail = begun(tmp_path, "02")
    delivery = Delivery(agency, tmp_path, trail.path)
    delivery.attest(trail.key, ak="b" * 64)
    trail.checkpoint()
    delivery.advance()
    trail.write(2).checkpoint()
    trail.write(3).checkpoint()
    assert delivery.advance() == 12
    scene = Scene(folder=tmp_path, trail=trail)
    recompute(scene, 10)
    [found] = scene.findings()
    assert (found["fault"], found["after"], found["size"]) == ("rewritten", 5, 12)


@pytest.mark.parametrize("size", [5, 11, 17])
def test_any_one_record_finds_a_whole_new_chain(scene: Scene, size: int) -> None:
    for each in scene.records.iterdir():
        if each.name != f"{size:020}.json":
            each.unlink()
    recompute(scene, 1)
    faults = {each["fault"] for each in scene.findings()}
    assert faults == ({"rewritten"} if size == 5 else {"rewritten", "gap"})  # the ones before it are not there


def test_lines_that_waited_too_long_are_named(scene: Scene) -> None:
    policy = scene.folder / "policy.toml"
    policy.write_text(policy.read_text().replace("max_delay_seconds = 3600", "max_delay_seconds = 3599"))
    [found] = scene.findings()
    assert (found["fault"], found["size"]) == ("late", 11)
    assert "waited for that of 11 lines for 3600 s; the policy allows 3599 s" in found["text"]


def test_a_time_beside_the_proof_hides_no_delay(scene: Scene) -> None:
    """The times are those that the witnesses signed. Who was late can write the deliverer's records."""
    policy = scene.folder / "policy.toml"
    policy.write_text(policy.read_text().replace("max_delay_seconds = 3600", "max_delay_seconds = 3599"))
    for each in scene.records.iterdir():
        other = rb'"at":"2026-11-24T15:00:01.00Z","receipt"'
        each.write_bytes(re.sub(rb'("at":"[^"]*",)?"receipt"', other, each.read_bytes(), count=1))
    assert scene.findings()


def test_lines_under_no_checkpoint_are_named(scene: Scene) -> None:
    scene.trail.time = "2026-11-24T16:00:00.00Z"
    scene.trail.append(RESUMED)
    assert not scene.findings()
    scene.trail.time = "2026-11-24T16:00:01.00Z"
    scene.trail.append(RESUMED)
    [found] = scene.findings()
    assert (found["fault"], found["size"]) == ("late", None)


def test_a_frozen_trail_is_named(agency: Site, tmp_path: Path) -> None:
    """A copy of the trail on another machine goes on elsewhere: the log freezes it, and a monitor's file shows it."""
    trail = begun(tmp_path, "03")
    delivery = Delivery(agency, tmp_path, trail.path)
    delivery.attest(trail.key, ak="c" * 64)
    trail.checkpoint()
    delivery.advance()
    (tmp_path / "copy").mkdir()
    shutil.copy(trail.path, tmp_path / "copy")
    copy = Trail(
        path=tmp_path / "copy" / "audit.log", head=trail.head, tree=Frontier(trail.tree.size, trail.tree.peaks)
    )
    copy.write(3).checkpoint()
    second = Delivery(agency, tmp_path / "copy", copy.path)
    shutil.copy(delivery.keys / "000.json", second.keys)
    second.attest(copy.key, ak="d" * 64)
    with pytest.raises(DeliveryError, match="another machine"):
        second.advance()
    agency.log.refresh()
    agency.monitor(str(tmp_path / "monitor.db"))
    [found] = Scene(folder=tmp_path, trail=trail).findings("--monitor", tmp_path / "monitor.db")
    assert (found["fault"], found["text"]) == ("frozen", "the log froze this trail: other_machine")


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


def wrong_receipt(scene: Scene) -> None:
    path, other = scene.records / f"{11:020}.json", scene.records / f"{17:020}.json"
    receipt = decode_witnessed(other.read_bytes()).receipt
    path.write_bytes(msgspec.structs.replace(decode_witnessed(path.read_bytes()), receipt=receipt).encode())


FALSE_RECORDS: dict[str, tuple[Callable[[Scene], Any], set[str]]] = {
    "a forged checkpoint": (forge, {"forged"}),
    "a checkpoint of another key": (another_key, {"unknown_key"}),
    "a checkpoint of another trail": (another_trail, {"receipt"}),
    "another size than its name": (
        lambda s: (s.records / f"{17:020}.json").rename(s.records / f"{18:020}.json"),
        {"unreadable"},
    ),
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
    found = scene.findings()
    assert {each["fault"] for each in found} == faults, found
    for each in found:
        assert each["text"].isprintable()


def test_a_trail_without_anything_seen_is_not_good(scene: Scene) -> None:
    shutil.rmtree(scene.folder / "state")
    shown = scene.verify()
    assert shown.exit_code == 3
    assert "The log has nothing of this trail" in shown.output


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
