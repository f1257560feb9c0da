"""Looking for planted values: in any bytes, and in all the memory of a process that root can read.

* `Canaries` finds any of some thousand patterns in one pass, at every byte offset.
* `scan_process` reads every present page of /proc/PID/mem. Secret memory cannot be read; how much of it there was is
  reported, so that a test can tell "not there" from "not looked at".
* `scan_worker` does so with all processes of a worker.
"""

import ctypes
import hashlib
import mmap
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from cji_simulator.processes import each_process

__all__ = [
    "Canaries",
    "Hit",
    "ProcessScan",
    "encodings",
    "look_inside",
    "scan_file",
    "scan_process",
    "scan_worker",
]

_PAGE: Final = mmap.PAGESIZE
_CHUNK: Final = 16 << 20
_PIECE: Final = 1 << 19  # stays in the cache; and processes that share memory share whole pieces of it
_KEY_BYTES: Final = 8
_TABLE_BITS: Final = 18
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_PRESENT_OR_SWAPPED: Final = np.uint64(3 << 62)
_SECRET: Final = "/secretmem"
_SYS_PIDFD_GETFD: Final = 438


def encodings(text: str) -> dict[str, bytes]:
    """The forms in which a program may hold a text, by name."""
    return {
        "utf-8": text.encode(),
        "lower": text.lower().encode(),
        "upper": text.upper().encode(),
        "reversed": text[::-1].encode(),
        "utf-16": text.encode("utf-16-le"),
        "utf-32": text.encode("utf-32-le"),
        "hex": text.encode().hex().encode(),
    }


class Canaries:
    """Patterns of at least 8 bytes, by label. `find` costs about the same for one as for thousands.

    Only every `_stride`th byte offset is looked at, as many as the shortest pattern allows: wherever a pattern stands,
    one of its first `_stride` words of 8 bytes begins at such an offset, and all of these words are known.
    """

    def __init__(self, patterns: Mapping[str, bytes]) -> None:
        self.patterns = dict(patterns)
        for label, pattern in patterns.items():
            if len(pattern) < _KEY_BYTES:
                raise ValueError(f"{label}: too short to be unmistakable")
        self._stride = max(one for one in (1, 2, 4, 8) if min(map(len, patterns.values())) >= _KEY_BYTES + one - 1)
        self._by_key: dict[int, list[tuple[str, bytes, int]]] = {}
        for label, pattern in patterns.items():
            for ahead in range(self._stride):
                key = int.from_bytes(pattern[ahead : ahead + _KEY_BYTES], "little")
                self._by_key.setdefault(key, []).append((label, pattern, ahead))
        self._keys = np.array(sorted(self._by_key), np.uint64)
        self._table = np.zeros(1 << _TABLE_BITS, np.bool_)
        self._table[_slot(self._keys)] = True
        self.longest = max(map(len, patterns.values()))
        self._found: dict[bytes, tuple[tuple[str, int], ...]] = {}

    def find(self, data: bytes | memoryview) -> Iterator[tuple[str, int]]:
        """Each (label, offset) at which a pattern stands in `data`."""
        view = memoryview(data)
        for start in range(0, len(view), _PIECE):
            # a word may start in the last bytes of a piece: it then ends in the next one
            yield from self._in_piece(view, start, min(start + _PIECE + _KEY_BYTES - 1, len(view)))

    def find_once(self, data: bytes) -> tuple[tuple[str, int], ...]:
        """The result of `find`; the same bytes are searched only once, even if several processes have them."""
        digest = hashlib.sha256(data).digest()
        if digest not in self._found:
            self._found[digest] = tuple(self.find(data))
        return self._found[digest]

    def _in_piece(self, view: memoryview, start: int, end: int) -> Iterator[tuple[str, int]]:
        if end - start < _KEY_BYTES or not np.frombuffer(view[start:end], np.uint8).any():
            return
        for shift in range(0, _KEY_BYTES, self._stride):
            words = np.frombuffer(view, "<u8", max(0, end - start - shift) // _KEY_BYTES, start + shift)
            likely = np.flatnonzero(self._table[_slot(words)])
            if len(likely):
                nearest = np.searchsorted(self._keys[:-1], words[likely])
                for index in likely[self._keys[nearest] == words[likely]].tolist():
                    for label, pattern, ahead in self._by_key[int(words[index])]:
                        at = start + index * _KEY_BYTES + shift - ahead
                        if at >= 0 and view[at : at + len(pattern)] == pattern:
                            yield label, at


def _slot(words: "np.ndarray[tuple[int], np.dtype[np.uint64]]") -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    return (words * _MIX) >> np.uint64(64 - _TABLE_BITS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One canary in one process, and where."""

    process: str
    label: str
    address: int
    area: str


@dataclass(slots=True, kw_only=True)
class ProcessScan:
    """The visible memory of one process. `refused` lists mappings with present pages that could not be read."""

    process: str
    hits: list[Hit] = field(default_factory=list)
    bytes_read: int = 0
    secret_bytes: int = 0
    refused: list[str] = field(default_factory=list)


def scan_process(pid: int, canaries: Canaries, *, name: str) -> ProcessScan:
    """Read all present pages of a process, as root. A process that ends meanwhile raises ProcessLookupError."""
    found = ProcessScan(process=name)
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    memory, pages = os.open(f"/proc/{pid}/mem", os.O_RDONLY), os.open(f"/proc/{pid}/pagemap", os.O_RDONLY)
    try:
        for line in maps:
            span, permissions, _, _, _, *path = line.split(maxsplit=5)
            start, end = (int(part, 16) for part in span.split("-"))
            area = f"{line.split()[0]} {permissions} {path[0] if path else 'anonymous'}"
            secret = bool(path) and path[0].startswith(_SECRET)
            if path and path[0] in {"[vvar]", "[vsyscall]", "[vvar_vclock]"}:
                continue
            for first, last in _runs(pid, pages, start, end, secret=secret):
                if secret:
                    found.secret_bytes += last - first
                    _must_be_unreadable(pid, memory, first)
                    continue
                try:
                    data = os.pread(memory, last - first, first)
                except OSError:
                    found.refused.append(area)
                    continue
                _must_be_there(pid, data)
                _scan_run(memory, first, data, canaries, found, area)
    finally:
        os.close(memory)
        os.close(pages)
    if not found.bytes_read:
        raise ProcessLookupError(pid)
    return found


def _must_be_there(pid: int, data: bytes) -> None:
    """The kernel says that a process has given its memory back by reading nothing (Linux, fs/proc/base.c, mem_rw)."""
    if not data:
        raise ProcessLookupError(pid)


def _runs(pid: int, pages: int, start: int, end: int, *, secret: bool) -> Iterator[tuple[int, int]]:
    """Spans of the area whose pages exist; all of a secret area, whose pages the kernel does not show here."""
    if secret:
        yield start, end
        return
    step = _PIECE // _PAGE
    for first in range(start // _PAGE, end // _PAGE, step):
        count = min(step, end // _PAGE - first)
        data = os.pread(pages, 8 * count, 8 * first)
        _must_be_there(pid, data)
        entries = np.frombuffer(data, np.uint64)
        there = np.concatenate(([False], (entries & _PRESENT_OR_SWAPPED) != 0, [False]))
        edges = np.flatnonzero(there[1:] != there[:-1])
        for low, high in edges.reshape(-1, 2).tolist():
            yield (first + low) * _PAGE, (first + high) * _PAGE


def _scan_run(memory: int, start: int, data: bytes, canaries: Canaries, found: ProcessScan, area: str) -> None:
    found.bytes_read += len(data)
    with suppress(OSError):  # a pattern may go on behind the run; where nothing can be read there is nothing
        data += os.pread(memory, canaries.longest, start + len(data))
    found.hits += [
        Hit(process=found.process, label=label, address=start + at, area=area) for label, at in canaries.find_once(data)
    ]


def _must_be_unreadable(pid: int, memory: int, address: int) -> None:
    try:
        data = os.pread(memory, _PAGE, address)
    except OSError:
        return
    _must_be_there(pid, data)
    raise AssertionError("secret memory was readable through /proc/PID/mem")


def scan_worker(pids: Mapping[str, int], canaries: Canaries, *, cells: int = 1) -> list[ProcessScan]:
    """Scans of all processes of a worker, so many cells at least; a cell that ended meanwhile is left out."""
    return list(each_process(pids, lambda name, pid: scan_process(pid, canaries, name=name), cells=cells).values())


def scan_file(path: Path, canaries: Canaries) -> set[str]:
    """The canaries in a file."""
    if not path.stat().st_size:
        return set()
    with path.open("rb") as file, closing(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as content:
        return _in_file(content, canaries)


def look_inside(pid: int, canaries: Canaries, *, size: int) -> list[set[str]]:
    """The canaries inside each secret memory file of `size` bytes that a process has a descriptor of, as root.

    By pidfd_getfd(2): a mapping of one's own is readable. The simulation's launcher keeps descriptors for this.
    """
    found = []
    for number in _secret_files(pid):
        fd = _borrow(pid, number)
        try:
            if os.fstat(fd).st_size == size:
                with closing(mmap.mmap(fd, size)) as region:
                    found.append(_in_file(region, canaries))
        finally:
            os.close(fd)
    return found


def copy_inside(pid: int, beginning: bytes, *, size: int, length: int) -> bytes:
    """`length` bytes of what begins so in one of those files. LookupError if none has it."""
    for number in _secret_files(pid):
        fd = _borrow(pid, number)
        try:
            if os.fstat(fd).st_size == size:
                with closing(mmap.mmap(fd, size)) as region:
                    if (at := region.find(beginning)) >= 0:
                        return region[at : at + length]
        finally:
            os.close(fd)
    raise LookupError("no secret memory has these bytes")


def _secret_files(pid: int) -> list[int]:
    """Descriptors of secret memory; one that a process closes after it was listed is none."""
    found = list[int]()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            if os.readlink(entry).startswith(_SECRET):
                found.append(int(entry.name))
    return sorted(found)


def _in_file(region: mmap.mmap, canaries: Canaries) -> set[str]:
    steps = range(0, len(region), _CHUNK)
    return {label for at in steps for label, _ in canaries.find(region[at : at + _CHUNK + canaries.longest])}


def _borrow(pid: int, number: int) -> int:
    pidfd = os.pidfd_open(pid)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        fd = int(libc.syscall(_SYS_PIDFD_GETFD, pidfd, number, 0))
        if fd < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        return fd
    finally:
        os.close(pidfd)
