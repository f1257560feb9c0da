"""A short run of every target; `make fuzz` has the long one."""

import faulthandler
import os
import random
from pathlib import Path

import pytest

from tests.fuzz import corpus
from tests.fuzz.__main__ import main, share
from tests.fuzz.engine import MAX_FAILURES, Target, make_input, outcome, run
from tests.fuzz.mutators import BYTES
from tests.fuzz.targets import TARGETS
from tests.support.paths import ROOT

INPUTS = 20_000


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_target(target: Target) -> None:
    inputs = share(target, TARGETS, INPUTS)
    result = run(target, seed=7, inputs=inputs)
    assert result.failures == []
    assert result.inputs == result.accepted + result.refused.total() == inputs


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_mutators_take_any_bytes(target: Target) -> None:
    """A guided run hands them whatever has grown so far."""
    given = (b"", b"\x80", b"[]", b"\x81\x01\xc0", *target.corpus())
    for number in range(200):
        rng = random.Random(number)
        data = rng.choice(given)
        for _ in range(4):
            data = rng.choice((*target.mutators, *BYTES))(rng, data, rng.choice(given))
        assert isinstance(data, bytes)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_inputs_that_guided_runs_kept(target: Target) -> None:
    for data in corpus.read(target.name):
        kind, detail = outcome(target, data)
        assert kind != "failed", detail
        assert len(data) <= corpus.MOST_BYTES


def test_every_kept_input_has_a_target() -> None:
    assert {path.stem for path in corpus.FOLDER.glob("*")} <= {target.name for target in TARGETS}
    assert sum(path.stat().st_size for path in corpus.FOLDER.glob("*")) < 512 << 10


def test_names_are_unique() -> None:
    assert len({target.name for target in TARGETS}) == len(TARGETS)


def _steps(data: bytes) -> int:
    if data[:1] == b"a":
        if data[1:2] == b"b":
            return 2
        return 1
    return 0


def test_corpus_keeps_the_shortest_input_of_each_new_path(tmp_path: Path) -> None:
    target = Target(name="x", corpus=lambda: (b"z",), read=_steps, refusals=(), fair=lambda _, __: True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "OURS", (str(ROOT / "tests/fuzz") + "/test_fuzz_short.py",))
        found = corpus.smallest(target, [b"abcdef", b"zz", b"aaaa", b"ab", b"ac", b"a" * corpus.MOST_BYTES * 2])
    assert found == [b"ab", b"ac"]
    corpus.write("x", found, folder=tmp_path)
    assert corpus.read("x", folder=tmp_path) == (b"ab", b"ac")
    corpus.write("x", (), folder=tmp_path)
    assert corpus.read("x", folder=tmp_path) == () == tuple(tmp_path.iterdir())


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
