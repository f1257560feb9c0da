"""The wheels of this repository, built by its own build backend."""

import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.support.paths import ROOT

DISTRIBUTIONS: Final = (
    "core",
    "attestation",
    "operations",
    "client",
    "audit",
    "deploy",
    "worker",
    "simulator",
    "engine",
)
_BUILD: Final = """
import os, sys
from hatchling.build import build_wheel
for folder in sys.argv[2:]:
    os.chdir(folder)
    print(build_wheel(sys.argv[1]))
"""


def build(folder: Path, names: Iterable[str] = DISTRIBUTIONS) -> dict[str, Path]:
    """The wheels of these distributions, in a folder."""
    names = list(names)
    command = [sys.executable, "-P", "-c", _BUILD, str(folder), *(str(ROOT / name) for name in names)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return {name: folder / file for name, file in zip(names, done.stdout.split(), strict=True)}


def install(folder: Path, names: Iterable[str]) -> Path:
    """A folder like the site-packages of a machine with these wheels: their contents, and links to other libraries."""
    site = folder / "site"
    for wheel in build(folder / "wheels", names).values():
        zipfile.ZipFile(wheel).extractall(site)
    for library in {Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")}:
        for entry in library.iterdir():
            # the editable installations of this tree have other metadata
            if not entry.name.startswith(("cji_", "_cji_")) and entry.suffix != ".pth":
                (site / entry.name).symlink_to(entry)
    return site
