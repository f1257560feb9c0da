"""The recipes for programs that send jobs: each command runs as the page has it, on the session's simulation."""

import contextlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from cji_simulator.cli import main
from cji_simulator.site import Site
from tests.support.paths import ROOT
from tests.support.walk import commands

PAGE = ROOT / "docs/how-to/simulator-recipes.md"
SECTIONS = re.split(r"(?m)^## ", PAGE.read_text())
PROMISED = re.compile(r"(?ms)^```text\n(.*?)^```")


@pytest.fixture(scope="module")
def desk(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which `.demo` is what `cji-simulator up` would have made of this simulation."""
    folder = tmp_path_factory.mktemp("recipes")
    demo = folder / ".demo"
    demo.mkdir()
    (demo / "trust.json").write_bytes(msgspec.json.encode(site.simulation.trust))
    (demo / "endpoints.json").symlink_to(site.simulation.state / "endpoints.json")
    (demo / "worker").symlink_to(site.files.folder)
    with contextlib.chdir(folder):
        yield folder
    site.simulation.clear_faults()


@pytest.mark.parametrize("section", SECTIONS, ids=lambda text: text.partition("\n")[0][:40])
def test_each_recipe_does_what_it_says(section: str, desk: Path, tmp_path: Path) -> None:
    (tmp_path / "section.md").write_text(section)
    seen = ""
    for command in commands(tmp_path / "section.md"):
        if command.words[0] == "cji-simulator":
            done = CliRunner().invoke(main, command.words[1:], catch_exceptions=False)
            status, text = done.exit_code, done.output
        else:
            other = subprocess.run(command.text, shell=True, cwd=desk, capture_output=True, text=True, check=False)
            status, text = other.returncode, other.stdout + other.stderr
        seen += text
        assert status == command.status, (command.text, text)
    for block in PROMISED.findall(section):
        assert all(line in seen for line in block.splitlines()), seen


def test_there_are_recipes() -> None:
    assert len(SECTIONS) == 8
    assert "simulator-recipes.md" in (ROOT / "docs/how-to/test-against-the-simulator.md").read_text()
