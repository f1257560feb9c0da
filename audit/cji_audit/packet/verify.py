"""Verification of a packet by somebody who trusts its maker with nothing: every difference is named, with its file.

    1  packet.json lists every file, with its digest
    2  material.json and catalog.json are what this software reads and writes
    3  each included line verifies, is in the tree of its trail, and shows what the material says of it
    4  the files that were given have the facts that the material has
    5  rows, pages and OSCAL follow from the material: all checks run again
    6  with the trails themselves, reading them again gives the same facts

Anyone who changes facts and everything that follows from them is found out by the trail, or because the signature is
not of a key that the reader pins: `trust` compares those.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import zip_longest
from typing import Any, Final

import msgspec

from cji_audit.packet.archive import MAX_BYTES
from cji_audit.packet.attachments import KINDS, Tools
from cji_audit.packet.catalog import Catalog, read_catalog
from cji_audit.packet.controls import controls
from cji_audit.packet.errors import PacketError
from cji_audit.packet.fields import values
from cji_audit.packet.folder import (
    CATALOG,
    DOCX,
    INDEX,
    MATERIAL,
    ROWS,
    Index,
    attachments_of,
    computed,
    encoded,
    lines_name,
)
from cji_audit.packet.logged import in_trail
from cji_audit.packet.material import Fact, LogEntry, Material, Review, Trail
from cji_audit.packet.survey import IN_FORCE, Surveyed
from cji_core.documents import decode
from cji_core.strict import StrictError, hex_decode, parse
from cji_core.trail.chain import ChainError
from cji_core.trail.chain import read as read_line
from cji_core.trail.claims import Claims
from cji_core.trail.events import Attested, Event
from cji_core.trail.merkle import ProofError, leaf_hash, verify_inclusion
from cji_core.trail.packets import SIGNATURE, STAMP
from cji_core.trail.short_receipts import Stated
from cji_core.trail.whole_receipts import WholeReceipts
from cji_core.trail.worker_events import DocumentRecorded

MAX_DIFFERENCES: Final = 200
Resurvey = Callable[[Material], Sequence[Surveyed]]
_GIVEN: Final = (
    *("keys", "maa_policy", "sbom", "tests", "receipts", "reviews", "checkpoints", "log", "machines"),
    *("deployment", "agency"),
)
"""Members of the material that follow from files in given/."""
BESIDE: Final = (INDEX, SIGNATURE, STAMP)
"""Files that packet.json does not list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference, and the file that has it."""

    file: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """A line that the packet includes: its event and time, and its receipt, if it has one that can be read."""

    event: Event
    time: str
    receipt: Stated | None

    @property
    def claims(self) -> Claims | None:
        """Of the receipt."""
        return None if self.receipt is None else self.receipt.claims


def verify(files: Mapping[str, bytes], tools: Tools, *, resurvey: Resurvey | None = None) -> tuple[Difference, ...]:
    """Every difference; none if the packet verifies. `resurvey` reads the trails again, where somebody has them."""
    found = []
    for each in _differences(files, tools, resurvey):
        found.append(each)
        if len(found) == MAX_DIFFERENCES:
            break
    return tuple(found)


def _differences(files: Mapping[str, bytes], tools: Tools, resurvey: Resurvey | None) -> Iterator[Difference]:
    yield from digest_differences(files)
    try:
        material = material_in(files)
    except StrictError as error:
        yield Difference(file=MATERIAL, what=f"cannot be read: {error}")
        return
    if encoded(material) != files[MATERIAL]:
        yield Difference(file=MATERIAL, what="is not in the form in which a packet is written")
    try:
        catalog = read_catalog(files.get(CATALOG, b""), controls())
    except PacketError as error:
        yield Difference(file=CATALOG, what=error.what)
        return
    if encoded(catalog) != files[CATALOG]:
        yield Difference(file=CATALOG, what="is not in the form in which a packet is written")
    for number, trail in enumerate(material.trails, 1):
        yield from _lines(files, lines_name(number, trail.file), trail, material)
    yield from _given(files, material, tools)
    yield from _computed(files, material, catalog)
    if resurvey is not None:
        surveyed = resurvey(material)
        for before, again in zip_longest(material.trails, [each.trail for each in surveyed]):
            yield from _facts(MATERIAL, "trails", before, again)
        of = {each.trail.identity: each for each in surveyed}
        for entry in material.log or ():
            if entry.trail in of:
                yield from _facts(MATERIAL, "log", entry, in_trail(entry, of[entry.trail]))


def material_in(files: Mapping[str, bytes]) -> Material:
    """The facts that a packet states. Raises StrictError."""
    return decode(files.get(MATERIAL, b""), Material, limit=MAX_BYTES)


def digest_differences(files: Mapping[str, bytes]) -> Iterator[Difference]:
    """The files that packet.json does not list as they are."""
    try:
        index = decode(files.get(INDEX, b""), Index, limit=MAX_BYTES)
    except StrictError as error:
        yield Difference(file=INDEX, what=f"cannot be read: {error}")
        return
    for name in sorted(index.files.keys() | files.keys() - set(BESIDE)):
        entry, data = index.files.get(name), files.get(name)
        if entry is None:
            yield Difference(file=name, what="is not listed in packet.json")
        elif data is None:
            yield Difference(file=name, what="is missing")
        elif (len(data), sha256(data).hexdigest()) != (entry.size, entry.sha256):
            yield Difference(file=name, what="differs from its digest in packet.json")


def _lines(files: Mapping[str, bytes], name: str, trail: Trail, material: Material) -> Iterator[Difference]:
    """The included lines of one trail."""
    if name not in files:
        yield Difference(file=name, what="is missing")
        return
    lines = files[name].splitlines(keepends=True)
    if len(lines) != len(trail.included):
        yield Difference(file=name, what=f"has {len(lines)} lines instead of {len(trail.included)}")
        return
    shown: dict[int, _Shown] = {}
    receipts = WholeReceipts()
    for listed, line in zip(trail.included, lines, strict=True):
        try:
            record = read_line(line, number=listed.number)
            if (record.seq, sha256(line).hexdigest()) != (listed.number, listed.sha256):
                raise ProofError("another line")
            verify_inclusion(
                leaf_hash(line),
                index=listed.number - 1,
                size=trail.first_line - 1 + trail.lines,
                proof=[hex_decode(each) for each in listed.proof],
                root=hex_decode(trail.root),
            )
            shown[record.seq] = _Shown(event=record.event, time=record.time, receipt=receipts.take(record.event))
        except (ChainError, ProofError, ValueError) as error:
            yield Difference(file=name, what=f"line {listed.number}: {error}")
    yield from (Difference(file=MATERIAL, what=what) for what in _claims(trail, material, shown))


def _claims(trail: Trail, material: Material, shown: Mapping[int, _Shown]) -> Iterator[str]:
    """Statements of the material about lines that the packet has, and that they contradict."""
    for field, of in trail.seen.items():
        for value, seen in of.items():
            line = shown.get(seen.first)
            if line is None:
                yield f"{trail.file} has no line {seen.first}, which should show {field}"
            elif not field.startswith(f"{IN_FORCE}.") and (field, value) not in set(values(line.event, line.claims)):
                yield f"line {seen.first} of {trail.file} does not have {value} as {field}"
    for each in trail.incidents:
        if each.line not in shown:
            yield f"{trail.file} has no line {each.line}, which should show an incident of {each.topic}"
    receipts = {each.receipt.sha384 for each in shown.values() if each.receipt is not None}
    evidence = {each.event.evidence_sha384 for each in shown.values() if isinstance(each.event, Attested)}
    for held in material.receipts or ():
        if held.line and held.worker == trail.worker and held.sha384 not in receipts:
            yield f"no line of {trail.file} has receipt {held.sequence}"
    for review in material.reviews or ():
        line = shown.get(review.line)
        if review.line and review.worker == trail.worker and (line is None or not _records(line, review)):
            yield f"line {review.line} of {trail.file} does not record the review of {review.week}"
    for machine in material.machines:
        if machine.line and len(material.trails) == 1 and machine.evidence_sha384 not in evidence:
            yield f"no line of {trail.file} attests {machine.file.name}"


def _records(line: _Shown, review: Review) -> bool:
    """Whether a line records a review, at that time."""
    event = line.event
    named = isinstance(event, DocumentRecorded) and (event.document, event.sha384) == ("review", review.digest)
    return named and line.time == review.recorded


def _given(files: Mapping[str, bytes], material: Material, tools: Tools) -> Iterator[Difference]:
    """The facts of the files that were given, read again."""
    try:
        again = attachments_of(files, material).facts(tools)
    except PacketError as error:
        yield Difference(file="given/", what=error.what)
        return
    for name in _GIVEN:
        before = getattr(material, name)
        now = again.get(name)
        if isinstance(before, tuple) and isinstance(now, tuple):
            for one, other in zip_longest(before, now):
                yield from _facts(MATERIAL, name, one, _with_line(other, one))
        elif before != now:
            yield from _facts(MATERIAL, name, before, now)


def _with_line(fact: Any, like: Any) -> Any:
    """A fact with what the trail, not the file, has for it: its line, what that shows, and the way to the root."""
    if isinstance(fact, Review) and isinstance(like, Review):
        return msgspec.structs.replace(fact, worker=like.worker, line=like.line, recorded=like.recorded)
    if isinstance(fact, LogEntry) and isinstance(like, LogEntry):
        return msgspec.structs.replace(
            fact,
            consistency=like.consistency,
            last_time=like.last_time,
            stopped=like.stopped,
            waiting_since=like.waiting_since,
        )
    if hasattr(fact, "line") and hasattr(like, "line"):
        return msgspec.structs.replace(fact, line=like.line)
    return fact


def _facts(file: str, name: str, before: Fact | None, again: Fact | None) -> Iterator[Difference]:
    if before is None or again is None or type(before) is not type(again):
        if before is not again:
            yield Difference(file=file, what=f"{name}: {'not ' if again is None else ''}found when read again")
        return
    where = getattr(before, "file", "")
    where = where if isinstance(where, str) else where.name
    for member in before.__struct_fields__:
        if getattr(before, member) != getattr(again, member):
            yield Difference(file=file, what=f"{name}, {where}: {member} is another one when read again")


def _computed(files: Mapping[str, bytes], material: Material, catalog: Catalog) -> Iterator[Difference]:
    """Everything that follows from the material, and nothing else."""
    made = computed(material, catalog)
    for name, data in made.items():
        if name not in files:
            yield Difference(file=name, what="is missing")
        elif name == ROWS and files[name] != data:
            yield from _rows(files[name], data)
        elif files[name] != data:
            yield Difference(file=name, what="does not follow from material.json")
    expected = {*BESIDE, MATERIAL, CATALOG, DOCX, *computed_names(material), *made}
    for name in files:
        if name not in expected and not _is_given(name):
            yield Difference(file=name, what="is not a file of a packet")


def _is_given(name: str) -> bool:
    """Whether a file is among those that were given, whose facts are read again."""
    first, _, rest = name.partition("/")
    return first == "given" and rest.partition("/")[0] in KINDS


def computed_names(material: Material) -> set[str]:
    """The files with lines."""
    return {lines_name(number, trail.file) for number, trail in enumerate(material.trails, 1)}


def _rows(stated: bytes, again: bytes) -> Iterator[Difference]:
    """The rows whose status is another one; or that the rest differs."""
    try:
        before = {(each["unit"], each["row"]): each["status"] for each in parse(stated, limit=MAX_BYTES)}
    except (StrictError, TypeError, KeyError):
        yield Difference(file=ROWS, what="cannot be read")
        return
    now = {(each["unit"], each["row"]): each["status"] for each in parse(again, limit=MAX_BYTES)}
    others = [(row, now.get(row), before.get(row)) for row in sorted(now.keys() | before.keys())]
    changed = [(row, computed_, found) for row, computed_, found in others if computed_ != found]
    for (unit, number), computed_, found in changed:
        yield Difference(file=ROWS, what=f"{unit}/{number} is {computed_}, and stated as {found}")
    if not changed:
        yield Difference(file=ROWS, what="does not follow from material.json")
