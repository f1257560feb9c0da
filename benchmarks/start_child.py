"""A process of a worker that notes what its start costs; `python -m benchmarks.start_child FOLDER CONFIG` is a worker.

The worker has no switch for this: its processes are started through this module, which imports nothing of ours before
the process does. Each writes lines of JSON into `FOLDER/NAME`: the CPU seconds of imports, module by module without
those that it imports in turn, and of some calls. Times are of CLOCK_MONOTONIC.
"""

import _frozen_importlib
import functools
import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from tests.support.with_tests import import_tests

_FOLDER, _MODULE, _NAME = "CJI_START_FOLDER", "CJI_START_MODULE", "CJI_START_NAME"

CALLS: Final = {
    "supervisor": (
        ("cji_simulator.worker", "working_tree"),
        ("cji_simulator.worker", "has_users"),
        ("cji_simulator.worker", "has_namespaces"),
        ("cji_worker.supervisor", "Supervisor._start"),
        ("cji_worker.supervisor", "Supervisor._confine"),
    ),
    "zygote": (
        ("cji_worker.cell.zygote", "self_test"),
        ("cji_worker.cell.zygote", "Zygote.__init__"),
        ("cji_worker.cell.zygote", "Zygote._populate"),
        ("cji_worker.cell.zygote", "Zygote._do_some_work"),
    ),
    "keyholder": (
        ("cji_worker.keyholder.__main__", "open_logs"),
        ("cji_worker.keyholder.__main__", "confine"),
        ("cji_worker.keyholder.__main__", "SecretHeap"),
        ("cji_worker.keyholder.__main__", "establish"),
        ("cji_worker.keyholder.__main__", "_signer"),
        ("cji_worker.keyholder.custody", "Custody._attest"),
        ("cji_worker.keyholder.custody", "Custody._release"),
    ),
    "front": (("cji_worker.front.server", "_confine"),),
    "control": (("cji_worker.control.__main__", "Control.__init__"),),
}
"""The calls that are noted, by process, where they are looked up."""


class Notes:
    """The notes of one process: a file that it opens before it gives files up."""

    def __init__(self, folder: str, name: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(os.path.join(folder, name), flags, 0o600)
        self._local = threading.local()
        self.note("first line")

    def note(self, what: str, **fields: object) -> None:
        """Write one line."""
        line = {"what": what, "at": time.monotonic(), "cpu": time.process_time(), **fields}
        try:
            os.write(self._fd, json.dumps(line).encode() + b"\n")
        except OSError:
            return  # a cell, which has given all descriptors up

    def imports(self) -> None:
        """From now on note each import that is not part of another one, with the CPU seconds of its modules."""
        load = _frozen_importlib._find_and_load  # type: ignore[attr-defined]

        def noted(name: str, import_: Any) -> Any:
            with self._module(name):
                return load(name, import_)

        _frozen_importlib._find_and_load = noted  # type: ignore[attr-defined]

    @contextmanager
    def _module(self, name: str) -> Iterator[None]:
        stack: list[float] = self._local.__dict__.setdefault("stack", [])
        found: dict[str, float] = self._local.__dict__.setdefault("found", {})
        stack.append(0.0)
        wall, began = time.monotonic(), time.thread_time()
        try:
            yield
        finally:
            spent = time.thread_time() - began
            found[name] = found.get(name, 0.0) + spent - stack.pop()
            if stack:
                stack[-1] += spent
            else:
                self._local.found = {}
                self.note("import", wall=time.monotonic() - wall, modules=found)

    def calls(self, name: str) -> None:
        """Note the calls of this process in `CALLS`, their own imports included."""
        for of, path in CALLS[name]:
            *owners, attribute = path.split(".")
            owner: Any = functools.reduce(getattr, owners, importlib.import_module(of))
            setattr(owner, attribute, self._noted(path, getattr(owner, attribute)))

    def _noted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function, updated=())
        def noted(*args: Any, **options: Any) -> Any:
            wall, began = time.monotonic(), time.thread_time()
            try:
                return function(*args, **options)
            finally:
                self.note("call", name=name, wall=time.monotonic() - wall, spent=time.thread_time() - began)

        return noted


def _process() -> None:
    """Run a process of the worker, with notes."""
    name, module = os.environ[_NAME], os.environ[_MODULE]
    notes = Notes(os.environ[_FOLDER], name)
    notes.imports()
    program = importlib.import_module("cji_worker.keyholder.__main__" if module == "cji_worker.keyholder" else module)
    notes.note("imported")
    notes.calls(name)
    os._exit(program.main(program.receive_boot(int(sys.argv[1]))) or 0)


def main() -> int:
    """Run the worker."""
    folder, config = sys.argv[1:]
    notes = Notes(folder, "supervisor")
    notes.imports()
    simulated: Any = importlib.import_module("cji_simulator.worker")
    supervisor: Any = importlib.import_module("cji_worker.supervisor")
    notes.note("imported")
    notes.calls("supervisor")
    own = __spec__.name if __spec__ else ""

    class Noted(simulated.Supervisor):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            ready: Callable[[], None] = self._on_ready

            def serving() -> None:
                notes.note("serving")
                ready()

            self._on_ready: Callable[[], None] = serving

        def _spawn(self, name: str, module: str, *args: Any, **options: Any) -> None:
            names = {_FOLDER: folder, _MODULE: module, _NAME: name}
            supervisor.ENVIRONMENT = {**supervisor.ENVIRONMENT, **names}
            # of several fronts, the first is noted
            super()._spawn(name, own if name in CALLS else module, *args, **options)
            notes.note("spawned", name=name)

    import_tests()
    simulated.Supervisor = Noted
    sys.argv[1:] = [config]
    status: int = simulated.main()
    return status


if __name__ == "__main__":
    if _NAME in os.environ:
        _process()
    sys.exit(main())
