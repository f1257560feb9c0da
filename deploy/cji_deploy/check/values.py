"""Bicep expressions as plain values: literals become values, everything else stays an expression.

Invariants: nothing is guessed. An expression whose result is unknown offline is an `Expression`, with its kind if the
syntax or a parameter's declared type determines it. A conditional is a `Choice`, and a check must examine every branch.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tree_sitter import Node

__all__ = ["RESULT_KINDS", "Choice", "Expression", "Value", "at", "literal_text", "read_value", "text", "unescaped"]

_ESCAPES: Final = {"'": "'", "\\": "\\", "n": "\n", "r": "\r", "t": "\t", "$": "$"}
_ESCAPE: Final = re.compile(r"\\(u\{([0-9A-Fa-f]{1,6})\}|.)", re.DOTALL)
# functions whose result type does not depend on their arguments (Bicep function reference)
RESULT_KINDS: Final = {
    **dict.fromkeys(
        ("base64", "format", "guid", "join", "loadTextContent", "replace", "string", "substring"), "string"
    ),
    **dict.fromkeys(("resourceId", "subscriptionResourceId", "tenantResourceId", "extensionResourceId"), "string"),
    **dict.fromkeys(("padLeft", "toLower", "toUpper", "trim", "uniqueString", "uri"), "string"),
    **dict.fromkeys(("bool", "contains", "empty", "endsWith", "startsWith"), "bool"),
    **dict.fromkeys(("indexOf", "int", "length"), "int"),
    **dict.fromkeys(("array", "filter", "items", "map", "objectKeys", "range", "split"), "array"),
    **dict.fromkeys(("deployment", "environment", "resourceGroup", "subscription", "tenant"), "object"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """Known only at deployment; `kind` is string, int, bool, array, object or None when unknown."""

    source: str
    kind: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A conditional: the deployment takes one of the branches."""

    branches: "tuple[Value, ...]"


Value = dict[str, "Value"] | list["Value"] | str | int | bool | None | Expression | Choice


def text(node: Node) -> str:
    """Source of a node; the bytes were checked to be UTF-8 when the file was parsed."""
    return (node.text or b"").decode()


def literal_text(node: Node) -> str | None:
    """Value of a string literal, or None if it contains an interpolation."""
    source = text(node)
    if source.startswith("'''"):
        return source[3:-3].removeprefix("\n")
    if any(child.type == "interpolation" for child in node.named_children):
        return None
    return unescaped(source[1:-1])


def unescaped(source: str) -> str:
    """Text of a string's source without its quotes. The grammar has no node for every escape, so none is used."""
    return _ESCAPE.sub(lambda found: chr(int(found[2], 16)) if found[2] else _ESCAPES.get(found[1], found[0]), source)


def read_value(node: Node, kinds: Mapping[str, str | None]) -> Value:
    """Value of an expression; `kinds` maps the names of parameters and variables to their kinds."""
    source = text(node)
    inner = [child for child in node.named_children if child.type != "comment"]
    value: Value = Expression(source=source)
    match node.type:
        case "object":
            value = _read_object(node, kinds)
        case "array":
            value = [read_value(item, kinds) for item in inner]
        case "string":
            literal = literal_text(node)
            value = Expression(source=source, kind="string") if literal is None else literal
        case "number":
            value = int(source)
        case "boolean":
            value = source == "true"
        case "null":
            value = None
        case "parenthesized_expression" if len(inner) == 1:
            value = read_value(inner[0], kinds)
        case "ternary_expression":
            value = Choice(branches=tuple(read_value(branch, kinds) for branch in inner[1:]))
        case "identifier":
            value = Expression(source=source, kind=kinds.get(source))
        case "call_expression":
            value = Expression(source=source, kind=RESULT_KINDS.get(text(inner[0])))
        case "for_statement":
            # every round of the loop has the same shape, so one item stands for all
            value = [read_value(inner[-1], kinds)]
    return value


def _read_object(node: Node, kinds: Mapping[str, str | None]) -> dict[str, Value]:
    fields: dict[str, Value] = {}
    for child in node.named_children:
        parts = [part for part in child.named_children if part.type != "comment"]
        if child.type != "object_property" or len(parts) != 2:
            continue  # comments and nested resources, which are read on their own
        key = literal_text(parts[0]) if parts[0].type == "string" else text(parts[0])
        fields[text(parts[0]) if key is None else key] = read_value(parts[1], kinds)
    return fields


def at(value: Value, path: str) -> list[Value]:
    """Every value at a dotted path, through both branches of conditionals and all items of arrays; maybe none."""
    found = [value]
    for step in path.split("."):
        reached: list[Value] = []
        while found:
            here = found.pop(0)
            if isinstance(here, Choice):
                found = [*here.branches, *found]
            elif isinstance(here, list):
                found = [*here, *found]
            elif isinstance(here, dict) and step in here:
                reached.append(here[step])
            else:
                # a branch without the property is an answer too: the property is absent there
                reached.append(None)
        found = reached
    return [branch for here in found for branch in (here.branches if isinstance(here, Choice) else (here,))]
