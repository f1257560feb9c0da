"""`python -m tools.packages WHEELS OUTPUT`: packages for desks of the wheels that `tools/wheels` built.

Always the .deb; with `--python ZIP --sha256 HEX`, CPython's embeddable package for Windows, the zip for Windows too.
docs/how-to/packages.md describes both.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.links import ROOT
from tools.packages import deb, windows
from tools.packages.libraries import OURS, LibraryError
from tools.version import stated


def main() -> int:
    """Write the packages, and print their names and sizes."""
    parser = argparse.ArgumentParser(prog="python -m tools.packages", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("wheels", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--python", type=Path, help="python-3.13.*-embed-amd64.zip of python.org")
    parser.add_argument("--sha256", default="", help="of that file, from python.org's page")
    options = parser.parse_args()
    version = stated()
    wheels = [options.wheels / f"cji_{name}-{version}-py3-none-any.whl" for name in OURS]
    commit = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or subprocess.check_output(commit, text=True).strip()
    options.output.mkdir(parents=True, exist_ok=True)
    try:
        with TemporaryDirectory() as made:
            scratch = Path(made)
            files = [deb.build(options.output, scratch, version=version, wheels=wheels, epoch=epoch)]
            if options.python is not None:
                given = {"python": options.python, "sha256": options.sha256}
                files.append(
                    windows.build(options.output, scratch, version=version, wheels=wheels, epoch=epoch, **given)
                )
    except (LibraryError, windows.PythonPackageError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    for file in files:
        print(f"{file.name}: {file.stat().st_size >> 20} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
