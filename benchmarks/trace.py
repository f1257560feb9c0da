"""The times of a job's steps inside a worker: every message of its processes, and some calls, by CLOCK_MONOTONIC.

`python -m benchmarks.trace FILE CONFIG` is `cji_simulator.worker`, but each of its processes notes a time and a fixed
name in shared memory when it sends or receives a message and when one of `CALLS` ends. The worker itself has no such
switch: its processes are started through this module, which wraps their functions.
"""

import functools
import importlib
import mmap
import os
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from cji_worker import supervisor
from cji_worker.fronts import FRONT_NAMES
from cji_worker.ipc import Channel, receive_boot
from tests.support.with_tests import import_tests

__all__ = ["Mark", "Trace", "main"]

_ROOT: Final = Path(__file__).resolve().parent.parent
_FILE, _MODULE, _NAME = "CJI_TRACE_FILE", "CJI_TRACE_MODULE", "CJI_TRACE_NAME"
_AREAS: Final = 4096  # so many that two processes rarely take the same one; the file is sparse
_AREA_BYTES: Final = 16 << 10
_RECORD: Final = struct.Struct("<q40s")
_HEAD: Final = struct.Struct("<q16s")  # records, name of the process

CALLS: Final = {
    "keyholder": (
        ("cji_worker.keyholder.admission", "AdmissionControl.parse"),
        ("cji_worker.keyholder.admission", "verify_submitter"),
        ("cji_worker.keyholder.admission", "AdmissionControl.check"),
        ("cji_worker.keyholder.effects", "open_keys"),
        ("cji_worker.keyholder.effects", "agree"),
        ("cji_worker.keyholder.receipts", "ReceiptSigner.sign"),
        ("cji_worker.trail.file", "AuditFile.enter"),
        ("cji_worker.trail.waiting", "Waiting.decide"),
    ),
    "zygote": (
        ("cji_worker.cell.job", "parse"),
        ("cji_worker.cell.job", "plan"),
        ("cji_worker.cell.job", "result_header"),
        ("cji_worker.cell.streams", "InputStream.unseal"),
        ("cji_worker.cell.job", "CellJob._prepared"),
        ("cji_worker.cell.pipeline", "Pipeline.push"),
        ("cji_worker.cell.outputs", "OutputParts.finish"),
    ),
    "front": (),
    "control": (),
}


class Mark(NamedTuple):
    """One note: seconds of CLOCK_MONOTONIC, the process, and what it did."""

    at: float
    process: str
    what: str


class Trace:
    """The shared memory that every process of one worker notes its marks in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("a+b") as file:
            file.truncate(_AREAS * _AREA_BYTES)
            self._map = mmap.mmap(file.fileno(), 0)

    def clear(self) -> None:
        """Forget all marks."""
        for area in range(0, len(self._map), _AREA_BYTES):
            _HEAD.pack_into(self._map, area, 0, b"")

    def marks(self) -> list[Mark]:
        """All marks, earliest first."""
        return sorted(mark for area in range(0, len(self._map), _AREA_BYTES) for mark in self._read(area))

    def _read(self, area: int) -> Iterator[Mark]:
        count, name = _HEAD.unpack_from(self._map, area)
        for index in range(count):
            at, what = _RECORD.unpack_from(self._map, area + _HEAD.size + index * _RECORD.size)
            yield Mark(at / 1e9, name.rstrip(b"\0").decode(), what.rstrip(b"\0").decode())

    def writer(self, process: str) -> Callable[[str], None]:
        """A function that notes a mark of this process; a child that it forks is a cell, with an area of its own."""
        own = [(_any_area(), process.encode())]

        def in_cell() -> None:
            own[0] = (_any_area(), b"cell")

        os.register_at_fork(after_in_child=in_cell)

        def note(what: str) -> None:
            area, name = own[0]
            count, _ = _HEAD.unpack_from(self._map, area)
            at = area + _HEAD.size + count * _RECORD.size
            if at + _RECORD.size <= area + _AREA_BYTES:
                _RECORD.pack_into(self._map, at, time.monotonic_ns(), what.encode()[:40])
                _HEAD.pack_into(self._map, area, count + 1, name)

        return note


def _any_area() -> int:
    return int.from_bytes(os.urandom(2), "big") % _AREAS * _AREA_BYTES


def _wrap(note: Callable[[str], None], module: str, name: str) -> None:
    *owners, attribute = name.split(".")
    owner: Any = functools.reduce(getattr, owners, importlib.import_module(module))
    function = getattr(owner, attribute)

    @functools.wraps(function)
    def noted(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        finally:
            note(name)

    setattr(owner, attribute, noted)


def _process() -> None:
    """Run a process of the worker, with notes."""
    name, module = os.environ[_NAME], os.environ[_MODULE]
    note = Trace(Path(os.environ[_FILE])).writer(name)
    send, decode = Channel.send, Channel._decode

    def sending(self: Any, message: Any, fds: Any = ()) -> None:
        note(f"sends {type(message).__name__}")
        send(self, message, fds)

    def decoding(self: Any, *args: Any) -> Any:
        message, fds = decode(self, *args)
        note(f"gets {type(message).__name__}")
        return message, fds

    Channel.send, Channel._decode = sending, decoding  # type: ignore[method-assign,assignment]
    for of, call in CALLS[name]:
        _wrap(note, of, call)
    found = importlib.import_module("cji_worker.keyholder.__main__" if module == "cji_worker.keyholder" else module)
    os._exit(found.main(receive_boot(int(sys.argv[1]))) or 0)


def main() -> int:
    """Run the worker."""
    from cji_simulator import worker as simulated  # noqa: PLC0415 - the worker's own processes cannot import it

    path, config = sys.argv[1:]

    class Traced(supervisor.Supervisor):
        def _spawn(self, name: str, module: str, *args: Any, **options: Any) -> None:
            known = "front" if name in FRONT_NAMES else name  # a job is in one of them
            names = {_FILE: path, _MODULE: module, _NAME: known, "PYTHONPATH": str(_ROOT)}
            supervisor.ENVIRONMENT = {**supervisor.ENVIRONMENT, **names}  # type: ignore[misc]
            super()._spawn(name, __spec__.name if __spec__ else module, *args, **options)

    import_tests()
    simulated.Supervisor = Traced  # type: ignore[attr-defined]
    sys.argv[1:] = [config]
    return simulated.main()


if __name__ == "__main__":
    if _NAME in os.environ:
        _process()
    sys.exit(main())
