"""The package for Debian 13: `cji` below /usr/lib/cji with its libraries, the command, and an entry in the menu.

It uses the system's Python, and nothing of it but the standard library. Nothing runs when it is installed.
"""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tools.links import ROOT
from tools.packages.libraries import DEBIAN, install

__all__ = ["ENTRY", "build"]

_COMMAND: Final = """#!/usr/bin/python3 -IS
import sys

sys.path.insert(0, "/usr/lib/cji")
from cji_core.command import main

sys.exit(main())
"""
ENTRY: Final = r"""[Desktop Entry]
Type=Application
Name=Sealed records
Comment=Seal records, send them, open results
Exec=sh -c "exec /usr/bin/cji desk --profile \\"\\$HOME/.config/cji/client.toml\\""
Terminal=false
Categories=Office;
"""
_CONTROL: Final = """Package: cji
Version: {version}
Architecture: amd64
Maintainer: cji-worker authors <security@invalid>
Depends: python3 (>= 3.13~), python3 (<< 3.14~), libstdc++6
Installed-Size: {size}
Section: utils
Priority: optional
Description: client of cji-worker
 Seals Criminal Justice Information, attests workers, verifies receipts and opens results.
"""


def build(out: Path, scratch: Path, *, version: str, wheels: Iterable[Path], epoch: str) -> Path:
    """The package in the folder `out`; the same bytes for the same wheels and epoch."""
    root = scratch / "deb"
    app = root / "usr/lib/cji"
    app.mkdir(parents=True)
    install(app, DEBIAN, wheels)
    _write(root / "usr/bin/cji", _COMMAND, 0o755)
    _write(root / "usr/share/applications/cji-desk.desktop", ENTRY, 0o644)
    _write(root / "usr/share/doc/cji/copyright", (ROOT / "LICENSE").read_text(), 0o644)
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) // 1024
    _write(root / "DEBIAN/control", _CONTROL.format(version=version, size=size), 0o644)
    for path in root.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    file = out / f"cji_{version}_amd64.deb"
    command = ["dpkg-deb", "--root-owner-group", "-Zzstd", "-z3", "--build", str(root), str(file)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"SOURCE_DATE_EPOCH": epoch})
    return file


def _write(path: Path, text: str, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
