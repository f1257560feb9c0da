"""Lines of a trail that others have seen: destinations of its delivery, the log, holders of checkpoints, reviewers.

Files of other programs are read as claims: bounded, and compared with the trail. One that cannot be read is an error,
because its destination would otherwise seem to have no objection.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from cji_audit.errors import AuditError
from cji_audit.review.model import KnownHead, Report
from cji_core.digests import Hex96
from cji_core.documents import decode
from cji_core.strict import StrictError
from cji_core.trail.checkpoint import MAX_BYTES as MAX_NOTE_BYTES
from cji_core.trail.checkpoint import CheckpointError, parse_checkpoint
from cji_core.trail.delivery import LOG
from cji_core.trail.fields import Count

_CURSORS: Final = "*.delivered"
_RECORD: Final = "[0-9]" * 20 + ".json"
_ORIGIN: Final = "cji-worker/"
_MAX_BYTES: Final = 256 * 1024


class _Cursor(msgspec.Struct, frozen=True, kw_only=True):
    destination: str
    seq: Count
    hash: Hex96


class _Offer(msgspec.Struct, frozen=True, kw_only=True):
    note: str


class _Witnessed(msgspec.Struct, frozen=True, kw_only=True):
    offer: _Offer


class HeadError(AuditError):
    """A file that should name a line, and does not. The text names file and fault."""

    code = "review-head-invalid"
    remedy = "Name the trail that the earlier review is of."


def heads_of_state(folder: Path) -> list[KnownHead]:
    """The line that each sink has, and the last checkpoint that the log proved, in the state of `cji audit deliver`.

    Raises HeadError or OSError.
    """
    found = [_of_cursor(path) for path in sorted(folder.glob(_CURSORS))]
    if records := sorted(folder.glob(f"{LOG}/{_RECORD}")):
        found.append(_of_log(records[-1]))
    return found


def head_of_checkpoint(path: Path) -> KnownHead:
    """The tree of a checkpoint in a file. Its signature is not verified. Raises HeadError or OSError."""
    return _of_note(_bytes(path, MAX_NOTE_BYTES), source=path.name, path=path)


def heads_of_review(report: Report) -> Iterator[KnownHead]:
    """The last line of each trail when an earlier review read it."""
    for trail in report.trails:
        yield KnownHead(
            source=report.week, kind="review", worker=trail.worker, line=trail.lines, hash=trail.hash, root=trail.root
        )


def _of_cursor(path: Path) -> KnownHead:
    try:
        cursor = decode(_bytes(path, _MAX_BYTES), _Cursor, limit=_MAX_BYTES)
    except StrictError as error:
        raise HeadError(f"{path}: not the state of a destination") from error
    return KnownHead(source=cursor.destination, kind="destination", worker=None, line=cursor.seq, hash=cursor.hash)


def _of_log(path: Path) -> KnownHead:
    try:
        record = decode(_bytes(path, _MAX_BYTES), _Witnessed, limit=_MAX_BYTES)
    except StrictError as error:
        raise HeadError(f"{path}: not a record of the log") from error
    return _of_note(record.offer.note.encode(), source=LOG, path=path)


def _of_note(note: bytes, *, source: str, path: Path) -> KnownHead:
    try:
        found = parse_checkpoint(note)
    except CheckpointError as error:
        raise HeadError(f"{path}: not a checkpoint: {error}") from error
    worker = found.origin.removeprefix(_ORIGIN)
    return KnownHead(source=source, kind="checkpoint", worker=worker, line=found.size, root=found.root.hex())


def _bytes(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise HeadError(f"{path}: larger than {most >> 10} KiB")
    return data
