"""Tabular operators and statements of KQL."""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, Final

from tests.support.kql.aggregates import summarize
from tests.support.kql.functions import World
from tests.support.kql.scalars import Scope, evaluate
from tests.support.kql.tables import Node, Row, Table, UnsupportedError, missing, name_of

_JOINS: Final = ("inner", "leftouter", "leftanti")


def run(tree: Node, world: World) -> Table:
    """The result of a query that was parsed and bound. Raises UnsupportedError."""
    lets: dict[str, Any] = {}
    result: Table | None = None
    for statement in tree.get("Statements").items():
        scope = Scope(world, lets)
        if statement.kind == "LetStatement":
            expression = statement.get("Expression")
            lets[name_of(statement.get("Name"))] = _either(expression, scope)
        elif statement.kind == "ExpressionStatement" and result is None:
            result = tabular(statement.get("Expression"), scope)
        else:
            raise UnsupportedError(statement.kind)
    if result is None:
        raise UnsupportedError("a query without a result")
    return result


def _either(node: Node, scope: Scope) -> Any:
    """The value of a `let`: a table or a scalar."""
    try:
        return tabular(node, scope)
    except _NotTabularError:
        return evaluate(node, scope)


class _NotTabularError(Exception):
    pass


def tabular(node: Node, scope: Scope) -> Table:
    """The table that an expression makes."""
    match node.kind:
        case "PipeExpression":
            table = tabular(node.get("Expression"), scope)
            operator = node.get("Operator")
            if operator.kind not in _OPERATORS:
                raise UnsupportedError(operator.kind)
            return _OPERATORS[operator.kind](operator, table, scope)
        case "ParenthesizedExpression":
            return tabular(node.get("Expression"), scope)
        case "UnionOperator":
            return _union(node, None, scope)
        case "NameReference":
            name = name_of(node)
            found = scope.lets.get(name, scope.world.tables.get(name))
            if isinstance(found, Table):
                return found
            raise _NotTabularError(name)
        case "FunctionCallExpression" if node.get("Name").text() == "_GetWatchlist":
            (alias,) = (evaluate(each, scope) for each in node.get("ArgumentList").get("Expressions").items())
            rows = [{"SearchKey": key} for key in scope.world.watchlists[alias]]
            return Table.of({"SearchKey": "string"}, rows)
    raise _NotTabularError


def _where(node: Node, table: Table, scope: Scope) -> Table:
    rows = [row for row in table.rows if evaluate(node.get("Condition"), scope.at(row)) is True]
    return Table(table.columns, rows)


def _pairs(node: Node) -> list[tuple[str, Node]]:
    found = []
    for each in node.get("Expressions").items():
        if each.kind == "SimpleNamedExpression":
            found.append((name_of(each.get("Name")), each.get("Expression")))
        elif each.kind == "NameReference":
            found.append((name_of(each), each))
        else:
            raise UnsupportedError(f"an unnamed {each.kind}")
    return found


def _made(node: Node, row: Row, scope: Scope) -> Row:
    return {name: evaluate(each, scope.at(row)) for name, each in _pairs(node)}


def _types(node: Node) -> dict[str, str]:
    return {name: each.type or "dynamic" for name, each in _pairs(node)}


def _extend(node: Node, table: Table, scope: Scope) -> Table:
    return Table({**table.columns, **_types(node)}, [{**row, **_made(node, row, scope)} for row in table.rows])


def _project(node: Node, table: Table, scope: Scope) -> Table:
    return Table(_types(node), [_made(node, row, scope) for row in table.rows])


def _sort(node: Node, table: Table, scope: Scope) -> Table:
    rows = list(table.rows)
    for each in reversed(list(node.get("Expressions").items())):
        if each.kind != "OrderedExpression" or each.get("Ordering").text() != "desc":
            raise UnsupportedError("an order that is not desc")
        by = each.get("Expression")
        keys = {id(row): evaluate(by, scope.at(row)) for row in rows}
        rows.sort(key=lambda row, found=keys: found[id(row)], reverse=True)  # type: ignore[misc]
    return Table(table.columns, rows)


def _join(node: Node, left: Table, scope: Scope) -> Table:
    parameters = {name_of(each.get("Name")): each.get("Expression").text() for each in node.get("Parameters").items()}
    kind = parameters.pop("kind", "innerunique")
    if kind not in _JOINS or parameters:
        raise UnsupportedError(f"a join of kind {kind} with {sorted(parameters)}")
    right = tabular(node.get("Expression"), scope)
    clause = node.get("ConditionClause")
    keys = [name_of(each) for each in clause.get("Expressions").items() if each.kind == "NameReference"]
    if clause.kind != "JoinOnClause" or len(keys) != len(list(clause.get("Expressions").items())):
        raise UnsupportedError("a join on anything but columns of one name")
    renamed = {name: f"{name}1" if name in left.columns else name for name in right.columns}

    def matching(row: Row) -> list[Row]:
        return [other for other in right.rows if all(row[key] == other[key] is not None for key in keys)]

    if kind == "leftanti":
        return Table(left.columns, [row for row in left.rows if not matching(row)])
    columns = {**left.columns, **{renamed[name]: each for name, each in right.columns.items()}}
    nothing = {name: missing(each) for name, each in right.columns.items()}
    rows = []
    for row in left.rows:
        for other in matching(row) or ([nothing] if kind == "leftouter" else []):
            rows.append({**row, **{renamed[name]: value for name, value in other.items()}})
    return Table(columns, rows)


def _union(node: Node, table: Table | None, scope: Scope) -> Table:
    stated = [each.text() for each in node.get("Parameters").items()] if node.has("Parameters") else []
    if set(stated) - {"isfuzzy=true"}:  # tables that a workspace lacks: a sample has all, some of them empty
        raise UnsupportedError(f"a union with {stated}")
    tables = ([] if table is None else [table]) + [tabular(each, scope) for each in node.get("Expressions").items()]
    columns = reduce(_merged, (each.columns for each in tables))
    return Table.of(columns, [row for each in tables for row in each.rows])


def _merged(left: Mapping[str, str], right: Mapping[str, str]) -> Mapping[str, str]:
    for name in left.keys() & right.keys():
        if left[name] != right[name]:
            raise UnsupportedError(f"a union whose tables differ in the type of {name}")
    return {**left, **right}


_OPERATORS: Final[Mapping[str, Callable[[Node, Table, Scope], Table]]] = {
    "FilterOperator": _where,
    "ExtendOperator": _extend,
    "ProjectOperator": _project,
    "SummarizeOperator": summarize,
    "SortOperator": _sort,
    "JoinOperator": _join,
    "UnionOperator": _union,
}
