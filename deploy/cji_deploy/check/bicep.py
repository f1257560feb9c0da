"""One Bicep file as data: parameters, variables, resources, modules, outputs.

Contract: `parse` takes any bytes and returns a `Template` or raises `DeployError` with a line for each problem. A
returned template has no syntax error and uses no undefined name; `aztypes`, `modules` and `hardening` check its
resources.

Bicep itself is a .NET program and checks more; the README lists the commands for the operator. The grammar is that of
`tree-sitter-bicep`.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

from cji_deploy.check.outcome import DeployError
from cji_deploy.check.values import Value, literal_text, read_value, text

__all__ = ["MAX_SOURCE_BYTES", "Module", "Parameter", "Resource", "Template", "decorators", "nodes", "parse"]

MAX_SOURCE_BYTES: Final = 1 << 20  # a template is written by people; ours are a few KB
_LANGUAGE: Final = Language(tree_sitter_bicep.language())
_DECLARATIONS: Final = {
    "parameter_declaration",
    "variable_declaration",
    "resource_declaration",
    "module_declaration",
    "type_declaration",
    "user_defined_function",
    "output_declaration",
}
_LOCAL_NAMES: Final = {"loop_variable", "loop_enumerator", "parameter"}
# places where an identifier is a key, a member or a called function and not a use of a declared name
_NOT_A_USE: Final = {
    "property_identifier",
    "decorator",
    "call_expression",
    "type",
    "nullable_return_type",
    "metadata_declaration",
}
_NAMESPACES: Final = {"az", "sys"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A declared parameter; `kind` is its primitive type or None for a user-defined one, `form` its type as written.

    `decorators` has the literal argument of each, None without one: `{"minValue": 365}`.
    """

    name: str
    kind: str | None
    required: bool
    form: str = ""
    line: int = 0
    decorators: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A resource declaration; `type_name` is `Provider/type@api-version` as written, `line` counts from 1."""

    symbol: str
    type_name: str
    body: dict[str, Value]
    existing: bool
    line: int

    @property
    def kind(self) -> str:
        """Its type without the version of the API."""
        return self.type_name.partition("@")[0]

    def is_new(self, kind: str) -> bool:
        """Whether the template makes a resource of this type, in whatever case it is written."""
        return not self.existing and self.kind.lower() == kind.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A module call; `path` is relative to the calling file."""

    symbol: str
    path: str
    params: dict[str, Value]
    line: int
    named: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A syntactically sound Bicep file."""

    name: str
    root: Node
    parameters: dict[str, Parameter]
    variables: dict[str, Node]
    resources: tuple[Resource, ...]
    modules: tuple[Module, ...]
    outputs: Mapping[str, str | None]
    """With the kinds of those that have a primitive type."""
    metadata: Mapping[str, Value] = field(default_factory=dict)


def nodes(root: Node) -> Iterator[Node]:
    """Every node below and including `root`, in source order."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(node.children))


@functools.lru_cache(maxsize=256)
def parse(name: str, source: bytes) -> Template:
    """Template in one file; several checks read the same. Raises DeployError: syntax, undefined or duplicate names."""
    if len(source) > MAX_SOURCE_BYTES:
        raise DeployError(f"{name}: longer than {MAX_SOURCE_BYTES} bytes")
    try:
        source.decode()
    except UnicodeDecodeError as error:
        raise DeployError(f"{name}: not UTF-8 at byte {error.start}") from None
    root = Parser(_LANGUAGE).parse(source).root_node
    everything = list(nodes(root))
    if bad := [node for node in everything if node.is_error or node.is_missing]:
        raise DeployError(*(f"{name}:{_line(node)}: syntax error near {text(node)[:40]!r}" for node in bad))
    declared = [node for node in everything if node.type in _DECLARATIONS and _symbol(node)]
    problems = [*_declared_twice(name, declared), *_undefined(name, everything, declared)]
    if problems:
        raise DeployError(*problems)
    try:
        return _template(name, root, declared)
    except (RecursionError, ValueError, IndexError) as error:
        raise DeployError(f"{name}: a form that this check does not read ({type(error).__name__})") from None


def _template(name: str, root: Node, declared: list[Node]) -> Template:
    def of(kind: str) -> list[Node]:
        return [node for node in declared if node.type == kind]

    parameters = {_symbol(node): _parameter(node) for node in of("parameter_declaration")}
    variables = {_symbol(node): node.named_children[-1] for node in of("variable_declaration")}
    kinds: dict[str, str | None] = {parameter.name: parameter.kind for parameter in parameters.values()}
    kinds |= {symbol: "string" for symbol, node in variables.items() if node.type == "string"}
    kinds |= {_symbol(node): "resource" for node in of("resource_declaration")}
    kinds |= {_symbol(node): "module" for node in of("module_declaration")}
    return Template(
        name=name,
        root=root,
        parameters=parameters,
        variables=variables,
        resources=tuple(_resource(node, kinds) for node in of("resource_declaration")),
        modules=tuple(_module(node, kinds) for node in of("module_declaration")),
        outputs={_symbol(node): _declared_kind(node) for node in of("output_declaration")},
        metadata={
            _symbol(node): read_value(node.named_children[-1], {})
            for node in root.named_children
            if node.type == "metadata_declaration"
        },
    )


def _parameter(node: Node) -> Parameter:
    declared = next((text(child) for child in node.named_children if child.type == "type"), "")
    # `param x string?` is null when it is not given
    required = not any(child.type == "=" for child in node.children) and not declared.endswith("?")
    return Parameter(
        name=_symbol(node),
        kind=_declared_kind(node),
        form=declared,
        required=required,
        line=_line(node),
        decorators={text(call.named_children[0]): _argument(call) for call in decorators(node)},
    )


_FORMS: Final = {"array_type": "array", "object": "object"}


def _declared_kind(node: Node) -> str | None:
    """The kind of a parameter or an output from its type; None for a type with a name of its own."""
    form = next((child.named_children[0] for child in node.named_children if child.type == "type"), None)
    if form is None:
        return None
    return text(form) if form.type == "primitive_type" else _FORMS.get(form.type)


def decorators(node: Node) -> Iterator[Node]:
    """The calls that decorate a declaration, such as `description('...')`."""
    before = node.prev_named_sibling
    while before is not None and before.type in {"decorators", "comment"}:
        if before.type == "decorators":
            yield from (decorator.named_children[0] for decorator in before.named_children)
        before = before.prev_named_sibling


def _argument(call: Node) -> Value:
    given = [child for child in call.named_children[1].named_children if child.type != "comment"]
    return read_value(given[0], {}) if given else None


def _resource(node: Node, kinds: dict[str, str | None]) -> Resource:
    type_node = next(child for child in node.named_children if child.type == "string")
    return Resource(
        symbol=_symbol(node),
        type_name=literal_text(type_node) or "",
        body=_body(node, kinds),
        existing=any(text(child) == "existing" for child in node.children),
        line=_line(node),
    )


def _module(node: Node, kinds: dict[str, str | None]) -> Module:
    path_node = next((child for child in node.named_children if child.type == "string"), None)
    body = _body(node, kinds)
    params = body.get("params", {})
    return Module(
        symbol=_symbol(node),
        path=(literal_text(path_node) or "") if path_node else "",
        params=params if isinstance(params, dict) else {},
        line=_line(node),
        named="name" in body,
    )


def _body(node: Node, kinds: dict[str, str | None]) -> dict[str, Value]:
    """The object of a declaration, also behind `if (...)` and `[for ...: ...]`."""
    inner = node.named_children[-1]
    while inner.type in {"if_statement", "for_statement", "parenthesized_expression"}:
        inner = inner.named_children[-1]
    if inner.type != "object":
        raise ValueError(inner.type)
    body = read_value(inner, kinds)
    return body if isinstance(body, dict) else {}


def _symbol(node: Node) -> str:
    return next((text(child) for child in node.named_children if child.type == "identifier"), "")


def _line(node: Node) -> int:
    return node.start_point[0] + 1


def _declared_twice(name: str, declared: list[Node]) -> Iterator[str]:
    seen: set[tuple[bool, str]] = set()
    for node in declared:
        key = (node.type == "output_declaration", _symbol(node))  # outputs have a namespace of their own
        if key in seen:
            yield f"{name}:{_line(node)}: {_symbol(node)!r} is declared twice"
        seen.add(key)


def _undefined(name: str, everything: list[Node], declared: list[Node]) -> Iterator[str]:
    known = {_symbol(node) for node in declared if node.type != "output_declaration"} | _NAMESPACES
    for node in everything:
        if node.type in _LOCAL_NAMES:
            known.add(text(node) if node.type != "parameter" else _symbol(node))
        elif node.type in {"for_statement", "lambda_expression"}:
            known.update(text(child) for child in node.named_children[:1] if child.type == "identifier")
    for node in everything:
        parent = node.parent
        if node.type != "identifier" or parent is None:
            continue
        if parent.type == "call_expression" and parent.named_children[0] != node:
            used = True
        elif parent.type == "object_property":
            used = parent.named_children[0] != node
        elif parent.type in _DECLARATIONS | _LOCAL_NAMES:
            used = parent.named_children[-1] == node and parent.type in {
                "parameter_declaration",
                "variable_declaration",
                "output_declaration",
            }
        else:
            used = parent.type not in _NOT_A_USE
        if used and text(node) not in known:
            yield f"{name}:{_line(node)}: undefined symbol {text(node)!r}"
