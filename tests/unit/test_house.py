"""Rules on the form of the code that CONTRIBUTING states and that no linter checks. A failure lists every offender."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.paths import PACKAGES, ROOT

MOST_LINES_OF_A_FILE = 600
"""A thought has 300; longer files are one subject that reads better whole."""
MOST_LINES_OF_A_FUNCTION = 50
LONGEST_TEST_NAME = 60
KINDS = ("adversarial", "conformance", "faults", "hardware", "integration", "property", "unit")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def python(*folders: str) -> list[Path]:
    """The Python files below these folders, without those that `protos/generate.py` writes."""
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path.relative_to(ROOT) for path in found if not path.is_relative_to(PACKAGES["core"] / "wire")]


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(), filename=str(path))


def functions(path: Path) -> Iterator[Function]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, Function))


def names(path: Path) -> set[str]:
    """What a module defines itself: classes, functions and constants."""
    found = set()
    for node in tree(path).body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
            case _:
                pass
    return found


def imported(path: Path) -> set[str]:
    """The packages that a module imports from."""
    nodes = list(ast.walk(tree(path)))
    found = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    found += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in found}


PROGRAMS = {"byok", "check", "expected.py", "identity", "image", "release", "runbooks"}
"""Of `cji_deploy`: programs for a clone of this repository."""
PRODUCT = [
    path
    for path in python(*(f"{name}/cji_{name}" for name in PACKAGES if name not in {"engine", "simulator"}))
    if path.parts[2] not in PROGRAMS
]
"""All that runs for a user or an operator."""
TESTS = python(*(f"tests/{kind}" for kind in KINDS), "tests/fuzz")


def test_the_rules_see_the_whole_house() -> None:
    assert len(PRODUCT) > 150
    assert len(TESTS) > 150
    assert "PRODUCT" in names(Path("tests/unit/test_house.py"))
    assert "ast" in imported(Path("tests/unit/test_house.py"))


def test_no_file_is_longer_than_600_lines() -> None:
    sizes = {str(path): len((ROOT / path).read_text().splitlines()) for path in PRODUCT}
    assert {path: size for path, size in sizes.items() if size > MOST_LINES_OF_A_FILE} == {}


def test_no_function_is_longer_than_50_lines() -> None:
    sizes = {f"{path}::{f.name}": (f.end_lineno or 0) - f.lineno + 1 for path in PRODUCT for f in functions(path)}
    assert {name: size for name, size in sizes.items() if size > MOST_LINES_OF_A_FUNCTION} == {}


def test_only_the_doors_of_rooms_list_public_names() -> None:
    """Inside a room a leading underscore says what is private, and mypy refuses implicit re-exports."""
    listed = {path for path in PRODUCT if "__all__" in names(path)}
    assert {str(path) for path in listed if path.name != "__init__.py" and path.parent.name != "cji_client"} == set()
    ours = {f"cji_{name}" for name in PACKAGES}
    doors = [path for path in PRODUCT if path.name == "__init__.py" and imported(path) & ours]
    assert [str(path) for path in doors if path not in listed] == []


def test_only_the_command_prints() -> None:
    calls = [(path, node.func) for path in PRODUCT for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    prints = {path for path, call in calls if isinstance(call, ast.Name) and call.id == "print"}
    assert {path for path in prints if not {"verbs", "command"} & set(path.parts)} == set()


def test_the_product_imports_no_test_and_no_simulator() -> None:
    foreign = {"tests", "cji_simulator", "benchmarks", "tools"}
    assert {str(path) for path in PRODUCT if imported(path) & foreign} == set()


def test_names_of_tests_have_60_characters_at_most() -> None:
    texts = {path: (ROOT / path).read_text() for path in TESTS}
    found = [
        (path, name) for path, text in texts.items() for name in re.findall(r"(?m)^ *(?:async )?def (test_\w+)", text)
    ]
    assert [f"{path}::{name}" for path, name in found if len(name) > LONGEST_TEST_NAME] == []


def has_room(folder: Path) -> bool:
    """Whether a folder of unit tests is named after a room: a distribution, or the end of a folder in a package."""
    rooms = {room.relative_to(base).parts for base in PACKAGES.values() for room in base.rglob("*") if room.is_dir()}
    named = {*PACKAGES, "support", "tools", "benchmarks"}
    return (folder.parts[0] in named and (len(folder.parts) == 1 or folder.parts[1:] in rooms)) or any(
        room[-len(folder.parts) :] == folder.parts for room in rooms
    )


def test_folders_of_unit_tests_mirror_the_rooms() -> None:
    folders = {path.parent.relative_to("tests/unit") for path in python("tests/unit")} - {Path()}
    assert [folder for folder in folders if not has_room(folder)] == []
    assert not has_room(Path("operations/cooking"))
    assert not has_room(Path("cooking"))


def test_folders_of_tests_hold_nothing_that_tests_share() -> None:
    """Helpers are in `tests/support`, twins in `tests/reference`; the fuzzer and hostile peers are programs."""
    files = [path for path in python(*(f"tests/{kind}" for kind in KINDS)) if path.parent.name != "peers"]
    others = {path.name for path in files if not path.name.startswith("test_")}
    assert others <= {"conftest.py"}


def test_a_port_is_not_asked_of_a_listener_that_closes() -> None:
    """Another process may get it before the one that shall serve on it: `cji_simulator.ports.free_port` keeps one."""

    def asks(node: ast.With) -> bool:
        match node:
            case ast.With(items=items, body=[ast.Assign() | ast.Return() as only]):
                listens = any("create_server" in ast.unparse(item) for item in items)
                return listens and ".getsockname()" in ast.unparse(only)
        return False

    paths = python("tests", "simulator/cji_simulator", "benchmarks", "tools")
    listening = [path for path in paths if "create_server" in (ROOT / path).read_text()]
    found = [(path, node) for path in listening for node in ast.walk(tree(path)) if isinstance(node, ast.With)]
    assert [f"{path}:{node.lineno}" for path, node in found if asks(node)] == []
