"""The printed report: a heading with the machine, tables, and notes."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.harness import Result
from benchmarks.kept import Standing

__all__ = ["Report"]

_WIDTH: Final = 100
"""Of the output at least: no name of a figure is cut."""


class Report:
    """Tables on standard output, the current activity on standard error."""

    def __init__(self, *, profile: bool) -> None:
        self.profile = profile
        self._out, self._err = Console(width=max(_WIDTH, Console().width)), Console(stderr=True)

    def heading(self, name: str, machine: Mapping[str, str | int]) -> None:
        """The benchmark's name and the machine's facts."""
        self._out.rule(name)
        self._out.print(", ".join(f"{key} {value}" for key, value in machine.items()), style="dim", highlight=False)

    def doing(self, what: str) -> AbstractContextManager[object]:
        """Print the current activity."""
        return self._err.status(what)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """The first column is text, the others are numbers."""
        table = Table(title=title, title_justify="left")
        for i, column in enumerate(columns):
            table.add_column(column, justify="right" if i else "left")
        for row in rows:
            table.add_row(*row)
        self._out.print(table)

    def standing(self, result: Result, standings: Sequence[Standing]) -> None:
        """Every number of a result with the load beside it, and where it stands among those that were kept."""
        kept = {each.name: each for each in standings}
        rows = []
        for name, value in (*result.ratios.items(), *result.figures.items()):
            each, load = kept.get(name), result.load_of(name)
            earlier = ["" if past is None else f"{past:.4g}" for past in ((each.last, each.best) if each else ())]
            change = "" if each is None else _change(each)
            rows.append((name, f"{value:.4g}", "" if load is None else f"{load:.0%}", *(earlier or ("", "")), change))
        columns = (result.name, "value", "others took", "last kept", "best kept", "")
        self.table("Ratios, then figures; others: of the machine, in the quietest window", columns, rows)
        if not all(each.compared for each in standings):
            self.note("not compared: a cost or a time on the wall, measured while others used the machine")

    def note(self, text: str) -> None:
        """A line below a table."""
        self._out.print(text, style="dim", highlight=False)


def _change(standing: Standing) -> str:
    if not standing.compared:
        return "not compared"
    return f"{standing.lost:.0%} lost" if standing.lost else ""
