"""Tables of the interpreter, and the nodes of a syntax tree."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

Row = dict[str, Any]
ARRIVED: Final = "$arrived"
"""Beside the columns of a row: the time for `ingestion_time()`."""


class UnsupportedError(Exception):
    """A part of KQL that the interpreter does not have."""


class Node:
    """A node as deploy/cji_deploy/check/kql/bind.js writes it."""

    def __init__(self, given: list[Any]) -> None:
        self.kind: str = given[0]
        self.type: str | None = given[2]
        self.token = given[1] if isinstance(given[1], str) else None
        self.children = [] if self.token is not None else [(role, Node(child)) for role, child in given[1]]

    def get(self, role: str) -> "Node":
        """The child in this role. Raises KeyError."""
        for name, child in self.children:
            if name == role:
                return child
        raise KeyError(f"{self.kind} has no {role}")

    def has(self, role: str) -> bool:
        return any(name == role for name, _ in self.children)

    def items(self) -> Iterator["Node"]:
        """The elements of a list without their separators."""
        for _, child in self.children:
            yield child.children[0][1] if child.kind == "SeparatedElement" else child

    def text(self) -> str:
        """The source of the node, without blanks and comments."""
        return self.token if self.token is not None else "".join(child.text() for _, child in self.children)


def name_of(node: Node) -> str:
    """The name in a NameReference or NameDeclaration."""
    text = node.text()
    return text[2:-2] if text.startswith("['") else text


@dataclass(frozen=True)
class Table:
    """Columns with their types, in order, and rows that have every column."""

    columns: Mapping[str, str]
    rows: list[Row] = field(default_factory=list)

    @classmethod
    def of(cls, columns: Mapping[str, str], rows: Iterable[Row]) -> "Table":
        """A table of rows that may leave columns out. Raises KeyError for a column that there is not."""
        whole = []
        for row in rows:
            if unknown := row.keys() - columns.keys() - {ARRIVED}:
                raise KeyError(f"no columns {sorted(unknown)}")
            made = {name: row.get(name, missing(kind)) for name, kind in columns.items()}
            whole.append({**made, ARRIVED: row[ARRIVED]} if ARRIVED in row else made)
        return cls(columns, whole)

    def since(self, time: datetime) -> "Table":
        """The rows whose TimeGenerated is later: all that a rule with this period is given."""
        return Table(self.columns, [row for row in self.rows if row["TimeGenerated"] > time])


def missing(kind: str) -> Any:
    """What a column of this type has where a value is missing."""
    return "" if kind == "string" else None
