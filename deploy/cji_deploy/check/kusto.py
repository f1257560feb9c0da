"""KQL and YAML as Microsoft's language service and a YAML reader see them, by Node.js, where `.kusto` is installed.

One process reads every document and binds every query of a check, because loading the language service takes longer
than everything else. Problems have the line and the column, from 1, in the text that was given.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cji_deploy.check.outcome import DeployError

__all__ = ["Answer", "Bound", "Document", "Problem", "Query", "Workspace", "bind", "why_not"]

_ROOT: Final = Path(__file__).parents[3]
_MODULES: Final = _ROOT / ".kusto/node_modules"
_PROGRAM: Final = Path(__file__).parent / "kql/bind.js"
_TIMEOUT_S: Final = 120

Place = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """The names that queries may use: columns and their types by table, and functions that return a table."""

    tables: Mapping[str, Mapping[str, str]]
    functions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query and the name of the workspace in which it is bound."""

    text: str
    workspace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A finding and its place."""

    line: int
    column: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A YAML document: its value, and by JSON pointer where values and the texts of literal blocks begin."""

    value: Any
    at: Mapping[str, Place]
    blocks: Mapping[str, Place]
    problems: Sequence[Problem]

    def place(self, pointer: str) -> Place:
        """The beginning of the value at a pointer, or of the nearest value around it."""
        while pointer not in self.at and pointer:
            pointer = pointer.rpartition("/")[0]
        return self.at.get(pointer, (1, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A bound query: its problems, the columns of its result by type, and its syntax tree if it was asked for."""

    problems: Sequence[Problem]
    columns: Mapping[str, str]
    tree: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer of one process, by the names that were given."""

    documents: Mapping[str, Document]
    queries: Mapping[str, Bound]


def why_not() -> str | None:
    """The reason why nothing can be read or bound here; None if it can."""
    if shutil.which("node") is None:
        return "node is not installed"
    return None if _MODULES.is_dir() else ".kusto is not installed; run tools/kusto"


def bind(
    *,
    documents: Mapping[str, str],
    queries: Mapping[str, Query],
    workspaces: Mapping[str, Workspace],
    trees: bool = False,
) -> Answer:
    """Read the documents and bind the queries. Raises DeployError if the program gives no answer."""
    given = {
        "documents": dict(documents),
        "queries": {name: {"text": each.text, "workspace": each.workspace} for name, each in queries.items()},
        "workspaces": {
            name: {"tables": dict(each.tables), "functions": dict(each.functions)} for name, each in workspaces.items()
        },
        "trees": trees,
    }
    node = shutil.which("node") or "node"
    try:
        done = subprocess.run(  # noqa: S603
            [node, str(_PROGRAM)],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=True,
            env={"NODE_PATH": str(_MODULES)},
        )
        found = json.loads(done.stdout)
        return Answer(
            documents={name: _document(each) for name, each in found["documents"].items()},
            queries={name: _bound(each) for name, each in found["queries"].items()},
        )
    except subprocess.CalledProcessError as error:
        raise DeployError(f"{_PROGRAM.name}: {error.stderr.strip().splitlines()[-1:]}") from error
    except (subprocess.TimeoutExpired, OSError, ValueError, KeyError, TypeError) as error:
        raise DeployError(f"{_PROGRAM.name} gave no answer ({type(error).__name__})") from error


def _document(found: Mapping[str, Any]) -> Document:
    return Document(
        value=found["value"],
        at={pointer: (line, column) for pointer, (line, column) in found["at"].items()},
        blocks={pointer: (line, column) for pointer, (line, column) in found["blocks"].items()},
        problems=_problems(found["errors"]),
    )


def _bound(found: Mapping[str, Any]) -> Bound:
    return Bound(problems=_problems(found["errors"]), columns=found["columns"], tree=found["tree"])


def _problems(found: Sequence[Mapping[str, Any]]) -> list[Problem]:
    texts = ((each["line"], each["column"], f"{each.get('code', '')} {each['message']}".strip()) for each in found)
    return [Problem(line=line, column=column, message=message) for line, column, message in texts]
