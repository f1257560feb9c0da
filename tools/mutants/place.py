"""A mutant in the place of its module, in a forked child that runs tests; no file is changed."""

import ast
import contextlib
import dataclasses
import importlib
import os
import resource
import signal
import sys
import traceback
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from _pytest.runner import runtestprotocol

from tools.mutants.changes import Mutant

_BROKEN: Final = 3  # exit status of a child that did not get as far as the tests


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The failures of a child."""

    failed: list[pytest.Item]
    died: bool = False
    """The child died, in the last of `failed` if there is one: of a signal, of its time, or before the tests."""


def run_with(
    mutant: Mutant | None, tests: Sequence[pytest.Item], *, seconds: float, forget: bool, to_end: bool = False
) -> Outcome:
    """Run the tests until one fails, or all of them, in at most these seconds of processor time.

    With `forget`, what tests have cached is made again.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _in_child(mutant, tests, writer, seconds=seconds, forget=forget, to_end=to_end)
    os.close(writer)
    with os.fdopen(reader) as told:
        lines = told.read().split()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == _BROKEN and mutant is not None and not mutant.names:
        raise RuntimeError(f"{mutant.module}:{mutant.lines.start} without {mutant.taken} cannot be put in place")
    failed = [tests[int(line[:-1])] for line in lines if line.endswith("!")]
    if code not in (0, _BROKEN) and lines and not lines[-1].endswith("!"):
        failed.append(tests[int(lines[-1])])
    return Outcome(failed=failed, died=code != 0)


def _in_child(
    mutant: Mutant | None, tests: Sequence[pytest.Item], writer: int, *, seconds: float, forget: bool, to_end: bool
) -> None:
    status = _BROKEN
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        signal.setitimer(signal.ITIMER_REAL, 10 * seconds)  # others may need the machine
        if mutant is not None:
            _put(mutant)
        if forget:
            _forget()
        status = 1
        with silence():
            for at, item in enumerate(tests):
                os.write(writer, f"{at}\n".encode())
                if not passes(item):
                    os.write(writer, f"{at}!\n".encode())
                    if not to_end:
                        break
        status = 0
    except BaseException:  # noqa: BLE001 - nothing of this child may go on behind the fork
        if mutant is None or not mutant.names:
            traceback.print_exc()
    finally:
        os._exit(status)


def passes(item: pytest.Item) -> bool:
    """All but the session is torn down behind the test: the session's servers are the parent's, for every child."""
    session: Any = item.session
    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=session))


@contextlib.contextmanager
def silence() -> Iterator[None]:
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


def _put(mutant: Mutant) -> None:
    """Give the module's functions the mutant's code, and its tables the mutant's values, wherever they are known."""
    name = ".".join(Path(mutant.module).with_suffix("").parts).removesuffix(".__init__").removesuffix(".rules.rules")
    if mutant.module.endswith(".toml"):
        name = f"{name}.rules.catalogue"
    module = importlib.import_module(name)
    tree, statements = mutant.make()
    if mutant.module.endswith(".toml"):
        exec(compile(tree, mutant.module, "exec"), vars(module))
        return
    codes: dict[str, types.CodeType] = {}
    _collect(compile(tree, str(module.__file__), "exec"), codes)
    _exchange(module, vars(module), codes)
    if not mutant.names:
        return
    namespace = dict(vars(module))
    for statement in statements:
        exec(compile(ast.Module([statement], []), str(module.__file__), "exec"), namespace)
        for each in mutant.names:  # at once: the functions that later statements call see the module's own
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
