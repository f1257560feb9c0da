"""Lock files: every package pinned by hash, no address in any tracked file that locks."""

import re

import pytest

from tests.support.paths import ROOT

LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-bench.lock")
ALONE = (
    "requirements-docs.lock",
    "requirements-engine.lock",
    "requirements-oscal.lock",
    "requirements-simulator.lock",
)


@pytest.mark.parametrize("name", [*LOCKS, *ALONE])
def test_no_addresses(name: str) -> None:
    assert re.search(r"https?://", (ROOT / name).read_text()) is None


@pytest.mark.parametrize("name", [*LOCKS, *ALONE])
def test_every_package_has_a_hash(name: str) -> None:
    text = (ROOT / name).read_text()
    packages = re.split(r"\n(?=[a-z0-9])", text.strip())
    assert len(packages) > 20
    assert [p.splitlines()[0] for p in packages if "--hash=sha256:" not in p] == []


def test_the_larger_locks_have_the_same_versions() -> None:
    """What is tested and measured is what is shipped."""
    locked = [dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE)) for name in LOCKS]
    runtime, development, bench = locked
    assert runtime.items() <= development.items() <= bench.items()


def test_the_simulator_has_the_versions_of_worker_and_tests() -> None:
    names = ("requirements.lock", "requirements-simulator.lock", "requirements-dev.lock")
    locked = [dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE)) for name in names]
    assert locked[0].items() <= locked[1].items() <= locked[2].items()
