"""What takes long to make is made once in a run of the tests: roots and RSA keys, which all its processes share.

The first process that asks makes it, the others wait. The folder is that of the run (tests/conftest.py), else that of
this process. Nothing in it belongs to a running simulation: each copies what it takes.
"""

import atexit
import fcntl
import functools
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = ["FOLDER", "made_once", "new_folder"]

FOLDER: Final = "TESTS_RUN_FOLDER"
"""The environment variable that names it to the processes of a run."""


def new_folder() -> Path:
    """A folder for a run; whoever makes it removes it."""
    return Path(tempfile.mkdtemp(prefix="cji-run-"))


def made_once(name: str, make: Callable[[Path], object]) -> Path:
    """The file or folder of this name. `make` is given a path where there is nothing yet."""
    folder = Path(os.environ.get(FOLDER) or _own())
    found = folder / name
    if not found.exists():
        with (folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not found.exists():
                making = folder / f"{name}.new"
                make(making)
                making.rename(found)
    return found


@functools.cache
def _own() -> Path:
    folder = new_folder()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
