"""The slots of held references against an obvious model: who may have what, and when a slot may be wiped."""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cji_core.errors import Reason, Refusal
from cji_core.format.configuration.worker import ReferencesSection
from cji_core.operations.declaration import Reference
from cji_core.trail import ReferenceDropped, ReferenceRetained, read
from cji_worker.ipc import Channel
from cji_worker.ipc.messages import KeyholderFromZygote, WipeReference, ZygoteFromKeyholder
from cji_worker.keyholder.references import NO_SLOT, Owner, References, Tenancy
from cji_worker.trail.file import AuditFile

MAX_REFERENCES, LONGEST = 2, 100
OWNERS = [Owner(name, f"https://vault.example/keys/k/{version}") for name in ("city", "county") for version in "12"]
DIGESTS = [bytes([number]) * 32 for number in range(3)]
owners, digests = st.sampled_from(OWNERS), st.sampled_from(DIGESTS)


class Slots(RuleBasedStateMachine):
    """`lies`: what lies on a slot, of whom and until when; `has`: the slot that each living cell has.

    `late`: tenancies of jobs whose cells ended by themselves, while their callers read slowly; `of`: those of cells.
    """

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
            is_held=lambda kek_id: kek_id not in self.gone_keys,
            clock=lambda: self.now,
        )
        self.lies: dict[int, tuple[Owner, bytes, float]] = {}
        self.filling: dict[int, int] = {}
        self.has: dict[int, int] = {}
        self.of: dict[int, Tenancy] = {}
        self.late: list[Tenancy] = []
        self.late_filling: dict[int, Tenancy] = {}
        self.wiping: list[int] = []
        self.gone_keys: set[str] = set()
        self.cells = 0

    def teardown(self) -> None:
        self.audit.close()
        self.folder.cleanup()

    def usable(self, owner: Owner, digest: bytes) -> list[int]:
        return [n for n, (o, d, until) in self.lies.items() if (o, d) == (owner, digest) and until > self.now]

    def give(self, tenancy: Tenancy) -> int:
        self.cells += 1
        assert self.references.assign(tenancy, self.cells) == tenancy.slot
        self.has[self.cells], self.of[self.cells] = tenancy.slot, tenancy
        return self.cells

    def found(self, reference: Reference, owner: Owner) -> Tenancy | Reason:
        try:
            tenancy = self.references.find(reference, owner)
            assert tenancy is not None
            return tenancy
        except Refusal as refusal:
            return refusal.reason
        finally:
            self.settle()

    @rule(owner=owners, seconds=st.integers(1, LONGEST + 1))
    def bring(self, owner: Owner, seconds: int) -> None:
        found = self.found(Reference(side="reference", schema="hotfile/1", seconds=seconds), owner)
        if seconds > LONGEST:
            assert found is Reason.LIMIT_EXCEEDED
            return
        if isinstance(found, Reason):
            assert found is Reason.OVERLOADED
            used = {*self.lies, *self.has.values(), *self.wiping, *self.late_filling}
            assert used == set(range(MAX_REFERENCES))
            own = [n for n, (o, _, until) in self.lies.items() if o == owner and until > self.now]
            if own:  # the one of its own that would have gone first
                del self.lies[min(own, key=lambda n: self.lies[n][2])]
                self.references.sweep()
            return
        slot = found.slot
        assert slot not in self.lies
        assert slot not in self.has.values()
        assert slot not in self.wiping
        self.filling[self.give(found)] = slot

    @rule(owner=owners, digest=digests)
    def name(self, owner: Owner, digest: bytes) -> None:
        usable = self.usable(owner, digest)
        found = self.found(Reference(side="reference", schema="hotfile/1", sha256=digest), owner)
        if isinstance(found, Reason):
            assert found is Reason.UNKNOWN_REFERENCE
            assert not usable
            return
        assert found.slot in usable
        self.give(found)

    @rule(owner=owners, digest=digests, seconds=st.integers(1, LONGEST), completes=st.booleans())
    def end_of_a_job_that_fills(self, owner: Owner, digest: bytes, seconds: int, *, completes: bool) -> None:
        if not self.filling:
            return
        cell, _ = self.filling.popitem()
        if completes:
            self.complete(self.of[cell], owner, digest, seconds)
        self.references.abandon(self.of[cell])
        self.gone(cell)

    def complete(self, tenancy: Tenancy, owner: Owner, digest: bytes, seconds: int) -> None:
        self.references.retain(tenancy, owner=owner, job_id="00" * 16, sha256=digest, seconds=seconds)
        if owner.kek_id not in self.gone_keys:
            self.lies[tenancy.slot] = (owner, digest, self.now + seconds)

    @rule(data=st.data())
    def a_cell_ends_by_itself(self, data: st.DataObject) -> None:
        """After its statement: its job goes on, and its caller reads on."""
        if self.has:
            cell = data.draw(st.sampled_from(sorted(self.has)))
            if self.filling.pop(cell, None) is not None:
                self.late_filling[self.of[cell].slot] = self.of[cell]
            else:
                self.late.append(self.of[cell])
            self.gone(cell)

    @rule(owner=owners, digest=digests, seconds=st.integers(1, LONGEST), completes=st.booleans())
    def end_of_a_job_whose_cell_has_ended(self, owner: Owner, digest: bytes, seconds: int, *, completes: bool) -> None:
        if self.late:
            self.references.abandon(self.late.pop(0))
        if self.late_filling:
            _, tenancy = self.late_filling.popitem()
            if completes:
                self.complete(tenancy, owner, digest, seconds)
            self.references.abandon(tenancy)
            self.references.sweep()

    @rule(data=st.data())
    def a_cell_ends(self, data: st.DataObject) -> None:
        if idle := sorted(set(self.has) - set(self.filling)):
            cell = data.draw(st.sampled_from(idle))
            self.references.abandon(self.of[cell])
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
        self.gone_keys.add(owner.kek_id)
        self.references.end_of_key(owner.kek_id)
        self.lies = {n: one for n, one in self.lies.items() if one[0].kek_id != owner.kek_id}

    @rule()
    def keys_are_released_again(self) -> None:
        self.gone_keys.clear()

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
    references = References(None, audit=audit, zygote=zygote, is_held=lambda _: True)
    assert references.find(None, OWNERS[0]) is None
    assert references.assign(None, 1) == NO_SLOT
    references.abandon(None)
    audit.close()
    zygote.close()
    theirs.close()


class OneSlot:
    """One slot, with attacker and victim: two jobs of the attacker whose cells end by themselves, and read slowly."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "audit.jsonl"
        self.audit = AuditFile(self.path, worker="w", clock=lambda: datetime.now(UTC))
        ours, self.theirs = Channel.pair()
        self.now, self.is_held = 0.0, True
        self.references = References(
            ReferencesSection(max_references=1, memory_mib=32, retain_seconds=LONGEST),
            audit=self.audit,
            zygote=Channel(ours, KeyholderFromZygote),
            is_held=lambda _: self.is_held,
            clock=lambda: self.now,
        )

    def fill(self, owner: Owner, cell: int) -> Tenancy:
        tenancy = self.references.find(Reference(side="reference", schema="hotfile/1", seconds=LONGEST), owner)
        assert tenancy is not None
        assert self.references.assign(tenancy, cell) == 0
        return tenancy

    def complete(self, tenancy: Tenancy, owner: Owner, digest: bytes) -> None:
        self.references.retain(tenancy, owner=owner, job_id="00" * 16, sha256=digest, seconds=LONGEST)
        self.references.abandon(tenancy)

    def resident(self, owner: Owner, digest: bytes) -> Tenancy | None:
        try:
            return self.references.find(Reference(side="reference", schema="hotfile/1", sha256=digest), owner)
        except Refusal:
            return None

    def events(self) -> list[str]:
        return [read(line).event.kind for line in self.path.read_bytes().splitlines(keepends=True)]


ATTACKER, VICTIM = OWNERS[0], OWNERS[2]


@pytest.fixture
def one(tmp_path: Path) -> Iterator[OneSlot]:
    slot = OneSlot(tmp_path)
    yield slot
    slot.audit.close()
    slot.theirs.close()


def test_a_late_job_does_not_reach_the_next_tenancy(one: OneSlot) -> None:
    """A filler abandons its slot, which a victim fills next, and then completes: nothing becomes its own."""
    references = one.references
    first = one.fill(ATTACKER, 1)
    references.cell_gone(1)  # by itself, after its statement
    references.abandon(first)
    references.sweep()
    references.wiped(0)
    victims = one.fill(VICTIM, 2)
    one.complete(first, ATTACKER, DIGESTS[0])  # its caller has read at last
    assert one.resident(ATTACKER, DIGESTS[0]) is None
    references.abandon(first)
    one.complete(victims, VICTIM, DIGESTS[1])
    assert one.resident(VICTIM, DIGESTS[1]) == victims
    assert one.events().count("reference_retained") == 1


def test_a_late_reader_does_not_abandon_the_next_tenancy(one: OneSlot) -> None:
    references = one.references
    one.complete(one.fill(ATTACKER, 1), ATTACKER, DIGESTS[0])
    references.cell_gone(1)
    reader = one.resident(ATTACKER, DIGESTS[0])
    assert reader is not None
    references.assign(reader, 2)
    references.cell_gone(2)  # by itself, after its statement
    one.now = LONGEST
    references.sweep()
    references.wiped(0)
    victims = one.fill(VICTIM, 3)
    references.abandon(reader)
    one.complete(victims, VICTIM, DIGESTS[1])
    assert one.resident(VICTIM, DIGESTS[1]) == victims


def test_a_reference_is_retained_only_under_a_held_key(one: OneSlot) -> None:
    one.is_held = False
    tenancy = one.fill(ATTACKER, 1)
    one.complete(tenancy, ATTACKER, DIGESTS[0])
    one.is_held = True
    assert one.resident(ATTACKER, DIGESTS[0]) is None
    assert "reference_retained" not in one.events()
    one.references.cell_gone(1)
    one.references.wiped(0)
    one.fill(VICTIM, 2)
