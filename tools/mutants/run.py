"""The tests of one room: measured as they are, and then run for each mutant."""

import ast
import functools
import gc
import inspect
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import coverage
import pytest
from hypothesis import HealthCheck, Phase, settings

from tools.mutants.changes import Mutant, ids, mutants, reads
from tools.mutants.kept import FOLDER, Kept, file_of
from tools.mutants.place import Outcome, passes, run_with, silence
from tools.mutants.rooms import EQUIVALENT, ROOT, Room

MOST_SECONDS: Final = 40.0  # of tests for one mutant, in the time that they took as they are
FIRST_SECONDS: Final = 1.0  # of these, in a first child: most mutants need no other
FORGET_SECONDS: Final = 6.0  # of these, in a last child
STUCK_SECONDS: Final = 10.0  # of processor time, and five times what the tests took as they are
SAVE_SECONDS: Final = 30.0
_RECENT: Final = 5  # tests of a module's last kills that come first
_RULES: Final = "trail/rules/rules.toml"
_KINDS: Final = ("killed", "survived", "equivalent")


def name_of(path: Path) -> str:
    """A module's path, with the package of its distribution."""
    return str(Path(*path.relative_to(ROOT).parts[1:]))


@dataclass
class _Test:
    """A test: its cost, its reach and its kills."""

    item: pytest.Item
    ids: frozenset[str]
    """Of checks, as the test names them."""
    words: frozenset[str]
    """Of its source."""
    seconds: float = 1.0
    lines: int = 0
    """Of the room, that it reaches."""
    is_ready: bool = False
    """Whether it passed in this process: what its session shares is there, and so is what it caches."""
    passes_in_child: dict[bool, bool] = field(default_factory=dict)
    """By whether what it had cached was forgotten."""
    kills: int = 0
    alone: int = 0


class Runner:
    """The loop of a pytest session: the mutants that the last run has not killed with what is there now."""

    def __init__(self, room: Room, modules: Sequence[str], *, afresh: bool = False, alone: bool = False) -> None:
        self.room, self.modules, self.alone = room, modules, alone
        self.total = Counter[str]()
        self._known = {name_of(path): path for path in room.paths}
        self._readers = self._known | {name_of(path): path for path in room.reading}
        self._kept = Kept(FOLDER / f"{room.name}.json", afresh=afresh)
        self._tests: dict[str, _Test] = {}
        self._reach: dict[str, dict[int, set[str]]] | None = None  # tests by line, by module
        self._recent: list[str] = []
        self._open: dict[str, list[Mutant]] = {}
        for name in modules:
            found = self._mutants(name)
            for what in (taken for module, taken in EQUIVALENT if module == name):
                if what not in {mutant.taken for mutant in found}:
                    self.total["stale"] += 1
                    print(f"    EQUIVALENT names what {name} does not have: {what}", flush=True)
            needed = [mutant for mutant in found if (name, mutant.taken) not in EQUIVALENT]
            self.total["equivalent"] += len(found) - len(needed)
            source = self._source(name)
            self._open[name] = [each for each in needed if alone or self._kept.kill(each, source) is None]
            self.total["killed"] += len(needed) - len(self._open[name])

    @property
    def left(self) -> int:
        """The mutants that tests must run for."""
        return sum(map(len, self._open.values()))

    def report(self) -> None:
        """Print the figures of the room."""
        print(f"{self.room.name}: " + ", ".join(f"{self.total[what]} {what}" for what in _KINDS), flush=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """The same examples in every run; those that show a mutant are none of the program's, and are not kept."""
        settings.register_profile(
            "mutants",
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        settings.load_profile("mutants")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run for each mutant the test that killed it last, then those that reach it."""
        began = time.monotonic()
        seconds = self._kept.seconds()
        for item in session.items:
            self._kept.digest(file_of(item.nodeid))
            self._tests[item.nodeid] = _Test(
                item=item,
                ids=ids(_text(item)),
                words=frozenset(re.findall(r"\w+", _text(item))),
                seconds=max(seconds.get(item.nodeid, 1.0), 0.001),
            )
        print(f"{self.room.name}: {self.total['killed']} killed as before, {self.left} to run", flush=True)
        gc.freeze()  # a collection in a child would copy everything
        for name in self.modules:
            if self._open[name]:
                self._module(name)
        print(f"{self.room.name}: {time.monotonic() - began:.0f} s", flush=True)
        if self.alone:
            self._print_alone()
        return True

    def _module(self, name: str) -> None:
        began, counts = time.monotonic(), Counter[str]()
        saved = began
        self._recent = []
        for mutant in self._open[name]:
            killer = self._all_killers(mutant) if self.alone else self._killer(mutant)
            if killer is None:
                print(f"    SURVIVED {name}:{mutant.lines.start} without {mutant.taken}", flush=True)
            else:
                self._kept.killed(mutant, self._source(name), killer)
                self._recent = [killer, *(one for one in self._recent if one != killer)][:_RECENT]
            counts["survived" if killer is None else "killed"] += 1
            if time.monotonic() - saved > SAVE_SECONDS:
                self._kept.save()
                saved = time.monotonic()
        self._kept.save()
        self.total.update(counts)
        seconds = time.monotonic() - began
        print(f"{name:<60}{counts['killed']:>6} killed{counts['survived']:>6} survived{seconds:>7.0f} s", flush=True)

    def _mutants(self, name: str) -> list[Mutant]:
        if name.endswith(".toml"):
            return list(rules_left_out(name, self.room))
        return list(mutants(name, self._known[name].read_text(), self.room))

    def _source(self, name: str) -> Path:
        return self._known.get(name) or self.room.package.parent / name

    # ------------------------------------------------------------ one mutant

    def _killer(self, mutant: Mutant) -> str | None:
        """The test that fails, empty if the module cannot be imported; None if every test passes.

        A last child forgets what tests have cached, for what the others let live.
        """
        if mutant.names and self._run(mutant, [], forget=False).died:
            return ""
        last = self._kept.last_kill(mutant)
        if last in self._tests:
            assert last is not None
            if (killer := self._fails(mutant, [last], forget=False)) is not None:
                return killer
        chosen = self._chosen(mutant)
        seconds = [self._tests[test].seconds for test in chosen]
        first, again = (_first(seconds, most) for most in (FIRST_SECONDS, FORGET_SECONDS))
        for some, forget in ((chosen[:first], False), (chosen[first:], False), (chosen[:again], True)):
            if some and (killer := self._fails(mutant, some, forget=forget)) is not None:
                return killer
        return None

    def _fails(self, mutant: Mutant, tests: Sequence[str], *, forget: bool) -> str | None:
        """The first of these tests that fails with the mutant, and passes without it."""
        left = [test for test in tests if self._is_ready(test)]
        left = [test for test in left if self._tests[test].passes_in_child.get(forget, True)]
        while left:
            outcome = self._run(mutant, left, forget=forget)
            if not outcome.failed:
                return "" if outcome.died else None
            test = outcome.failed[-1].nodeid
            if self._passes_in_child(test, forget=forget):
                return test
            left.remove(test)
        return None

    def _all_killers(self, mutant: Mutant) -> str | None:
        """Count every test that fails with the mutant, and the one that is alone."""
        left = [test for test in self._chosen(mutant) if self._is_ready(test)]
        found: list[str] = []
        while left:
            outcome = self._run(mutant, left, forget=False, to_end=True)
            failed = [item.nodeid for item in outcome.failed]
            found += [test for test in failed if self._passes_in_child(test, forget=False)]
            if not outcome.died:
                break
            if not failed:
                return ""
            left = left[left.index(failed[-1]) + 1 :]
        for test in found:
            self._tests[test].kills += 1
            self._tests[test].alone += len(found) == 1
        return found[0] if found else self._killer(mutant)

    def _run(self, mutant: Mutant | None, tests: Sequence[str], *, forget: bool, to_end: bool = False) -> Outcome:
        seconds = STUCK_SECONDS + 5 * sum(self._tests[test].seconds for test in tests)
        items = [self._tests[test].item for test in tests]
        return run_with(mutant, items, seconds=seconds, forget=forget, to_end=to_end)

    def _is_ready(self, test: str) -> bool:
        """Whether it passes as it is, here: it is run once, for its children to find what it caches and shares."""
        known = self._tests.get(test)
        if known is None:
            return False
        if not known.is_ready:
            with silence():
                known.is_ready = passes(known.item)
            if not known.is_ready:
                self._leave_out(test)
        return known.is_ready

    def _passes_in_child(self, test: str, *, forget: bool) -> bool:
        known = self._tests[test].passes_in_child
        if forget not in known:
            outcome = self._run(None, [test], forget=forget)
            known[forget] = not outcome.failed and not outcome.died
            if not known[forget] and not forget:
                self._leave_out(test)
        return known[forget]

    def _leave_out(self, test: str) -> None:
        del self._tests[test]
        print(f"    fails with nothing taken out, and is left out: {test}", flush=True)

    # ------------------------------------------------------------ its tests

    def _chosen(self, mutant: Mutant) -> list[str]:
        """The tests that reach its lines, for a table those that reach a function of any module that reads it.

        Those of the module's last kills and those that name its check first, and then in the order of what they cost
        and how much else they reach: a test that looks at little looks at this.
        """
        reach = self._measured()
        places = [(mutant.module, mutant.lines)] if mutant.module in self._known else []
        for name, path in self._readers.items() if mutant.names else ():
            readers = (node for node in _functions(path) if reads(node, mutant.names))
            places += [(name, range(node.lineno, (node.end_lineno or node.lineno) + 1)) for node in readers]
        found = {test for name, lines in places for line in lines for test in reach.get(name, {}).get(line, ())}
        found &= self._tests.keys()
        if mutant.names:  # others read it too
            found |= {test for test in self._tests if not found or self._names(mutant, test)}
        if mutant.module not in self.room.served:
            found = {test for test in found if not test.startswith("tests/integration/")}
        chosen: list[str] = []
        seconds = 0.0
        for test in sorted(found, key=lambda test: self._rank(mutant, test)):
            seconds += self._tests[test].seconds
            if seconds <= MOST_SECONDS or not chosen:
                chosen.append(test)
        return chosen

    def _rank(self, mutant: Mutant, test: str) -> tuple[bool, int, float]:
        known = self._tests[test]
        at = self._recent.index(test) if test in self._recent else _RECENT
        return not self._names(mutant, test), at, known.seconds * known.lines

    def _names(self, mutant: Mutant, test: str) -> bool:
        """Whether the test names the check, or reads a table that changes, itself or through a registry."""
        known, is_table = self._tests[test], bool(mutant.names)
        if is_table and test.startswith(self.room.tests_of_tables):
            return True
        return bool(mutant.ids & known.ids) or not known.words.isdisjoint(mutant.names)

    def _measured(self) -> dict[str, dict[int, set[str]]]:
        """The tests by the lines that they reach: as kept, and measured for files that have changed."""
        if self._reach is not None:
            return self._reach
        began, by_file = time.monotonic(), dict[Path, list[str]]()
        for test in self._tests:
            by_file.setdefault(file_of(test), []).append(test)
        lines: dict[str, dict[str, list[int]]] = {}
        new = 0
        for file, tests in by_file.items():
            if not (known := self._kept.reach(file, self._readers, tests)):
                known = self._measure(file, tests)
                new += len(known)
                self._kept.save()
            lines.update(known)
        self._reach = {}
        for test, by_module in lines.items():
            for module, numbers in by_module.items():
                for line in numbers:
                    self._reach.setdefault(module, {}).setdefault(line, set()).add(test)
            if test in self._tests:
                self._tests[test].lines = sum(map(len, by_module.values()))
        seconds = time.monotonic() - began
        print(f"{self.room.name}: {len(lines)} tests pass, {new} of them measured, {seconds:.0f} s", flush=True)
        gc.freeze()
        return self._reach

    def _measure(self, file: Path, tests: Sequence[str]) -> dict[str, dict[str, list[int]]]:
        found: dict[str, tuple[float, dict[str, list[int]]]] = {}
        included = [str(path) for path in self._readers.values()]
        measure = coverage.Coverage(include=included, config_file=False, data_file=None)
        measure.set_option("run:disable_warnings", ["no-data-collected"])
        with silence():
            measure.start()
            for test in tests:
                measure.switch_context(test)
                began = time.perf_counter(), time.process_time()
                if passes(self._tests[test].item):
                    waited, worked = time.perf_counter() - began[0], time.process_time() - began[1]
                    seconds = max(worked, waited / 4)  # a quarter: others may need the machine
                    found[test] = seconds, {}
                    self._tests[test].seconds, self._tests[test].is_ready = seconds, True
            measure.stop()
        data = measure.get_data()
        for path in data.measured_files():
            name = name_of(Path(path))
            for line, contexts in data.contexts_by_lineno(path).items():
                for test in (test for test in contexts if test in found):
                    found[test][1].setdefault(name, []).append(line)
        for test in (test for test in tests if test not in found):
            self._leave_out(test)
        self._kept.reached(file, self._readers, found)
        return {test: reached for test, (_, reached) in found.items()}

    def _print_alone(self) -> None:
        """Every test, those that kill nothing alone first and by what they cost."""
        print("seconds  kills  alone  test")
        for test, one in sorted(self._tests.items(), key=lambda each: (each[1].alone, each[1].kills, -each[1].seconds)):
            print(f"{one.seconds:7.2f}{one.kills:7}{one.alone:7}  {test}")


def _first(seconds: Sequence[float], most: float) -> int:
    """How many of the tests take this time: at least one."""
    total = 0.0
    for at, each in enumerate(seconds):
        total += each
        if total > most:
            return max(at, 1)
    return len(seconds)


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
            module=name, lines=range(number, number + 1), taken=taken, nth=0,
            ids=frozenset({rule}), names=("RULES",), make=functools.partial(lambda tree: (tree, tree.body), tree),
        )  # fmt: skip
