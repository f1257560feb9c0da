"""Each rule of the agency's log, by an entry that breaks it alone."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.tlog.leaves import (
    Cause,
    CheckpointLeaf,
    ConflictLeaf,
    Leaf,
    LeafError,
    TrailDecision,
    decode_leaf,
    encode_leaf,
    new_salt,
)
from cji_core.tlog.slots import Slot, Slots
from cji_core.trail.merkle import leaf_hash
from tests.support.tlog_site import ORIGIN, Machine, signed
from tests.support.witness_trails import TIME, new_key


class Log:
    """Slots in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, Slot] = {}
        self.operator = new_key()
        self.slots = Slots(self.kept.get, self.kept.__setitem__, operators=[self.operator.public_key()], origin=ORIGIN)

    def take(self, leaf: Leaf) -> None:
        self.slots.take(decode_leaf(encode_leaf(leaf)))

    def refuses(self, leaf: Leaf, cause: str) -> None:
        before = dict(self.kept)
        with pytest.raises(LeafError) as caught:
            self.take(leaf)
        assert caught.value.cause == cause
        assert self.kept == before

    def freezes(self, leaf: CheckpointLeaf, cause: Cause) -> None:
        self.refuses(leaf, cause)
        self.take(conflict(leaf, cause))
        assert self.kept[leaf.trail].frozen == cause


def conflict(leaf: CheckpointLeaf, cause: Cause) -> ConflictLeaf:
    return ConflictLeaf(salt=new_salt(), trail=leaf.trail, cause=cause, note=leaf.note, key=leaf.key, first=leaf.first)


def decision(log: Log, machine: Machine, **changes: Any) -> TrailDecision:
    slot = log.kept[machine.identity]
    found = TrailDecision(
        origin=ORIGIN,
        trail=machine.identity,
        entries=slot.entries,
        note=slot.note,
        ak_sha256=slot.key.ak_sha256,
        operator="jdoe",
        explanation="ticket 4711",
        time=TIME,
    )
    return msgspec.structs.replace(found, **changes)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(folder=tmp_path)


@pytest.fixture
def begun(log: Log, machine: Machine) -> Machine:
    machine.trail.write(4)
    log.take(machine.leaf())
    return machine


def test_a_trail_grows_over_restarts(log: Log, begun: Machine) -> None:
    begun.trail.write(3)
    log.take(begun.leaf(5))
    begun.restarted()
    log.take(begun.leaf(9, key=True))
    slot = log.kept[begun.identity]
    assert (slot.entries, slot.checkpoint().size, slot.key.clock.reset_count) == (3, 10, 2)


def test_two_trails_have_two_slots(log: Log, tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        machine = Machine(folder=tmp_path / str(number), nonce=f"{number:064}")
        machine.trail.write(2)
        log.take(machine.leaf())
    assert len(log.kept) == 2


def test_a_trail_without_evidence_is_unknown(log: Log, machine: Machine) -> None:
    log.refuses(machine.leaf(key=False), "unknown_trail")
    log.refuses(machine.leaf(first=False), "unknown_trail")


def test_a_first_line_names_the_trail(log: Log, machine: Machine, tmp_path: Path) -> None:
    machine.trail.write(3)
    leaf = machine.leaf()
    assert leaf.first is not None
    log.refuses(msgspec.structs.replace(leaf, trail="0" * 96), "identity")
    wrong = msgspec.structs.replace(leaf.first, inclusion=leaf.first.inclusion[:-1])
    log.refuses(msgspec.structs.replace(leaf, first=wrong), "identity")
    second = msgspec.structs.replace(leaf.first, line=machine.trail.lines[1].decode())
    log.refuses(msgspec.structs.replace(leaf, first=second), "identity")
    assert leaf_hash(machine.trail.lines[0]).hex() not in leaf.first.inclusion


def test_another_key_signs_nothing(log: Log, begun: Machine) -> None:
    begun.trail.key = new_key()
    log.refuses(begun.leaf(5), "signature")


def test_an_older_key_of_the_machine_is_refused(log: Log, begun: Machine) -> None:
    old = begun.trail.key
    begun.restarted()
    log.take(begun.leaf(5, key=True))
    begun.trail.key, begun.resets = old, 1
    log.refuses(begun.leaf(6, key=True), "superseded")
    begun.resets = 2  # the same quote again, with another key
    log.refuses(begun.leaf(6, key=True), "superseded")


@pytest.mark.parametrize("first", [True, False])
def test_another_machine_freezes_the_trail(log: Log, begun: Machine, *, first: bool) -> None:
    begun.ak = "b" * 64
    begun.restarted()
    leaf = begun.leaf(5, key=True, first=first)
    if first:
        log.freezes(leaf, "other_machine")
        log.refuses(begun.leaf(6), "signature")
    else:
        log.refuses(conflict(leaf, "other_machine"), "identity")


def test_an_entry_continues_the_last_one(log: Log, begun: Machine) -> None:
    begun.trail.write(3)
    leaf = begun.leaf(5)
    log.refuses(msgspec.structs.replace(leaf, previous=4), "previous")
    log.refuses(msgspec.structs.replace(leaf, consistency=leaf.consistency[:-1]), "consistency")
    log.refuses(msgspec.structs.replace(leaf, consistency=(*leaf.consistency[:-1], "00" * 32)), "consistency")
    log.take(leaf)
    log.refuses(leaf, "previous")  # again


def test_a_fork_of_a_trail_freezes_it(log: Log, begun: Machine) -> None:
    older = begun.trail.restore(1)
    begun.trail = older.write(4, mark=1000)
    log.freezes(begun.leaf(0, key=False, first=True), "fork")
    begun.trail.write(1)
    log.refuses(begun.leaf(5), "frozen")


def test_a_longer_fork_has_no_proof(log: Log, begun: Machine) -> None:
    begun.trail = begun.trail.restore(1).write(9, mark=1000)
    log.refuses(begun.leaf(5), "consistency")


def test_a_rollback_freezes_the_trail(log: Log, begun: Machine) -> None:
    begun.trail = begun.trail.restore(3)
    begun.restarted()
    log.freezes(begun.leaf(0, key=True, first=True), "rollback")


def test_a_late_checkpoint_is_no_rollback(log: Log, begun: Machine) -> None:
    begun.trail.write(3)
    late = begun.leaf(5)
    begun.trail.write(3)
    log.take(begun.leaf(5))
    log.refuses(late, "previous")
    log.refuses(conflict(late, "rollback"), "identity")


def test_a_conflict_must_show_what_it_says(log: Log, begun: Machine) -> None:
    begun.trail.write(2)
    honest = begun.leaf(5, first=True)
    log.refuses(conflict(honest, "fork"), "conflict")
    begun.restarted()
    log.refuses(conflict(begun.leaf(5, key=True, first=True), "rollback"), "conflict")


def test_a_person_decides_once(log: Log, begun: Machine) -> None:
    begun.trail = begun.trail.restore(3)
    begun.restarted()
    log.freezes(begun.leaf(0, key=True, first=True), "rollback")
    begun.trail.write(1)
    size, base = len(begun.trail.lines), begun.note()
    stranger = signed(decision(log, begun, note=base), new_key())
    log.refuses(stranger, "signature")
    log.refuses(signed(decision(log, begun, origin="other.example/log"), log.operator), "decision")
    log.refuses(signed(decision(log, begun, entries=1), log.operator), "decision")
    taken = signed(decision(log, begun, note=base), log.operator)
    log.take(taken)
    log.refuses(taken, "decision")
    log.take(begun.leaf(size, key=True))
    assert log.kept[begun.identity].frozen is None


def test_a_person_admits_another_machine(log: Log, begun: Machine) -> None:
    begun.ak = "b" * 64
    begun.restarted()
    log.freezes(begun.leaf(5, key=True, first=True), "other_machine")
    log.take(signed(decision(log, begun, ak_sha256=begun.ak), log.operator))
    log.take(begun.leaf(5, key=True))
    assert log.kept[begun.identity].key.ak_sha256 == begun.ak


def test_the_machine_that_lost_a_trail_adds_nothing(log: Log, begun: Machine) -> None:
    """Neither with the key that the slot has, nor with one of a later start."""
    old, ak = begun.trail.key, begun.ak
    begun.ak = "b" * 64
    begun.restarted()
    log.freezes(begun.leaf(5, key=True, first=True), "other_machine")
    log.take(signed(decision(log, begun, ak_sha256=begun.ak), log.operator))
    other, begun.trail.key, begun.ak = begun.trail.key, old, ak
    begun.trail.write(2)
    log.refuses(begun.leaf(5), "other_machine")
    begun.restarted()
    log.refuses(begun.leaf(5, key=True), "other_machine")
    begun.trail.key, begun.ak = other, "b" * 64
    log.take(begun.leaf(5, key=True))
    assert log.kept[begun.identity].key.ak_sha256 == begun.ak


def test_a_decision_is_altered_in_vain(log: Log, begun: Machine) -> None:
    taken = signed(decision(log, begun), log.operator)
    other = msgspec.structs.replace(taken.decision, explanation="another one")
    log.refuses(msgspec.structs.replace(taken, decision=other), "signature")
    assert isinstance(log.operator, ec.EllipticCurvePrivateKey)
