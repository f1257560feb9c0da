"""The mutants of a module: its source without one piece."""

import ast
import copy
import functools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tools.mutants.rooms import Room

Change = Callable[[ast.AST], ast.AST | None]
"""Changes a node, or returns another one for its place."""
_CONSTRUCTORS: Final = frozenset(
    {"ByShard", "Edge", "Operation", "OutputSpec", "Reference", "Side", "Signature", "Stage"}
)
_REQUIRED: Final = frozenset(
    {"accepts", "decode", "encode", "name", "parameters", "schema", "side", "signature", "width"}
)
"""Keywords of constructors; without one of these nothing can be constructed."""
_HASHES: Final = frozenset({"sha256", "sha384"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A module without one piece. `lines` are those of the statement around it.

    `names` are the tables of the module that change with it.
    """

    module: str
    lines: range
    taken: str
    nth: int
    """Of the pieces of this module that read the same."""
    ids: frozenset[str]
    """Of checks, reasons and rules, in what was taken or else in the function around it."""
    names: tuple[str, ...]
    make: Callable[[], tuple[ast.Module, list[ast.stmt]]]
    """The module without the piece, and in it the statements that make the tables."""


def mutants(module: str, source: str, room: Room) -> Iterator[Mutant]:
    """Every mutant of one module, in the order of its lines."""
    tree = ast.parse(source)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    seen = Counter[str]()
    for number, node in enumerate(ast.walk(tree)):
        for taken, change, at in _changes(node, room, tables=room.has_tables(module)):
            around = _statement(tree, at, parents)
            names, positions = _tables(tree, around, parents)
            yield Mutant(
                module=module,
                lines=_lines(around),
                taken=taken,
                nth=seen[taken],
                ids=ids(taken) or ids(ast.unparse(_function_around(at, parents))),
                names=names,
                make=functools.partial(_made, tree, change, number, positions),
            )
            seen[taken] += 1


def _made(
    tree: ast.Module, change: Change, number: int, positions: tuple[int, ...]
) -> tuple[ast.Module, list[ast.stmt]]:
    other = copy.deepcopy(tree)
    _apply(change, other, number)
    return ast.fix_missing_locations(other), [other.body[position] for position in positions]


def _apply(change: Change, tree: ast.Module, number: int) -> None:
    node = next(twin for n, twin in enumerate(ast.walk(tree)) if n == number)
    if (instead := change(node)) is None:
        return
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is node:
                setattr(parent, name, instead)
            elif isinstance(value, list) and any(one is node for one in value):
                value[:] = [instead if one is node else one for one in value]


def ids(text: str) -> frozenset[str]:
    """Ids of checks and rules, and reasons of refusals, in a text."""
    return frozenset(re.findall(r"\b[A-Z]{1,2}\d\d\b|\b[A-Z]+_[A-Z_]+\b|(?<=[\"'])[a-z]+_[a-z_]+(?=[\"'])", text))


def reads(node: ast.AST, names: Sequence[str]) -> bool:
    """Whether the node has one of these names in it."""
    parts = (part for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load))
    return any(part.id in names for part in parts)


# ---------------------------------------------------------------- what can be taken out


def _changes(node: ast.AST, room: Room, *, tables: bool) -> Iterator[tuple[str, Change, ast.AST]]:
    """(what is taken out, how, where tests must come by) for each piece right below a node."""
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if isinstance(block, list):
            for at, statement in enumerate(block):
                if _is_check(statement, room):
                    guarded = isinstance(node, ast.If) and name == "body"
                    yield ast.unparse(statement), _replaced(name, at, ast.Pass()), node if guarded else statement
    if isinstance(node, ast.BoolOp):
        for at, operand in enumerate(node.values):
            yield f"{ast.unparse(operand)}   of   {ast.unparse(node)}", _without_operand(at), node
    if room.ranges and isinstance(node, ast.Compare) and len(node.ops) > 1:
        for at, end in ((0, node.left), (len(node.ops), node.comparators[-1])):
            yield f"{ast.unparse(end)}   of   {ast.unparse(node)}", _without_end(at), node
    yield from _entries(node, tables=tables)
    if room.members:
        yield from _members(node)
    if room.branches:
        yield from _branches(node, room)
    if room.declarations:
        yield from _keywords(node)


def _entries(node: ast.AST, *, tables: bool) -> Iterator[tuple[str, Change, ast.AST]]:
    """Entries of dictionaries that are tables, and elements of `Final` sets and tuples."""
    if tables and isinstance(node, ast.Dict) and len(node.keys) > 1:
        for at, key in enumerate(node.keys):
            taken = f"**{ast.unparse(node.values[at])}" if key is None else ast.unparse(key)
            yield f"entry {taken}", _without_entry(at), node
    if isinstance(node, ast.AnnAssign) and "Final" in ast.unparse(node.annotation):
        elements = _elements(node.value)
        for at, element in enumerate(elements if len(elements) > 1 else ()):
            if not (isinstance(element, ast.Constant) and isinstance(element.value, float)):
                yield f"element {ast.unparse(element)} of {ast.unparse(node.target)}", _without_element(at), node


def _keywords(node: ast.AST) -> Iterator[tuple[str, Change, ast.AST]]:
    """Those of a declaration or a message that may be left out."""
    if isinstance(node, ast.Call) and _is_constructor(node.func):
        for at, keyword in enumerate(node.keywords):
            if keyword.arg is not None and keyword.arg not in _REQUIRED:
                yield f"{keyword.arg} of {ast.unparse(node.func)}", _without_keyword(at), node


def _is_check(statement: ast.stmt, room: Room) -> bool:
    if isinstance(statement, ast.Raise):
        return statement.exc is not None
    if not isinstance(statement, ast.Expr):
        return False
    call = statement.value
    if not isinstance(call, ast.Call):
        return isinstance(call, ast.Yield | ast.YieldFrom)
    return re.fullmatch(room.calls, ast.unparse(call.func)) is not None


def _members(node: ast.AST) -> Iterator[tuple[str, Change, ast.AST]]:
    """The members of joined bytes and of intersections, and the arguments of digests and of `min` and `max`."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.BitAnd):
        yield f"{ast.unparse(node.right)}   of   {ast.unparse(node)}", _one_side("left"), node
        if not (isinstance(node.left, ast.BinOp) and type(node.left.op) is type(node.op)):
            yield f"{ast.unparse(node.left)}   of   {ast.unparse(node)}", _one_side("right"), node
    if not isinstance(node, ast.Call):
        return
    name = ast.unparse(node.func).rpartition(".")[2]
    if name in {"min", "max"} and len(node.args) == 2:
        for at in (0, 1):
            yield f"{ast.unparse(node.args[at])}   of   {ast.unparse(node)}", _argument(at, node.args[1 - at]), node
    if name in _HASHES and node.args:
        yield f"{ast.unparse(node.args[0])}   of   {ast.unparse(node)}", _argument(0, ast.Constant(b"")), node
    if name == "pack":
        for at in (at for at in range(1, len(node.args)) if not isinstance(node.args[at], ast.Constant)):
            yield f"{ast.unparse(node.args[at])}   of   {ast.unparse(node)}", _argument(at, ast.Constant(0)), node


def _branches(node: ast.AST, room: Room) -> Iterator[tuple[str, Change, ast.AST]]:
    """Branches that are never taken, and rules that do not see a kind of event."""
    if isinstance(node, ast.If) and not (len(node.body) == 1 and _is_check(node.body[0], room)):
        yield f"if {ast.unparse(node.test)}", _never, node
    if not isinstance(node, ast.FunctionDef):
        return
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "on":
            for kind in decorator.args:
                yield f"{node.name} on {ast.unparse(kind)}", _returns_for(ast.unparse(kind)), node.body[-1]
        elif ast.unparse(decorator) == "at_end":
            yield f"{node.name} at the end", _returns_for(None), node.body[-1]


def _is_constructor(function: ast.expr) -> bool:
    text = ast.unparse(function)
    return text in _CONSTRUCTORS or text.startswith("pb.")


def _elements(value: ast.expr | None) -> list[ast.expr]:
    """The elements that a table is written with: `{...}`, `(...)`, `frozenset(...)`, or the source of its entries."""
    if isinstance(value, ast.Tuple | ast.Set):
        return value.elts
    if isinstance(value, ast.DictComp):
        return _elements(value.generators[0].iter)
    if isinstance(value, ast.Call) and len(value.args) == 1 and not value.keywords:
        return _elements(value.args[0])
    return []


# ---------------------------------------------------------------- how


def _replaced(name: str, at: int, by: ast.AST) -> Change:
    def change(node: ast.AST) -> None:
        getattr(node, name)[at] = by

    return change


def _without_operand(at: int) -> Change:
    def change(node: ast.AST) -> None:
        assert isinstance(node, ast.BoolOp)
        del node.values[at]
        if len(node.values) == 1:  # `x and x` is x
            node.values *= 2

    return change


def _without_entry(at: int) -> Change:
    def change(node: ast.AST) -> None:
        assert isinstance(node, ast.Dict)
        del node.keys[at], node.values[at]

    return change


def _without_element(at: int) -> Change:
    def change(node: ast.AST) -> None:
        assert isinstance(node, ast.AnnAssign)
        del _elements(node.value)[at]

    return change


def _without_end(at: int) -> Change:
    def change(node: ast.AST) -> None:
        assert isinstance(node, ast.Compare)
        if at == 0:
            node.left = node.comparators[0]
        del node.ops[min(at, len(node.ops) - 1)], node.comparators[min(at, len(node.comparators) - 1)]

    return change


def _without_keyword(at: int) -> Change:
    def change(node: ast.AST) -> None:
        assert isinstance(node, ast.Call)
        del node.keywords[at]

    return change


def _argument(at: int, by: ast.expr) -> Change:
    def change(node: ast.AST) -> None:
        assert isinstance(node, ast.Call)
        node.args[at] = copy.deepcopy(by)

    return change


def _one_side(kept: str) -> Change:
    def change(node: ast.AST) -> ast.AST:
        return getattr(node, kept)  # type: ignore[no-any-return]

    return change


def _never(node: ast.AST) -> None:
    assert isinstance(node, ast.If)
    node.test = ast.Constant(value=False)


def _returns_for(kind: str | None) -> Change:
    guard = "return" if kind is None else f"if isinstance(event, {kind}): return"

    def change(node: ast.AST) -> None:
        assert isinstance(node, ast.FunctionDef)
        (function,) = ast.parse(f"def f():\n    {guard}").body
        assert isinstance(function, ast.FunctionDef)
        node.body[:0] = function.body

    return change


# ---------------------------------------------------------------- where it stands


def _tables(
    tree: ast.Module, around: ast.stmt, parents: dict[ast.AST, ast.AST]
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The names of the tables that a statement makes, and all that are made from them; and the statements of these.

    The tables of a statement in a function are those that are made by calls of it, when the module is imported.
    """
    names, positions, functions = list[str](), list[int](), list[str]()
    if around in tree.body:
        if not (names := _names(around)):
            return (), ()
        positions, begin = [tree.body.index(around)], tree.body.index(around) + 1
    else:
        function = _function_around(around, parents)
        if function not in tree.body or not isinstance(function, ast.FunctionDef):
            return (), ()
        functions, begin = [function.name], 0
    for position, statement in enumerate(tree.body[begin:], begin):
        if not reads(statement, names) and not _calls(statement, functions):
            continue
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            names += _names(statement)
            positions.append(position)
        elif isinstance(statement, ast.FunctionDef):
            functions.append(statement.name)
    return tuple(names), tuple(positions)


def _calls(node: ast.AST, functions: Sequence[str]) -> bool:
    """Whether the node calls one of these functions, or has one called by `map` or the like."""
    calls = (part for part in ast.walk(node) if isinstance(part, ast.Call))
    return any(isinstance(one, ast.Name) and one.id in functions for call in calls for one in (call.func, *call.args))


def _statement(tree: ast.Module, node: ast.AST, parents: dict[ast.AST, ast.AST]) -> ast.stmt:
    """The smallest statement around a node, or the module's first."""
    around: ast.AST | None = node
    while around is not None and not isinstance(around, ast.stmt):
        around = parents.get(around)
    return around or tree.body[0]


def _function_around(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> ast.AST:
    """The outermost function around a node, or the node itself."""
    found, around = node, parents.get(node)
    while around is not None:
        found, around = around if isinstance(around, ast.FunctionDef) else found, parents.get(around)
    return found


def _lines(statement: ast.stmt) -> range:
    """Its lines; of an `if`, a loop or a function only those of its head."""
    body = getattr(statement, "body", None)
    end = body[0].lineno if isinstance(body, list) and body else (statement.end_lineno or statement.lineno) + 1
    return range(statement.lineno, max(end, statement.lineno + 1))


def _names(statement: ast.stmt) -> list[str]:
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    parts = [part for target in targets if target is not None for part in ast.walk(target)]
    return [part.id for part in parts if isinstance(part, ast.Name)]
