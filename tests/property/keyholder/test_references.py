"""The slots of held references against an obvious model: who may have what, and when a slot may be wiped."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cji_core.errors import Reason, Refusal
from cji_core.format.configuration.worker import ReferencesSection
from cji_core.operations.declaration import Reference
from cji_core.trail import ReferenceDropped, ReferenceRetained, read
from cji_worker.ipc import Channel
from cji_worker.ipc.messages import KeyholderFromZygote, WipeReference, ZygoteFromKeyholder
from cji_worker.keyholder.references import NO_SLOT, Owner, References
from cji_worker.trail.file import AuditFile

MAX_REFERENCES, LONGEST = 2, 100
OWNERS = [Owner(name, f"https://vault.example/keys/k/{version}") for name in ("city", "county") for version in "12"]
DIGESTS = [bytes([number]) * 32 for number in range(3)]
owners, digests = st.sampled_from(OWNERS), st.sampled_from(DIGESTS)


class Slots(RuleBasedStateMachine):
    """`lies`: what lies on a slot, of whom and until when; `has`: the slot that each living cell has."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.trail = Path(self.folder.name) / "audit.jsonl"
        self.audit = AuditFile(self.trail, worker="w", clock=lambda: datetime.now(UTC))
        ours, theirs = Channel.pair()
        self.zygote: Channel[ZygoteFromKeyholder, KeyholderFromZygote] = Channel(theirs, ZygoteFromKeyholder)
        theirs.setblocking(False)
        self.now = 0.0
        self.references = References(
            ReferencesSection(max_references=MAX_REFERENCES, memory_mib=32, retain_seconds=LONGEST),
            audit=self.audit,
            zygote=Channel(ours, KeyholderFromZygote),
            clock=lambda: self.now,
        )
        self.lies: dict[int, tuple[Owner, bytes, float]] = {}
        self.filling: dict[int, int] = {}
        self.has: dict[int, int] = {}
        self.wiping: list[int] = []
        self.cells = 0

    def teardown(self) -> None:
        self.audit.close()
        self.folder.cleanup()

    def usable(self, owner: Owner, digest: bytes) -> list[int]:
        return [n for n, (o, d, until) in self.lies.items() if (o, d) == (owner, digest) and until > self.now]

    def give(self, slot: int) -> int:
        self.cells += 1
        self.references.assign(slot, self.cells)
        self.has[self.cells] = slot
        return self.cells

    def found(self, reference: Reference, owner: Owner) -> int | Reason:
        try:
            return self.references.find(reference, owner)
        except Refusal as refusal:
            return refusal.reason
        finally:
            self.settle()

    @rule(owner=owners, seconds=st.integers(1, LONGEST + 1))
    def bring(self, owner: Owner, seconds: int) -> None:
        slot = self.found(Reference(side="reference", schema="hotfile/1", seconds=seconds), owner)
        if seconds > LONGEST:
            assert slot is Reason.LIMIT_EXCEEDED
            return
        if isinstance(slot, Reason):
            assert slot is Reason.OVERLOADED
            assert {*self.lies, *self.has.values(), *self.wiping} == set(range(MAX_REFERENCES))
            own = [n for n, (o, _, until) in self.lies.items() if o == owner and until > self.now]
            if own:  # the one of its own that would have gone first
                del self.lies[min(own, key=lambda n: self.lies[n][2])]
                self.references.sweep()
            return
        assert slot not in self.lies
        assert slot not in self.has.values()
        assert slot not in self.wiping
        self.filling[self.give(slot)] = slot

    @rule(owner=owners, digest=digests)
    def name(self, owner: Owner, digest: bytes) -> None:
        usable = self.usable(owner, digest)
        slot = self.found(Reference(side="reference", schema="hotfile/1", sha256=digest), owner)
        if isinstance(slot, Reason):
            assert slot is Reason.UNKNOWN_REFERENCE
            assert not usable
            return
        assert slot in usable
        self.give(slot)

    @rule(owner=owners, digest=digests, seconds=st.integers(1, LONGEST), completes=st.booleans())
    def end_of_a_job_that_fills(self, owner: Owner, digest: bytes, seconds: int, *, completes: bool) -> None:
        if not self.filling:
            return
        cell, slot = self.filling.popitem()
        if completes:
            self.references.retain(slot, owner=owner, job_id="00" * 16, sha256=digest, seconds=seconds)
            self.lies[slot] = (owner, digest, self.now + seconds)
        self.references.abandon(slot)
        self.gone(cell)

    @rule(data=st.data())
    def a_cell_ends(self, data: st.DataObject) -> None:
        if idle := sorted(set(self.has) - set(self.filling)):
            cell = data.draw(st.sampled_from(idle))
            self.references.abandon(self.has[cell])
            self.gone(cell)

    def gone(self, cell: int) -> None:
        del self.has[cell]
        self.references.cell_gone(cell)

    @rule(seconds=st.integers(1, LONGEST))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        self.references.sweep()

    @rule(owner=owners)
    def a_key_goes(self, owner: Owner) -> None:
        self.references.end_of_key(owner.kek_id)
        self.lies = {n: one for n, one in self.lies.items() if one[0].kek_id != owner.kek_id}

    @rule()
    def a_shelf_is_wiped(self) -> None:
        if self.wiping:
            self.references.wiped(self.wiping.pop(0))

    def settle(self) -> None:
        """Read what the zygote was told."""
        while True:
            try:
                message, _ = self.zygote.receive()
            except BlockingIOError:
                return
            assert isinstance(message, WipeReference)
            slot = message.slot
            assert slot not in self.has.values(), "wiped under a cell"
            assert slot not in self.wiping
            self.lies = {n: one for n, one in self.lies.items() if n != slot or one[2] > self.now}
            assert slot not in self.lies, "wiped while it is held"
            self.wiping.append(slot)

    @invariant()
    def wiped_exactly_when_nobody_has_it(self) -> None:
        self.settle()

    @invariant()
    def the_trail_says_what_is_held(self) -> None:
        held: dict[str, int] = {}
        for line in self.trail.read_bytes().splitlines(keepends=True):
            match read(line).event:
                case ReferenceRetained(sha256=sha256):
                    held[sha256] = held.get(sha256, 0) + 1
                case ReferenceDropped(sha256=sha256):
                    held[sha256] -= 1
        self.references.sweep()
        for digest in DIGESTS:
            assert held.get(digest.hex(), 0) >= sum(len(self.usable(owner, digest)) for owner in OWNERS)


Slots.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestShelves = Slots.TestCase


def test_a_job_without_a_reference_needs_no_shelf(tmp_path: Path) -> None:
    ours, theirs = Channel.pair()
    audit = AuditFile(tmp_path / "audit.jsonl", worker="w", clock=lambda: datetime.now(UTC))
    zygote: Channel[KeyholderFromZygote, ZygoteFromKeyholder] = Channel(ours, KeyholderFromZygote)
    references = References(None, audit=audit, zygote=zygote)
    assert references.find(None, OWNERS[0]) == NO_SLOT
    references.assign(NO_SLOT, 1)
    references.abandon(NO_SLOT)
    audit.close()
    zygote.close()
    theirs.close()
