"""The resources that a template deploys, computed without Azure: parameters, loops, conditions, modules resolved.

Contract: `resolve` returns the resources of an entry template in the order of their files, or raises DeployError with
file and line for what it cannot compute or what the template itself refuses (`@allowed`, `@minLength` and others).

This is the Bicep that `deploy/` uses and no more. It does not replace `what-if`, which also compares with what exists.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from tree_sitter import Node

from cji_deploy.check.bicep import Template, decorators
from cji_deploy.check.evaluate import Called, Deployed, Runtime, Surroundings, evaluate, refused, rounds, truth
from cji_deploy.check.functions import Json, joined
from cji_deploy.check.outcome import DeployError
from cji_deploy.check.values import literal_text, text

__all__ = ["Planned", "Surroundings", "module_outputs", "resolve"]

_MAX_DEPTH: Final = 8  # of modules in modules; ours are two deep
_NO_SYMBOLS: Final = frozenset({"output_declaration", "metadata_declaration"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A resource as it would be deployed; `name` includes the names of its parents, `file` and `line` declare it."""

    type: str
    api: str
    name: str
    id: str
    body: dict[str, Any]
    file: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One resolution: the templates, where they are deployed, and the resources found so far."""

    templates: Mapping[str, Template]
    around: Surroundings
    found: list[Planned] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class _Scope:
    """One template under evaluation. Symbols are computed when they are first used."""

    run: _Run
    template: Template
    given: Mapping[str, Json]
    depth: int
    declared: Mapping[str, Node]
    known: dict[str, Json] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)

    @property
    def file(self) -> str:
        return self.template.name

    @property
    def around(self) -> Surroundings:
        return self.run.around

    def symbol(self, name: str, user: Node) -> Json:
        if name in self.known:
            return self.known[name]
        node = self.declared.get(name)
        if node is None:
            raise refused(self, user, f"undefined symbol {name!r}")
        if name in self.running:
            raise refused(self, user, f"{name!r} depends on itself")
        self.running.add(name)
        match node.type:
            case "parameter_declaration":
                self.known[name] = _parameter(self, node, name)
            case "variable_declaration":
                self.known[name] = evaluate(self, node.named_children[-1], {})
            case "resource_declaration":
                self.known[name] = _each(self, node, _resource)
            case "module_declaration":
                self.known[name] = _each(self, node, _module)
            case other:
                raise refused(self, node, f"{other} is not supported here")
        self.running.discard(name)
        return self.known[name]


_Make: TypeAlias = Callable[[_Scope, Node, Node, dict[str, Json], bool], Json]


def resolve(
    entry: str, templates: Mapping[str, Template], parameters: Mapping[str, Json], around: Surroundings
) -> list[Planned]:
    """Resources of the template named `entry`; `templates` holds the templates that it calls by their path from it."""
    run = _Run(templates=templates, around=around)
    _evaluated(run, templates[entry], parameters, 0, f"{entry}: parameters")
    return run.found


def module_outputs(
    entry: str, templates: Mapping[str, Template], parameters: Mapping[str, Json], around: Surroundings
) -> dict[str, Json]:
    """Outputs of the template named `entry`."""
    run = _Run(templates=templates, around=around)
    return _evaluated(run, templates[entry], parameters, 0, f"{entry}: parameters")


def _evaluated(run: _Run, template: Template, given: Mapping[str, Json], depth: int, where: str) -> dict[str, Json]:
    """Evaluate everything in a template; its outputs."""
    if depth > _MAX_DEPTH:
        raise DeployError(f"{where}: modules are nested more than {_MAX_DEPTH} deep")
    if unknown := given.keys() - template.parameters.keys():
        raise DeployError(f"{where}: unknown parameter {sorted(unknown)[0]!r}")
    nodes = [node for node in template.root.named_children if node.type.endswith("_declaration")]
    declared = {_name(node): node for node in nodes if node.type not in _NO_SYMBOLS}
    scope = _Scope(run=run, template=template, given=given, depth=depth, declared=declared)
    outputs: dict[str, Json] = {}
    for node in nodes:
        if node.type == "parameter_declaration":
            _constraints(scope, node, scope.symbol(_name(node), node), where)
        elif node.type in {"resource_declaration", "module_declaration"}:
            scope.symbol(_name(node), node)
        elif node.type == "output_declaration":
            outputs[_name(node)] = evaluate(scope, node.named_children[-1], {})
    return outputs


def _name(node: Node) -> str:
    return next(text(child) for child in node.named_children if child.type == "identifier")


def _at(scope: _Scope, node: Node) -> str:
    return f"{scope.file}:{node.start_point[0] + 1}"


def _parameter(scope: _Scope, node: Node, name: str) -> Json:
    if name in scope.given:
        return scope.given[name]
    if not any(child.type == "=" for child in node.children):
        raise refused(scope, node, f"parameter {name!r} has no value")
    return evaluate(scope, node.named_children[-1], {})


_KINDS: Final[Mapping[str, type]] = {"string": str, "int": int, "bool": bool, "array": list, "object": dict}
_LIMITS: Final[Mapping[str, Callable[[Json, Json], bool]]] = {
    "allowed": lambda value, limit: value in limit,
    "minLength": lambda value, limit: isinstance(value, Runtime) or len(value) >= limit,
    "maxLength": lambda value, limit: isinstance(value, Runtime) or len(value) <= limit,
    "minValue": lambda value, limit: bool(value >= limit),
    "maxValue": lambda value, limit: bool(value <= limit),
}


def _constraints(scope: _Scope, node: Node, value: Json, where: str) -> None:
    """Refuse a parameter's value that its type or its decorators exclude."""
    name = _name(node)
    kind = scope.template.parameters[name].kind or ""
    wanted = _KINDS.get(kind)
    if wanted is not None and (not isinstance(value, wanted) or (isinstance(value, bool) and wanted is int)):
        raise DeployError(f"{where}: {name!r} must be {kind} ({_at(scope, node)})")
    for call in decorators(node):
        rule = text(call.named_children[0])
        if rule not in _LIMITS:
            continue
        try:
            holds = _LIMITS[rule](value, evaluate(scope, call.named_children[1].named_children[0], {}))
        except (TypeError, IndexError):  # @minValue on a text, for one
            raise DeployError(f"{where}: @{rule} does not go with {name!r} at {_at(scope, node)}") from None
        if not holds:
            raise DeployError(f"{where}: {name!r} is {value!r}, against @{rule} at {_at(scope, node)}")


def _each(scope: _Scope, node: Node, make: _Make) -> Json:
    """Evaluate a declaration once, or once for each round of its loop."""
    body = node.named_children[-1]
    if body.type != "for_statement":
        return _if(scope, node, body, {}, make)
    return [_if(scope, node, body.named_children[-1], names, make) for names in rounds(scope, body, {})]


def _if(scope: _Scope, node: Node, body: Node, names: dict[str, Json], make: _Make) -> Json:
    deployed = True
    if body.type == "if_statement":
        condition, body = (child for child in body.named_children if child.type != "comment")
        deployed = truth(scope, condition, evaluate(scope, condition, names))
    return make(scope, node, body, names, deployed)


def _properties(body: Node) -> dict[str, Node]:
    """The values of an object, by their keys."""
    return {
        (literal_text(key) or "")
        if (key := each.named_children[0]).type == "string"
        else text(key): each.named_children[-1]
        for each in body.named_children
        if each.type == "object_property"
    }


def _resource(scope: _Scope, node: Node, body: Node, names: dict[str, Json], deployed: bool) -> Deployed:
    written = next(child for child in node.named_children if child.type == "string")
    kind, _, api = (literal_text(written) or "").partition("@")
    values = _properties(body)
    name = _text_of(scope, values["name"], names)
    parent = evaluate(scope, values["parent"], names) if "parent" in values else None
    target = evaluate(scope, values["scope"], names) if "scope" in values else None
    if parent is not None:
        full, identity = f"{parent.name}/{name}", f"{parent.id}/{kind.rpartition('/')[2]}/{name}"
    else:
        base = _base(scope) if target is None else target.id
        full, identity = name, f"{base}/providers/{kind}/{name}"
    found = Deployed(type=kind, name=full, id=identity, body=None)
    if any(text(child) == "existing" for child in node.children):
        return found
    found.body = {key: evaluate(scope, value, names) for key, value in values.items() if key not in _HEAD}
    if isinstance(target, Deployed):
        found.body["scope"] = target.id
    if deployed:
        line = node.start_point[0] + 1
        body_of = _plain(found.body)
        planned = Planned(type=kind, api=api, name=full, id=identity, body=body_of, file=scope.file, line=line)
        scope.run.found.append(planned)
    return found


def _text_of(scope: _Scope, node: Node, names: dict[str, Json]) -> str:
    try:
        return joined(evaluate(scope, node, names))
    except TypeError as error:
        raise refused(scope, node, f"a name must be a text, not a {error}") from None


_HEAD: Final = frozenset({"name", "parent", "scope", "dependsOn"})


def _base(scope: _Scope) -> str:
    for node in scope.template.root.named_children:
        if node.type == "target_scope_assignment" and literal_text(node.named_children[0]) == "subscription":
            return scope.around.subscription
    return f"{scope.around.subscription}/resourceGroups/{scope.around.group}"


def _module(scope: _Scope, node: Node, body: Node, names: dict[str, Json], deployed: bool) -> Called:
    path = literal_text(next(child for child in node.named_children if child.type == "string")) or ""
    values = _properties(body)
    if "scope" in values:
        raise refused(scope, node, "a module with a scope of its own is not supported here")
    template = scope.run.templates.get(path)
    if template is None:
        raise refused(scope, node, f"no readable template {path!r}")
    # without a name, the compiler makes one
    name = _text_of(scope, values["name"], names) if "name" in values else _name(node)
    if not deployed:
        return Called(outputs={each: Runtime(f"<{name}.{each}>") for each in template.outputs}, name=name)
    params = evaluate(scope, values["params"], names) if "params" in values else {}
    given = {key: value for key, value in params.items() if value is not None}
    return Called(outputs=_evaluated(scope.run, template, given, scope.depth + 1, _at(scope, node)), name=name)


def _plain(value: Json) -> Json:
    """Without the resolver's own classes."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, str) else value
