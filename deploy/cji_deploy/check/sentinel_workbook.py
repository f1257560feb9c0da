"""A workbook of Azure Monitor as JSON: the items that it may have, and its queries.

Source: the workbook schema of microsoft/Application-Insights-Workbooks (`Notebook/1.0`), of which this is a part: text
(type 1), query (type 3), parameters (type 9).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from cji_deploy.check.kusto import Bound, Document

__all__ = ["queries_of", "workbook_problems"]

_TOP: Final = {"version", "items", "fallbackResourceIds", "$schema"}
_ITEM: Final = {"type", "content", "name"}
_CONTENT: Final[Mapping[int, tuple[set[str], set[str]]]] = {
    # required, optional
    1: ({"json"}, {"style"}),
    3: (
        {"version", "query", "size", "title", "queryType", "resourceType", "visualization", "timeContextFromParameter"},
        {"noDataMessage", "noDataMessageStyle", "gridSettings", "chartSettings"},
    ),
    9: ({"version", "parameters"}, {"style", "queryType", "resourceType"}),
}
_FIXED: Final[Mapping[int, Mapping[str, object]]] = {
    3: {"version": "KqlItem/1.0", "queryType": 0, "resourceType": "microsoft.operationalinsights/workspaces"},
    9: {"version": "KqlParameterItem/1.0"},
}
_VISUALIZATIONS: Final = {"table", "timechart", "barchart", "categoricalbar", "linechart", "piechart", "tiles"}


def queries_of(workbook: object) -> dict[str, str]:
    """The queries of a workbook by JSON pointer."""
    items = workbook.get("items") if isinstance(workbook, dict) else None
    found = {}
    for number, item in enumerate(items if isinstance(items, list) else []):
        content = item.get("content") if isinstance(item, dict) else None
        if isinstance(content, dict) and isinstance(content.get("query"), str):
            found[f"/items/{number}/content/query"] = content["query"]
    return found


def workbook_problems(name: str, text: str, document: Document, queries: Mapping[str, Bound]) -> Iterator[str]:
    """Problems of the workbook in file `name`, with line and column."""
    yield from (f"{name}:{each.line}:{each.column}: {each.message}" for each in document.problems)
    if document.problems:
        return
    for pointer, problem in _form(document.value):
        line, column = document.place(pointer)
        yield f"{name}:{line}:{column}: {problem}"
    for pointer, query in queries_of(document.value).items():
        line, column = document.place(pointer)
        for each in queries[f"{name}#{pointer}"].problems:
            before = sum(len(part) + 1 for part in query.split("\n")[: each.line - 1]) + each.column - 1
            yield f"{name}:{line}:{column + _offset(text, line, column, before)}: {each.message}"


def _form(workbook: object) -> Iterator[tuple[str, str]]:
    if not isinstance(workbook, dict) or workbook.keys() != _TOP or workbook["version"] != "Notebook/1.0":
        yield "", f"a workbook has the version Notebook/1.0 and {', '.join(sorted(_TOP))}"
        return
    names = set[str]()
    parameters = set[str]()
    for number, item in enumerate(workbook["items"]):
        pointer = f"/items/{number}"
        if not isinstance(item, dict) or item.keys() != _ITEM or item["type"] not in _CONTENT:
            yield pointer, "an item has name, content and a type of 1, 3 or 9"
            continue
        if item["name"] in names:
            yield f"{pointer}/name", f"the name {item['name']!r} exists"
        names.add(item["name"])
        yield from _item(pointer, item, parameters)


def _item(pointer: str, item: Mapping[str, Any], parameters: set[str]) -> Iterator[tuple[str, str]]:
    content, kind = item["content"], item["type"]
    required, optional = _CONTENT[kind]
    for key in sorted(content.keys() - required - optional):
        yield f"{pointer}/content/{key}", f"unknown key {key!r}"
    for key in sorted(required - content.keys()):
        yield f"{pointer}/content", f"{key} is missing"
    for key, value in _FIXED.get(kind, {}).items():
        if key in content and content[key] != value:
            yield f"{pointer}/content/{key}", f"{key} is not {value!r}"
    if kind == 9:
        parameters |= {
            each["name"] for each in content.get("parameters", []) if isinstance(each, dict) and "name" in each
        }
    if kind == 3:
        if content.get("visualization") not in _VISUALIZATIONS:
            yield f"{pointer}/content/visualization", f"unknown visualization {content.get('visualization')!r}"
        if content.get("timeContextFromParameter") not in parameters:
            yield f"{pointer}/content/timeContextFromParameter", "no parameter above has this name"


def _offset(text: str, line: int, column: int, index: int) -> int:
    """How far a character of a JSON string is from its opening quote, in the source."""
    source, at = text.split("\n")[line - 1], column  # column is from 1, so this is the first character after the quote
    for _ in range(index):
        if source[at : at + 1] != "\\":
            at += 1
        else:
            at += 6 if source[at + 1 : at + 2] == "u" else 2
    return at - column + 1
