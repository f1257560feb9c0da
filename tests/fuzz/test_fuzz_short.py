"""A short run of every target; `make fuzz` has the long one."""

import faulthandler
import os
from pathlib import Path

import pytest

from tests.fuzz.__main__ import main, share
from tests.fuzz.engine import MAX_FAILURES, Target, make_input, run
from tests.fuzz.mutators import BYTES
from tests.fuzz.targets import TARGETS

INPUTS = 20_000


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_target(target: Target) -> None:
    inputs = share(target, TARGETS, INPUTS)
    result = run(target, seed=7, inputs=inputs)
    assert result.failures == []
    assert result.inputs == result.accepted + result.refused.total() == inputs


def test_names_are_unique() -> None:
    assert len({target.name for target in TARGETS}) == len(TARGETS)


def _broken(data: bytes) -> int:
    """A reader with every fault that the engine must see."""
    if len(data) == 12:
        faulthandler.disable()
        os.abort()
    if data.startswith(b"k"):
        raise KeyError("foreign")
    if len(data) > 40:
        raise ValueError("too long")
    return len(data)


BROKEN = Target(
    name="broken",
    corpus=lambda: (b"sound", b"k" * 30),
    read=_broken,
    refusals=(ValueError,),
    fair=lambda data, value: data[:1] != b"\0" and value == len(data),
    mutators=BYTES,
)


def test_engine_sees_exceptions_acceptance_and_dead_processes() -> None:
    found: set[str] = set()
    for seed in range(30):
        result = run(BROKEN, seed=seed, inputs=400)
        found |= {failure.what for failure in result.failures}
        assert len(result.failures) <= MAX_FAILURES + 1
        for failure in result.failures:
            data = make_input(BROKEN, seed=seed, number=failure.number)
            assert ("ended with -6" in failure.what) == (len(data) == 12)
    assert found == {
        "the process ended with -6",
        "foreign KeyError: 'foreign'",
        "accepted, but it does not mean what was signed or written",
    }


def test_engine_wants_its_sound_input_accepted() -> None:
    def refuse(_: bytes) -> object:
        raise ValueError

    target = Target(name="x", corpus=lambda: (b"a",), read=refuse, refusals=(ValueError,), fair=lambda _, __: True)
    assert [failure.number for failure in run(target, seed=1, inputs=5).failures] == [-1]


def test_one_input_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--target", "ori", "--number", "3", "--seed", "9"]) == 0
    (tmp_path / "input").write_bytes(b"WI0130000")
    assert main(["--target", "ori", "--file", str(tmp_path / "input")]) == 0
    assert capsys.readouterr().out.count("accepted") == 2
