"""Slow suites: what tests/conftest.py leaves out of `make test` has a target of its own."""

import re

from tests.conftest import SUITES
from tests.support.paths import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()


def test_each_slow_suite_has_a_target() -> None:
    (slow,) = re.findall(r"^SLOW := (.*)$", MAKEFILE, re.MULTILINE)
    assert sorted([*slow.split(), "image"]) == sorted(SUITES)
    assert re.search(r"^image-boot: ", MAKEFILE, re.MULTILINE)


def test_each_slow_suite_is_where_it_is_said_to_be() -> None:
    for places in SUITES.values():
        for place in places:
            assert (ROOT / "tests" / place).exists(), place
