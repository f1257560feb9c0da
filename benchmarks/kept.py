"""Results that are kept: the file from which documentation takes its figures, and a history that only grows.

The history has a file for each benchmark, `history/NAME.jsonl` beside the file of results, with a line for each time
that its result was kept. A ratio, or a cost in `peers.COSTS`, is compared with the last line of the same class of
machine and with the best one: a loss of 10 % of either is reported. A line that was kept in spite of a loss has
the reason, and earlier lines do not count for what it names.
"""

import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.harness import Result
from benchmarks.peers import COSTS, WALL
from benchmarks.quiet import QUIET

__all__ = ["HISTORY", "LOSS", "Line", "Standing", "add", "compare", "keep", "lines", "read", "too_loud", "write"]

_ROOT: Final = Path(__file__).resolve().parent.parent
HISTORY: Final = _ROOT / "docs/benchmarks/history"
LOSS: Final = 0.1
"""The part of a ratio, or of a cost, whose loss is reported."""


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One result of a history."""

    date: str
    commit: str
    """Of the tree, with `+` after it where files were changed."""
    machine: str
    ratios: dict[str, float]
    costs: dict[str, float] = {}
    load: float = 0.0
    """The largest share of the machine that others took in the windows of these numbers."""
    accepted: dict[str, str] = {}
    """Ratios and costs that were kept in spite of a loss, and why."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A number beside those of a history."""

    name: str
    value: float
    last: float | None
    best: float | None
    lost: float = 0.0
    """The part that was lost against the better of the two."""
    compared: bool = True
    """False for a cost or a time on the wall while others used the machine."""


def read(path: Path) -> list[Result]:
    """The results in a file of `--json` or `--keep`."""
    return msgspec.json.decode(path.read_bytes(), type=list[Result])


def write(results: Sequence[Result], path: Path) -> None:
    """The file that `read` reads."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")


def keep(results: Sequence[Result], path: Path) -> list[Result]:
    """Put these results into the file, each in the place of the earlier one of its name; returns all of them."""
    found = {result.name: result for result in (*(read(path) if path.exists() else ()), *results)}
    write([*found.values()], path)
    return [*found.values()]


def lines(history: Path, name: str) -> list[Line]:
    """The lines of a benchmark, oldest first."""
    path = history / f"{name}.jsonl"
    return [msgspec.json.decode(line, type=Line) for line in path.read_bytes().splitlines()] if path.exists() else []


def add(result: Result, history: Path, *, accepted: str = "") -> None:
    """Append this result; its losses, if there are any, are accepted for this reason."""
    standings = compare(result, lines(history, result.name))
    line = Line(
        date=str(result.machine["date"]),
        commit=_commit(),
        machine=_class(result),
        ratios={name: _rounded(ratio) for name, ratio in result.ratios.items()},
        costs={name: _rounded(cost) for name, cost in _costs(result).items()},
        load=max((result.load_of(each.name) or 0.0 for each in standings), default=0.0),
        accepted={each.name: accepted for each in standings if each.lost},
    )
    history.mkdir(exist_ok=True)
    with (history / f"{result.name}.jsonl").open("ab") as file:
        file.write(msgspec.json.encode(line) + b"\n")


def compare(result: Result, earlier: Sequence[Line]) -> list[Standing]:
    """Each ratio and cost of a result beside the lines of the same class of machine."""
    same = [line for line in earlier if line.machine == _class(result)]
    found = [_standing(result, name, ratio, same, more=True) for name, ratio in result.ratios.items()]
    return found + [_standing(result, name, cost, same, more=False) for name, cost in _costs(result).items()]


def too_loud(results: Iterable[Result]) -> Iterator[str]:
    """The numbers that cannot be kept because others used the machine in its quietest window."""
    for result in results:
        for each in compare(result, ()):
            if (load := result.load_of(each.name) or 0.0) > QUIET:
                yield f"{result.name}: {each.name}, others took {load:.0%}"


def _standing(result: Result, name: str, value: float, same: Sequence[Line], *, more: bool) -> Standing:
    values = list[float]()
    for line in same:
        numbers: Mapping[str, float] = line.ratios if more else line.costs
        if name in line.accepted:
            values.clear()
        if name in numbers:
            values.append(numbers[name])
    best = (max if more else min)(values, default=None)
    in_turns = more and (result.name, name) not in WALL  # of CPU times, which load changes alike
    compared = in_turns or (result.load_of(name) or 0.0) <= QUIET
    lost = 0.0
    if best and value and compared:
        left = value / best if more else best / value
        lost = 1 - left if left <= 1 - LOSS else 0.0
    return Standing(
        name=name, value=value, last=values[-1] if values else None, best=best, lost=lost, compared=compared
    )


def _costs(result: Result) -> dict[str, float]:
    return {name: value for name, value in result.figures.items() if (result.name, name) in COSTS}


def _class(result: Result) -> str:
    return f"{result.machine['cpu']}, {result.machine['cores']} cores"


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    return git("rev-parse", "--short=12", "HEAD") + "+" * bool(git("status", "--porcelain", "--untracked-files=no"))
