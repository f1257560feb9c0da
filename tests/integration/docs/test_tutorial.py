"""The tutorial, executed in the order of its page, by a reader who already has a simulation.

`make tutorial` executes it literally; here the commands of ours run in this process, on the session's worker.
"""

import csv
import os
import subprocess
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from cji_attestation import AZURE_US, AZURE_USGOV
from cji_core.command import build
from cji_simulator.site import Site
from tests.support.paths import ROOT
from tests.support.walk import Command, commands

PAGE = ROOT / "docs/tutorial/first-job.md"
BEFORE = ("tools/setup demo", ". .venv/bin/activate", "cji-simulator up")


def execute(command: Command, site: Site) -> int:
    match command.words:
        case ["cji-simulator", "cji", *words]:
            return CliRunner().invoke(build(site.simulation.trust), words, catch_exceptions=False).exit_code
        case ["cji", *words]:
            return CliRunner().invoke(build(AZURE_US, AZURE_USGOV), words, catch_exceptions=False).exit_code
    return subprocess.run(["bash", "-c", command.text], check=False, stdout=subprocess.DEVNULL).returncode


@pytest.fixture(scope="module")
def walked(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader's folder after the last command; prints how long it took."""
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / ".demo").mkdir()
    (folder / ".demo/worker").symlink_to(site.files.folder)
    found = list(commands(PAGE))
    assert [command.text for command in found[:3]] == list(BEFORE)
    started = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in found[3:]:
            assert execute(command, site) == command.status, command.text
    print(f"{len(found) - 3} commands of the tutorial: {time.monotonic() - started:.1f} s, {os.cpu_count()} processors")
    return folder


def test_the_reader_has_what_the_page_promises(walked: Path) -> None:
    with (walked / "first/result/result.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [*rows[0]] == ["record_id", "last", "DOB", "SOC"]
    tokens = [(row["last"], row["SOC"]) for row in rows]
    assert tokens[0] == tokens[2] != tokens[1]
    assert [row["DOB"] for row in rows] == ["1982", "1975", "1982", "1949"]
    page = (walked / "first/receipt.html").read_text(encoding="utf-8")
    assert page.index("What was not checked") < page.index("What was proven")
    assert not (walked / "first/never").exists()
