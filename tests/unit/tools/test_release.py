"""A release's packages are those of its commit, and every distribution has the one version."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cji_core.manifest import VERSION
from cji_core.tlog import releases
from tests.support.paths import ROOT
from tools.version import distributions, main, rewritten, stated

EPOCH = "1796083200"
BUILD = (
    "import os, sys; os.chdir(sys.argv[1]); from hatchling.build import build_wheel; print(build_wheel(sys.argv[2]))"
)


def built(folder: Path, *, mode: int, time: float) -> bytes:
    """The wheel of the engine from a copy of it, whose files have this mode and time."""
    own = shutil.copytree(ROOT / "engine", folder / "engine", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    for path in own.rglob("*"):
        if path.is_file():
            path.chmod(mode)
            os.utime(path, (time, time))
    out = folder / "dist"
    command = [sys.executable, "-P", "-c", BUILD, str(own), str(out)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
    name = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    return (out / name).read_bytes()


def test_a_commit_makes_the_same_wheel_on_any_day(tmp_path: Path) -> None:
    """Of other times, other modes and another folder."""
    one = built(tmp_path / "one", mode=0o644, time=1_700_000_000)
    two = built(tmp_path / "a longer name", mode=0o600, time=1_800_000_000)
    assert one == two


def test_the_times_of_a_release_are_those_of_its_commit() -> None:
    """`tools/wheels` and `tools/release` give them to every build."""
    for name in ("wheels", "release"):
        text = (ROOT / "tools" / name).read_text()
        assert re.search(r"^SOURCE_DATE_EPOCH=.*git log -1 --format=%ct", text, re.MULTILINE)
        assert "\nexport SOURCE_DATE_EPOCH\n" in text


def test_every_distribution_is_in_the_release() -> None:
    (line,) = re.findall(r"^for folder in (.*); do$", (ROOT / "tools/wheels").read_text(), re.MULTILINE)
    assert set(line.split()) == set(distributions(ROOT))


def copy_of_versions(tmp_path: Path) -> Path:
    """A tree with every file that states a version."""
    for name in (
        "pyproject.toml",
        "core/cji_core/manifest.py",
        *(f"{each}/pyproject.toml" for each in distributions(ROOT)),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_there_is_one_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = copy_of_versions(tmp_path)
    assert main(["--check"], root=root) == 0
    assert main(["7.8.9"], root=root) == 0
    assert stated(root) == "7.8.9"
    assert main(["--check"], root=root) == 0
    texts = [(root / each / "pyproject.toml").read_text() for each in distributions(root)]
    assert not any(VERSION in text for text in texts)
    assert sum(text.count("==7.8.9") for text in texts) > 20
    (root / "audit/pyproject.toml").write_text((ROOT / "audit/pyproject.toml").read_text())
    assert main(["--check"], root=root) == 1
    assert "audit" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["1.2"], ["v1.2.3"], ["1.2.3", "--check"], ["--other"]])
def test_another_version_is_none(words: list[str], tmp_path: Path) -> None:
    root = copy_of_versions(tmp_path)
    assert main(words, root=root) == 2
    assert stated(root) == VERSION


def test_versions_of_others_are_left_alone() -> None:
    text = 'version = "0.1.0"\n  "cji-core[cli,pool]==0.1.0",\n  "click==0.1.0",\n  "cji-core",\n'
    assert rewritten(text, "2.0.0") == text.replace("0.1.0", "2.0.0", 2)


def test_the_documented_release_leaves_the_tree_as_it_is() -> None:
    """`tools/release` refuses a tree with other files: those that the page names are ignored, or in the commit."""
    (command,) = re.findall(r"^make release .*?\"$", (ROOT / "docs/releases.md").read_text(), re.MULTILINE | re.DOTALL)
    paths = re.findall(r"(?:KEYS|OUT|IMAGE)=(\S+)|--(?:policy|key|token-file) ([^\s\"]+)", command)
    named = [one or other for one, other in paths]
    assert len(named) == 6
    done = subprocess.run(["git", "check-ignore", *named], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == named


def test_the_page_lists_every_cause() -> None:
    """docs/releases.md, as the module lists them."""
    listed = re.findall(r"^    ([a-z]+) {2,}", str(releases.__doc__), re.MULTILINE)
    page = (ROOT / "docs/releases.md").read_text().partition("<!-- the causes of cji_core.tlog.releases -->")[2]
    assert sorted(re.findall(r"^\| `([a-z_]+)` \|", page, re.MULTILINE)[: len(listed)]) == sorted(listed)
    assert str(releases.MAX_ENTRIES) in page
