"""`make image-smoke` where it cannot run: one line says why, and only REQUIRED=1 makes it a failure."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT

_NOBODY = 65534


def smoke(path: str, required: str, *, user: int | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": path, "REQUIRED": required}
    command = [str(ROOT / "tools" / "image-smoke")]
    return subprocess.run(command, env=environment, user=user, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("required", ["0", "1"])
def test_without_root_it_says_so(required: str) -> None:
    done = smoke("/usr/bin:/bin", required, user=_NOBODY if os.geteuid() == 0 else None)
    assert (done.returncode, done.stdout) == (int(required), "")
    assert done.stderr == "make image-smoke skipped: this is not root, and files of an image need their owners.\n"


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("required", ["0", "1"])
def test_without_an_archive_it_says_so(tmp_path: Path, required: str) -> None:
    (tmp_path / "apt-get").write_text("#!/bin/sh\nexit 100\n")
    (tmp_path / "apt-get").chmod(0o755)
    done = smoke(f"{tmp_path}:/usr/bin:/bin", required)
    assert (done.returncode, done.stdout) == (int(required), "")
    assert done.stderr == "make image-smoke skipped: Debian's archive cannot be reached.\n"
