"""The catalogue: every condition has its texts and its place; what is required depends on the trust alone."""

import re
from typing import get_args

import pytest

from cji_core.errors import StartupError
from cji_worker.host import CATALOGUE, NOTHING_HELD, Answers, ConditionId, Host, require, unmet
from tests.support.paths import ROOT

ALWAYS = ("swap", "clock-step", "tpm-clock")


def test_every_condition_has_an_entry() -> None:
    assert tuple(CATALOGUE) == get_args(ConditionId)
    assert all(each.requires and each.remedy.endswith(".") for each in CATALOGUE.values())


def test_production_requires_everything() -> None:
    assert unmet(tuple(CATALOGUE), production=True) == tuple(CATALOGUE)
    assert unmet(tuple(CATALOGUE), production=False) == ALWAYS


def test_a_refusal_names_each_condition_and_its_remedy() -> None:
    with pytest.raises(StartupError) as caught:
        require(("host-profile", "swap"), production=True)
    assert "swap: this machine must not swap memory to disk" in caught.value.what
    assert "host-profile: this machine must deny" in caught.value.what
    assert "swapoff" in caught.value.remedy
    assert "deploy/host-profile/README.md" in caught.value.remedy


def test_what_need_not_hold_is_no_refusal() -> None:
    require(("host-profile", "ptrace-scope"), production=False)
    require((), production=True)


def test_a_machine_that_nobody_read_is_refused() -> None:
    for production in (True, False):
        with pytest.raises(StartupError, match="swap"):
            require(NOTHING_HELD.not_held, production=production)


def test_a_reading_covers_all_but_the_clock_of_the_tpm() -> None:
    host = Host(answers=Answers(permitted=(), secret_memory=True, lockable_bytes=None))
    assert [each.id for each in host.read()] == [name for name in CATALOGUE if name != "tpm-clock"]
    host.close()


def test_the_documentation_lists_every_condition() -> None:
    text = (ROOT / "docs/host.md").read_text()
    assert [name for name in CATALOGUE if f"| `{name}` |" not in text] == []


def test_the_documentation_names_tests_that_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/host.md").read_text()))
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) > 8
    assert [name for name in sorted(named) if f"def {name}(" not in tests] == []
