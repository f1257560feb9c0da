"""The second agency's walk: the page's commands in order, as they stand; its witness finds the fork."""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cji_core.tlog.policy import load_policy
from cji_core.trail.checkpoint import CheckpointError, parse_cosigned
from tests.support.paths import ROOT
from tests.support.tlog_commands import CJI
from tests.support.walk import Command, commands

PAGE = ROOT / "docs/how-to/second-agency.md"
SIMULATOR = (sys.executable, "-c", "from cji_simulator.entry import main; main()")
STAY = ("cji-simulator up", "cji-simulator log up")


@pytest.fixture
def folder() -> Iterator[Path]:
    """The page's paths, with one that is short enough for a socket."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@contextmanager
def staying(command: str, folder: Path) -> Iterator[None]:
    """A program of a terminal of its own, from `Running.` on."""
    words = command.split()[1:]
    with subprocess.Popen([*SIMULATOR, *words], cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            shown = ""
            while "Running." not in shown:
                line = process.stdout.readline()
                assert line, f"{command}: it ended: {shown}"
                shown += line
            yield
        finally:
            process.terminate()
        assert process.wait(60) == 0


def ran(command: Command, folder: Path) -> str:
    """What a command prints; it ends with the status that the page promises."""
    program, rest = command.text.partition(" ")[::2]
    words = {"cji": CJI, "cji-simulator": SIMULATOR}[program]
    line = f"{subprocess.list2cmdline(words)} {rest}"
    done = subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == command.status, (command.text, done.stdout, done.stderr)
    return done.stdout + done.stderr


@pytest.mark.timeout(600)
def test_a_second_agency_finds_a_fork(folder: Path) -> None:
    found = list(commands(PAGE))
    assert tuple(each.text for each in found[:2]) == STAY
    shown = dict[str, str]()
    with staying(STAY[0], folder), staying(STAY[1], folder):
        for each in found[2:]:
            shown[each.text] = ran(each, folder)
    printed = shown["cji-simulator log fork"]
    assert re.search("^sheriff: refuses it, HTTP 409: it cosigned [1-9]", printed, re.MULTILINE)
    assert "a reader: refuses it: cosigned by 1 of 2 witnesses" in printed
    assert '"log has two histories"' in (folder / ".demo/log/sheriff.log").read_text()
    (entry,) = re.findall('"event": "entry cosigned".*"what": "([^"]+)"', (folder / ".demo/log/log.log").read_text())[
        :1
    ]
    assert entry in (folder / ".demo/worker/state/audit.jsonl").read_text()  # as the rule of Sentinel compares them
    held = json.loads((folder / "contradiction.json").read_text())
    (conflict,) = held["conflicts"]
    had, got = (parse_cosigned(conflict[each].encode()) for each in ("had", "got"))
    policy = load_policy(folder / ".demo/log/policy.toml")
    for note in (had, got):
        policy.signed_by_log(note)
    assert had.size == got.size
    assert had.root != got.root
    assert "sheriff" in policy.cosigners(had)
    assert "sheriff" not in policy.cosigners(got)
    with pytest.raises(CheckpointError, match="1 of 2"):
        policy.accept(parse_cosigned((folder / ".demo/log/fork.checkpoint").read_bytes()), now=None)


def test_the_walk_has_all_its_steps() -> None:
    statuses = [each.status for each in commands(PAGE)]
    assert statuses == [0, 0, 0, 0, 0, 0, 3, 3, 3, 0]
