"""Expressions of KQL on one row."""

import ast
import json
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from tests.support.kql.functions import World, call
from tests.support.kql.tables import ARRIVED, Node, Row, Table, UnsupportedError, name_of

_UNITS: Final = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


@dataclass(frozen=True)
class Scope:
    """What an expression may name: the columns of a row, before them what `let` defined."""

    world: World
    lets: Mapping[str, Any]
    row: Row | None = None

    def at(self, row: Row) -> "Scope":
        return replace(self, row=row)


def _compare(function: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool | None]:
    return lambda left, right: None if left is None or right is None else function(left, right)


def _term(text: str, term: str) -> bool:
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(term)}(?![A-Za-z0-9])", text, re.IGNORECASE) is not None


_BINARY: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "EqualExpression": _compare(operator.eq),
    "NotEqualExpression": _compare(operator.ne),
    "LessThanExpression": _compare(operator.lt),
    "LessThanOrEqualExpression": _compare(operator.le),
    "GreaterThanExpression": _compare(operator.gt),
    "GreaterThanOrEqualExpression": _compare(operator.ge),
    "AddExpression": _compare(operator.add),
    "SubtractExpression": _compare(operator.sub),
    "DivideExpression": _compare(operator.truediv),
    "StartsWithExpression": lambda left, right: left.lower().startswith(right.lower()),
    "EndsWithExpression": lambda left, right: left.lower().endswith(right.lower()),
    "HasExpression": _term,
    "EqualTildeExpression": lambda left, right: left.lower() == right.lower(),
}


def evaluate(node: Node, scope: Scope) -> Any:
    """The value of an expression. Raises UnsupportedError."""
    if node.kind in _BINARY:
        return _BINARY[node.kind](evaluate(node.get("Left"), scope), evaluate(node.get("Right"), scope))
    if node.kind in _OTHERS:
        return _OTHERS[node.kind](node, scope)
    raise UnsupportedError(node.kind)


def _name(node: Node, scope: Scope) -> Any:
    name = name_of(node)
    if scope.row is not None and name in scope.row:
        return scope.row[name]
    if name in scope.lets:
        return scope.lets[name]
    raise UnsupportedError(f"the name {name}")


def _path(node: Node, scope: Scope) -> Any:
    value = evaluate(node.get("Expression"), scope)
    selector = node.get("Selector")
    step = evaluate(selector.get("Expression"), scope) if selector.kind == "BracketedExpression" else name_of(selector)
    if isinstance(value, dict) and isinstance(step, str):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int):
        return value[step] if -len(value) <= step < len(value) else None
    return None


def _both(node: Node, scope: Scope) -> bool | None:
    left = evaluate(node.get("Left"), scope)
    if left is False:
        return False
    right = evaluate(node.get("Right"), scope)
    return False if right is False else None if None in (left, right) else True


def _either(node: Node, scope: Scope) -> bool | None:
    left = evaluate(node.get("Left"), scope)
    if left is True:
        return True
    right = evaluate(node.get("Right"), scope)
    return True if right is True else None if None in (left, right) else False


def _between(node: Node, scope: Scope) -> bool | None:
    value, couple = evaluate(node.get("Left"), scope), node.get("Right")
    low, high = evaluate(couple.get("First"), scope), evaluate(couple.get("Second"), scope)
    return None if None in (value, low, high) else low <= value <= high


def values_of(node: Node, scope: Scope) -> list[Any]:
    """The values on the right of `in` or `has_any`: scalars, one dynamic array, or the one column of a table."""
    found = [evaluate(each, scope) for each in node.get("Expressions").items()]
    if len(found) == 1 and isinstance(found[0], Table):
        (column,) = found[0].columns
        return [row[column] for row in found[0].rows]
    return found[0] if len(found) == 1 and isinstance(found[0], list) else found


def _in(node: Node, scope: Scope) -> bool:
    word = node.get("Operator").text()
    value, values = evaluate(node.get("Left"), scope), values_of(node.get("Right"), scope)
    if word.endswith("~"):
        value, values = value.lower(), [each.lower() for each in values]
    return (value in values) != word.startswith("!")


def _has_any(node: Node, scope: Scope) -> bool:
    text = evaluate(node.get("Left"), scope)
    return any(_term(text, term) for term in values_of(node.get("Right"), scope))


def _timespan(node: Node, _: Scope) -> timedelta:
    found = re.fullmatch(r"(\d+)(d|h|m|s|ms)", node.text())
    if found is None:
        raise UnsupportedError(f"the timespan {node.text()}")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def _string(node: Node, _: Scope) -> str:
    """Escapes are those of C, which Python has too; after @ there are none."""
    text = node.text()
    return text[2:-1].replace('""', '"') if text.startswith("@") else str(ast.literal_eval(text))


def _call(node: Node, scope: Scope) -> Any:
    name = node.get("Name").text()
    values = [evaluate(each, scope) for each in node.get("ArgumentList").get("Expressions").items()]
    match name, values:
        case "ingestion_time", [] if scope.row is not None:
            return scope.row[ARRIVED]
        case "column_ifexists", [column, instead] if scope.row is not None:
            found = scope.row.get(column)
            return instead if found is None else found
    return call(name, values, scope.world)


_OTHERS: Final[Mapping[str, Callable[[Node, Scope], Any]]] = {
    "NameReference": _name,
    "ParenthesizedExpression": lambda node, scope: evaluate(node.get("Expression"), scope),
    "PathExpression": _path,
    "ElementExpression": _path,
    "AndExpression": _both,
    "OrExpression": _either,
    "BetweenExpression": _between,
    "InExpression": _in,
    "InCsExpression": _in,
    "NotInExpression": _in,
    "NotInCsExpression": _in,
    "HasAnyExpression": _has_any,
    "TimespanLiteralExpression": _timespan,
    "StringLiteralExpression": _string,
    "LongLiteralExpression": lambda node, _: int(node.text()),
    "RealLiteralExpression": lambda node, _: float(node.text()),
    "BooleanLiteralExpression": lambda node, _: node.text() == "true",
    "DynamicExpression": lambda node, _: json.loads(node.get("Expression").text()),
    "FunctionCallExpression": _call,
}
