"""Receipts: those in a trail's events follow each other, and those in a folder are compared with the events."""

import base64
import binascii
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from cji_audit.review.model import Place, ReceiptState
from cji_audit.review.sightings import Sightings
from cji_audit.review.window import Window
from cji_core.trail.chain import Record
from cji_core.trail.compact import MAX_BYTES, ReceiptError
from cji_core.trail.events import JobCompleted
from cji_core.trail.fields import Count, Hex32, Hex96, Token, Utc, Volumes
from cji_core.trail.receipts import FIRST_PREVIOUS, claims_unverified, receipt_sha384

MOST_RECEIPTS: Final = 2_000_000
MOST_FILE_BYTES: Final = 64 * 1024 * 1024
SUFFIX: Final = ".jws"


class _Claims(msgspec.Struct, frozen=True, kw_only=True):
    """The claims that are compared; the others are left to `cji receipt verify`."""

    worker: Token
    sequence: Count
    previous_sha384: Hex96
    job_id: Hex32
    header_sha384: Hex96
    submitter: Token
    volumes: Volumes
    simulated: bool


_decoder: Final = msgspec.json.Decoder(_Claims)


class ReceiptChain:
    """The receipts of one trail, in the order of its lines."""

    def __init__(self, sightings: Sightings, *, pruned: bool = False) -> None:
        """`pruned` is whether earlier receipts may have been in lines that are gone."""
        self._see = sightings
        self._before: str | None = None
        self._last: tuple[int, str] = (-1, "") if pruned else (0, FIRST_PREVIOUS)
        self.in_week = 0

    def earlier(self, receipt: str) -> None:
        """A receipt of an earlier week; only the last one is compared with."""
        self._before = receipt

    def completed(self, record: Record, event: JobCompleted, place: Place) -> None:
        """A receipt of the week: it fits its event, and follows the one before."""
        if self._before is not None:
            found = _claims(self._before)
            self._last = (found.sequence, receipt_sha384(self._before)) if found else (-1, "")
            self._before = None
        self.in_week += 1
        claims = _claims(event.receipt)
        if claims is None:
            self._see.see("receipt_contradicts", record.worker, place, record.time, detail="it is not a receipt")
            self._last = (-1, "")
            return
        differing = [
            name
            for name, stated, seen in (
                ("worker", claims.worker, record.worker),
                ("job_id", claims.job_id, event.job_id),
                ("header_sha384", claims.header_sha384, event.header_sha384),
                ("submitter", claims.submitter, event.submitter),
                ("volumes", claims.volumes, event.volumes),
            )
            if stated != seen
        ]
        if differing:
            detail = f"differs in {', '.join(differing)}"
            self._see.see("receipt_contradicts", record.worker, place, record.time, detail=detail)
        if claims.simulated:
            self._see.see("simulated", f"{record.worker}: receipts", place, record.time)
        self._follow(claims, record, place)
        self._last = claims.sequence, receipt_sha384(event.receipt)

    def _follow(self, claims: _Claims, record: Record, place: Place) -> None:
        number, digest = self._last
        fault = ""
        if number >= 0 and claims.sequence != number + 1:
            fault = f"number {claims.sequence} follows {number}"
        elif number >= 0 and claims.previous_sha384 != digest:
            fault = f"number {claims.sequence} names another one before it"
        if fault:
            self._see.see("receipt_sequence", record.worker, place, record.time, detail=fault)


@dataclass(slots=True)
class _Stored:
    worker: str
    job_id: str
    ended: Utc
    name: str
    compact: bytes
    matched: bool = False


class ReceiptFolder:
    """The receipts in a folder: every `.jws` file below it, with one receipt in each line."""

    def __init__(self, folder: Path) -> None:
        """Read all of them. Raises OSError, or ValueError beyond MOST_RECEIPTS."""
        self._by_digest: dict[bytes, _Stored] = {}
        self._copies: list[tuple[_Stored, str]] = []
        self._unreadable: list[str] = []
        self._without: int = 0
        for name, text in _texts(folder):
            self._add(name, text)

    def completed(self, record: Record, event: JobCompleted, place: Place, see: Sightings, *, in_week: bool) -> None:
        """A completion in any week."""
        stored = self._by_digest.get(bytes.fromhex(receipt_sha384(event.receipt)))
        if stored is not None:
            stored.matched = True
            if in_week and stored.compact != _short(event.receipt):
                detail = f"{stored.name}: another signature"
                see.see("receipt_copy", f"job {event.job_id}", place, record.time, detail=detail)
        elif in_week:
            self._without += 1
            see.see("event_without_receipt", event.submitter, place, record.time)

    def finish(self, window: Window, workers: frozenset[str], sightings: Sightings) -> ReceiptState:
        """The comparison, once all trails were read."""
        week = [each for each in self._by_digest.values() if window.has(each.ended)]
        ours = [each for each in week if each.worker in workers]
        orphans = sorted((each for each in ours if not each.matched), key=lambda each: (each.ended, each.job_id))
        for each in orphans:
            detail = f"{each.name}, ended {each.ended}"
            sightings.state("receipt_without_event", f"{each.worker}, job {each.job_id}", detail=detail)
        for first, name in self._copies:
            if window.has(first.ended):
                sightings.state("receipt_copy", f"job {first.job_id}", detail=f"{first.name} and {name}")
        for name in sorted(self._unreadable):
            sightings.state("unreadable_receipt", name)
        foreign = [each for each in week if each.worker not in workers]
        for each in foreign:
            sightings.state("other_workers", each.worker)
        return ReceiptState(
            matched=sum(each.matched for each in ours),
            without_event=len(orphans),
            events_without_receipt=self._without,
            others=len(foreign),
            unreadable=len(self._unreadable),
        )

    def _add(self, name: str, text: str) -> None:
        try:
            claims = claims_unverified(text)
        except ReceiptError as error:
            self._unreadable.append(f"{name}: {error.field}")
            return
        if len(self._by_digest) >= MOST_RECEIPTS:
            raise ValueError(f"more than {MOST_RECEIPTS} receipts")
        digest = bytes.fromhex(receipt_sha384(text))
        known = self._by_digest.get(digest)
        if known is not None:
            if known.compact != _short(text):
                self._copies.append((known, name))
            return
        self._by_digest[digest] = _Stored(
            worker=claims.worker, job_id=claims.job_id, ended=claims.ended, name=name, compact=_short(text)
        )


def _short(receipt: str) -> bytes:
    return hashlib.sha256(receipt.encode()).digest()[:16]


def _claims(receipt: str) -> _Claims | None:
    payload = receipt.split(".", 2)[1]
    try:
        return _decoder.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (msgspec.MsgspecError, binascii.Error, UnicodeError, RecursionError):
        return None


def _texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Every line of every file, with the file's name below the folder; symbolic links are not followed."""
    for root, folders, files in os.walk(folder, onerror=_raise):
        folders.sort()
        for file in sorted(files):
            path = Path(root, file)
            if path.suffix != SUFFIX or path.is_symlink() or not path.is_file():
                continue
            name = path.relative_to(folder).as_posix()
            if path.stat().st_size > MOST_FILE_BYTES:
                raise ValueError(f"{name[:200]!r} is larger than {MOST_FILE_BYTES >> 20} MiB")
            with path.open(encoding="ascii", errors="replace") as stream:
                while line := stream.readline(MAX_BYTES + 2):
                    if line.strip():
                        yield name, line.strip()


def _raise(error: OSError) -> None:
    raise error
