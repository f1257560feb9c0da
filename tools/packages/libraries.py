"""The libraries that a desk needs on a platform, from requirements.lock by their hashes, in a folder.

They are those that the metadata of the wheels ask for on that platform, and no other version than the lock has.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from importlib import metadata
from pathlib import Path
from typing import Final
from zipfile import ZipFile

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.lock import LOCK

__all__ = ["DEBIAN", "OURS", "WINDOWS", "LibraryError", "Platform", "forget_origin", "install", "locked"]

OURS: Final = ("core", "attestation", "operations", "client")
"""The distributions of a package, without the prefix of their names."""
EXTRAS: Final = ("cli", "desk", "evidence", "excel", "fleet", "local", "vault")
"""Of cji-client: all but keys in PKCS#11 tokens, whose library is built from source."""
_CLIENT: Final = "cji-client"
_TAG: Final = re.compile(r"^Tag: (.+)$", re.MULTILINE)
_MARKER: Final = re.compile(r" ; ([^\\\n]*)(?= \\)")
"""Behind a version in the lock. pip would evaluate it for the Python that runs it, so it is evaluated here."""


class LibraryError(Exception):
    """The libraries of a platform cannot be had as the lock has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """Environment markers of a platform, and the platforms of its wheels, the newest first."""

    python: str
    markers: Mapping[str, str]
    wheels: tuple[str, ...]

    @property
    def environment(self) -> dict[str, str]:
        """For the markers of requirements."""
        version = {"python_version": self.python, "python_full_version": f"{self.python}.0"}
        return {
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            **version,
            **self.markers,
        }


WINDOWS: Final = Platform(
    python="3.13",
    markers={"sys_platform": "win32", "os_name": "nt", "platform_system": "Windows", "platform_machine": "AMD64"},
    wheels=("win_amd64",),
)
DEBIAN: Final = Platform(
    python="3.13",
    markers={"sys_platform": "linux", "os_name": "posix", "platform_system": "Linux", "platform_machine": "x86_64"},
    wheels=("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
)


def locked(platform: Platform, ours: Iterable[Path]) -> str:
    """The lines of the lock that the client with EXTRAS needs there, besides `ours`. Raises: LibraryError."""
    wheels: dict[str, Path] = {canonicalize_name(each.name.partition("-")[0]): each for each in ours}
    blocks = _blocks(platform)
    waiting, seen, found = [Requirement(f"{_CLIENT}[{','.join(EXTRAS)}]")], set[tuple[str, str]](), dict[str, str]()
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        if name not in wheels and name not in blocks:
            raise LibraryError(f"{name} is not in requirements.lock: run `python -m tools.lock` with it")
        if name not in wheels:
            found[name] = blocks[name]
        for extra in ("", *one.extras):
            if (name, extra) not in seen:
                seen.add((name, extra))
                waiting += _wanted(_required(name, wheels), platform, extra)
    return "\n".join(found[name] for name in sorted(found)) + "\n"


def _blocks(platform: Platform) -> dict[str, str]:
    """The lines of each library in the lock, of the version for this platform."""
    found = {}
    for block in re.split(r"\n(?=\S)", LOCK.read_text().rstrip()):
        marker = _MARKER.search(block.partition("\n")[0])
        if marker is None or Marker(marker[1]).evaluate(platform.environment):
            found[str(canonicalize_name(block.partition("==")[0]))] = _MARKER.sub("", block, count=1)
    return found


def _required(name: str, wheels: Mapping[str, Path]) -> list[str]:
    """The requirements of a wheel of ours, or of an installed library: the lock has its version."""
    if name not in wheels:
        return metadata.requires(name) or [] if name in _INSTALLED else []
    with ZipFile(wheels[name]) as wheel:
        (path,) = (each for each in wheel.namelist() if each.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(wheel.read(path).decode()).get_all("Requires-Dist", [])


_INSTALLED: Final = {canonicalize_name(each.metadata["Name"]) for each in metadata.distributions()}


def _wanted(requirements: Iterable[str], platform: Platform, extra: str) -> list[Requirement]:
    found = [Requirement(each) for each in requirements]
    here = {**platform.environment, "extra": extra}
    return [each for each in found if each.marker is None or each.marker.evaluate(here)]


def install(target: Path, platform: Platform, ours: Iterable[Path]) -> None:
    """Put the libraries and `ours` into a folder, from wheels alone, as they are. Raises: LibraryError."""
    ours = list(ours)
    # pip compares the Python that a library requires with its own; the lock's markers were evaluated for the platform's
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    pip += ["--no-compile", "--target", str(target), "--only-binary=:all:", "--ignore-requires-python"]
    pip += ["--implementation=cp", f"--python-version={platform.python}"]
    pip += [f"--platform={each}" for each in platform.wheels]
    for more, text in (
        (["--require-hashes", "-r", "/dev/stdin"], locked(platform, ours)),
        (["--no-index", *map(str, ours)], ""),
    ):
        if subprocess.run([*pip, *more], input=text, text=True, check=False).returncode:
            raise LibraryError("pip could not install the libraries; its message is above")
    for wheel in target.glob("*.dist-info/WHEEL"):
        tags = _TAG.findall(wheel.read_text())
        if not any(tag.rpartition("-")[2] in ("any", *platform.wheels) for tag in tags):
            raise LibraryError(f"{wheel.parent.name} is for {', '.join(tags)}")
    forget_origin(target)


def forget_origin(target: Path) -> None:
    """Remove what pip writes of the machine that it runs on: from where a wheel came, and scripts for its Python."""
    shutil.rmtree(target / "bin", ignore_errors=True)
    for name in ("direct_url.json", "RECORD"):  # RECORD has the digests of both
        for file in target.glob(f"*.dist-info/{name}"):
            file.unlink()
