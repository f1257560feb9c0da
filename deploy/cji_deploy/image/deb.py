"""A file of Debian's archive: source, supplier, licences and files of the package in it; and the order of versions.

Sources: Debian Policy Manual, 5.6.12 "Version"; machine-readable debian/copyright, version 1.0.
"""

import re
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Deb", "version_key"]

_FIELDS: Final = ("Package", "Version", "Architecture", "Source", "Maintainer", "Homepage")
_SOURCE: Final = re.compile(r"^(\S+)(?: \((\S+)\))?$")
_LICENCE: Final = re.compile(r"^License:[ \t]*(\S.*?)\s*$", re.MULTILINE)
_PARTS: Final = re.compile(r"(\D*)(\d*)")
_MERGED: Final = ("bin/", "sbin/", "lib/", "lib64/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deb:
    """`files` are paths from the root, without documents; `licences` are the names in its copyright file."""

    name: str
    version: str
    architecture: str
    source: str
    source_version: str
    supplier: str
    homepage: str
    licences: tuple[str, ...]
    files: frozenset[str]

    @classmethod
    def read(cls, path: Path) -> "Deb":
        """The package in this file; raises CalledProcessError or ValueError for another file."""
        query = ["/usr/bin/dpkg-deb", "--field", str(path), *_FIELDS]
        text = subprocess.run(query, capture_output=True, text=True, check=True).stdout  # noqa: S603 - of this build
        fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
        source = _SOURCE.match(fields.get("Source", fields["Package"]))
        if source is None:
            raise ValueError(f"{path.name} has the source {fields['Source']}")
        files, licences = _contents(path, fields["Package"])
        return cls(
            name=fields["Package"],
            version=fields["Version"],
            architecture=fields["Architecture"],
            source=source[1],
            source_version=source[2] or fields["Version"],
            supplier=fields.get("Maintainer", "").partition(" <")[0],
            homepage=fields.get("Homepage", ""),
            licences=licences,
            files=files,
        )


def _contents(path: Path, name: str) -> tuple[frozenset[str], tuple[str, ...]]:
    files, licences = set(), ()
    command = ["/usr/bin/dpkg-deb", "--fsys-tarfile", str(path)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as unpacked,  # noqa: S603
        tarfile.open(fileobj=unpacked.stdout, mode="r|") as archive,
    ):
        for one in archive:
            place = one.name.removeprefix("./")
            if place == f"usr/share/doc/{name}/copyright" and one.isfile() and (file := archive.extractfile(one)):
                licences = tuple(sorted(set(_LICENCE.findall(file.read().decode(errors="replace")))))
            elif (one.isfile() or one.islnk()) and not place.startswith("usr/share/doc/"):
                files.add(f"usr/{place}" if place.startswith(_MERGED) else place)
    return frozenset(files), licences


def version_key(version: str) -> tuple[object, ...]:
    """A key that orders versions as dpkg does."""
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, "0"
    return (int(epoch), _part_key(upstream), _part_key(revision))


def _part_key(text: str) -> tuple[object, ...]:
    """Words and numbers in turn; `~` is before the end, the end before letters, letters before all else."""
    found: list[object] = []
    for word, number in _PARTS.findall(text):
        if word or number:
            order = [-1 if one == "~" else ord(one) if one.isalpha() else ord(one) + 256 for one in word]
            found += [(*order, 0), int(number or 0)]
    return (*found, (0,), 0)
