"""The tests of one room: run once as they are, and then for each mutant, in forked children."""

import ast
import contextlib
import copy
import dataclasses
import functools
import importlib
import inspect
import os
import resource
import signal
import sys
import time
import traceback
import types
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import coverage
import pytest
from _pytest.runner import runtestprotocol

from tools.mutants.changes import Mutant, ids, mutants, reads
from tools.mutants.rooms import EQUIVALENT, Room

MOST_SECONDS: Final = 20.0  # of tests for one mutant, in the time that they took as they are
STUCK_SECONDS: Final = 90.0  # of processor time, and ten times that by the clock: others may need the machine
_BROKEN: Final = 3  # exit status of a child that did not get as far as the tests
_RULES: Final = "trail/rules/rules.toml"


def name_of(path: Path, room: Room) -> str:
    """A module's path, with the package of its distribution."""
    return str(path.relative_to(room.package.parent))


class Runner:
    """The loop of a pytest session: all tests once, then the mutants."""

    def __init__(self, room: Room, modules: Sequence[str]) -> None:
        self.room, self.modules = room, modules
        self.total = Counter[str]()
        self.finished = False
        self._known = {name_of(path, room): path for path in room.paths}
        self._seconds: dict[str, float] = {}  # by test, of those that pass
        self._left_out: list[str] = []
        self._items: dict[str, pytest.Item] = {}
        self._whole: dict[tuple[str, bool], bool] = {}  # by test and `forget`: whether it passes in a child
        self._ids: dict[str, frozenset[str]] = {}  # of checks, by the test that names them
        self._reach: Counter[str] = Counter()  # lines of the room by test
        self._coverage = coverage.Coverage(
            include=[str(path) for path in room.paths], config_file=False, data_file=None
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the tests as they are, then those that reach each mutant."""
        began = time.monotonic()
        self._items = {item.nodeid: item for item in session.items}
        self._ids = {name: ids(_text(item)) for name, item in self._items.items()}
        with _silence():
            self._as_they_are(session.items)
        for name in self._left_out:
            print(f"    fails as it is, and is left out: {name}", flush=True)
        print(f"{self.room.name}: {len(self._seconds)} tests pass, {time.monotonic() - began:.0f} s", flush=True)
        for name in self.modules:
            self._module(name)
        figures = ", ".join(f"{self.total[what]} {what}" for what in ("killed", "survived", "equivalent"))
        print(f"{self.room.name}: {figures}, {time.monotonic() - began:.0f} s\n", flush=True)
        self.finished = True
        return True

    def _as_they_are(self, items: Sequence[pytest.Item]) -> None:
        self._coverage.start()
        for item in items:
            self._coverage.switch_context(item.nodeid)
            began = time.perf_counter(), time.process_time()
            if not _passes(item):
                self._left_out.append(item.nodeid)
            else:
                waited, worked = time.perf_counter() - began[0], time.process_time() - began[1]
                self._seconds[item.nodeid] = max(worked, waited / 4)  # a quarter: others may need the machine
        self._coverage.stop()
        data = self._coverage.get_data()
        for path in data.measured_files():
            for tests in data.contexts_by_lineno(path).values():
                self._reach.update(tests)

    def _module(self, name: str) -> None:
        began, counts = time.monotonic(), dict.fromkeys(("killed", "survived", "equivalent"), 0)
        stale = {taken for module, taken in EQUIVALENT if module == name}
        for mutant in self._mutants(name):
            if (name, mutant.taken) in EQUIVALENT:
                what = "equivalent"
                stale.discard(mutant.taken)
            elif self._is_killed(mutant):
                what = "killed"
            else:
                what = "survived"
                print(f"    SURVIVED {name}:{mutant.lines.start} without {mutant.taken}", flush=True)
            counts[what] += 1
        for taken in stale:
            print(f"    EQUIVALENT names what {name} does not have: {taken}", flush=True)
        self.total.update(counts, stale=len(stale))
        said = "".join(f"{count:>6} {what}" for what, count in counts.items())
        print(f"{name:<48}{said} {time.monotonic() - began:>7.0f} s", flush=True)

    def _mutants(self, name: str) -> Iterator[Mutant]:
        if name.endswith(".toml"):
            return rules_left_out(name, self.room)
        return mutants(name, self._known[name].read_text(), self.room)

    def _tests(self, mutant: Mutant) -> list[pytest.Item]:
        """The tests that reach its lines, for a table those that reach a function of any module that reads it.

        Those that name its check first, and then in the order of what they cost and how much else they reach: a test
        that looks at little looks at this.
        """
        places = [(mutant.module, mutant.lines)] if mutant.module in self._known else []
        for name, path in self._known.items() if mutant.names else ():
            readers = (node for node in _functions(path) if reads(node, mutant.names))
            places += [(name, range(node.lineno, (node.end_lineno or node.lineno) + 1)) for node in readers]
        data = self._coverage.get_data()
        reached = {name: data.contexts_by_lineno(str(self._known[name])) for name, _ in places}
        found = {test for name, lines in places for line in lines for test in reached[name].get(line, ())}
        found &= self._seconds.keys()
        if mutant.names:  # others read it too
            found |= {test for test in self._seconds if not found or mutant.ids & self._ids[test]}
        if mutant.module not in self.room.served:
            found = {test for test in found if not test.startswith("tests/integration/")}
        chosen: list[pytest.Item] = []
        seconds = 0.0
        order = {test: (not mutant.ids & self._ids[test], self._seconds[test] * self._reach[test]) for test in found}
        for test in sorted(found, key=order.__getitem__):
            seconds += self._seconds[test]
            if seconds <= MOST_SECONDS or not chosen:
                chosen.append(self._items[test])
        return chosen

    def _is_killed(self, mutant: Mutant) -> bool:
        """Whether a test fails. A second child forgets what tests have cached, for what the first one let live."""
        for forget in (False, True):
            while (failed := _failed(mutant, self._tests(mutant), forget=forget)) is not None:
                if all(self._passes_whole(item, forget=forget) for item in failed):
                    return True
        return False

    def _passes_whole(self, item: pytest.Item, *, forget: bool) -> bool:
        known = (item.nodeid, forget)
        if known not in self._whole:
            self._whole[known] = _failed(None, [item], forget=forget) is None
            if not self._whole[known]:
                self._seconds.pop(item.nodeid, None)
                print(f"    fails with nothing taken out, and is left out: {item.nodeid}", flush=True)
        return self._whole[known]


def _text(item: pytest.Item) -> str:
    """A test's source, with the parameters of this one of its cases."""
    given = getattr(getattr(item, "callspec", None), "params", {})
    return f"{inspect.getsource(getattr(item, 'function', type(item)))} {given}"


@functools.cache
def _functions(path: Path) -> tuple[ast.FunctionDef, ...]:
    return tuple(node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef))


# ---------------------------------------------------------------- rules, which are data


def rules_left_out(name: str, room: Room) -> Iterator[Mutant]:
    """Each rule of `rules.toml` left out, or without what a reader of a trail stops or sorts by."""
    lines = (room.package / _RULES).read_text().splitlines()
    rule = ""
    for number, line in enumerate(lines, 1):
        if line.startswith("["):
            rule = line.strip("[]")
            taken, text = f"rule {rule}", f"RULES.pop({rule!r})"
        elif (key := line.partition(" = ")[0]) in {"field", "topic"}:
            taken, text = f"{key} of {rule}", f"RULES[{rule!r}] = msgspec.structs.replace(RULES[{rule!r}], {key}=None)"
        else:
            continue
        tree = ast.parse(text)
        yield Mutant(
            module=name, lines=range(number, number + 1), taken=taken,
            ids=frozenset({rule}), names=("RULES",), statements=tuple(tree.body), tree=tree,
        )  # fmt: skip


# ---------------------------------------------------------------- putting one in place


def _put(mutant: Mutant) -> None:
    """Give the module's functions the mutant's code, and its tables the mutant's values, wherever they are known."""
    name = ".".join(Path(mutant.module).with_suffix("").parts).removesuffix(".__init__").removesuffix(".rules.rules")
    if mutant.module.endswith(".toml"):
        name = f"{name}.rules.catalogue"
    module = importlib.import_module(name)
    if mutant.module.endswith(".toml"):
        exec(compile(mutant.tree, mutant.module, "exec"), vars(module))
        return
    codes: dict[str, types.CodeType] = {}
    _collect(compile(mutant.tree, str(module.__file__), "exec"), codes)
    _exchange(module, vars(module), codes)
    if not mutant.names:
        return
    namespace = dict(vars(module))
    exec(compile(ast.Module(list(copy.deepcopy(mutant.statements)), []), str(module.__file__), "exec"), namespace)
    for each in mutant.names:
        if each in namespace and hasattr(module, each):
            _replace(getattr(module, each), namespace[each])


def _replace(old: Any, new: Any) -> None:
    """One value of a module by another one, in every module of ours."""
    if dataclasses.is_dataclass(old) and type(old) is type(new):
        for field in dataclasses.fields(old):
            object.__setattr__(old, field.name, getattr(new, field.name))
        return
    for other in list(sys.modules.values()):
        if (getattr(other, "__name__", "") or "").partition(".")[0].startswith(("cji_", "tests")):
            vars(other).update({known: new for known, value in list(vars(other).items()) if value is old})


def _collect(code: types.CodeType, codes: dict[str, types.CodeType]) -> None:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            codes[constant.co_qualname] = constant
            _collect(constant, codes)


def _exchange(module: types.ModuleType, namespace: Any, codes: dict[str, types.CodeType]) -> None:
    """Functions by name, also those of classes, properties and caches."""
    for found in list(namespace.values()):
        if isinstance(found, type) and found.__module__ == module.__name__:
            _exchange(module, vars(found), codes)
            continue
        function = _function(found)
        if function is None or function.__module__ != module.__name__:
            continue
        code = codes.get(function.__code__.co_qualname)
        if code is not None and code.co_freevars == function.__code__.co_freevars:
            function.__code__ = code


def _function(found: Any) -> types.FunctionType | None:
    inner = getattr(found, "fget", None) or getattr(found, "__wrapped__", None) or getattr(found, "__func__", found)
    return inner if isinstance(inner, types.FunctionType) else None


def _failed(mutant: Mutant | None, tests: Sequence[pytest.Item], *, forget: bool) -> list[pytest.Item] | None:
    """The first test that fails, nothing if the child dies of another cause, or None if all pass."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = _BROKEN
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_PROF, STUCK_SECONDS)
            signal.setitimer(signal.ITIMER_REAL, 10 * STUCK_SECONDS)
            if mutant is not None:
                _put(mutant)
            if forget:
                _forget()
            status = 1
            with _silence():
                failed = next((at for at, item in enumerate(tests) if not _passes(item)), None)
            if failed is not None:
                os.write(writer, str(failed).encode())
            status = int(failed is not None)
        except BaseException:  # noqa: BLE001 - nothing of this child may go on behind the fork
            if mutant is None or not mutant.names:
                traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writer)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with os.fdopen(reader) as said:
        at = said.read()
    if code == _BROKEN and mutant is not None:
        if mutant.names:  # the module could not be imported
            return []
        raise RuntimeError(f"{mutant.module}:{mutant.lines.start} without {mutant.taken} cannot be put in place")
    if code == 0:
        return None
    return [tests[int(at)]] if at else []


def _passes(item: pytest.Item) -> bool:
    """All but the session is torn down behind the test: the session's servers are the parent's, for every child."""
    session: Any = item.session
    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=session))


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Discard what tests print, and give them nothing to read."""
    null, kept = os.open(os.devnull, os.O_RDWR), [os.dup(fd) for fd in (0, 1, 2)]
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    try:
        yield
    finally:
        sys.stdout.flush()
        for fd, before in zip((0, 1, 2), kept, strict=True):
            os.dup2(before, fd)
        for fd in (null, *kept):
            os.close(fd)


def _forget() -> None:
    for module in [one for name, one in sys.modules.items() if name.startswith("tests.")]:
        for value in list(vars(module).values()):
            if not isinstance(value, type) and callable(clear := getattr(value, "cache_clear", None)):
                clear()
