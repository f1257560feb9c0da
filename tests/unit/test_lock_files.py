"""The lock: every package pinned by hash, no address, and for each name of `tools/select` what that name installs."""

import importlib.metadata
import itertools
import re
import subprocess
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.paths import ROOT
from tools.lock import LOCK, distributions, selections

TEXT = LOCK.read_text()
BLOCKS = re.split(r"\n(?=\S)", TEXT.rstrip())
PYTHONS = ("3.11.9", "3.12.9", "3.13.5")


def selected(*names: str) -> str:
    command = [str(ROOT / "tools" / "select"), *names]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def pins(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)(==[^\s\\]+)", text, re.MULTILINE))


def test_it_is_the_only_one_and_has_no_address() -> None:
    assert [path.name for path in ROOT.glob("requirements*.lock")] == ["requirements.lock"]
    assert re.search(r"https?://", TEXT) is None


def test_every_package_has_a_hash_and_someone_who_installs_it() -> None:
    assert len(BLOCKS) > 200
    assert [b.splitlines()[0] for b in BLOCKS if "--hash=sha256:" not in b] == []
    assert [b.splitlines()[0] for b in BLOCKS if not re.fullmatch(r"    # for [a-z0-9 ]+", b.splitlines()[-1])] == []


@pytest.mark.parametrize("name", selections())
def test_a_selection_is_whole_blocks_of_the_lock(name: str) -> None:
    """What is tested and measured is what is shipped: one version for all."""
    wanted = [b.rpartition("\n")[0] for b in BLOCKS if name in b.splitlines()[-1].split()[2:]]
    assert wanted
    assert selected(name).rstrip("\n").split("\n") == "\n".join(wanted).split("\n")


def test_an_unknown_name_is_refused() -> None:
    done = subprocess.run([ROOT / "tools" / "select", "wrker"], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert 'nothing for "wrker"' in done.stderr


def test_selections_grow_from_the_client_to_the_benchmarks() -> None:
    names = ("core", "client", "simulator", "dev", "bench")
    sizes = [pins(selected(name)) for name in names]
    for smaller, larger in itertools.pairwise(sizes):
        assert smaller.items() <= larger.items()
    assert pins(selected("worker")).items() <= pins(selected("simulator")).items()


def test_a_worker_installs_nothing_of_tests_or_engine() -> None:
    assert not {"pytest", "hypothesis", "hatchling", "dask", "distributed", "aiohttp"} & set(pins(selected("worker")))


@pytest.mark.parametrize("name", distributions())
def test_it_satisfies_what_a_distribution_declares(name: str) -> None:
    """A pyproject was changed and the lock was not: `make lock`."""
    found = pins(selected(name))
    for line in tomllib.loads((ROOT / name / "pyproject.toml").read_text())["project"]["dependencies"]:
        wanted = Requirement(line)
        if not wanted.name.startswith("cji-"):
            assert wanted.specifier.contains(found[wanted.name].removeprefix("=="), prereleases=True), line


def test_what_the_worker_selects_is_closed() -> None:
    """Each library finds those that it requires, as `pip install --no-deps` does not check."""
    found = {canonicalize_name(name) for name in pins(selected("worker"))}
    lacking = set()
    for name in found:
        try:
            lines = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # for another version of Python
        for wanted in map(Requirement, lines):
            applies = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
            if applies and canonicalize_name(wanted.name) not in found | {"cmeel", "setuptools"}:
                lacking.add(f"{name}: {wanted}")
    assert lacking == set()
