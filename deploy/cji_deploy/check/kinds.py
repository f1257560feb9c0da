"""The kind of a Bicep expression, as far as the compiler knows it before a deployment.

Contract: `Kinds.of` never guesses. `name` is string, int, bool, array, object, resource or module, or None if the kind
does not follow from the text; `least` is the fewest characters that the text may have, None if nothing is said of it.
With a catalogue of Azure's resource types, members of resources have their kinds too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tree_sitter import Node

from cji_deploy.check.aztypes import Catalogue
from cji_deploy.check.bicep import Template, nodes
from cji_deploy.check.values import RESULT_KINDS, literal_text, text

__all__ = ["Access", "Kind", "Kinds", "accesses", "inner_of"]

ITEM: Final = "[]"
"""A step into a list, or into an object by a computed name."""
_ACCESS: Final = frozenset({"member_expression", "subscript_expression"})
_OPERATORS: Final = frozenset({"ternary_expression", "binary_expression", "unary_expression"})
_LITERALS: Final[Mapping[str, str]] = {
    "number": "int",
    "boolean": "bool",
    "array": "array",
    "object": "object",
    "for_statement": "array",
}
_ARITHMETIC: Final = frozenset({"+", "-", "*", "/", "%"})
_UNIQUE_STRING: Final = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind, and the fewest characters of a text."""

    name: str | None = None
    least: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Steps that are read from a value: `a.b[0].c` is a, and b, [], c."""

    node: Node
    base: Node
    steps: tuple[str, ...]


def inner_of(node: Node) -> list[Node]:
    """Its named children without comments."""
    return [child for child in node.named_children if child.type != "comment"]


def accesses(root: Node) -> Iterator[Access]:
    """Every access below `root`, whole: `a.b.c` is one.

    The grammar reads `a ? b : c.d` as `(a ? b : c).d`; to Bicep the access belongs to the last operand.
    """
    for node in nodes(root):
        if node.type in _ACCESS and not (node.parent is not None and node.parent.type in _ACCESS and _first(node)):
            yield access(node)


def access(node: Node) -> Access:
    """The base and the steps of an access."""
    steps: list[str] = []
    base = node
    while base.type in _ACCESS or (steps and base.type in _OPERATORS):
        inner = inner_of(base)
        if base.type in _OPERATORS:
            base = inner[-1]
            continue
        steps.append(text(inner[1]) if base.type == "member_expression" else ITEM)
        base = inner[0]
    return Access(node=node, base=base, steps=tuple(reversed(steps)))


def _first(node: Node) -> bool:
    return node.parent is not None and inner_of(node.parent)[0] == node


class Kinds:
    """Kinds of the expressions in one template, with the templates that it calls."""

    def __init__(self, template: Template, templates: Mapping[str, Template], catalogue: Catalogue | None) -> None:
        self._template, self._templates, self._catalogue = template, templates, catalogue
        self._resources = {each.symbol: each for each in template.resources}
        self._modules = {each.symbol: each for each in template.modules}
        self._running: set[str] = set()
        self._lists = {
            symbol
            for node in template.root.named_children
            if node.type in {"resource_declaration", "module_declaration"}
            and node.named_children[-1].type == "for_statement"
            and (symbol := text(inner_of(node)[0]))
        }

    def of(self, node: Node) -> Kind:
        """The kind of an expression."""
        inner = inner_of(node)
        kind = Kind(name=_LITERALS.get(node.type))
        match node.type:
            case "string":
                kind = Kind(name="string", least=self._length(node))
            case "parenthesized_expression" if len(inner) == 1:
                kind = self.of(inner[0])
            case "unary_expression":
                kind = Kind(name="bool" if node.children[0].type == "!" else "int")
            case "binary_expression":
                kind = self._binary(node, inner)
            case "ternary_expression":
                kind = _either(self.of(inner[1]), self.of(inner[2]))
            case "identifier":
                kind = self._symbol(text(node))
            case "call_expression":
                kind = self._call(text(inner[0]), inner_of(inner[1]))
            case "member_expression" | "subscript_expression":
                kind = self._access(node)
        return kind

    def wrong(self, node: Node, wanted: str | None) -> str | None:
        """A kind that the value may have although it must be `wanted`, in either branch of a conditional."""
        inner, root = inner_of(node), node
        if node.type == "parenthesized_expression" and len(inner) == 1:
            return self.wrong(inner[0], wanted)
        if node.type == "ternary_expression":
            return self.wrong(inner[1], wanted) or self.wrong(inner[2], wanted)
        while root.type in _ACCESS:
            root = inner_of(root)[0]
        name = self.member(access(node))[1] if root.type == "ternary_expression" else self.of(node).name
        if root.type == "ternary_expression" and (other := self.wrong(inner_of(root)[1], wanted)):
            return other
        return name if wanted and name and name != wanted else None

    def member(self, found: Access) -> tuple[bool, str | None]:
        """Whether what an access names may exist, and its kind."""
        if found.base.type != "identifier":
            return True, None
        symbol, steps = text(found.base), found.steps
        if symbol in self._lists:
            steps = steps[1:]
        if symbol in self._modules and steps[:1] == ("outputs",) and len(steps) > 1:
            target = self._templates.get(self._modules[symbol].path)
            declared = target.outputs.get(steps[1]) if target is not None else None
            return True, declared if len(steps) == 2 else None  # the wiring names an unknown output
        if symbol in self._modules and steps:
            return steps[0] in {"outputs", "name"}, "string" if steps[0] == "name" else None
        if symbol in self._resources and steps and self._catalogue is not None:
            return self._catalogue.member(self._resources[symbol].type_name, steps)
        return True, None

    def _access(self, node: Node) -> Kind:
        found = access(node)
        root = node
        while root.type in _ACCESS:
            root = inner_of(root)[0]
        kind = Kind(name=self.member(found)[1])
        if root.type == "ternary_expression":
            return _either(self.of(inner_of(root)[1]), kind)
        return Kind() if root.type in _OPERATORS else kind

    def _binary(self, node: Node, inner: list[Node]) -> Kind:
        sign = node.children[1].type
        if sign in _ARITHMETIC:
            return Kind(name="int")
        return _either(self.of(inner[0]), self.of(inner[1])) if sign == "??" else Kind(name="bool")

    def _symbol(self, name: str) -> Kind:
        if name in self._template.parameters:
            parameter = self._template.parameters[name]
            least = parameter.decorators.get("minLength")
            return Kind(name=parameter.kind, least=least if isinstance(least, int) else None)
        if name in self._resources or name in self._modules:
            kind = "resource" if name in self._resources else "module"
            return Kind(name="array" if name in self._lists else kind)
        if name in self._template.variables and name not in self._running:
            self._running.add(name)
            kind_of = self.of(self._template.variables[name])
            self._running.discard(name)
            return kind_of
        return Kind()

    def _call(self, name: str, given: list[Node]) -> Kind:
        if name == "uniqueString":
            return Kind(name="string", least=_UNIQUE_STRING)
        if name in {"toLower", "toUpper"} and given:
            return Kind(name="string", least=self.of(given[0]).least)
        if name == "take" and len(given) == 2:
            kind, count = self.of(given[0]), text(given[1])
            return Kind(name=kind.name, least=min(kind.least or 0, int(count)) if count.isdigit() else 0)
        return Kind(name=RESULT_KINDS.get(name))

    def _length(self, node: Node) -> int:
        literal = literal_text(node)
        if literal is not None:
            return len(literal)
        inside = [child for child in node.named_children if child.type == "interpolation"]
        written = len(text(node)) - 2 - sum(len(text(child)) for child in inside)
        return written + sum(self.of(child.named_children[0]).least or 0 for child in inside)


def _either(one: Kind, other: Kind) -> Kind:
    if one.name != other.name:
        return Kind()
    least = None if one.least is None or other.least is None else min(one.least, other.least)
    return Kind(name=one.name, least=least)
