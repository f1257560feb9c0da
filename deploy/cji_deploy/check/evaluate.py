"""The value of a Bicep expression, with the symbols of its template.

Nothing is guessed: what only a deployment knows, such as a principal id, is a `Runtime` text `<resource.property>`. It
may be put into other texts, and decides nothing. A form or function that is not known here is a DeployError.
"""

import json
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from tree_sitter import Node

from cji_deploy.check.functions import CLOUDS, FUNCTIONS, Json, joined, resource_id
from cji_deploy.check.outcome import DeployError
from cji_deploy.check.values import literal_text, text, unescaped

__all__ = ["Called", "Deployed", "Names", "Runtime", "Scope", "Surroundings", "evaluate", "refused", "rounds", "truth"]

Names: TypeAlias = Mapping[str, Json]
"""The variables of the loops and lambdas around an expression."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The place of the deployment; `read` returns a file by its path from the folder of the template."""

    read: Callable[[str], bytes]
    cloud: str = "AzureCloud"
    subscription: str = "/subscriptions/00000000-0000-0000-0000-000000000000"
    group: str = "cji"
    location: str = "eastus2"


class Runtime(str):
    """A value that only the deployment knows: `<resource.properties.x>`."""

    __slots__ = ()


@dataclass(slots=True)
class Deployed:
    """A resource while its template is evaluated; `body` is None for an existing one."""

    type: str
    name: str
    id: str
    body: dict[str, Json] | None


@dataclass(slots=True)
class Called:
    """A module after its evaluation, or one whose condition is false."""

    outputs: dict[str, Json]
    name: str


class Scope(Protocol):
    """The template of an expression."""

    @property
    def file(self) -> str:
        """Name of the template."""

    @property
    def around(self) -> Surroundings:
        """The place of its deployment."""

    def symbol(self, name: str, user: Node) -> Json:
        """Value of a declared name. Raises DeployError."""


def refused(scope: Scope, node: Node, why: str) -> DeployError:
    """The error for a place in the template."""
    return DeployError(f"{scope.file}:{node.start_point[0] + 1}: {why}")


def truth(scope: Scope, node: Node, value: Json) -> bool:
    """A condition's value. Raises DeployError if only the deployment knows it."""
    if not isinstance(value, bool):
        raise refused(scope, node, f"{text(node)[:60]} is not known to be true or false before deployment")
    return value


def rounds(scope: Scope, loop: Node, names: Names) -> Iterator[dict[str, Json]]:
    """Names in each round of a loop."""
    head, source = loop.named_children[0], loop.named_children[1]
    variables = [text(child) for child in head.named_children] if head.type == "for_loop_parameters" else [text(head)]
    for index, item in enumerate(evaluate(scope, source, names)):
        yield {**names, **dict(zip(variables, (item, index), strict=False))}


def evaluate(scope: Scope, node: Node, names: Names) -> Json:
    """The value of an expression. Raises DeployError with file and line for what cannot be computed."""
    try:
        return _value(scope, node, names)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise refused(
            scope, node, f"{text(node)[:60]!r} cannot be computed ({type(error).__name__}: {error})"
        ) from None


def _value(scope: Scope, node: Node, names: Names) -> Json:  # noqa: PLR0911, PLR0912 - one case per form
    inner = [child for child in node.named_children if child.type != "comment"]
    match node.type:
        case "string":
            return _string(scope, node, names)
        case "number":
            return int(text(node))
        case "boolean":
            return text(node) == "true"
        case "null":
            return None
        case "array":
            return [evaluate(scope, item, names) for item in inner]
        case "object":
            return {
                _object_key(scope, each, names): evaluate(scope, each.named_children[-1], names)
                for each in inner
                if each.type == "object_property"
            }
        case "parenthesized_expression" if len(inner) == 1:
            return evaluate(scope, inner[0], names)
        case "ternary_expression" | "binary_expression" | "unary_expression":
            return _operator(scope, node, inner, names, ())
        case "identifier":
            return names[text(node)] if text(node) in names else scope.symbol(text(node), node)
        case "member_expression" | "subscript_expression":
            return _accessed(scope, node, names, ())
        case "for_statement":
            return [evaluate(scope, inner[-1], each) for each in rounds(scope, node, names)]
        case "call_expression":
            return _call(scope, text(inner[0]), inner[1].named_children, names)
        case _:
            raise refused(scope, node, f"{node.type} is not supported here")


def _string(scope: Scope, node: Node, names: Names) -> str:
    literal = literal_text(node)
    if literal is not None:
        return literal
    source, start = node.text or b"", node.start_byte
    parts: list[str] = []
    done = 1  # the quote
    for child in node.named_children:
        if child.type == "interpolation":
            parts.append(unescaped(source[done : child.start_byte - start].decode()))
            parts.append(joined(evaluate(scope, child.named_children[0], names)))
            done = child.end_byte - start
    parts.append(unescaped(source[done:-1].decode()))
    return "".join(parts)


def _object_key(scope: Scope, node: Node, names: Names) -> str:
    first = node.named_children[0]
    return _string(scope, first, names) if first.type == "string" else text(first)


_OPERATORS: Final = frozenset({"ternary_expression", "binary_expression", "unary_expression"})
_Access: TypeAlias = Callable[[Json], Json]


def _accessed(scope: Scope, node: Node, names: Names, later: tuple[_Access, ...]) -> Json:
    """A value and what is read from it: `later` are accesses further to the right.

    The grammar reads `a ? b : c.d` as `(a ? b : c).d`. Bicep does not: an access whose subject is an operator without
    parentheses belongs to its last operand.
    """
    inner = [child for child in node.named_children if child.type != "comment"]
    access: _Access
    if node.type == "member_expression":
        name, safe = text(inner[1]), any(child.type == ".?" for child in node.children)

        def access(value: Json) -> Json:
            return _member(value, name, safe=safe)
    elif node.type == "subscript_expression":

        def access(value: Json) -> Json:
            return _item(value, evaluate(scope, inner[1], names))
    elif node.type in _OPERATORS:
        return _operator(scope, node, inner, names, later)
    else:
        value = evaluate(scope, node, names)
        for each in later:
            value = each(value)
        return value
    return _accessed(scope, inner[0], names, (access, *later))


def _operator(scope: Scope, node: Node, inner: list[Node], names: Names, later: tuple[_Access, ...]) -> Json:
    """The value of an operator; `later` is read from its last operand."""

    def last() -> Json:
        return _accessed(scope, inner[-1], names, later)

    def condition(value: Json) -> bool:
        return truth(scope, node, value)

    if node.type == "ternary_expression":
        return evaluate(scope, inner[1], names) if condition(evaluate(scope, inner[0], names)) else last()
    if node.type == "unary_expression":
        return not condition(last()) if node.children[0].type == "!" else -last()
    sign = node.children[1].type
    left = evaluate(scope, inner[0], names)
    if sign in {"&&", "||"}:
        return left if condition(left) == (sign == "||") else condition(last())
    if sign == "??":
        return last() if left is None else left
    right = last()
    if isinstance(left, Runtime) or isinstance(right, Runtime):
        raise refused(scope, node, f"{text(node)[:60]} compares what only the deployment knows")
    return _BINARY[sign](left, right)


_BINARY: Final[Mapping[str, Callable[[Json, Json], Json]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.floordiv,
    "%": operator.mod,
}


def _item(value: Json, key: Json) -> Json:
    return Runtime(f"{value[:-1]}[{key}]>") if isinstance(value, Runtime) else value[key]


def _member(value: Json, name: str, *, safe: bool) -> Json:
    if isinstance(value, Deployed):
        return {"id": value.id, "name": value.name.rpartition("/")[2]}.get(name) or Runtime(f"<{value.name}.{name}>")
    if isinstance(value, Called):
        return value.outputs if name == "outputs" else {"name": value.name}[name]
    if isinstance(value, Runtime):
        return Runtime(f"{value[:-1]}.{name}>")
    if safe:
        return None if value is None else value.get(name)
    return value[name]


def _lambda(scope: Scope, node: Node, names: Names) -> Callable[[Json], Json]:
    name, body = text(node.named_children[0]), node.named_children[1]
    return lambda item: evaluate(scope, body, {**names, name: item})


def _call(scope: Scope, name: str, arguments: list[Node], names: Names) -> Json:
    given: list[Json] = [
        _lambda(scope, node, names) if node.type == "lambda_expression" else evaluate(scope, node, names)
        for node in arguments
        if node.type != "comment"
    ]
    if name in _SURROUNDINGS:
        return _SURROUNDINGS[name](scope, *given)
    if name not in FUNCTIONS:
        raise DeployError(f"{scope.file}: the function {name} is not supported here")
    return FUNCTIONS[name](*given)


def _group(scope: Scope) -> Json:
    around = scope.around
    return {
        "id": f"{around.subscription}/resourceGroups/{around.group}",
        "name": around.group,
        "location": around.location,
    }


def _subscription(scope: Scope) -> Json:
    return {"id": scope.around.subscription, "subscriptionId": scope.around.subscription.rpartition("/")[2]}


def _file(scope: Scope, path: str) -> bytes:
    try:
        return scope.around.read(path)
    except OSError:
        raise DeployError(f"{scope.file}: {path} cannot be read") from None


_SURROUNDINGS: Final[Mapping[str, Callable[..., Json]]] = {
    "resourceGroup": _group,
    "subscription": _subscription,
    "tenant": lambda _: {"tenantId": Runtime("<tenant>")},
    "environment": lambda scope: CLOUDS[scope.around.cloud],
    "resourceId": lambda scope, *given: resource_id(_group(scope)["id"], *given),
    "subscriptionResourceId": lambda scope, *given: resource_id(scope.around.subscription, *given),
    "loadTextContent": lambda scope, path: _file(scope, path).decode(),
    "loadJsonContent": lambda scope, path: json.loads(_file(scope, path)),
}
"""The functions that need to know where the template is deployed, and where its files are."""
