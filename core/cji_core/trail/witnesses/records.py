"""Records of what the log returned: files of canonical JSON that are written once.

An `Offer` is a checkpoint, and the proof that it continues the one before. A `Witnessed` is the deliverer's record of
it, with the log's proof. Records lie in a folder as `<size, 20 digits>.json`.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from cji_core.digests import Hex64, Hex96
from cji_core.documents import OneForm
from cji_core.durable import sync_folder
from cji_core.errors import CoreError
from cji_core.strict import StrictError, hex_decode
from cji_core.trail.checkpoint import MAX_BYTES as MAX_NOTE_BYTES
from cji_core.trail.checkpoint import Checkpoint, CheckpointError, parse_checkpoint
from cji_core.trail.fields import Count
from cji_core.trail.merkle import MAX_SIZE, ProofError, verify_consistency

MAX_FILE_BYTES: Final = 256 * 1024
MAX_FILES: Final = 1_000_000
"""In one folder: more than 19 years of one checkpoint every ten minutes."""
_SUFFIX: Final = ".json"
_DIGITS: Final = 20


class RecordError(CoreError):
    """A record that cannot be read or does not fit together; the text names the fault."""

    code = "witness-record-invalid"
    remedy = "Compare the record with the log itself."


class Offer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A checkpoint for the log. `previous` is the size of the one before it, 0 in the first.

    `consistency` is the RFC 9162 §2.1.4 proof from that tree to this one, hexadecimal.
    """

    previous: Count
    consistency: Annotated[tuple[Hex64, ...], Meta(max_length=2 * MAX_SIZE.bit_length())]
    note: Annotated[str, Meta(max_length=MAX_NOTE_BYTES)]

    def checkpoint(self) -> Checkpoint:
        """The checkpoint as read, not verified. Raises RecordError."""
        try:
            found = parse_checkpoint(self.note.encode())
        except CheckpointError as error:
            raise RecordError(f"checkpoint: {error}") from None
        if found.size <= self.previous:
            raise RecordError("checkpoint: not larger than the one before")
        return found

    def continues(self, earlier: "Offer") -> None:
        """Return if this checkpoint continues that one, by its own proof. Raises RecordError."""
        before, after = earlier.checkpoint(), self.checkpoint()
        if self.previous != before.size:
            raise RecordError("the checkpoint before is another one")
        try:
            verify_consistency(
                earlier=before.size,
                earlier_root=before.root,
                size=after.size,
                root=after.root,
                proof=[hex_decode(each) for each in self.consistency],
            )
        except ProofError as error:
            raise RecordError(str(error)) from None


class LogReceipt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The entry in the agency's log, with its proof under a cosigned checkpoint (C2SP tlog-proof)."""

    trail: Hex96
    entry: Annotated[str, Meta(max_length=65_535)]
    proof: Annotated[str, Meta(max_length=MAX_FILE_BYTES)]


class Position(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The position of a reader of the trail, which continues after line `seq`.

    That line begins at byte `start` and has this hash. `peaks` are those of the tree of `seq` lines, hexadecimal.
    """

    seq: Count
    hash: Hex96
    start: Count
    peaks: Annotated[tuple[Hex64, ...], Meta(max_length=MAX_SIZE.bit_length())]


class Witnessed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A checkpoint with its proof, which has the witnesses' times."""

    version: Literal[1] = 1
    offer: Offer
    receipt: LogReceipt
    position: Position

    def encode(self) -> bytes:
        """The one text of this record, with a line feed."""
        return msgspec.json.encode(self) + b"\n"


_FORM: Final = OneForm(Witnessed, limit=MAX_FILE_BYTES, end=b"\n")


def decode_witnessed(data: bytes) -> Witnessed:
    """Read a record in its one text. Raises RecordError."""
    try:
        return _FORM.decode(data)
    except StrictError as error:
        raise RecordError(f"not a record: {error}") from error


def file_name(size: int) -> str:
    """The name of the file for a checkpoint of this size; names sort as sizes do."""
    return f"{size:0{_DIGITS}}{_SUFFIX}"


def write_once(path: Path, data: bytes) -> None:
    """Make a file with this content durable, unless it is there; a part that a crash left is completed.

    No byte that is there is overwritten. Raises FileExistsError for other content, or OSError.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    except FileExistsError:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "r+b", buffering=0) as file:
        there = _whole(file, len(data) + 1)
        if not data.startswith(there):
            raise FileExistsError(path)
        rest = memoryview(data)[len(there) :]
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
    with suppress(OSError):  # some network file systems cannot
        sync_folder(path.parent)


def sizes_in(folder: Path) -> list[int]:
    """The sizes of the checkpoints in a folder, ascending. Raises OSError, or RecordError for too many files."""
    sizes: list[int] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            digits = entry.name.removesuffix(_SUFFIX)
            if entry.name == digits or len(digits) != _DIGITS or not (digits.isascii() and digits.isdigit()):
                continue
            sizes.append(int(digits))
            if len(sizes) > MAX_FILES:
                raise RecordError("more than a million files")
    return sorted(sizes)


def read_file(path: Path) -> bytes:
    """The bytes of a record. Raises RecordError for one that is too large, torn or cannot be read."""
    try:
        with path.open("rb") as file:
            data = _whole(file, MAX_FILE_BYTES + 1)
    except OSError as error:
        raise RecordError("cannot be read") from error
    if len(data) > MAX_FILE_BYTES:
        raise RecordError("too long")
    return data


class Records:
    """The records of one trail, in a folder of the deliverer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def newest(self) -> Witnessed | None:
        """The record with the largest size; one that a crash tore is passed over. Raises RecordError or OSError."""
        for size in reversed(sizes_in(self._folder) if self._folder.is_dir() else []):
            data = read_file(self._folder / file_name(size))
            if data.endswith(b"\n"):
                return self._read(size, data)
        return None

    def add(self, record: Witnessed) -> None:
        """Keep a record. Raises RecordError if the disk does not take it."""
        try:
            self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            path = self._folder / file_name(record.offer.checkpoint().size)
            if path.exists() and not path.read_bytes().endswith(b"\n"):
                path.unlink()  # torn: never acknowledged
            write_once(path, record.encode())
        except OSError as error:
            raise RecordError(f"the record cannot be kept: {type(error).__name__}") from error

    def __iter__(self) -> Iterator[tuple[str, Witnessed | RecordError]]:
        """Each file by its name, in the order of sizes, as a record or as what is wrong with it. Raises OSError."""
        for size in sizes_in(self._folder):
            name = file_name(size)
            try:
                yield name, self._read(size, read_file(self._folder / name))
            except RecordError as error:
                yield name, error

    def _read(self, size: int, data: bytes) -> Witnessed:
        record = decode_witnessed(data)
        if record.offer.checkpoint().size != size:
            raise RecordError("the file is named for another size")
        return record


def _whole(file: Any, limit: int) -> bytes:
    data = b""
    while len(data) < limit and (chunk := file.read(limit - len(data))):
        data += chunk
    return data
