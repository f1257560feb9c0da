"""The printed report: a heading with the machine, tables, and notes."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager

from rich.console import Console
from rich.table import Table

__all__ = ["Report"]


class Report:
    """Tables on standard output, the current activity on standard error."""

    def __init__(self, *, profile: bool) -> None:
        self.profile = profile
        self._out, self._err = Console(), Console(stderr=True)

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

    def note(self, text: str) -> None:
        """A line below a table."""
        self._out.print(text, style="dim", highlight=False)
