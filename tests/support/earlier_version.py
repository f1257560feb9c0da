"""The version before this one, to be run beside it: its code as git has it, and its command line program."""

import io
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import pytest

from cji_attestation import Trust
from cji_simulator.releases import Release
from tests.support.paths import DISTRIBUTIONS, ROOT

__all__ = ["COMMIT", "WORKER", "Cji", "earlier_version", "write_trust"]

COMMIT: Final = ROOT / "tests" / "compatibility" / "earlier-version"
"""A file with the commit: the last release's, and before the first one, that of an earlier state of it."""
_PACKAGES: Final = [f"{name}/cji_{name}" for name in DISTRIBUTIONS if name not in {"audit", "deploy"}]
"""Those of workers and submitters."""
_TRUST: Final = """
import io, sys
from pathlib import Path
import msgspec
from cji_attestation import Trust
def known(data):
    found = msgspec.json.decode(data)
    return msgspec.json.encode({name: found[name] for name in Trust.__struct_fields__ if name in found})
"""
"""A simulation's trust, which is no format of ours, without what a version does not know."""
_CJI: Final = f"""{_TRUST}
import cji_client.by_reference
from cji_core.command import build
from cji_simulator.azurite import StorageCredential
cji_client.by_reference.default_credential = StorageCredential
trust = msgspec.json.decode(known(Path(sys.argv[1]).read_bytes()), type=Trust)
build(trust)(sys.argv[2:], prog_name="cji")
"""
"""`cji`, with tokens that Azurite accepts."""
_WORKER: Final = f"""{_TRUST}
from cji_simulator.worker import main
sys.stdin = io.TextIOWrapper(io.BytesIO(known(sys.stdin.buffer.read())))
sys.exit(main())
"""
WORKER: Final = ("-P", "-c", _WORKER)
"""The program of a worker, see `Worker`."""


def earlier_version(folder: Path) -> Release:
    """Its packages and the support of its tests, in this new folder; the test is skipped where git does not have it."""
    commit = COMMIT.read_text().strip()
    command = ["git", "-C", str(ROOT), "archive", commit, *_PACKAGES, "tests/support"]
    archive = subprocess.run(command, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"git has no commit {commit} here: a whole clone has it (git fetch --unshallow)")
    folder.mkdir()  # for every user to enter: a worker's processes are users of their own
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as members:
        members.extractall(folder, filter="data")
    for package in _PACKAGES:
        (folder / package).rename(folder / Path(package).name)
    # processes of a worker write no bytecode, and would compile all of it at each start
    compiled = [sys.executable, "-m", "compileall", "-q", *(str(folder / Path(each).name) for each in _PACKAGES)]
    subprocess.run(compiled, check=True)
    return Release(name=commit, folder=folder, image="earlier")


@dataclass(frozen=True, kw_only=True)
class Cji:
    """`cji` of one version, under a simulation's trust."""

    release: Release
    trust: Path
    """A file with the trust as JSON."""

    def __call__(self, *arguments: str | Path, status: int = 0) -> str:
        """Its output; another exit status than `status` fails the test."""
        done = subprocess.run(
            [sys.executable, "-P", "-c", _CJI, str(self.trust), *map(str, arguments)],
            env={**os.environ, **self.release.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout


def write_trust(trust: Trust, path: Path) -> Path:
    """The file for `Cji`."""
    path.write_bytes(msgspec.json.encode(trust))
    return path
