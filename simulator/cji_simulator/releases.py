"""Releases of the worker's code, as images of a gallery: a worker runs one, and its receipts name the code's digest."""

import shutil
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from cji_core.manifest import OURS

__all__ = ["WORKING_TREE", "Release", "next_release"]

_PACKAGES: Final = [name for name in OURS if name != "numpy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A name, and the folder that the code is imported from; None for the working tree."""

    name: str
    folder: Path | None = None
    image: str = ""
    """Name of the image that a VM boots with it: its measurement is another than that of the first."""

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a process that imports this code."""
        return {} if self.folder is None else {"PYTHONPATH": str(self.folder)}


WORKING_TREE: Final = Release(name="working tree")


def next_release(folder: Path, name: str) -> Release:
    """A copy of the working tree with one line more, so that its digest is another. `name` is a plain word."""
    for package in _PACKAGES:
        shutil.copytree(str(files(package)), folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    changed = folder / "cji_worker" / "__init__.py"
    changed.write_text(f"{changed.read_text()}# release {name}\n")
    return Release(name=name, folder=folder, image=name)
