"""Tables on a terminal. Where nobody watches, as in a pipe, no cell is broken: its text stays searchable."""

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

__all__ = ["show"]


def show(console: Console, table: Table) -> None:
    """Print a table as wide as the terminal, or as wide as it needs."""
    if not console.is_terminal:
        console.width = max(console.width, Measurement.get(console, console.options.update(width=1000), table).maximum)
    console.print(table)
