"""The mutants of a module, and what a run of them keeps for the next one."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tools.mutants.changes import Mutant, mutants
from tools.mutants.kept import Kept
from tools.mutants.place import _put
from tools.mutants.rooms import POLICY, ROOMS, ROOT, Room

SOURCE = """
def first(value):
    if value is None or value < 0:
        raise ValueError("no value")
    return value

def second(value):
    if value is None or value < 0:
        raise ValueError("no value")
    return value
"""
TEST = "tests/unit/tools/test_mutants.py::test_of_a_mutant"


def _mutants() -> list[Mutant]:
    return list(mutants("cji_core/format/job/policy/made.py", SOURCE, POLICY))


def test_each_check_and_each_operand_is_taken_out_once() -> None:
    of = "value is None or value < 0"
    taken = ["raise ValueError('no value')", f"value < 0   of   {of}", f"value is None   of   {of}"]
    found = sorted((one.lines.start, one.nth, one.taken) for one in _mutants())
    assert found == [*((3, 0, each) for each in taken), *((8, 1, each) for each in taken)]


def test_a_table_that_a_function_makes_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
from typing import Final

_PARTS: Final = ("a", "b")

def _joined():
    return "".join(_PARTS)

JOINED: Final = _joined()
"""
    (tmp_path / "cji_made.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("cji_made")
    try:
        first, _ = mutants("cji_made.py", source, POLICY)
        assert (first.taken, module.JOINED) == ("element 'a' of _PARTS", "ab")
        _put(first)
        assert module.JOINED == "b"
    finally:
        del sys.modules["cji_made"]


def test_a_kill_counts_until_the_module_changes(tmp_path: Path) -> None:
    source, file = tmp_path / "made.py", tmp_path / "room.json"
    source.write_text(SOURCE)
    first, *_, last = _mutants()
    kept = Kept(file)
    kept.killed(first, source, TEST)
    kept.save()

    assert Kept(file).kill(first, source) == TEST
    assert Kept(file).kill(last, source) is None
    assert Kept(file).kill(replace(first, nth=1), source) is None
    assert Kept(file, afresh=True).kill(first, source) is None

    source.write_text(f"{SOURCE}\n")
    assert Kept(file).kill(first, source) is None
    assert Kept(file).last_kill(first) == TEST


def test_a_kill_counts_until_the_file_of_its_test_changes(tmp_path: Path) -> None:
    source, file, tests = tmp_path / "made.py", tmp_path / "room.json", tmp_path / "test_made.py"
    source.write_text(SOURCE)
    tests.write_text("def test_one() -> None: ...\n")
    mutant = _mutants()[0]
    kept = Kept(file)
    kept.killed(mutant, source, f"{tests}::test_one")
    kept.save()

    assert Kept(file).kill(mutant, source) == f"{tests}::test_one"
    tests.write_text("def test_one() -> None: pass\n")
    assert Kept(file).kill(mutant, source) is None


def test_reach_is_kept_until_a_module_that_is_reached_changes(tmp_path: Path) -> None:
    sources, file = {name: tmp_path / name for name in ("made.py", "other.py")}, tmp_path / "room.json"
    for path in sources.values():
        path.write_text(SOURCE)
    tests = Path(__file__)
    kept = Kept(file)
    kept.reached(tests, sources, {TEST: (0.5, {"made.py": [3, 4]})})
    kept.save()

    sources["other.py"].write_text("")
    assert Kept(file).reach(tests, sources, [TEST]) == {TEST: {"made.py": [3, 4]}}
    assert Kept(file).reach(tests, sources, [TEST, f"{TEST}[new]"]) == {}
    assert Kept(file).seconds() == {TEST: 0.5}
    sources["made.py"].write_text(f"{SOURCE}\n")
    assert Kept(file).reach(tests, sources, [TEST]) == {}


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_every_pattern_of_a_room_finds_a_file(room: Room) -> None:
    """A module that is moved or renamed would leave its room unseen."""
    below = {room.package: room.modules, ROOT / "tests": (*room.tests, *room.served_tests), ROOT: room.readers}
    missing = [pattern for folder, patterns in below.items() for pattern in patterns if not any(folder.glob(pattern))]
    assert not missing
    names = [path.relative_to(ROOT / room.folder) for path in room.paths]
    assert {*map(Path, room.served)} <= {*names}
    tables = [f"cji_{room.folder}/{pattern}" for pattern in room.tables]
    assert not [pattern for pattern in tables if not any(name.match(pattern) for name in names)]
    assert all((ROOT / test).is_file() for test in room.tests_of_tables)
