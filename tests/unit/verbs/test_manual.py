"""Completion scripts and manual pages, made from the command itself."""

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from cji_core.command import build


def test_every_verb_has_a_page(tmp_path: Path) -> None:
    done = CliRunner().invoke(build(), ["man", str(tmp_path)])
    assert done.exit_code == 0, done.output
    pages = {path.name for path in tmp_path.iterdir()}
    assert {"cji.1", "cji-job.1", "cji-job-run.1", "cji-result-open.1"} <= pages
    page = (tmp_path / "cji-job-run.1").read_text()
    assert page.startswith('.TH "CJI-JOB-RUN" 1\n')
    assert "\\-\\-save\\-sealed" in page
    if shutil.which("groff"):
        command = ["groff", "-man", "-Tutf8", "-ww", *map(str, sorted(tmp_path.iterdir()))]
        shown = subprocess.run(command, capture_output=True, check=True)
        assert not shown.stderr
        assert b"cji job run" in shown.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    done = CliRunner().invoke(build(), ["completion", shell])
    assert done.exit_code == 0
    assert f"_CJI_COMPLETE={shell}_complete" in done.output
