"""`python -m tools.mutants`: remove each check from `attestation`, one at a time, and expect a test to fail.

A mutant is a module without one `raise`, one recorded check, one result of policy or lint, one operand of an `and` or
`or`, or one entry of a table from which checks are built; delays are not checks. First the tests run unchanged, to
record the lines that each one reaches and its duration. Then each mutant runs the tests that reach it, in a forked
child, until one fails; its code replaces the original in memory, and no file is changed. A mutant that no test fails on
has survived: a check whose removal no test detects. A test that fails in a child without a mutation is ignored.
EQUIVALENT lists mutants that change nothing, with the reason.
"""

import argparse
import ast
import copy
import functools
import inspect
import os
import re
import resource
import signal
import sys
import time
import traceback
import types
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import coverage
import pytest
from _pytest.runner import runtestprotocol

__all__ = ["EQUIVALENT", "Mutant", "main", "mutants"]

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGE: Final = ROOT / "attestation" / "cji_attestation"
TABLES: Final = frozenset(
    {"maa/agreement.py", "maa/claims.py", "appraisal/reference.py", "appraisal/advisories/products.py"}
)
TESTS: Final = (
    *(f"{kind}/attestation/**/test_*.py" for kind in ("unit", "adversarial", "conformance", "property")),
    "fuzz/test_fuzz_found.py",
)
SERVED: Final = frozenset(
    {
        *(f"evidence/{one}.py" for one in ("boot_logs", "collect", "imds", "kds", "service")),
        *(f"evidence/tpm{one}.py" for one in ("", "_counter", "_response", "_templates")),
        *("fetch.py", "maa/jwks.py", "release/flow.py", "release/vault.py"),
        *("provider_policy/administration.py", "provider_policy/provider.py"),
    }
)
"""Modules that call a service: they are also tested against the simulation, which costs seconds per mutant."""
TESTS_OF_SERVED: Final = tuple(
    f"integration/attestation/test_{one}.py" for one in ("flow", "jwks", "kds", "provider", "tpm", "tpm_counter")
)
MOST_SECONDS: Final = 20.0  # of tests for one mutant, in the time that they took as they are
STUCK_SECONDS: Final = 90.0
_BROKEN: Final = 3  # exit status of a child that did not get as far as the tests

EQUIVALENT: Final[dict[tuple[str, str], str]] = {
    ("jose.py", "len(parts) != 3   of   len(parts) != 3 or not all(parts)"): "unpacking into three refuses the same",
    ("jose.py", "text.isascii()   of   len(text) <= limit and text.isascii()"): "base64 of other text is refused too",
    ("trust.py", "''   of   parts.hostname or ''"): "no host is as empty as an empty one; this is for the type checker",
    ("fetch.py", "raise TimeoutError"): "no socket takes a negative time-out",
    (
        "appraisal/vcek.py",
        "not 0 <= value <= 255   of   not content or not 0 <= value <= 255",
    ): "no level that it is compared with is another number",
    (
        "appraisal/vcek.py",
        "isinstance(extension.value, x509.UnrecognizedExtension)   of   isinstance(extension.value, "
        "x509.UnrecognizedExtension) and extension.oid.dotted_string.startswith(_AMD)",
    ): "none of AMD's extensions is recognized; this is for the type checker",
    (
        "release/hsm.py",
        "not isinstance(key, rsa.RSAPublicKey)   of   not isinstance(key, rsa.RSAPublicKey) or "
        "key.key_size != 8 * SIGNATURE_BYTES",
    ): "no key of another kind has 2048 bits; this is for the type checker",
    (
        "appraisal/vtpm.py",
        "attest.kind != 'certify'   of   attest.kind != 'certify' or attest.name != key.name",
    ): "a quote has no name, and every key has one",
    **{
        ("maa/agreement.py", f"entry '{name}'"): "T10 demands the value that the appraisal demands of the report"
        for name in ("migration-allowed", "is-debuggable", "debug", "migratable", "vmpl")
    },
}
"""(module, what was taken out): why nothing can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A module without one piece. `lines` are those of the statement around it, `names` what it assigns, if a table."""

    module: str
    lines: range
    names: tuple[str, ...]
    taken: str
    ids: frozenset[str]  # of checks, in what was taken or else in the function around it
    tree: ast.Module


# ---------------------------------------------------------------- making them


def mutants(module: str, source: str) -> Iterator[Mutant]:
    """Every mutant of one module, in the order of its lines."""
    tree = ast.parse(source)
    tables = module in TABLES
    for number, node in enumerate(ast.walk(tree)):
        for taken, change, at in _changes(node, tables=tables):
            other = copy.deepcopy(tree)
            change(next(twin for n, twin in enumerate(ast.walk(other)) if n == number))
            around = _statement(tree, at)
            names = _names(around) if around in tree.body else ()
            if any(_reads(one, names) for one in tree.body if isinstance(one, ast.Assign | ast.AnnAssign)):
                continue  # another table was made from it when the module was imported
            yield Mutant(
                module=module,
                lines=_lines(around),
                names=names,
                taken=taken,
                ids=_ids(taken) or _ids(ast.unparse(_function_around(tree, at))),
                tree=ast.fix_missing_locations(other),
            )


def _changes(node: ast.AST, *, tables: bool) -> Iterator[tuple[str, Callable[[ast.AST], None], ast.AST]]:
    """(what is taken out, how, where tests must come by) for each piece right below a node."""
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if isinstance(block, list):
            for at, statement in enumerate(block):
                if _is_check(statement):
                    guarded = isinstance(node, ast.If) and name == "body"
                    yield ast.unparse(statement), _without_statement(name, at), node if guarded else statement
    if isinstance(node, ast.BoolOp):
        for at, operand in enumerate(node.values):
            yield f"{ast.unparse(operand)}   of   {ast.unparse(node)}", _without_operand(at), node
    if tables and isinstance(node, ast.Dict) and len(node.keys) > 1:
        for at, key in enumerate(node.keys):
            taken = f"**{ast.unparse(node.values[at])}" if key is None else ast.unparse(key)
            yield f"entry {taken}", _without_entry(at), node
    if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Tuple | ast.Set):
        constant = "Final" in ast.unparse(node.annotation) and len(node.value.elts) > 1
        for at, element in enumerate(node.value.elts if constant else ()):
            if not (isinstance(element, ast.Constant) and isinstance(element.value, float)):
                yield f"element {ast.unparse(element)} of {ast.unparse(node.target)}", _without_element(at), node


def _is_check(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Raise):
        return statement.exc is not None
    if not isinstance(statement, ast.Expr):
        return False
    call = statement.value
    if not isinstance(call, ast.Call):
        return isinstance(call, ast.Yield)
    return ast.unparse(call.func) in {"_require", "_distinct", "record.add"}


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


def _statement(tree: ast.Module, node: ast.AST) -> ast.stmt:
    """The smallest statement around a node, or the module's first."""
    around = [
        one for one in ast.walk(tree) if isinstance(one, ast.stmt) and any(part is node for part in ast.walk(one))
    ]
    return min(around, key=lambda one: (one.end_lineno or 0) - one.lineno, default=tree.body[0])


def _function_around(tree: ast.Module, node: ast.AST) -> ast.AST:
    """The outermost function around a node, or the node itself."""
    found = (one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef) and node in ast.walk(one))
    return next(found, node)


def _ids(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\b[A-Z]{1,2}\d\d\b", text))


def _lines(statement: ast.stmt) -> range:
    """Its lines; of an `if`, a loop or a function only those of its head."""
    body = getattr(statement, "body", None)
    end = body[0].lineno if isinstance(body, list) and body else (statement.end_lineno or statement.lineno) + 1
    return range(statement.lineno, max(end, statement.lineno + 1))


def _names(statement: ast.stmt) -> tuple[str, ...]:
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return tuple(one.id for one in targets if isinstance(one, ast.Name))


# ---------------------------------------------------------------- putting one in place


def _put(mutant: Mutant, module: types.ModuleType) -> None:
    """Give the module's functions the mutant's code, and its tables the mutant's values, wherever they are known."""
    namespace: dict[str, Any] = {name: getattr(module, name) for name in ("__name__", "__package__", "__file__")}
    exec(compile(mutant.tree, str(module.__file__), "exec"), namespace)
    _exchange(vars(module), namespace)
    for name in mutant.names:
        old, new = getattr(module, name), namespace[name]
        for other in list(sys.modules.values()):
            if (getattr(other, "__name__", "") or "").partition(".")[0] in {"attestation", "tests"}:
                vars(other).update({known: new for known, value in list(vars(other).items()) if value is old})


def _exchange(old: Any, new: Any) -> None:
    """Functions by name, also those of classes, properties and caches."""
    for name, found in list(new.items()):
        theirs, ours = _function(old.get(name)), _function(found)
        if ours is not None and theirs is not None and theirs.__module__ == ours.__module__:
            theirs.__code__, theirs.__defaults__ = ours.__code__, ours.__defaults__
        elif isinstance(found, type) and isinstance(old.get(name), type) and found.__module__ == old[name].__module__:
            _exchange(vars(old[name]), vars(found))


def _function(found: Any) -> types.FunctionType | None:
    inner = getattr(found, "fget", None) or getattr(found, "__wrapped__", None) or getattr(found, "__func__", found)
    return inner if isinstance(inner, types.FunctionType) and not inner.__closure__ else None


# ---------------------------------------------------------------- running them


class _Runner:
    """The loop of a pytest session: all tests once, then the mutants."""

    def __init__(self, modules: Sequence[str]) -> None:
        self.modules = modules
        self.survivors: list[Mutant] = []
        self._seconds: dict[str, float] = {}  # by test, of those that pass
        self._items: dict[str, pytest.Item] = {}
        self._whole: dict[tuple[str, bool], bool] = {}  # by test and `forget`: whether it passes in a child
        self._ids: dict[str, frozenset[str]] = {}  # of checks, by the test that names them
        self._reach: Counter[str] = Counter()  # lines of the package by test
        self._coverage = coverage.Coverage(source=[str(PACKAGE)], config_file=False, data_file=None)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        began = time.monotonic()
        self._items = {item.nodeid: item for item in session.items}
        self._ids = {name: _ids(_text(item)) for name, item in self._items.items()}
        self._as_they_are(session.items)
        print(f"{len(self._seconds)} tests pass, {time.monotonic() - began:.0f} s", flush=True)
        for name in self.modules:
            self._module(name)
        print(f"\n{len(self.survivors)} survivors, {time.monotonic() - began:.0f} s")
        return True

    def _as_they_are(self, items: Sequence[pytest.Item]) -> None:
        self._coverage.start()
        for item in items:
            self._coverage.switch_context(item.nodeid)
            began = time.perf_counter()
            if not _passes(item):
                print(f"    fails as it is, and is left out: {item.nodeid}", flush=True)
            else:
                self._seconds[item.nodeid] = time.perf_counter() - began
        self._coverage.stop()
        data = self._coverage.get_data()
        for path in data.measured_files():
            for tests in data.contexts_by_lineno(path).values():
                self._reach.update(tests)

    def _module(self, name: str) -> None:
        path, began = PACKAGE / name, time.monotonic()
        module = sys.modules.get(".".join(("attestation", *Path(name).with_suffix("").parts)))
        source = path.read_text()
        counts = {"killed": 0, "survived": 0, "equivalent": 0}
        for mutant in mutants(name, source):
            if (name, mutant.taken) in EQUIVALENT:
                counts["equivalent"] += 1
            elif module is not None and self._is_killed(mutant, module, source):
                counts["killed"] += 1
            else:
                counts["survived"] += 1
                self.survivors.append(mutant)
                print(f"    SURVIVED {name}:{mutant.lines.start} without {mutant.taken}", flush=True)
        said = "".join(f"{count:>6} {what}" for what, count in counts.items())
        print(f"{name:<32}{said} {time.monotonic() - began:>7.0f} s", flush=True)

    def _tests(self, mutant: Mutant) -> list[pytest.Item]:
        """The tests that reach its lines, for a table those that reach a function of any module that reads it.

        Those that name its check first, and then in the order of what they cost and how much else they reach: a test
        that looks at little looks at this.
        """
        places = [(mutant.module, mutant.lines)]
        for name in _modules() if mutant.names else ():
            readers = (node for node in _functions(name) if _reads(node, mutant.names))
            places += [(name, range(node.lineno, (node.end_lineno or node.lineno) + 1)) for node in readers]
        data = self._coverage.get_data()
        reached = {name: data.contexts_by_lineno(str(PACKAGE / name)) for name, _ in places}
        found = {test for name, lines in places for line in lines for test in reached[name].get(line, ())}
        found &= self._seconds.keys()
        if mutant.names and not found:  # a table that only others read
            found = set(self._seconds)
        if mutant.module not in SERVED:
            found = {test for test in found if not test.startswith("tests/integration/")}
        chosen: list[pytest.Item] = []
        seconds = 0.0
        order = {test: (not mutant.ids & self._ids[test], self._seconds[test] * self._reach[test]) for test in found}
        for test in sorted(found, key=order.__getitem__):
            seconds += self._seconds[test]
            if seconds <= MOST_SECONDS or not chosen:
                chosen.append(self._items[test])
        return chosen

    def _is_killed(self, mutant: Mutant, module: types.ModuleType, source: str) -> bool:
        """Whether a test fails. A second child forgets what tests have cached, for what the first one let live."""
        for forget in (False, True):
            while (failed := _failed(mutant, module, self._tests(mutant), forget=forget)) is not None:
                if all(self._passes_whole(item, module, source, forget=forget) for item in failed):
                    return True
        return False

    def _passes_whole(self, item: pytest.Item, module: types.ModuleType, source: str, *, forget: bool) -> bool:
        known = (item.nodeid, forget)
        if known not in self._whole:
            whole = Mutant(
                module=module.__name__,
                lines=range(1),
                names=(),
                taken="nothing",
                ids=frozenset(),
                tree=ast.parse(source),
            )
            self._whole[known] = _failed(whole, module, [item], forget=forget) is None
            if not self._whole[known]:
                self._seconds.pop(item.nodeid, None)
                print(f"    fails with nothing taken out, and is left out: {item.nodeid}", flush=True)
        return self._whole[known]


def _text(item: pytest.Item) -> str:
    """A test's source, with the parameters of this one of its cases."""
    given = getattr(getattr(item, "callspec", None), "params", {})
    return f"{inspect.getsource(getattr(item, 'function', type(item)))} {given}"


@functools.cache
def _functions(module: str) -> tuple[ast.FunctionDef, ...]:
    return tuple(
        node for node in ast.walk(ast.parse((PACKAGE / module).read_text())) if isinstance(node, ast.FunctionDef)
    )


def _reads(node: ast.AST, names: Sequence[str]) -> bool:
    parts = (part for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load))
    return any(part.id in names for part in parts)


def _failed(
    mutant: Mutant, module: types.ModuleType, tests: Sequence[pytest.Item], *, forget: bool
) -> list[pytest.Item] | None:
    """The first test that fails, nothing if the child dies of another cause, or None if all pass."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = _BROKEN
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, STUCK_SECONDS)
            _put(mutant, module)
            if forget:
                _forget()
            null = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
            status = 1
            failed = next((at for at, item in enumerate(tests) if not _passes(item)), None)
            if failed is not None:
                os.write(writer, str(failed).encode())
            status = int(failed is not None)
        except BaseException:  # noqa: BLE001 - nothing of this child may go on behind the fork
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writer)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with os.fdopen(reader) as said:
        at = said.read()
    if code == _BROKEN:
        raise RuntimeError(f"{mutant.module}:{mutant.lines.start} without {mutant.taken} cannot be put in place")
    if code == 0:
        return None
    return [tests[int(at)]] if at else []


def _passes(item: pytest.Item) -> bool:
    """All but the session is torn down behind the test: the session's servers are the parent's, for every child."""
    session: Any = item.session
    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=session))


def _forget() -> None:
    for module in [one for name, one in sys.modules.items() if name.startswith("tests.")]:
        for value in list(vars(module).values()):
            if callable(clear := getattr(value, "cache_clear", None)):
                clear()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the mutants of the modules asked for and print what survived."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("modules", nargs="*", help="such as maa/token.py; all that check something if none")
    options = parser.parse_args(arguments)
    os.environ["TSS2_LOG"] = "all+NONE"  # refusals by the TPM are expected in tests
    runner = _Runner(options.modules or _modules())
    patterns = TESTS if SERVED.isdisjoint(runner.modules) else (*TESTS, *TESTS_OF_SERVED)
    tests = [str(path) for pattern in patterns for path in sorted((ROOT / "tests").glob(pattern))]
    settings = [
        "-q",
        "--no-header",
        "-m",
        "not slow",
        "-k",
        "not every_changed_byte and not evidence_mutation",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:faulthandler",
        "-s",
    ]
    pytest.main([*settings, f"--rootdir={ROOT}", *tests], plugins=[runner])
    return 1 if runner.survivors else 0


def _modules() -> list[str]:
    return sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))


if __name__ == "__main__":
    sys.exit(main())
