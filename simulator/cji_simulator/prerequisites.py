"""The programs and libraries that a simulation needs from the machine, and what installs each.

This module imports nothing that could be missing, so it can be asked before anything else is loaded.
"""

import ctypes
import importlib.util
import shutil
import sys
from collections.abc import Iterator
from typing import Final

__all__ = ["missing"]

_LIBRARIES: Final = (
    ("libtss2-esys.so.0", "libtss2-esys-3.0.2-0t64"),
    ("libtss2-fapi.so.1", "libtss2-fapi1t64"),
    ("libtss2-policy.so.0", "libtss2-policy0t64"),
    ("libtss2-rc.so.0", "libtss2-rc0t64"),
    ("libtss2-tctildr.so.0", "libtss2-tctildr0t64"),
    ("libtss2-tcti-swtpm.so.0", "libtss2-tcti-swtpm0t64"),
)


def missing(*, worker: bool = True) -> list[str]:
    """One line for each thing that is missing: what it is for, and Debian's package. `worker`: to run one as well."""
    return [*_services(), *(_door() if worker else ())]


def _services() -> Iterator[str]:
    if not sys.platform.startswith("linux"):
        yield f"Linux is missing (this is {sys.platform}): the worker needs its secret memory and sandboxes"
        return
    if shutil.which("swtpm") is None:
        yield "swtpm is missing, the software behind the vTPM: apt-get install swtpm"
    for name, package in _LIBRARIES:
        try:
            ctypes.CDLL(name)
        except OSError:
            yield f"{name} is missing, by which programs use a TPM: apt-get install {package}"


def _door() -> Iterator[str]:
    if importlib.util.find_spec("cji_worker") is None:
        yield "cji-worker is missing, the worker that is simulated: pip install cji-worker"
        return
    from cji_core.errors import StartupError
    from cji_worker.door.program import installed

    try:
        installed()
    except StartupError as error:
        yield f"{error.what}: {error.remedy}"
