"""Debian's packages of a build: `deploy/image/packages.lock` names each with its version and digest.

    python -m cji_deploy.image.packages --folder IMAGE --archives FOLDER --lock packages.lock [--write]
    python -m cji_deploy.image.packages --preferences packages.lock

The archive that a build reads changes every day, and has no snapshots everywhere. So the lock is the snapshot: apt
prefers its versions, and the build compares what was installed in root, initrd and the overlay with compilers, and the
digests of the files that it was installed from, before it signs its results. To build again after the archive has gone
on, keep the folder of the files (`IMAGE_CACHE`) and set `IMAGE_OFFLINE=1`.
"""

import argparse
import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from cji_core.strict import parse_object
from cji_deploy.errors import DeploymentError

__all__ = ["Package", "PackagesError", "archive_of", "deviations", "installed", "main", "read_lock"]

_HEAD: Final = """\
# Debian's packages of the image, its initrd and the overlay with compilers: name, version, architecture, SHA-256.
# `make image-lock` writes this from a build; its diff is the list of what changes.
"""
_PLACES: Final = ("cji-worker.manifest", "initrd.manifest")
_OVERLAY: Final = "build-packages"


class PackagesError(DeploymentError, ValueError):
    """A build, its lock or its archives are not of the form that the build writes."""

    code = "packages-invalid"
    remedy = "Build again with an empty IMAGE_CACHE; `make image-lock` accepts the packages that the archive has now."


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """A package as dpkg has installed it."""

    name: str
    version: str
    architecture: str

    @property
    def purl(self) -> str:
        """Its package URL."""
        name, version = quote(self.name), quote(self.version, safe="")
        return f"pkg:deb/debian/{name}@{version}?arch={self.architecture}&distro=debian-13"


def read_lock(path: Path) -> dict[Package, str]:
    """{package: SHA-256 of its file}; raises PackagesError."""
    found = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            fields = line.split()
            if len(fields) != 4 or len(fields[3]) != 64:
                raise PackagesError(f"{path}:{number} is not a name, a version, an architecture and a SHA-256")
            found[Package(*fields[:3])] = fields[3]
    return found


def installed(folder: Path) -> dict[Package, set[str]]:
    """The places of each package of the build in this folder was installed: "root", "initrd", "overlay"."""
    found: dict[Package, set[str]] = {}
    for name, place in zip(_PLACES, ("root", "initrd"), strict=True):
        data = (folder / name).read_bytes()
        for one in parse_object(data, limit=len(data))["packages"]:
            found.setdefault(Package(one["name"], one["version"], one["architecture"]), set()).add(place)
    for line in (folder / _OVERLAY).read_text().splitlines():
        found.setdefault(Package(*line.split()), set()).add("overlay")
    return found


def archive_of(package: Package, archives: Path) -> Path:
    """The file that apt keeps of a package."""
    return archives / f"{package.name}_{quote(package.version, safe='+~')}_{package.architecture}.deb".replace(
        "%3A", "%3a"
    )


def _digest(package: Package, archives: Path) -> str:
    path = archive_of(package, archives)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def deviations(folder: Path, archives: Path, lock: dict[Package, str]) -> list[str]:
    """A sentence for each package that differs from the lock; empty if none does."""
    have = installed(folder)
    found = [f"{_text(one)} is built in, and the lock has {_locked(one, lock)}" for one in sorted(have.keys() - lock)]
    found += [f"{_text(one)} of the lock is not built in" for one in sorted(lock.keys() - have)]
    for one in sorted(have.keys() & lock):
        digest = _digest(one, archives)
        if digest != lock[one]:
            what = f"has the SHA-256 {digest[:16]}… and not {lock[one][:16]}…" if digest else "is missing"
            found.append(f"{archive_of(one, archives).name} {what}")
    return found


def _text(one: Package) -> str:
    return f"{one.name} {one.version} {one.architecture}"


def _locked(package: Package, lock: dict[Package, str]) -> str:
    return ", ".join(one.version for one in sorted(lock) if one.name == package.name) or "no such package"


def _write(folder: Path, archives: Path, lock: Path) -> None:
    lines = []
    for one in sorted(installed(folder)):
        if not (digest := _digest(one, archives)):
            raise PackagesError(f"{archive_of(one, archives)} is missing")
        lines.append(f"{_text(one)} {digest}\n")
    lock.write_text(_HEAD + "".join(lines))


def main(arguments: list[str] | None = None) -> int:
    """The command; 1 if the build deviates from the lock."""
    parser = argparse.ArgumentParser(prog="python -m cji_deploy.image.packages")
    parser.add_argument("--preferences", type=Path, help="print apt's preferences for the versions of this lock")
    for name in ("folder", "archives", "lock"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--write", action="store_true", help="write the lock instead")
    given = parser.parse_args(arguments)
    if given.preferences is not None:
        for one in sorted(read_lock(given.preferences)):
            print(f"Package: {one.name}\nPin: version {one.version}\nPin-Priority: 1001\n")
        return 0
    if given.write:
        _write(given.folder, given.archives, given.lock)
        return 0
    found = deviations(given.folder, given.archives, read_lock(given.lock))
    for line in found[:20]:
        print(f"packages.lock: {line}", file=sys.stderr)
    if found:
        print(f"{len(found)} packages deviate, so nothing was kept. {PackagesError.remedy}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
