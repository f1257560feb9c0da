"""The engine and the worker share a protocol, and no code."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.wheels import DISTRIBUTIONS

ENGINE = sorted((ROOT / "engine" / "cji_engine").glob("*.py"))
ALLOWED = {"cji_engine", "click", "cryptography", "dask", "distributed", "msgspec", *sys.stdlib_module_names}
IMPORT = re.compile(r"^\s*(?:from|import) (?:cji_engine|dask|distributed)\b", re.MULTILINE)
PURE = {"conductor", "estimate", "messages", "node", "roles", "task"}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: path.stem)
def test_the_engine_imports_nothing_of_a_worker(path: Path) -> None:
    allowed = ALLOWED - {"dask", "distributed"} if path.stem in PURE else ALLOWED
    assert set(imported(path)) <= allowed


@pytest.mark.parametrize("folder", [*(name for name in DISTRIBUTIONS if name != "engine"), "benchmarks"])
def test_nothing_else_imports_the_engine(folder: str) -> None:
    files = list((ROOT / folder).rglob("*.py"))
    assert files
    assert [path for path in files if IMPORT.search(path.read_text())] == []


def test_their_selections_of_the_lock_have_no_part_of_the_other() -> None:
    """Nobody but the engine installs Dask, and the engine has nothing that opens records."""
    lock = (ROOT / "requirements.lock").read_text()
    selections = [block.splitlines() for block in re.split(r"\n(?=\S)", lock.rstrip())]
    of = {lines[0].partition("==")[0]: set(lines[-1].split()[2:]) for lines in selections}
    assert of["dask"] == of["distributed"] == {"engine"}
    assert [name for name in of if name.startswith("azure-") and "engine" in of[name]] == []
    assert [name for name in ("grpcio", "pyarrow", "numpy") if "engine" in of[name]] == []
