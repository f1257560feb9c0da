"""`python -m tests.fuzz.mutants`: take each check out of `attestation`, one at a time, and see a test fail.

A mutant is the source without one `raise`, one `_require(...)`, one finding of a lint, one operand of an `and` or `or`,
or one entry of a table that checks are made from. Coverage of one run of all tests says which tests reach its line;
they run in a forked child, in a copy of the tree. A mutant that no test fails on is a survivor: a check that nothing
would miss. EQUIVALENT names those that change nothing, and why.
"""

import argparse
import ast
import contextlib
import copy
import importlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from coverage import CoverageData
from cryptography.hazmat.primitives.asymmetric import rsa

__all__ = ["EQUIVALENT", "Mutant", "main", "mutants"]

ROOT: Final = Path(__file__).resolve().parents[2]
MODULES: Final = (
    *("appraisal/*.py", "evidence/[!_c]*.py", "evidence/collateral.py", "maa/[!_p]*.py", "maa/policy/*.py"),
    *("release/statement.py", "release/unwrap.py", "release/keyspec.py", "release/policy/[!_bc]*.py"),
    *("certs.py", "jose.py", "strict_json.py", "trust.py", "findings.py"),
)
WITH_IO: Final = frozenset({"imds.py", "service.py", "tpm.py", "collect.py"})  # tested on loopback, which is slower
TABLES: Final = frozenset({"agreement.py", "quote.py", "reference.py", "token.py", "advisories.py"})
TESTS: Final = ("unit", "adversarial", "conformance", "property")
KEYS: Final = {2048: 40, 3072: 4, 4096: 4}  # RSA keys made ahead, by size
STUCK_SECONDS: Final = 180.0
LIBRARIES: Final = (
    *("pytest", "hypothesis", "hypothesis.extra.numpy", "msgspec", "numpy", "pyarrow", "grpc", "click", "rich.table"),
    *("aiohttp.web", "azure.identity", "azure.keyvault.keys", "azure.security.attestation", "dcap_qvl", "tpm2_pytss"),
    *("cryptography.x509.verification", "cryptography.hazmat.primitives.ciphers.aead", "pytest_asyncio"),
)

EQUIVALENT: Final[dict[tuple[str, str], str]] = {}
"""(module, what was taken out): why nothing can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A module without one piece. `lines` are those of the statement around it."""

    module: str
    lines: range
    taken: str
    source: str


# ---------------------------------------------------------------- making them


def mutants(module: str, source: str) -> Iterator[Mutant]:
    """Every mutant of one module, in the order of its lines."""
    tree = ast.parse(source)
    tables = Path(module).name in TABLES
    for number, node in enumerate(ast.walk(tree)):
        for taken, change in _changes(node, tables=tables):
            other = copy.deepcopy(tree)
            change(next(twin for n, twin in enumerate(ast.walk(other)) if n == number))
            around = _statement(tree, node)
            yield Mutant(module=module, lines=around, taken=taken, source=ast.unparse(ast.fix_missing_locations(other)))


def _changes(node: ast.AST, *, tables: bool) -> Iterator[tuple[str, Callable[[ast.AST], None]]]:
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if isinstance(block, list):
            for at, statement in enumerate(block):
                if _is_check(statement):
                    yield ast.unparse(statement), _without_statement(name, at)
    if isinstance(node, ast.BoolOp):
        for at, operand in enumerate(node.values):
            yield f"{ast.unparse(operand)}   of   {ast.unparse(node)}", _without_operand(at)
    if tables and isinstance(node, ast.Dict) and len(node.keys) > 1:
        for at, key in enumerate(node.keys):
            taken = f"**{ast.unparse(node.values[at])}" if key is None else ast.unparse(key)
            yield f"entry {taken}", _without_entry(at)
    if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Tuple | ast.Set) and len(node.value.elts) > 1:
        for at, element in enumerate(node.value.elts):
            yield f"element {ast.unparse(element)} of {ast.unparse(node.target)}", _without_element(at)


def _is_check(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Raise):
        return statement.exc is not None and not _is_unreachable(statement.exc)
    if not isinstance(statement, ast.Expr):
        return False
    call = statement.value
    return isinstance(call, ast.Yield) or (
        isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in {"_require", "_distinct"}
    )


def _is_unreachable(raised: ast.expr) -> bool:
    return isinstance(raised, ast.Call) and isinstance(raised.func, ast.Name) and raised.func.id == "AssertionError"


def _without_statement(name: str, at: int) -> Callable[[ast.AST], None]:
    def change(node: ast.AST) -> None:
        getattr(node, name)[at] = ast.Pass()

    return change


def _without_operand(at: int) -> Callable[[ast.AST], None]:
    def change(node: ast.AST) -> None:
        assert isinstance(node, ast.BoolOp)
        del node.values[at]
        if len(node.values) == 1:  # `x and x` is x
            node.values *= 2

    return change


def _without_entry(at: int) -> Callable[[ast.AST], None]:
    def change(node: ast.AST) -> None:
        assert isinstance(node, ast.Dict)
        del node.keys[at], node.values[at]

    return change


def _without_element(at: int) -> Callable[[ast.AST], None]:
    def change(node: ast.AST) -> None:
        assert isinstance(node, ast.AnnAssign)
        assert isinstance(node.value, ast.Tuple | ast.Set)
        del node.value.elts[at]

    return change


def _statement(tree: ast.Module, node: ast.AST) -> range:
    """The lines of the smallest statement around a node; of an `if`, a loop or a function only its head."""
    found = [one for one in ast.walk(tree) if isinstance(one, ast.stmt) and any(part is node for part in ast.walk(one))]
    smallest = min(found, key=lambda one: (one.end_lineno or one.lineno) - one.lineno, default=None)
    if smallest is None:
        return range(1, 2)
    body = getattr(smallest, "body", None)
    end = body[0].lineno if isinstance(body, list) and body else (smallest.end_lineno or smallest.lineno) + 1
    return range(smallest.lineno, max(end, smallest.lineno + 1))


# ---------------------------------------------------------------- running them


def _copied_tree() -> Path:
    """A copy of the tree that nobody edits meanwhile."""
    folder = Path(tempfile.mkdtemp(prefix="cji-mutants-"))
    ignored = shutil.ignore_patterns(".*", "build", "dist", "__pycache__", "node_modules")
    shutil.copytree(ROOT, folder, ignore=ignored, dirs_exist_ok=True)
    return folder


def _test_files(tree: Path) -> list[str]:
    return [
        str(path.relative_to(tree)) for kind in TESTS for path in sorted((tree / "tests" / kind).glob("test_att_*"))
    ]


def _environment(tree: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": f"{tree}:{tree / 'tests/simulator'}", "PYTHONDONTWRITEBYTECODE": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Baseline:
    """Which test function reaches which line, and how long each takes; from one run of all tests."""

    data: CoverageData
    seconds: Mapping[str, float]  # by function, of those that pass

    def tests(self, path: Path, lines: range) -> list[str]:
        """The functions that reach these lines, fast ones first; all of them for a line that runs at import."""
        reached = self.data.contexts_by_lineno(str(path))
        contexts = {context for line in lines for context in reached.get(line, ())}
        found = self.seconds if "" in contexts else {_node_id(one) for one in contexts} & self.seconds.keys()
        return sorted(found, key=lambda one: (self.seconds[one], one))


def _node_id(context: str) -> str:
    """`tests.unit.test_x.test_y` as pytest names it."""
    module, _, function = context.rpartition(".")
    return f"{module.replace('.', '/')}.py::{function}"


def _baseline(tree: Path) -> _Baseline:
    (tree / ".coveragerc").write_text("[run]\nsource = attestation\ndynamic_context = test_function\n")
    options = ["-q", "-m", "not slow", "-p", "no:cacheprovider", "--junitxml=times.xml", "-o", "junit_family=xunit1"]
    command = [sys.executable, "-m", "coverage", "run", "--rcfile=.coveragerc", "-m", "pytest", *options]
    done = subprocess.run(
        [*command, *_test_files(tree)], cwd=tree, env=_environment(tree), capture_output=True, text=True, check=False
    )
    seconds: dict[str, float] = {}
    failing: set[str] = set()
    for case in ElementTree.parse(tree / "times.xml").iter("testcase"):
        name = f"{case.get('file')}::{case.get('name', '').partition('[')[0]}"
        seconds[name] = seconds.get(name, 0.0) + float(case.get("time", "0"))
        if case.find("failure") is not None or case.find("error") is not None:
            failing.add(name)
    for name in failing:
        print(f"    fails on the tree as it is, and is left out: {name}")
        del seconds[name]
    if not seconds:
        sys.exit(done.stdout[-3000:])
    data = CoverageData(str(tree / ".coverage"))
    data.read()
    return _Baseline(data=data, seconds=seconds)


def _warm() -> None:
    """Import libraries and make keys once, for all the children."""
    for library in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(library)
    made = {size: [rsa.generate_private_key(65537, size) for _ in range(count)] for size, count in KEYS.items()}
    fresh = rsa.generate_private_key

    def generate(public_exponent: int, key_size: int, backend: object = None) -> rsa.RSAPrivateKey:
        ready = made.get(key_size)
        return ready.pop() if public_exponent == 65537 and ready else fresh(public_exponent, key_size)

    rsa.generate_private_key = generate


def _survives(tests: Sequence[str], tree: Path) -> bool:
    """Whether all these tests pass, in a child."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, STUCK_SECONDS)
            null = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
            status = _pytest(tests, tree)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _pytest(tests: Sequence[str], tree: Path) -> int:
    import pytest

    os.chdir(tree)
    here = str(ROOT)
    sys.path[:] = [
        str(tree),
        str(tree / "tests/simulator"),
        *(one for one in sys.path if not one.startswith(here) or ".venv" in one),
    ]
    for name in [
        name for name in sys.modules if name.partition(".")[0] in {"tests", "attestation", "worker", "cji_simulator"}
    ]:
        del sys.modules[name]
    return int(pytest.main(["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", "-p", "no:faulthandler", *tests]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the mutants of the modules asked for and print what survived."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz.mutants", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("modules", nargs="*", help="such as maa/token.py; all that check something if none")
    names = parser.parse_args(arguments).modules
    tree = _copied_tree()
    sys.dont_write_bytecode = True
    began = time.monotonic()
    try:
        baseline = _baseline(tree)
        print(f"{len(baseline.seconds)} test functions, {time.monotonic() - began:.0f} s", flush=True)
        _warm()
        survivors = [one for name in names or _modules(tree) for one in _module(name, tree, baseline)]
    finally:
        shutil.rmtree(tree)
    print(f"\n{len(survivors)} survivors, {time.monotonic() - began:.0f} s")
    return 1 if survivors else 0


def _modules(tree: Path) -> list[str]:
    package = tree / "attestation"
    found = {path for pattern in MODULES for path in package.glob(pattern) if path.name not in WITH_IO}
    return sorted(str(path.relative_to(package)) for path in found)


def _module(name: str, tree: Path, baseline: _Baseline) -> list[Mutant]:
    path = tree / "attestation" / name
    source = path.read_text()
    killed = equivalent = 0
    survivors: list[Mutant] = []
    for mutant in mutants(name, source):
        if (name, mutant.taken) in EQUIVALENT:
            equivalent += 1
            continue
        tests = baseline.tests(path, mutant.lines)
        path.write_text(mutant.source)
        if tests and not _survives(tests, tree):
            killed += 1
        else:
            survivors.append(mutant)
            print(f"    SURVIVED {name}:{mutant.lines.start} without {mutant.taken}", flush=True)
    path.write_text(source)
    print(f"{name:<32}{killed:>5} killed {len(survivors):>4} survived {equivalent:>4} equivalent", flush=True)
    return survivors


if __name__ == "__main__":
    sys.exit(main())
