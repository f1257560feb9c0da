"""`summarize`: aggregates over groups of rows."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from tests.support.kql.scalars import Scope, evaluate
from tests.support.kql.tables import Node, Row, Table, UnsupportedError, missing, name_of


def summarize(node: Node, table: Table, scope: Scope) -> Table:
    """One row for each combination of the values of the `by` clause; one row without such a clause."""
    by = [_named(each) for each in node.get("ByClause").get("Expressions").items()] if node.has("ByClause") else []
    groups: dict[str, tuple[Row, list[Row]]] = {}
    for row in table.rows:
        key = {name: evaluate(each, scope.at(row)) for name, each in by}
        groups.setdefault(repr(key), (key, []))[1].append(row)
    if not by:
        groups[""] = ({}, table.rows)
    columns = {name: each.type or "dynamic" for name, each in by}
    rows = []
    for key, members in groups.values():
        made = dict(key)
        for aggregate in node.get("Aggregates").items():
            for name, kind, value in _aggregate(aggregate, table, members, scope):
                if name in key:
                    continue
                columns.setdefault(name, kind)
                made.setdefault(name, value)
        rows.append(made)
    if not rows:  # the columns are needed even so
        for aggregate in node.get("Aggregates").items():
            columns |= {name: kind for name, kind, _ in _aggregate(aggregate, table, [], scope) if name not in columns}
    return Table(columns, rows)


def _named(node: Node) -> tuple[str, Node]:
    """The column of a `by` expression: its own name, that of the column, or of the column in `bin`."""
    if node.kind == "SimpleNamedExpression":
        return name_of(node.get("Name")), node.get("Expression")
    if node.kind == "NameReference":
        return name_of(node), node
    if node.kind == "FunctionCallExpression" and node.get("Name").text() == "bin":
        return name_of(next(node.get("ArgumentList").get("Expressions").items())), node
    raise UnsupportedError(f"an unnamed {node.kind}")


def _aggregate(node: Node, table: Table, rows: list[Row], scope: Scope) -> Iterator[tuple[str, str, Any]]:
    """Names, types and values of the columns that an aggregate makes."""
    named = node.kind == "SimpleNamedExpression"
    function = node.get("Expression") if named else node
    if function.kind != "FunctionCallExpression":
        raise UnsupportedError(f"the aggregate {function.kind}")
    word, arguments = function.get("Name").text(), list(function.get("ArgumentList").get("Expressions").items())
    if word in _BEST and not named:
        yield from _extreme(_BEST[word], arguments, table, rows)
    elif named and word in _AGGREGATES:
        columns = [[evaluate(each, scope.at(row)) for row in rows] for each in arguments]
        yield name_of(node.get("Name")), function.type or "dynamic", _AGGREGATES[word](len(rows), *columns)
    else:
        raise UnsupportedError(f"the aggregate {word}, or one without a name")


_BEST: Final[Mapping[str, Callable[..., Row]]] = {"arg_max": max, "arg_min": min}


def _extreme(
    best_of: Callable[..., Row], arguments: list[Node], table: Table, rows: list[Row]
) -> Iterator[tuple[str, str, Any]]:
    first = name_of(arguments[0])
    star = arguments[1].kind == "StarExpression"
    names = [first, *(table.columns if star else map(name_of, arguments[1:]))]
    known = [row for row in rows if row[first] is not None] or rows
    best = (
        best_of(known, key=lambda row: row[first]) if known and known[0][first] is not None else next(iter(known), None)
    )
    for name in dict.fromkeys(names):
        yield name, table.columns[name], best[name] if best else missing(table.columns[name])


def _known(values: list[Any]) -> list[Any]:
    return [value for value in values if value is not None]


def _distinct(values: list[Any]) -> list[Any]:
    return list(dict.fromkeys(_known(values)))


def _if(function: Callable[[int, list[Any]], Any]) -> Callable[[int, list[Any], list[Any]], Any]:
    return lambda count, values, held: function(count, [v for v, yes in zip(values, held, strict=True) if yes])


_AGGREGATES: Final[Mapping[str, Callable[..., Any]]] = {
    "count": lambda count: count,
    "countif": lambda _, held: sum(each is True for each in held),
    "count_distinct": lambda _, values: len(_distinct(values)),
    "make_set": lambda _, values, most: _distinct(values)[: most[0] if most else 0],
    "max": lambda _, values: max(_known(values), default=None),
    "maxif": _if(lambda _, values: max(_known(values), default=None)),
    "min": lambda _, values: min(_known(values), default=None),
    "sum": lambda _, values: sum(_known(values)),
}
