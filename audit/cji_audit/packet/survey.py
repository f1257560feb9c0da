"""One pass over a trail: what a packet needs to know of it, and the lines that it includes.

Every line is verified, from the first on that was not pruned; the facts are those of the period. A line that does not
verify ends the pass, and what follows it is not used. Memory is what is included, and a quarter of a byte a line.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from cji_audit.packet.fields import combination, text, values
from cji_audit.packet.material import Incident, Line, Period, Seen, Trail
from cji_audit.packet.subtrees import Subtrees
from cji_core.trail.chain import GENESIS, ChainError, Record
from cji_core.trail.claims import Claims
from cji_core.trail.events import Attested, Event
from cji_core.trail.known_lines import KnownLines
from cji_core.trail.merkle import Subtree, consistency_proof, inclusion_proof
from cji_core.trail.pruned import Pruned
from cji_core.trail.rules import RULES, CheckpointKeys, Finding, Watcher
from cji_core.trail.short_receipts import Stated
from cji_core.trail.trail import lines, opened
from cji_core.trail.worker_events import DocumentRecorded, FilesReloaded, WorkerStarted, waits

MAX_VALUES: Final = 32
"""Values of one field that are listed."""
MAX_INCIDENTS: Final = 20
"""Incidents of one topic that are listed."""
MAX_COMBINATIONS: Final = 4096
"""Lines whose values are remembered, so that those of a later line with the same are not looked up one by one."""
IN_FORCE: Final = "in_force"
_START: Final = ("version", "code_sha384", "config_sha384", "policy_sha384", "simulated", "host_profile")


@dataclass(slots=True, kw_only=True)
class Under:
    """The lines under a checkpoint: when the last was written, and whether the worker had stopped with them.

    `waiting` is the time of the first line after them that waits for another checkpoint, empty without one.
    """

    last: str
    stopped: bool
    waiting: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """A trail's facts, the lines that it includes by their numbers, and where it has what was looked for.

    `times` has those of lines that record reviews, `consistency` the proofs from the sizes looked for to the root,
    `under` what the first so many lines show. `signed` is the number of lines under its last checkpoint of a known key,
    `recorded` the line that records the packet, with its time, if there is one.
    """

    trail: Trail
    lines: dict[int, bytes]
    found: dict[str, int]
    times: dict[str, str]
    consistency: dict[int, tuple[str, ...]]
    under: dict[int, Under]
    signed: int = 0
    recorded: tuple[int, str] | None = None


def survey(
    file: Path,
    period: Period,
    *,
    sizes: AbstractSet[int] = frozenset(),
    digests: AbstractSet[str] = frozenset(),
    most: int | None = None,
    keys: CheckpointKeys | None = None,
    packet: str | None = None,
) -> Surveyed:
    """The facts of one trail, or of its first `most` lines.

    `sizes` are those of checkpoints, `digests` those of receipts and evidence to look for. `keys` verify its
    checkpoints. `packet` is the SHA-384 of a packet.json, which a later line may record.

    Raises OSError.
    """
    run, broken, recorded = _Pass(period, sizes, digests, keys or {}), "", None
    try:
        with opened(file) as trail:
            run.begin(trail.pruned)
            records = trail.verified()
            for line, record in islice(records, most):
                run.see(line, record)
            if packet is not None:
                recorded = _recorded(records, packet)
    except ChainError as error:
        broken = str(error)
    run.end()
    included, proofs, consistency = _included(file, run, sizes)
    listed = tuple(
        Line(number=number, sha256=hashlib.sha256(line).hexdigest(), proof=proofs[number])
        for number, line in included.items()
    )
    return Surveyed(
        trail=run.trail(file.name, broken, listed),
        lines=included,
        found=run.found,
        times=run.times,
        consistency=consistency,
        under=run.under,
        signed=run.signed,
        recorded=recorded,
    )


_Proofs = dict[int, tuple[str, ...]]


def _included(file: Path, run: "_Pass", sizes: AbstractSet[int]) -> tuple[dict[int, bytes], _Proofs, _Proofs]:
    """The lines that a pass wants, their inclusion proofs, and consistency proofs from sizes that were not pruned."""
    wanted, tree = run.wanted(), run.tree
    earlier = [size for size in sizes if max(1, run.pruned) <= size <= tree.size]

    def make(subtree: Subtree) -> tuple[_Proofs, _Proofs]:
        return (
            {number: _hex(inclusion_proof(number - 1, tree.size, subtree)) for number in wanted},
            {size: _hex(consistency_proof(size, tree.size, subtree)) for size in earlier},
        )

    def read(offset: int) -> Iterator[bytes]:
        return lines(file, offset=offset)

    return tree.lines(wanted, read), *tree.proven(make, read)


def _hex(proof: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(each.hex() for each in proof)


def _recorded(records: Iterator[tuple[bytes, Record]], packet: str) -> tuple[int, str] | None:
    """The first of these lines that records a packet. One that does not verify ends the search."""
    with suppress(ChainError):
        for _, record in records:
            event = record.event
            if isinstance(event, DocumentRecorded) and (event.document, event.sha384) == ("packet", packet):
                return record.seq, record.time
    return None


class _Again:
    """The values of a line, and the lines after it that have the same."""

    __slots__ = ("last", "pairs", "times")

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs, self.times, self.last = pairs, 0, 0

    def add(self, line: int) -> None:
        """One more line."""
        self.times, self.last = self.times + 1, line


class _Listed:
    """Values of fields and incidents of topics, each with its lines; those beyond a number are counted."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[str, Seen]] = {}
        self.unlisted: Counter[str] = Counter()
        self.incidents: list[Incident] = []
        self.unlisted_incidents: Counter[str] = Counter()
        self._again: dict[tuple[object, ...], _Again] = {}

    def count(self, event: Event, claims: Claims | None, line: int) -> bool:
        """The values that a line has. Returns whether it shows one of them."""
        key = combination(event, claims)
        if again := self._again.get(key):
            again.add(line)
            return False
        if len(self._again) == MAX_COMBINATIONS:
            self._fold()
        pairs = list(values(event, claims))
        self._again[key] = _Again(pairs)
        shown = [self.count_value(name, value, line) for name, value in pairs]
        return any(shown)

    def count_value(self, name: str, value: str, line: int, times: int = 1) -> bool:
        """A value of a field, which so many lines have, the last of them this one. Returns whether it is a new one."""
        of = self.seen.setdefault(name, {})
        before = of.get(value)
        if before is None and len(of) == MAX_VALUES:
            self.unlisted[name] += times
        elif before is None:
            of[value] = Seen(count=1, first=line, last=line)
            return True
        else:
            of[value] = Seen(count=before.count + times, first=before.first, last=max(before.last, line))
        return False

    def counted(self) -> dict[str, dict[str, Seen]]:
        """Values by field, in order."""
        self._fold()
        return {name: dict(sorted(of.items())) for name, of in sorted(self.seen.items())}

    def _fold(self) -> None:
        """Count the lines that had what an earlier one had."""
        for again in self._again.values():
            for name, value in again.pairs if again.times else ():
                self.count_value(name, value, again.last, again.times)
        self._again.clear()

    def note(self, finding: Finding, line: int) -> None:
        """An incident, if the rule is of a check."""
        topic = RULES[finding.rule].topic
        if topic is None:
            return
        if sum(each.topic == topic for each in self.incidents) == MAX_INCIDENTS:
            self.unlisted_incidents[topic] += 1
        else:
            self.incidents.append(Incident(topic=topic, rule=finding.rule, line=line, what=finding.what))

    def lines(self) -> set[int]:
        """The first line with each value, and those of incidents."""
        firsts = {seen.first for of in self.seen.values() for seen in of.values()}
        return firsts | {each.line for each in self.incidents}


class _Pass:
    """The state of a pass."""

    def __init__(
        self, period: Period, sizes: AbstractSet[int], digests: AbstractSet[str], keys: CheckpointKeys
    ) -> None:
        self._start, self._end, self._digests, self._keys = period.start, period.end, digests, keys
        self._watcher = Watcher(keys=keys)
        self._digest, self._bytes = hashlib.sha256(), 0
        self._first: Record | None = None
        self._last: Record | None = None
        self._pruned_until = self._latest = self._identity = ""
        self._in_period = 0
        self._in_force: dict[str, str] = {}
        self._force_line = 0
        self._known = KnownLines(sizes)
        self._listed = _Listed()
        self._needed: set[int] = set()
        self.pruned = 0
        self.tree = Subtrees()
        self.found: dict[str, int] = {}
        self.times: dict[str, str] = {}
        self.under: dict[int, Under] = {}
        self._covered: list[Under] = []
        """Those after which no line has waited yet."""

    @property
    def signed(self) -> int:
        """Lines under the last checkpoint that a known key verified."""
        return self._watcher.signed

    @property
    def first_line(self) -> int:
        """The number of the first line that is there, 0 for none."""
        return self._first.seq if self._first else 0

    def begin(self, pruned: Pruned | None) -> None:
        """Before the first line that is there. Raises ChainError for a state that is not of the pruned lines."""
        if pruned is not None:
            self._watcher = Watcher.after(pruned, keys=self._keys)
            self._pruned_until = self._watcher.state.time
            self.tree, self.pruned = Subtrees(pruned.tree(), offset=pruned.offset), pruned.last
            self._identity = pruned.first_hash
            self._compare(pruned.head.hash)

    def see(self, line: bytes, record: Record) -> None:
        """Take the next line, which is verified."""
        self._first, self._last = self._first or record, record
        self._identity = self._identity or record.hash
        self._bytes += len(line)
        self._digest.update(line)
        self._latest = max(self._latest, record.time)  # a clock that is set back moves no line out of the period
        inside = self._start <= self._latest < self._end
        for finding in self._watcher.see(line, record):
            if inside:
                self._note(finding)
        self.tree.append(line, self._watcher.nodes)
        if waits(record.event):
            self._wait(record.time)
        self._compare(record.hash)
        receipt = self._watcher.receipt
        self._find(record, receipt)
        if self._latest < self._end:
            self._put_in_force(record, inside=inside)
        if inside:
            self._in_period += 1
            if self._listed.count(record.event, None if receipt is None else receipt.claims, record.seq):
                self._needed.update(self._watcher.needed)

    def _wait(self, time: str) -> None:
        for each in self._covered:
            each.waiting = time
        self._covered.clear()

    def end(self) -> None:
        """Add what only the end reveals."""
        if self._last and self._latest >= self._start:
            for finding in self._watcher.end():
                self._note(finding)

    def wanted(self) -> set[int]:
        """The lines that show something: the first with each value, those of incidents, and those looked for.

        A short receipt comes with the lines that say the rest of it.
        """
        return self._listed.lines() | set(self.found.values()) | {each for each in self._needed if each > self.pruned}

    def trail(self, name: str, broken: str, included: tuple[Line, ...]) -> Trail:
        """The facts."""
        first, last, listed = self._first, self._last, self._listed
        return Trail(
            file=name,
            worker=first.worker if first else "",
            identity=self._identity,
            first_line=self.first_line,
            lines=self.tree.size - self.pruned,
            size=self._bytes,
            sha256=self._digest.hexdigest(),
            pruned_until=self._pruned_until,
            first_time=first.time if first else "",
            last_time=last.time if last else "",
            head=last.hash if last else GENESIS.hash,
            root=self._watcher.tree.root().hex(),
            roots={str(size): root for size, root in self._known.roots.items()},
            in_period=self._in_period,
            broken=broken,
            in_force=self._in_force,
            seen=listed.counted(),
            unlisted=dict(sorted(listed.unlisted.items())),
            incidents=tuple(sorted(listed.incidents, key=lambda each: (each.topic, each.line))),
            unlisted_incidents=dict(sorted(listed.unlisted_incidents.items())),
            included=included,
        )

    def _compare(self, line_hash: str) -> None:
        """Keep the root over the lines so far, and what they show, if it is asked for."""
        if self._known.wants(self.tree.size):
            self._known.take(self.tree.size, line_hash=line_hash, root=self._watcher.tree.root().hex())
            last = self._last.time if self._last else self._pruned_until
            found = Under(last=last, stopped=self._watcher.state.is_up is False)
            self.under[self.tree.size] = found
            self._covered.append(found)

    def _find(self, record: Record, receipt: Stated | None) -> None:
        """Note the lines with evidence, receipts and digests of reviews that are looked for."""
        event = record.event
        if isinstance(event, DocumentRecorded) and event.document == "review" and event.sha384 in self._digests:
            if event.sha384 not in self.found:
                self.found[event.sha384], self.times[event.sha384] = record.seq, record.time
            return
        if isinstance(event, Attested) and event.evidence_sha384 in self._digests:
            self.found.setdefault(event.evidence_sha384, record.seq)
        elif receipt is not None and receipt.sha384 in self._digests:
            self.found[receipt.sha384] = record.seq
            self._needed.update(self._watcher.needed)

    def _put_in_force(self, record: Record, *, inside: bool) -> None:
        """Follow what is in force, and count it: once when the period begins, and at each change in it."""
        event, changed = record.event, False
        if isinstance(event, WorkerStarted):
            self._in_force = {name: text(getattr(event, name)) for name in _START}
            self._force_line, changed = record.seq, True
        elif isinstance(event, FilesReloaded):
            self._in_force["policy_sha384"] = event.after.policy_file
            self._force_line, changed = record.seq, True
        if inside and self._force_line and (changed or not self._in_period):
            for name, value in self._in_force.items():
                self._listed.count_value(f"{IN_FORCE}.{name}", value, self._force_line)

    def _note(self, finding: Finding) -> None:
        self._listed.note(finding, max(finding.line, self.first_line))  # a line that was pruned is in no packet
