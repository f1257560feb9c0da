"""State that other processes leave in files: progress of deliveries, signed reviews, the server's certificate.

They are read as another process's claims: bounded, of one shape, and a file that is missing or unreadable is shown as
such. Nothing in them is verified here; `cji audit` does that.
"""

import os
import re
import stat
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from cji_core.certs import load_pem_chain
from cji_core.documents import decode
from cji_worker.console.view import Destination, DestinationKind, Reviews

MAX_DESTINATIONS: Final = 32
MAX_ENTRIES: Final = 1_000_000
"""Of one folder; more are not read."""
_MAX_CURSOR_BYTES: Final = 1024
_MAX_CERTIFICATE_BYTES: Final = 1 << 20
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_CURSOR_SUFFIX: Final = ".delivered"
_LOG: Final = "log"  # the destination of the agency's log
_WEEK: Final = re.compile(r"([0-9]{4})-W([0-9]{2})")
_SIGNED: Final = "review.signed.json"


class _Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a destination's file that is read here."""

    destination: Annotated[str, Meta(max_length=63)]
    seq: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class Deliveries:
    """Sinks and the log by their files `NAME.delivered` in the deliverer's folder, and since when each is still."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._still: dict[tuple[DestinationKind, str], tuple[int, datetime]] = {}

    def read(self, line: int | None, *, now: datetime) -> tuple[Destination, ...]:
        """The destinations; `line` is the last line of the trail. Nothing waits for a destination that has it."""
        destinations = []
        still: dict[tuple[DestinationKind, str], tuple[int, datetime]] = {}
        for kind, name, at in sorted(self._found())[:MAX_DESTINATIONS]:
            waits = at < 0 or (line is not None and at < line)
            before = self._still.get((kind, name))
            since = before[1] if waits and before is not None and before[0] == at else now
            still[kind, name] = at, since
            reached, waiting = at if at >= 0 else None, since if waits else None
            destinations.append(Destination(kind=kind, name=name, line=reached, waiting_since=waiting))
        self._still = still
        return tuple(destinations)

    def _found(self) -> Iterator[tuple[DestinationKind, str, int]]:
        """Kind, name and line of each; -1 for one that cannot be read."""
        try:
            with os.scandir(self._folder) as entries:
                for number, entry in enumerate(entries):
                    if number >= MAX_ENTRIES:
                        return
                    name = entry.name.removesuffix(_CURSOR_SUFFIX)
                    if not _NAME.fullmatch(name):
                        continue
                    if name != entry.name:
                        yield "log" if name == _LOG else "sink", name, _cursor(Path(entry.path), name)
        except OSError:
            yield "sink", "state", -1


def _cursor(path: Path, name: str) -> int:
    try:
        found = decode(_small_file(path, _MAX_CURSOR_BYTES), _Cursor, limit=_MAX_CURSOR_BYTES)
    except (OSError, ValueError):
        return -1
    return found.seq if found.destination == name else -1


def reviews_in(folder: Path, *, days: int, now: datetime) -> Reviews:
    """The weekly reviews in a folder: `2026-W48/review.signed.json`.

    The next review is of the first week without a signed one, from the first week with one on, and due `days` after
    its end. Without any, it is due now.
    """
    signed = set[date]()
    try:
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                week = _WEEK.fullmatch(entry.name)
                if number >= MAX_ENTRIES or not week or not Path(entry.path, _SIGNED).is_file():
                    continue
                try:
                    signed.add(date.fromisocalendar(int(week[1]), int(week[2]), 1))
                except ValueError:
                    continue
    except OSError:
        return Reviews(last_signed=None, due=now)
    if not signed:
        return Reviews(last_signed=None, due=now)
    missing = min(signed)
    while missing in signed:
        missing += timedelta(weeks=1)
    year, number, _ = max(signed).isocalendar()
    due = datetime.combine(missing + timedelta(weeks=1, days=days), time(), UTC)
    return Reviews(last_signed=f"{year}-W{number:02}", due=due)


def certificate_until(path: Path) -> datetime:
    """The end of the first certificate in a PEM file. Raises OSError or ValueError."""
    data = _small_file(path, _MAX_CERTIFICATE_BYTES)
    return load_pem_chain(data, limit=_MAX_CERTIFICATE_BYTES)[0].not_valid_after_utc


def _small_file(path: Path, most: int) -> bytes:
    """The bytes of a regular file. Raises OSError, or ValueError for another kind or a longer one."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ValueError("not a file")
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError("too long")
    return data
