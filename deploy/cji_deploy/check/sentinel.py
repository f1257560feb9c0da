"""Detection content of Microsoft Sentinel: analytics rules, the workbook, and the two tables that they query.

Rules are YAML, one file each, with the names of the resource Microsoft.SecurityInsights/alertRules. `prelude.kql`
stands before the query of each, here and in the template. Every query is parsed and bound by Microsoft's language
service against the table of events, which is derived from the events themselves, that of workers' states, which is
derived from the console's metrics (`tools.tables` compares), and the columns of Azure's in `schema/azure-tables.json`.

Sources: Azure REST API, "Alert Rules - Create Or Update" (2025-09-01); Microsoft Sentinel, "Create scheduled analytics
rules" (limits of period and frequency) and "Entity types reference" (identifiers); Azure Monitor workbooks, JSON.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from cji_deploy.check.kusto import Answer, Bound, Document, Problem, Query, Workspace, bind, why_not
from cji_deploy.check.log_table import KQL_TYPES, stale
from cji_deploy.check.outcome import DeployError, Outcome, judged, not_run
from cji_deploy.check.sentinel_rule import rule_problems
from cji_deploy.check.sentinel_workbook import queries_of, workbook_problems

__all__ = ["bound_queries", "check_sentinel", "workspaces"]

_TRANSFORM: Final = "transformKql"
SCHEMAS: Final = ("cji-audit.json", "cji-health.json")
"""Files of our own tables, each with its stream and the transformation in between."""
_MAX_QUERY: Final = 10_000
"""Characters of a scheduled rule's query (Microsoft Sentinel, "Create scheduled analytics rules")."""


def workspaces(folder: Path) -> dict[str, Workspace]:
    """The names that queries of a folder may use: `logs` for rules, `SCHEMA.json` for the transformation in a schema.

    Raises DeployError.
    """
    try:
        ours = {name: _schema(folder, name) for name in SCHEMAS}
        azure = json.loads((folder / "schema/azure-tables.json").read_bytes())
        functions = {
            name: {"parameters": each["parameters"], "columns": each["columns"]}
            for name, each in azure["functions"].items()
        }
        tables = {each["table"]["name"]: _columns(each, "table") for each in ours.values()} | azure["tables"]
        streams = {name: Workspace(tables={"source": _columns(each, "stream")}) for name, each in ours.items()}
        return {"logs": Workspace(tables=tables, functions=functions), **streams}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DeployError(f"schema: {type(error).__name__}: {error}") from error


def _schema(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "schema" / name).read_bytes())
    return found


def _columns(schema: Mapping[str, Any], part: str) -> dict[str, str]:
    return {column["name"]: KQL_TYPES[column["type"]] for column in schema[part]["columns"]}


def bound_queries(folder: Path, *, trees: bool = False) -> Mapping[str, Bound]:
    """All bound queries of a folder: `rule.yaml`, `workbook.json#/pointer`, `SCHEMA.json`. Raises DeployError."""
    return _answer(folder, trees=trees).queries


def check_sentinel(root: Path) -> Iterator[Outcome]:
    """Outcomes for the folder `sentinel` of the deploy folder `root`."""
    folder = root / "sentinel"
    yield judged("sentinel: table of events", "cji-audit.json", stale(folder))
    yield judged("sentinel: rules deployed", "sentinel.bicep", _not_deployed(root))
    if (reason := why_not()) is not None:
        for check in ("sentinel: transformation", "sentinel: rule", "sentinel: workbook"):
            yield not_run(check, folder.name, reason)
        return
    try:
        answer = _answer(folder)
        known = json.loads((folder / "schema/azure-tables.json").read_bytes())["watchlists"]
    except (DeployError, OSError, ValueError, KeyError) as error:
        reasons = error.problems if isinstance(error, DeployError) else ("azure-tables.json: no watchlists",)
        yield judged("sentinel: rule", folder.name, reasons)
        return
    for name in SCHEMAS:
        yield judged("sentinel: transformation", name, _transformation(folder, name, answer.queries[name]))
    if not any(name.endswith(".yaml") for name in answer.documents):
        yield judged("sentinel: rule", folder.name, ["no rules"])
    seen: dict[str, str] = {}
    for name, document in answer.documents.items():
        if name.endswith(".yaml"):
            problems = list(rule_problems(name, document, answer.queries.get(name), seen))
            problems += _unknown_watchlists(name, document, known)
            problems += _long(name, document, folder)
            yield judged("sentinel: rule", name, problems)
        else:
            text = (folder / "workbook" / name).read_text("utf-8")
            yield judged("sentinel: workbook", name, workbook_problems(name, text, document, answer.queries))


def _answer(folder: Path, *, trees: bool = False) -> Answer:
    """Everything read and bound: YAML first, because a query is known once its document was read."""
    known = workspaces(folder)
    texts = {path.name: path.read_text("utf-8") for path in _paths(folder)}
    prelude = (folder / "prelude.kql").read_text("utf-8")
    first = bind(documents=texts, queries={}, workspaces={})
    queries = {name: Query(text=str(_schema(folder, name).get(_TRANSFORM, "")), workspace=name) for name in SCHEMAS}
    for name, document in first.documents.items():
        if name.endswith(".yaml") and isinstance(document.value, dict) and isinstance(document.value.get("query"), str):
            queries[name] = Query(text=prelude + document.value["query"], workspace="logs")
        elif name.endswith(".json"):
            found = queries_of(document.value)
            queries |= {f"{name}#{pointer}": Query(text=text, workspace="logs") for pointer, text in found.items()}
    second = bind(documents={}, queries=queries, workspaces=known, trees=trees)
    lines = prelude.count("\n")
    bound = {name: _below(each, lines) if name.endswith(".yaml") else each for name, each in second.queries.items()}
    return Answer(documents=first.documents, queries=bound)


def _below(bound: Bound, lines: int) -> Bound:
    """The problems at their lines of the rule; one of the prelude stands at its first line, and names its own."""
    problems = [
        replace(each, line=each.line - lines)
        if each.line > lines
        else Problem(line=1, column=1, message=f"prelude.kql:{each.line}:{each.column}: {each.message}")
        for each in bound.problems
    ]
    return replace(bound, problems=problems)


def _paths(folder: Path) -> list[Path]:
    return [*sorted((folder / "rules").glob("*.yaml")), *sorted(folder.glob("workbook/*.json"))]


def _transformation(folder: Path, name: str, bound: Bound) -> Iterator[str]:
    """The transformation makes exactly the columns of the table."""
    yield from (f"{_TRANSFORM}:{each.line}:{each.column}: {each.message}" for each in bound.problems)
    wanted = _columns(_schema(folder, name), "table")
    for each in sorted(wanted.keys() | bound.columns.keys()):
        if wanted.get(each) != bound.columns.get(each):
            yield f"{each}: the table has {wanted.get(each)}, the transformation makes {bound.columns.get(each)}"


def _not_deployed(root: Path) -> Iterator[str]:
    """Rules that the template does not load, and those that it loads and nobody has."""
    names = [path.name for path in _paths(root / "sentinel") if path.suffix == ".yaml"]
    path = root / "bicep/sentinel.bicep"
    try:
        text = path.read_text("utf-8")
    except OSError:
        yield f"{path.name} cannot be read"
        return
    loaded = re.findall(r"loadYamlContent\('\.\./sentinel/rules/([^']+)'\)", text)
    yield from (f"{name} is not deployed" for name in names if name not in loaded)
    for name in sorted({name for name in loaded if name not in names or loaded.count(name) > 1}):
        line = text[: text.index(f"/{name}'")].count("\n") + 1
        yield f"{path.name}:{line}: {name} does not exist, or is loaded twice"


def _long(name: str, document: Document, folder: Path) -> Iterator[str]:
    query = document.value.get("query") if isinstance(document.value, dict) else None
    length = len((folder / "prelude.kql").read_text("utf-8")) + len(query) if isinstance(query, str) else 0
    if length > _MAX_QUERY:
        line, column = document.place("/query")
        yield f"{name}:{line}:{column}: with the prelude, the query has {length} characters, more than {_MAX_QUERY}"


def _unknown_watchlists(name: str, document: Document, known: Mapping[str, Any]) -> Iterator[str]:
    query = document.value.get("query") if isinstance(document.value, dict) else None
    if not isinstance(query, str) or "/query" not in document.blocks:
        return
    first, column = document.blocks["/query"]
    for number, line in enumerate(query.splitlines()):
        for found in re.finditer(r"_GetWatchlist\(([^)]*)\)", line):
            alias = found[1].strip("\"'")
            if alias not in known:
                yield f"{name}:{first + number}:{column + found.start(1)}: unknown watchlist {alias!r}"
