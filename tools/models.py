"""`python -m tools.models`: check the models of the protocol, tests/models, and compare with their table, verdicts.tsv.

    model   property   options                 verdict    states
    ends    one_end    -                       HOLDS      31337
    ends    one_end    -DBREAK_CREATE          VIOLATED   41
    ends    ends_come  -DN=2 -a -f             HOLDS      9000

An option that begins with -D is given to Spin, any other one to the verifier that Spin writes: -a -f for a property of
infinite runs. Promises of every state that are expected to hold share one search. HOLDS is a complete search without an
error, VIOLATED a search that found one; a search that ended at its depth, memory or time is INCOMPLETE, whatever it
found until then. States are those that the search stored: exact for the version of Spin that the table names in its
first line, and for others within half and twice.

The table itself is checked too: every promise holds in some line without a broken guard; something honest happens
(`use` and `use_...`, that it does not, are VIOLATED); and with each guard (`BREAK_...`) removed alone a promise is
VIOLATED, or something honest cannot happen any more.
"""

import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

__all__ = [
    "FOLDER",
    "Line",
    "Model",
    "Outcome",
    "TableError",
    "Verdict",
    "check",
    "difference",
    "gaps",
    "main",
    "outcome",
]

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / "tests/models"
TABLE: Final = "verdicts.tsv"
MEMORY_MB: Final = 1500
SECONDS: Final = 120.0
"""The longest time of one search."""
DEPTH: Final = 1_000_000
MANY: Final = 300_000
"""States from which on a verifier is worth the second that the compiler's optimiser takes."""
JOINT: Final = "all_of_them"
"""The claim that several promises hold together."""
USE: Final = "use"
"""Properties of this name, or use_...: something honest never happens. They must be violated."""
_HEAD: Final = (
    "# spin {version}: model, property, options, verdict, states; written by `python -m tools.models --write`"
)
_VERSION: Final = re.compile(r"# spin (\S+):")
_OF_CLAIM: Final = re.compile(
    r"^pan: ?\d*:? *(assertion violated +!|acceptance cycle|end state in claim)", re.MULTILINE
)
_ALWAYS: Final = re.compile(r"^ltl (\w+) \{ \[\] (.+) \}$", re.MULTILINE)
"""Promises that one state alone breaks, and what they say of each."""
_TRUNCATED: Final = ("max search depth too small", "reached -DMEMLIM", "out of memory", "VECTORSZ is too small")


class Verdict(StrEnum):
    """The result of a search."""

    HOLDS = "HOLDS"
    VIOLATED = "VIOLATED"
    INCOMPLETE = "INCOMPLETE"


class TableError(Exception):
    """A line of the table that is none, or a model that Spin or the compiler refuses."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict and the states that the search stored."""

    verdict: Verdict
    states: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table: a search and its expected outcome."""

    model: str
    name: str
    options: tuple[str, ...]
    expected: Outcome

    @property
    def definitions(self) -> tuple[str, ...]:
        """The options for Spin."""
        return tuple(each for each in self.options if each.startswith("-D"))

    @property
    def search(self) -> tuple[str, ...]:
        """The options for the verifier."""
        return tuple(each for each in self.options if not each.startswith("-D"))

    @property
    def broken(self) -> tuple[str, ...]:
        """The guards that this line breaks."""
        return tuple(each.removeprefix("-D") for each in self.options if each.startswith("-DBREAK_"))

    def __str__(self) -> str:
        return " ".join((self.model, self.name, *self.options))


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model: its promise, its properties and its guards, as its file has them."""

    name: str
    promise: str
    properties: frozenset[str]
    guards: frozenset[str]

    @classmethod
    def read(cls, path: Path) -> "Model":
        """The promise is the first sentence of the comment at the top."""
        text = path.read_text()
        top = re.match(r"/\* (.+?)\n \*\s*\n", text, re.DOTALL)
        if top is None:
            raise TableError(f"{path.name}: its first comment must begin with the promise, then an empty line")
        return cls(
            name=path.stem,
            promise=" ".join(top[1].replace("\n * ", " ").split()),
            properties=frozenset(re.findall(r"^ltl (\w+)", text, re.MULTILINE)),
            guards=frozenset(re.findall(r"\bBREAK_\w+", text)),
        )


def models(folder: Path) -> list[Model]:
    """The models of a folder."""
    return [Model.read(path) for path in sorted(folder.glob("*.pml"))]


def lines(text: str) -> Iterator[Line]:
    """The lines of a table. Raises TableError."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            model, name, options, verdict, states = line.split("\t")
            expected = Outcome(Verdict(verdict), int(states))
        except ValueError as error:
            raise TableError(f"{TABLE}:{number}: not model, property, options, verdict, states") from error
        yield Line(model=model, name=name, options=() if options == "-" else tuple(options.split()), expected=expected)


def gaps(found: Iterable[Model], table: Sequence[Line]) -> Iterator[str]:
    """The lines that the table lacks, or has too much of."""
    by_name = {model.name: model for model in found}
    for line in table:
        if (model := by_name.get(line.model)) is None:
            yield f"{line}: no such model"
        elif line.name not in model.properties:
            yield f"{line}: no such property"
        elif unknown := set(line.broken) - model.guards:
            yield f"{line}: no such guard: {', '.join(sorted(unknown))}"
    for model in by_name.values():
        mine = [line for line in table if line.model == model.name]
        for name in sorted(model.properties):
            expected = Verdict.VIOLATED if _is_use(name) else Verdict.HOLDS
            if not any(line.name == name and not line.broken and line.expected.verdict is expected for line in mine):
                yield f"{model.name}: {name} never {'happens' if _is_use(name) else 'holds'}"
        if not any(map(_is_use, model.properties)):
            yield f"{model.name}: it has no property {USE}, that nothing honest happens"
        for guard in sorted(model.guards):
            if not any(line.broken == (guard,) and _is_harm(line) for line in mine):
                yield f"{model.name}: {guard} is never seen to matter"


def _is_use(name: str) -> bool:
    return name == USE or name.startswith(USE + "_")


def _is_harm(line: Line) -> bool:
    """Whether a guard is missed: a promise broken, or something honest that cannot happen any more."""
    return line.expected.verdict is (Verdict.HOLDS if _is_use(line.name) else Verdict.VIOLATED)


def outcome(output: str) -> Outcome:
    """The outcome that a verifier printed. One that printed no count of errors did not finish."""
    errors = re.search(r"errors: (\d+)", output)
    states = re.search(r"^\s*([\d.e+]+) states, stored", output, re.MULTILINE)
    count = int(float(states[1])) if states else 0
    truncated = any(mark in output for mark in _TRUNCATED)
    if errors is None or truncated:
        return Outcome(Verdict.INCOMPLETE, count)
    if int(errors[1]):  # of the property, and not of the model: an index out of its bounds, a full stack
        return Outcome(Verdict.VIOLATED if _OF_CLAIM.search(output) else Verdict.INCOMPLETE, count)
    incomplete = "Search not completed" in output
    return Outcome(Verdict.INCOMPLETE if incomplete else Verdict.HOLDS, count)


def difference(expected: Outcome, found: Outcome, *, exact: bool) -> str | None:
    """How an outcome differs from the expected one; None if it does not."""
    if expected.verdict is not found.verdict:
        return f"{found.verdict} ({found.states} states), expected {expected.verdict}"
    if exact and expected.states != found.states:
        return f"{found.states} states, expected {expected.states}"
    if not exact and not expected.states <= 2 * found.states <= 4 * expected.states:
        return f"{found.states} states, expected {expected.states} or about"
    return None


def verifier(source: Path, definitions: Sequence[str], folder: Path, *more: str, claim: str = "") -> Path:
    """Have Spin write a verifier of a model, with one more claim, and compile it in `folder`. Raises TableError."""
    (folder / source.name).write_text(source.read_text() + claim)
    for included in source.parent.glob("*.inc"):
        shutil.copy(included, folder)
    _run(["spin", *definitions, "-a", source.name], folder)
    program = folder / "pan"
    _run(
        ["gcc", "-w", f"-DMEMLIM={MEMORY_MB}", "-DVECTORSZ=4096", "-DNFAIR=16", *more, "-o", "pan", "pan.c"],
        folder,
    )
    return program


def _run(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    if done.returncode or "error:" in said.lower():
        raise TableError(f"{' '.join(command)}: {said.strip()[:600]}")


def search(program: Path, line: Line, *, seconds: float = SECONDS, depth: int = DEPTH) -> Outcome:
    """Search for an error of one property. An end of all processes is none."""
    command = [str(program), "-E", "-n", f"-m{depth}", "-N", line.name, *line.search]
    try:
        done = subprocess.run(command, cwd=program.parent, capture_output=True, text=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired:
        return Outcome(Verdict.INCOMPLETE, 0)
    return outcome(done.stdout + done.stderr)


def trace(source: Path, line: Line) -> str:
    """A short counterexample: the lines that the model prints on its way."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = verifier(source, line.definitions, folder, "-DREACH")
        command = [str(program), "-E", "-n", "-m5000", "-N", line.name, *line.search]
        for more in (["-i"], []):
            if not list(folder.glob("*.trail")):
                subprocess.run([*command, *more], cwd=folder, capture_output=True, check=False, timeout=SECONDS)
        replay = ["spin", "-t", *line.definitions, source.name]
        said = subprocess.run(replay, cwd=folder, capture_output=True, text=True, check=False).stdout
    return "\n".join(each.strip()[2:] for each in said.splitlines() if each.strip().startswith("| "))


def check(folder: Path, group: Sequence[Line], *, seconds: float = SECONDS, depth: int = DEPTH) -> list[Outcome]:
    """The outcomes of lines with the same model and definitions, which share a verifier.

    Promises that are expected to hold of every state are searched together: one search of all states for the states
    that break any of them. Where that search is not complete without an error, each is searched by itself.
    """
    source = folder / f"{group[0].model}.pml"
    always = dict(_ALWAYS.findall(source.read_text()))
    joint = [x for x in group if x.expected.verdict is Verdict.HOLDS and not x.search and x.name in always]
    claim = f"\nltl {JOINT} {{ [] ({' && '.join(f'({always[x.name]})' for x in joint)}) }}\n" if len(joint) > 1 else ""
    many = sum(line.expected.states for line in group) > MANY
    found: dict[Line, Outcome] = {}
    with tempfile.TemporaryDirectory() as name:
        program = verifier(source, group[0].definitions, Path(name), "-O2" if many else "-O0", claim=claim)
        if claim:
            together = search(program, replace(joint[0], name=JOINT), seconds=seconds, depth=depth)
            found = dict.fromkeys(joint, together) if together.verdict is Verdict.HOLDS else {}
        return [found.get(line) or search(program, line, seconds=seconds, depth=depth) for line in group]


def spin_version() -> str:
    """The version of the installed Spin. Raises TableError."""
    if shutil.which("spin") is None or shutil.which("gcc") is None:
        raise TableError("spin and gcc are needed: apt-get install spin gcc libc6-dev")
    said = subprocess.run(["spin", "-V"], capture_output=True, text=True, check=False).stdout
    return (re.search(r"Version (\S+)", said) or ["", "unknown"])[1]


def _groups(table: Iterable[Line]) -> list[list[Line]]:
    found: dict[tuple[str, ...], list[Line]] = {}
    for line in table:
        found.setdefault((line.model, *line.definitions), []).append(line)
    return list(found.values())


def _all(folder: Path, table: Sequence[Line]) -> dict[str, Outcome]:
    found: dict[str, Outcome] = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        groups = _groups(table)
        for group, outcomes in zip(groups, pool.map(lambda each: check(folder, each), groups), strict=True):
            found |= dict(zip(map(str, group), outcomes, strict=True))
    return found


def _stored(expected: Outcome, found: Outcome | None) -> Outcome:
    return expected if found is None else Outcome(expected.verdict, found.states)


def _written(version: str, table: Iterable[Line]) -> str:
    rows = [
        "\t".join((x.model, x.name, " ".join(x.options) or "-", x.expected.verdict, str(x.expected.states)))
        for x in table
    ]
    return "\n".join((_HEAD.format(version=version), *rows)) + "\n"


def main(arguments: Sequence[str] | None = None, *, folder: Path = FOLDER) -> int:
    """Print each difference and a summary; 1 if there is a difference, 2 if the models could not be checked."""
    parser = argparse.ArgumentParser(prog="python -m tools.models", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("models", nargs="*", help="names of models; all if none is given")
    parser.add_argument("--write", action="store_true", help="write the states that were found; verdicts stay")
    parser.add_argument("--trace", metavar="LINE", help='print a counterexample: "MODEL PROPERTY OPTIONS"')
    options = parser.parse_args(arguments)
    began = time.monotonic()
    try:
        text = (folder / TABLE).read_text()
        if options.trace:
            model, name, *rest = options.trace.split()
            line = Line(model=model, name=name, options=tuple(rest), expected=Outcome(Verdict.VIOLATED, 0))
            print(trace(folder / f"{model}.pml", line))
            return 0
        version, everything = spin_version(), list(lines(text))
        found = _all(folder, [x for x in everything if not options.models or x.model in options.models])
        missing = list(gaps(models(folder), everything))
    except (TableError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    if options.write:
        everything = [replace(x, expected=_stored(x.expected, found.get(str(x)))) for x in everything]
        text = _written(version, everything)
        (folder / TABLE).write_text(text)
    table = [x for x in everything if str(x) in found]
    of_table = _VERSION.match(text)
    exact = of_table is not None and of_table[1] == version
    differences = [f"{x}: {why}" for x in table if (why := difference(x.expected, found[str(x)], exact=exact))]
    for each in (*missing, *differences):
        print(each)
    broken = sum(bool(line.broken) for line in table)
    total = sum(each.states for each in found.values())
    print(
        f"{len({line.model for line in table})} models, {len(table)} searches, {broken} with a broken guard, "
        f"{total} states, {time.monotonic() - began:.0f} s, spin {version}: "
        f"{'as the table has it' if not missing and not differences else 'NOT as the table has it'}"
    )
    return int(bool(missing or differences))


if __name__ == "__main__":
    sys.exit(main())
