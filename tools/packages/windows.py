"""The zip for Windows: CPython's embeddable package, `cji` with its libraries, the command, and a shortcut to the desk.

It is unpacked into a folder of the user and needs no administrator. CPython's package is an input with its SHA-256.
"""

import hashlib
import shutil
import time
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from tools.links import ROOT
from tools.packages.libraries import WINDOWS, install

__all__ = ["PythonPackageError", "build"]

_TEXTS: Final = Path(__file__).parent / "windows"
_PATHS: Final = "{zip}\n.\n..\\lib\n"
"""Of the interpreter: its own folder and the libraries; no user's folder, no PYTHONPATH, no site."""


class PythonPackageError(Exception):
    """The embeddable package is not the one that was named."""


def build(
    out: Path, scratch: Path, *, version: str, wheels: Iterable[Path], epoch: str, python: Path, sha256: str
) -> Path:
    """The zip in the folder `out`; the same bytes for the same inputs. Raises: PythonPackageError, LibraryError."""
    root = scratch / "windows/cji"
    _unpack(python, sha256, root / "python")
    install(root / "lib", WINDOWS, wheels)
    for text in sorted(_TEXTS.iterdir()):
        (root / text.name).write_text(text.read_text("utf-8"), "utf-8", newline="\r\n")
    shutil.copyfile(ROOT / "LICENSE", root / "LICENSE.txt")
    file = out / f"cji-{version}-windows-amd64.zip"
    moment = time.gmtime(int(epoch))[:6]
    with ZipFile(file, "w", ZIP_DEFLATED, compresslevel=6) as made:
        for path in sorted(each for each in root.rglob("*") if each.is_file()):
            info = ZipInfo(path.relative_to(root.parent).as_posix(), moment)
            info.compress_type = ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            made.writestr(info, path.read_bytes())
    return file


def _unpack(python: Path, sha256: str, target: Path) -> None:
    data = python.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256.lower():
        raise PythonPackageError(f"{python.name} has the SHA-256 {found}: take the one of python.org's page")
    with ZipFile(BytesIO(data)) as package:
        names = package.namelist()
        short = f"python{WINDOWS.python.replace('.', '')}"
        if not {f"{short}._pth", "python.exe", "pythonw.exe", f"{short}.zip"} <= {*names}:
            raise PythonPackageError(
                f"{python.name} is not the embeddable package of Python {WINDOWS.python} for amd64"
            )
        package.extractall(target)
    (target / f"{short}._pth").write_text(_PATHS.format(zip=f"{short}.zip"), newline="\r\n")
