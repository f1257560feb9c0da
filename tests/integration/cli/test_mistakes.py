"""What a submitter is shown after each mistake: exactly the text of docs/mistakes.md, which people review.

After a change of a message, `CJI_WRITE_MISTAKES=1 pytest tests/integration/cli/test_mistakes.py` writes the page again:
read the difference before it is committed.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cji_core.command import build
from cji_simulator.site import Site
from tests.support.mistakes import MISTAKES, Desk, desk, printed
from tests.support.paths import ROOT

PAGE = ROOT / "docs/mistakes.md"
HEAD = """\
# Mistakes, and what the command prints

Each of these changes one thing in a job, or a command, that would succeed. The text is what `cji` prints, with its
exit status: 1 refused by the worker, 2 unusable input, 3 a check failed, 4 try again later. A test makes every mistake
and compares. Ids, times and ports are replaced by words in capital letters.
"""
WRITE = bool(os.environ.get("CJI_WRITE_MISTAKES"))


@pytest.fixture(scope="module")
def kept(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a job without a mistake."""
    at = desk(site, tmp_path_factory.mktemp("right") / "desk0")
    done = cji(at, at.run())
    assert done.exit_code == 0, done.output
    return at.folder / "out"


def cji(at: Desk, arguments: list[str]) -> Result:
    return CliRunner().invoke(build(at.site.simulation.trust), arguments, catch_exceptions=False)


def reviewed() -> dict[str, tuple[int, str]]:
    """Exit status and text of each mistake, by the page."""
    found = re.findall(r"^## ([^\n]+)\n\n```text\n(.*?)```\n\nExit status (\d)\.$", PAGE.read_text(), re.M | re.DOTALL)
    return {name[0].lower() + name[1:]: (int(status), text.rstrip("\n")) for name, text, status in found}


def heading(name: str) -> str:
    """As the page writes it, with a capital letter."""
    return name[0].upper() + name[1:]


@pytest.fixture(scope="module")
def seen() -> Iterator[dict[str, tuple[int, str]]]:
    """What each test saw; writes the page again if that is wanted."""
    found: dict[str, tuple[int, str]] = {}
    yield found
    if WRITE:
        parts = [
            f"## {heading(name)}\n\n```text\n{text}\n```\n\nExit status {status}.\n"
            for name, (status, text) in found.items()
        ]
        PAGE.write_text("\n".join([HEAD, *parts]))


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_explained(
    name: str, site: Site, kept: Path, seen: dict[str, tuple[int, str]], tmp_path: Path
) -> None:
    at = desk(site, tmp_path / f"desk{list(MISTAKES).index(name)}")
    shutil.copytree(kept, at.folder / "kept")
    with at.held:
        done = cji(at, MISTAKES[name](at))
    seen[name] = (done.exit_code, printed(done.output))
    assert done.exit_code in (1, 2, 3, 4)
    assert "Traceback" not in done.output
    if not WRITE:
        assert seen[name] == reviewed()[name]


def test_the_page_has_every_mistake() -> None:
    assert len(MISTAKES) >= 40
    assert WRITE or list(reviewed()) == list(MISTAKES)
