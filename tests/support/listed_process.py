"""One process of a worker, the worker's own code, that lists the modules that it loads.

`python -m tests.support.listed_process BOOT` with its name and module in `PART`, as `listed` starts it. The list is in
memory that a file backs: a process of a worker may open no file later. A cell writes to the list of its zygote.
"""

import mmap
import os
import runpy
import struct
import sys
from pathlib import Path
from typing import Final

__all__ = ["FOLDER", "PART", "begin", "lists"]

PART: Final = "CJI_TEST_LISTED_PART"
FOLDER: Final = "CJI_TEST_LISTS"
"""Names of environment variables."""
OURS: Final = "cji_"
LIBRARIES: Final = frozenset(
    ("asyncio", "azure", "cryptography", "email", "google", "grpc", "joserfc", "numpy", "pyarrow", "ssl", "zipfile")
)
"""Others that are watched, because they cost much where they are not needed."""
"""The beginning of every name of ours."""
_BYTES: Final = 1 << 20
_END: Final = struct.Struct("<Q")


class _List:
    """A finder of modules that finds none, and writes the name of each of ours that is sought."""

    def __init__(self, page: mmap.mmap) -> None:
        self._page = page
        _END.pack_into(page, 0, _END.size)

    def add(self, name: str) -> None:
        if name.startswith(OURS) or name in LIBRARIES:
            (end,) = _END.unpack_from(self._page)
            line = name.encode() + b"\n"
            self._page[end : end + len(line)] = line
            _END.pack_into(self._page, 0, end + len(line))

    def find_spec(self, name: str, *_: object) -> None:
        self.add(name)


def begin(process: str) -> None:
    """List the modules of this process from now on, and those that it has."""
    path = Path(os.environ[FOLDER]) / f"{process}-{os.getpid()}"
    path.write_bytes(bytes(_BYTES))
    with path.open("r+b") as file:
        found = _List(mmap.mmap(file.fileno(), _BYTES))
    for name in tuple(sys.modules):
        found.add(name)
    sys.meta_path.insert(0, found)


def lists(folder: Path) -> dict[str, set[str]]:
    """What has been sought so far, by process: modules, and names that are none."""
    found: dict[str, set[str]] = {}
    for path in folder.iterdir():
        data = path.read_bytes()
        (end,) = _END.unpack_from(data)
        names = data[_END.size : end].decode().split()
        found.setdefault(path.name.partition("-")[0], set()).update(names)
    return found


def main() -> None:
    """Run the process."""
    name, module = os.environ[PART].split()
    begin(name)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
