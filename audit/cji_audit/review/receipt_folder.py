"""The receipts in a folder, which submitters kept: they are compared with the completions in the trails."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cji_audit.review.findings import Findings
from cji_audit.review.model import Place, ReceiptState
from cji_audit.review.week import Window
from cji_core.strict import hex_decode
from cji_core.trail.chain import Record
from cji_core.trail.compact import MAX_BYTES, ReceiptError
from cji_core.trail.events import JobCompleted
from cji_core.trail.fields import Utc
from cji_core.trail.receipts import claims_unverified, receipt_sha384
from cji_core.trail.short_receipts import Stated

MOST_RECEIPTS: Final = 2_000_000
MOST_FILE_BYTES: Final = 64 * 1024 * 1024
SUFFIX: Final = ".jws"


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
        for name, text in texts(folder):
            self._add(name, text)

    def completed(
        self,
        record: Record,
        event: JobCompleted,
        receipt: Stated | None,
        place: Place,
        findings: Findings,
        *,
        in_week: bool,
    ) -> None:
        """A completion in any week, with its receipt if that can be read."""
        stored = None if receipt is None else self._by_digest.get(hex_decode(receipt.sha384))
        if stored is not None:
            stored.matched = True
            if in_week and receipt is not None and stored.compact != _short(receipt.compact):
                detail = f"{stored.name}: another signature"
                findings.see("receipt_copy", f"job {event.job_id}", place, record.time, detail=detail)
        elif in_week:
            self._without += 1
            findings.see("event_without_receipt", event.submitter, place, record.time)

    def finish(self, window: Window, workers: frozenset[str], findings: Findings) -> ReceiptState:
        """The comparison, once all trails were read."""
        week = [each for each in self._by_digest.values() if window.has(each.ended)]
        ours = [each for each in week if each.worker in workers]
        orphans = sorted((each for each in ours if not each.matched), key=lambda each: (each.ended, each.job_id))
        for each in orphans:
            detail = f"{each.name}, ended {each.ended}"
            findings.state("receipt_without_event", f"{each.worker}, job {each.job_id}", detail=detail)
        for first, name in self._copies:
            if window.has(first.ended):
                findings.state("receipt_copy", f"job {first.job_id}", detail=f"{first.name} and {name}")
        for name in sorted(self._unreadable):
            findings.state("unreadable_receipt", name)
        foreign = [each for each in week if each.worker not in workers]
        for each in foreign:
            findings.state("other_workers", each.worker)
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
        digest = hex_decode(receipt_sha384(text))
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


def texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Every line of every `.jws` file, with the file's name below the folder; symbolic links are not followed."""
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
