"""The rules of Bicep's compiler and linter beyond syntax, names and the types of resources, each kind of fault once.

Contract: `compiler_problems` names every fault of one template, given those that it calls; `foresight_problems` every
module parameter behind which `what-if` would predict nothing. They are stricter than the compiler in places, and never
more lenient than one of its errors, as far as tests on its own verdicts show (`tests/unit/deploy/test_compiler.py`).
Codes are the compiler's.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Final

from tree_sitter import Node

from cji_deploy.check.aztypes import Catalogue
from cji_deploy.check.bicep import Template, decorators, nodes
from cji_deploy.check.kinds import Kinds, accesses, inner_of
from cji_deploy.check.values import literal_text, read_value, text

__all__ = ["compiler_problems", "foresight_problems"]

_DECLARED: Final = frozenset(
    {"parameter_declaration", "variable_declaration", "resource_declaration", "module_declaration"}
)
_LITERALS: Final = frozenset({"string", "number", "boolean", "array", "object"})
_LENGTHS: Final = frozenset({"string", "array"})
_DECORATED: Final = {
    "minLength": _LENGTHS,
    "maxLength": _LENGTHS,
    "minValue": frozenset({"int"}),
    "maxValue": frozenset({"int"}),
    "secure": frozenset({"string", "object"}),
}
_KINDS: Final = {bool: "bool", int: "int", str: "string", list: "array", dict: "object"}
_BEHIND: Final = timedelta(days=365)


def compiler_problems(
    template: Template, templates: Mapping[str, Template], catalogue: Catalogue | None
) -> Iterator[str]:
    """Faults of one template; `templates` holds those of its folder. Without a catalogue, members are not checked."""
    kinds = Kinds(template, templates, catalogue)
    yield from _doubled(template)
    for node in nodes(template.root):
        if node.type == "assignment_expression":
            yield f"{_line(node)}: an assignment inside an expression (BCP019); compare with =="
    yield from _parameters(template, kinds)
    yield from _outputs(template, kinds)
    yield from _calls(template, templates, kinds)
    yield from _members(template, kinds)
    yield from _circles(template)
    yield from _unused(template)
    if catalogue is not None:
        yield from _versions(template, catalogue)


def _line(node: Node) -> str:
    return f"line {node.start_point[0] + 1}"


def _doubled(template: Template) -> Iterator[str]:
    for node in nodes(template.root):
        properties = [each.named_children[0] for each in node.named_children if each.type == "object_property"]
        names = Counter((literal_text(key) if key.type == "string" else None) or text(key) for key in properties)
        yield from (f"{_line(node)}: {name!r} is set twice in one object (BCP025)" for name in names if names[name] > 1)


def _of(template: Template, kind: str) -> Iterator[tuple[str, Node]]:
    for node in template.root.named_children:
        if node.type == kind:
            yield next(text(child) for child in node.named_children if child.type == "identifier"), node


def _parameters(template: Template, kinds: Kinds) -> Iterator[str]:
    for name, node in _of(template, "parameter_declaration"):
        parameter = template.parameters[name]
        allowed = parameter.decorators.get("allowed")
        for call in decorators(node):
            decorator = text(inner_of(call)[0])
            if parameter.kind and parameter.kind not in _DECORATED.get(decorator, {parameter.kind}):
                yield f"{_line(node)}: @{decorator} does not go with {name}, which is {parameter.kind} (BCP124)"
        if isinstance(allowed, list) and parameter.kind not in {None, "array"}:
            for value in allowed:
                if _KINDS.get(type(value)) != parameter.kind:
                    yield f"{_line(node)}: {value!r} in @allowed of {name} is not {parameter.kind} (BCP034)"
        if any(child.type == "=" for child in node.children):
            default = node.named_children[-1]
            if kind := kinds.wrong(default, parameter.kind):
                yield f"{_line(node)}: the default of {name} is {kind}, expected {parameter.kind} (BCP033)"
            elif isinstance(allowed, list) and not _among(template, default, allowed):
                yield f"{_line(node)}: the default of {name} may be a value that @allowed does not list (BCP033)"


def _among(template: Template, node: Node, allowed: Sequence[object]) -> bool:
    """Whether an expression can have only values of a list: a literal of it, or a parameter with a list inside it."""
    if node.type == "parenthesized_expression":
        return _among(template, inner_of(node)[0], allowed)
    if node.type == "ternary_expression":
        return all(_among(template, each, allowed) for each in inner_of(node)[1:])
    if node.type == "identifier" and text(node) in template.parameters:
        own = template.parameters[text(node)].decorators.get("allowed")
        return isinstance(own, list) and all(each in allowed for each in own)
    if node.type == "array":
        return all(_among(template, each, allowed) for each in inner_of(node))
    return node.type in _LITERALS and read_value(node, {}) in allowed


def _outputs(template: Template, kinds: Kinds) -> Iterator[str]:
    for name, node in _of(template, "output_declaration"):
        wanted = template.outputs[name]
        if kind := kinds.wrong(node.named_children[-1], wanted):
            yield f"{_line(node)}: the output {name} is {kind}, expected {wanted} (BCP033)"


def _object(node: Node) -> Node | None:
    """The object of a declaration, also behind a condition and a loop."""
    inner = node.named_children[-1]
    while inner.type in {"if_statement", "for_statement", "parenthesized_expression"}:
        inner = inner.named_children[-1]
    return inner if inner.type == "object" else None


def _property(node: Node | None, name: str) -> Node | None:
    for each in [] if node is None else node.named_children:
        if each.type == "object_property" and text(each.named_children[0]) == name:
            return each.named_children[-1]
    return None


def _given(node: Node) -> Iterator[tuple[str, Node]]:
    """The parameters of a module call."""
    params = _property(_object(node), "params")
    for each in [] if params is None else params.named_children:
        if each.type == "object_property":
            yield text(each.named_children[0]), each.named_children[-1]


def _calls(template: Template, templates: Mapping[str, Template], kinds: Kinds) -> Iterator[str]:
    paths = {each.symbol: each.path for each in template.modules}
    for symbol, node in _of(template, "module_declaration"):
        name = _property(_object(node), "name")
        if name is not None and kinds.wrong(name, "string"):
            yield f"{_line(name)}: the name of {symbol} is not a string (BCP036)"
        target = templates.get(paths[symbol])
        for key, value in _given(node):
            if target is None or key not in target.parameters:
                continue  # the wiring names them
            parameter, kind = target.parameters[key], kinds.of(value)
            if value.type not in _LITERALS and (wrong := kinds.wrong(value, parameter.kind)):
                yield f"{_line(value)}: {key} of {symbol} is {wrong}, expected {parameter.kind} (BCP036)"
            least = parameter.decorators.get("minLength")
            if kind.name == "string" and isinstance(least, int) and kind.least is not None and kind.least < least:
                yield (
                    f"{_line(value)}: {key} of {symbol} may have {kind.least} characters, and needs {least} (BCP334)"
                )


def _members(template: Template, kinds: Kinds) -> Iterator[str]:
    for found in accesses(template.root):
        parent = found.node.parent
        if parent is not None and parent.type == "call_expression" and parent.named_children[0] == found.node:
            continue  # a function of a resource
        if not kinds.member(found)[0]:
            yield f"{_line(found.node)}: {text(found.base)} has no {'.'.join(found.steps)} (BCP053)"


def _uses(node: Node, known: frozenset[str]) -> set[str]:
    return {
        text(each)
        for each in nodes(node)
        if each.type == "identifier" and text(each) in known and not _is_key(each) and not _is_function(each)
    }


def _is_key(node: Node) -> bool:
    parent = node.parent
    return parent is not None and parent.type == "object_property" and parent.named_children[0] == node


def _is_function(node: Node) -> bool:
    parent = node.parent
    return parent is not None and parent.type == "call_expression" and parent.named_children[0] == node


def _needs(template: Template) -> dict[str, set[str]]:
    """The declared names that each declaration uses."""
    declared = {name: node for kind in _DECLARED for name, node in _of(template, kind)}
    known = frozenset(declared)
    return {
        name: set().union(*(_uses(child, known) for child in node.named_children[1:]))
        for name, node in declared.items()
    }


def _circles(template: Template) -> Iterator[str]:
    needs = _needs(template)
    for name in needs:
        reached, ahead = set[str](), [*needs[name]]
        while ahead:
            here = ahead.pop()
            if here not in reached:
                reached.add(here)
                ahead.extend(needs[here])
        if name in reached:
            yield f"{name} depends on itself (BCP079, BCP080)"


def _unused(template: Template) -> Iterator[str]:
    known = frozenset({*template.parameters, *template.variables, *(each.symbol for each in template.resources)})
    used: set[str] = set()
    for node in template.root.named_children:
        own = [] if node.type == "metadata_declaration" else node.named_children[1:]
        used.update(*(_uses(child, known) for child in own))
    existing = {each.symbol for each in template.resources if each.existing}
    for name in (*template.parameters, *template.variables, *existing):
        if name not in used:
            yield f"{name} is declared and not used (no-unused-params, -vars, -existing-resources)"


def _versions(template: Template, catalogue: Catalogue) -> Iterator[str]:
    for each in template.resources:
        newest, own = catalogue.newest(each.kind), each.type_name.partition("@")[2]
        if newest and not own.endswith("-preview") and _day(newest) - _day(own) > _BEHIND:
            yield f"line {each.line}: {each.type_name} is more than a year behind {newest} (use-recent-api-versions)"


def _day(version: str) -> date:
    try:
        return date.fromisoformat(version[:10])
    except ValueError:
        return date.max


def foresight_problems(templates: Mapping[str, Template]) -> Iterator[str]:
    """Module parameters whose values only the deployment knows, and which decide what resources there are."""
    deciding = {name: _deciding(template, templates, ()) for name, template in templates.items()}
    for template in templates.values():
        late = _late(template)
        paths = {each.symbol: each.path for each in template.modules}
        for symbol, node in _of(template, "module_declaration"):
            for key, value in _given(node):
                if key in deciding.get(paths[symbol], ()) and _is_late(template, value, late):
                    where = f"{template.name}:{value.start_point[0] + 1}: {key} of {symbol}"
                    yield (
                        f"{where} decides a name or a condition, and only the deployment knows it: what-if predicts "
                        "nothing behind it (what-if-short-circuiting)"
                    )


def _late(template: Template) -> set[str]:
    """Variables with a value that only the deployment knows."""
    found: set[str] = set()
    while True:
        more = {
            name for name, node in template.variables.items() if name not in found and _is_late(template, node, found)
        }
        if not more:
            return found
        found |= more


_EARLY: Final = frozenset({"id", "name", "type", "apiVersion"})


def _is_late(template: Template, node: Node, late: set[str]) -> bool:
    modules = {each.symbol for each in template.modules}
    resources = {each.symbol for each in template.resources}
    for found in accesses(node):
        base, steps = text(found.base), [step for step in found.steps if step != "[]"]
        if base in modules or (base in resources and steps and steps[0] not in _EARLY):
            return True
    return bool(_uses(node, frozenset(late)))


def _deciding(template: Template, templates: Mapping[str, Template], above: tuple[str, ...]) -> set[str]:
    """Parameters of a template that decide a resource's name, place or condition, also in templates that it calls."""
    if template.name in above:
        return set()
    places: list[Node] = []
    for kind in ("resource_declaration", "module_declaration"):
        for _, node in _of(template, kind):
            body = _object(node)
            places += [place for key in ("name", "scope", "parent") if (place := _property(body, key)) is not None]
            places += [each.named_children[0] for each in nodes(node) if each.type in {"if_statement", "for_statement"}]
            if node.named_children[-1].type == "for_statement":
                places.append(node.named_children[-1].named_children[1])
    paths = {each.symbol: each.path for each in template.modules}
    for symbol, node in _of(template, "module_declaration"):
        target = templates.get(paths[symbol])
        inner = _deciding(target, templates, (*above, template.name)) if target is not None else set()
        places += [value for key, value in _given(node) if key in inner]
    known = frozenset({*template.parameters, *template.variables})
    ahead = [name for place in places for name in _uses(place, known)]
    found: set[str] = set()
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            if name in template.variables:
                ahead.extend(_uses(template.variables[name], known))
    return found & template.parameters.keys()
