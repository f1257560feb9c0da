"""The engine and the worker share a protocol, and no code."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

ENGINE = sorted((ROOT / "engine" / "cji_engine").glob("*.py"))
ALLOWED = {"cji_engine", "click", "cryptography", "dask", "distributed", "msgspec", *sys.stdlib_module_names}
IMPORT = re.compile(r"^\s*(?:from|import) (?:cji_engine|dask|distributed)\b", re.MULTILINE)
PURE = {"conductor", "estimate", "messages", "roles", "task"}


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


@pytest.mark.parametrize("folder", ["worker", "attestation", "simulator/cji_simulator", "deploy", "benchmarks"])
def test_nothing_else_imports_the_engine(folder: str) -> None:
    files = list((ROOT / folder).rglob("*.py"))
    assert files
    assert [path for path in files if IMPORT.search(path.read_text())] == []


def test_the_locks_have_no_part_of_the_other() -> None:
    """The worker's lock never contains Dask, and the engine's has nothing that opens records."""
    worker = (ROOT / "requirements-dev.lock").read_text()
    assert not [name for name in ("\ndask==", "\ndistributed==") if name in worker]
    engine = (ROOT / "requirements-engine.lock").read_text()
    assert not [name for name in ("\nazure-", "\ngrpcio==", "\npyarrow==", "\nnumpy==") if name in engine]
