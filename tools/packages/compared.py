"""`python -m tools.packages.compared FOLDER`: whether the packages of a release have the code of its wheels.

They are built before the release, so they may be of another commit. Every file of ours must be in them, byte for byte.
"""

import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

from tools.packages.libraries import OURS

__all__ = ["differing", "main"]


def main(arguments: list[str]) -> int:
    """Compare, and name the first difference of each package."""
    folder = Path(arguments[0])
    wheels = [wheel for name in OURS for wheel in folder.glob(f"cji_{name}-*.whl")]
    packages = sorted([*folder.glob("*.deb"), *folder.glob("*.zip")])
    wrong = {package.name: name for package in packages if (name := differing(package, wheels)) is not None}
    for package, name in wrong.items():
        print(f"{package} is of another commit: {name} is not as in the wheels. Build it again.", file=sys.stderr)
    return 1 if wrong else 0


def differing(package: Path, wheels: Iterable[Path]) -> str | None:
    """A file of ours that the package or the wheels have alone, or that differs; None if there is none."""
    found = {name: data for name, data in _files(package) if name.startswith("cji_")}
    wanted = {name: data for wheel in wheels for name, data in _files(wheel)}
    names = sorted(name for name in {*found, *wanted} if ".dist-info/" not in name or name.endswith("/METADATA"))
    return next((name for name in names if found.get(name) != wanted.get(name)), None)


def _files(package: Path) -> Iterator[tuple[str, bytes]]:
    """Names below the folder of the libraries."""
    if package.suffix in {".zip", ".whl"}:
        with ZipFile(package) as made:
            yield from ((name.removeprefix("cji/lib/"), made.read(name)) for name in made.namelist())
        return
    command = ["dpkg-deb", "--fsys-tarfile", str(package)]
    data = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    with tarfile.open(fileobj=BytesIO(data)) as made:
        for one in made:
            if one.isfile() and (file := made.extractfile(one)) is not None:
                yield one.name.removeprefix("./usr/lib/cji/"), file.read()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
