"""Azure Policy's rule language, as far as our definitions use it, applied to resources.

Contract: `parse_definition` takes any bytes and returns a `Definition`, or raises DeployError with a line; a returned
one has only known keys, operators, effects and parameters. `matches` decides whether its `if` matches a resource, with
aliases resolved to the resource's properties, and `violated` whether the resource is then not compliant.

Comparisons ignore case. A field that is missing is equal to nothing. `[*]` outside a count must hold for every element.
Source: learn.microsoft.com, "Azure Policy definition structure".
"""

import fnmatch
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cji_deploy.check.outcome import DeployError

__all__ = ["Definition", "fields", "matches", "parse_definition", "path_of", "violated"]

Resource = Mapping[str, Any]
_MAX_BYTES: Final = 1 << 20
_NEVER_INDEXED: Final = ("Microsoft.Resources/subscriptions/resourceGroups", "Microsoft.Resources/subscriptions")
_TOP: Final = frozenset({"displayName", "description", "policyType", "mode", "metadata", "parameters", "policyRule"})
_EFFECTS: Final = frozenset({"deny", "audit", "auditifnotexists", "disabled"})
_MODES: Final = frozenset({"All", "Indexed"})
_PLAIN: Final = frozenset({"type", "name", "kind", "location", "tags"})
_TAG: Final = re.compile(r"tags\['([^']+)'\]")
_PARAMETER: Final = re.compile(r"\[parameters\('([A-Za-z]+)'\)\]")
_ALIAS: Final = re.compile(r"Microsoft\.[A-Za-z]+(/[A-Za-z]+)+/[A-Za-z]+(\.[A-Za-z]+|\[\*\])*")
# beginnings of paths that are not under properties
_OUTSIDE: Final = frozenset({"sku", "identity", "kind"})
_MISSING: Final = object()


def _folded(value: Any) -> Any:
    """For comparison: text without case, a boolean as its text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.lower() if isinstance(value, str) else value


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _compared(test: Callable[[float, float], bool]) -> Callable[[Any, Any], bool]:
    def compare(value: Any, limit: Any) -> bool:
        left, right = _number(value), _number(limit)
        return left is not None and right is not None and test(left, right)

    return compare


_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "equals": lambda value, wanted: _folded(value) == _folded(wanted),
    "notEquals": lambda value, wanted: _folded(value) != _folded(wanted),
    "in": lambda value, wanted: _folded(value) in [_folded(each) for each in wanted],
    "notIn": lambda value, wanted: _folded(value) not in [_folded(each) for each in wanted],
    "like": lambda value, wanted: isinstance(value, str) and fnmatch.fnmatchcase(value.lower(), wanted.lower()),
    "notLike": lambda value, wanted: (
        not (isinstance(value, str) and fnmatch.fnmatchcase(value.lower(), wanted.lower()))
    ),
    "exists": lambda value, wanted: (value is not _MISSING and value is not None) == (_folded(wanted) == "true"),
    "greater": _compared(lambda left, right: left > right),
    "greaterOrEquals": _compared(lambda left, right: left >= right),
    "less": _compared(lambda left, right: left < right),
    "lessOrEquals": _compared(lambda left, right: left <= right),
}
_LISTS: Final = frozenset({"in", "notIn"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A policy definition; `related` is the type and condition of what must exist, with AuditIfNotExists."""

    name: str
    mode: str
    parameters: Mapping[str, Any]
    condition: Mapping[str, Any]
    related: tuple[str, Mapping[str, Any]] | None


def parse_definition(file: str, source: bytes) -> Definition:
    """A definition from its JSON text. Raises DeployError for what Azure or this evaluator would not take."""
    if len(source) > _MAX_BYTES:
        raise DeployError(f"{file}:1: longer than {_MAX_BYTES} bytes")
    reader = _Reader(file, source)
    try:
        return reader.definition()
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise DeployError(f"{file}:1: not a policy definition ({type(error).__name__}: {error})") from None


class _Reader:
    """Checks one file as it reads it, and knows where a word stands in it."""

    def __init__(self, file: str, source: bytes) -> None:
        self._file = file
        try:
            self._text = source.decode()
            self._document = json.loads(self._text)
        except (ValueError, RecursionError) as error:
            raise DeployError(f"{file}:{getattr(error, 'lineno', 1)}: not JSON") from None
        self._parameters: Mapping[str, Any] = {}

    def _refused(self, word: str, why: str) -> DeployError:
        lines = self._text.splitlines()
        line = next((number for number, each in enumerate(lines, start=1) if json.dumps(word) in each), 1)
        return DeployError(f"{self._file}:{line}: {word!r} {why}")

    def _keys(self, value: Mapping[str, Any], allowed: frozenset[str]) -> None:
        for key in value.keys() - allowed:
            raise self._refused(key, "is not a key here")

    def definition(self) -> Definition:
        self._keys(self._document, frozenset({"name", "properties"}))
        name, properties = self._document["name"], self._document["properties"]
        self._keys(properties, _TOP)
        if name != self._file.removesuffix(".json"):
            raise self._refused(name, "must be the name of the file")
        if properties["mode"] not in _MODES:
            raise self._refused(properties["mode"], "is not a mode")
        if properties["policyType"] != "Custom":
            raise self._refused(properties["policyType"], "is not the type of a definition of ours")
        self._parameters = properties["parameters"]
        rule = properties["policyRule"]
        self._keys(rule, frozenset({"if", "then"}))
        self._condition(rule["if"], None)
        related = self._then(rule["then"])
        return Definition(
            name=name, mode=properties["mode"], parameters=self._parameters, condition=rule["if"], related=related
        )

    def _then(self, then: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
        self._keys(then, frozenset({"effect", "details"}))
        if then["effect"] != "[parameters('effect')]":
            raise self._refused(then["effect"], "must be the parameter effect")
        for effect in self._parameters["effect"]["allowedValues"]:
            if effect.lower() not in _EFFECTS:
                raise self._refused(effect, "is not an effect")
        needed = "AuditIfNotExists" in self._parameters["effect"]["allowedValues"]
        if needed != ("details" in then):
            raise self._refused("effect", "and details do not fit each other")
        if not needed:
            return None
        details = then["details"]
        self._keys(details, frozenset({"type", "existenceCondition"}))
        self._condition(details["existenceCondition"], None)
        return details["type"], details["existenceCondition"]

    def _condition(self, condition: Mapping[str, Any], inside: str | None) -> None:
        """`inside` is the array of the count around it."""
        keys = set(condition)
        if keys & {"allOf", "anyOf"}:
            (key,) = keys
            if not condition[key]:
                raise self._refused(key, "is empty")
            for each in condition[key]:
                self._condition(each, inside)
        elif "not" in keys:
            self._keys(condition, frozenset({"not"}))
            self._condition(condition["not"], inside)
        else:
            self._comparison(condition, keys, inside)

    def _comparison(self, condition: Mapping[str, Any], keys: set[str], inside: str | None) -> None:
        subjects = keys & {"field", "count"}
        if len(subjects) != 1:
            raise self._refused(next(iter(sorted(keys)), ""), "is a condition without a field or count")
        operators = keys - subjects
        for operator in operators - _OPERATORS.keys():
            raise self._refused(operator, "is not an operator")
        (operator,) = operators
        wanted = self._wanted(condition[operator])
        if operator in _LISTS and not isinstance(wanted, list):
            raise self._refused(operator, "needs a list")
        if "field" in keys:
            self._field(condition["field"])
            return
        count = condition["count"]
        self._keys(count, frozenset({"field", "where"}))
        self._field(count["field"])
        if not count["field"].endswith("[*]") or inside is not None:
            raise self._refused(count["field"], "is not an array to count")
        if "where" in count:
            self._condition(count["where"], count["field"])

    def _wanted(self, value: Any) -> Any:
        if isinstance(value, str) and value.startswith("["):
            found = _PARAMETER.fullmatch(value)
            if found is None or found[1] not in self._parameters:
                raise self._refused(value, "is not a parameter of the definition")
            return [] if self._parameters[found[1]]["type"] == "Array" else ""
        return value

    def _field(self, field: str) -> None:
        if field not in _PLAIN and not _TAG.fullmatch(field) and not _ALIAS.fullmatch(field):
            raise self._refused(field, "is not a field")


def fields(definition: Definition) -> Iterator[str]:
    """Every alias that the definition uses."""
    stack: list[Any] = [definition.condition, *([definition.related[1]] if definition.related else [])]
    while stack:
        here = stack.pop()
        if isinstance(here, dict):
            if isinstance(here.get("field"), str) and _ALIAS.fullmatch(here["field"]):
                yield here["field"]
            stack.extend(here.values())
        elif isinstance(here, list):
            stack.extend(here)


def path_of(alias: str) -> tuple[str, str]:
    """The resource type of an alias, and the path in the resource's body."""
    kind, _, path = alias.rpartition("/")
    return kind, path if re.split(r"[.\[]", path)[0] in _OUTSIDE else f"properties.{path}"


def matches(definition: Definition, resource: Resource, values: Mapping[str, Any]) -> bool:
    """Whether the definition's `if` matches a resource; `values` are the parameters of the assignment."""
    given = {name: values.get(name, spec.get("defaultValue")) for name, spec in definition.parameters.items()}
    indexed = ("location" in resource or "tags" in resource) and resource.get("type") not in _NEVER_INDEXED
    if definition.mode == "Indexed" and not indexed:
        return False  # this mode looks only at what has a place or tags, and at no resource group
    return _holds(definition.condition, resource, given, {})


def violated(
    definition: Definition, resource: Resource, related: Sequence[Resource], values: Mapping[str, Any]
) -> bool:
    """Whether a resource is not compliant; `related` are the resources of a scope that may have to exist."""
    if not matches(definition, resource, values):
        return False
    if definition.related is None:
        return True
    kind, condition = definition.related
    return not any(
        each["type"].lower() == kind.lower()
        and each.get("scope", "").lower() == resource["id"].lower()
        and _holds(condition, each, {}, {})
        for each in related
    )


def _holds(
    condition: Mapping[str, Any], resource: Resource, given: Mapping[str, Any], current: Mapping[str, Any]
) -> bool:
    """`current` has the element of the count around it, by the field that is counted."""
    if "allOf" in condition:
        return all(_holds(each, resource, given, current) for each in condition["allOf"])
    if "anyOf" in condition:
        return any(_holds(each, resource, given, current) for each in condition["anyOf"])
    if "not" in condition:
        return not _holds(condition["not"], resource, given, current)
    operator = next(key for key in condition if key not in {"field", "count"})
    wanted = condition[operator]
    if isinstance(wanted, str) and (found := _PARAMETER.fullmatch(wanted)):
        wanted = given[found[1]]
    test = _OPERATORS[operator]
    if "count" in condition:
        count = condition["count"]
        elements = _values(count["field"], resource, current)
        where = count.get("where")
        hits = [
            each
            for each in elements
            if each is not _MISSING
            and (where is None or _holds(where, resource, given, {**current, count["field"]: each}))
        ]
        return test(len(hits), wanted)
    return all(test(value, wanted) for value in _values(condition["field"], resource, current))


def _values(field: str, resource: Resource, current: Mapping[str, Any]) -> list[Any]:
    """Every value of a field: one, or one for each element at `[*]`."""
    if field in _PLAIN:
        return [resource.get(field, _MISSING)]
    if found := _TAG.fullmatch(field):
        return [(resource.get("tags") or {}).get(found[1], _MISSING)]
    for counted, element in current.items():
        if field == counted or field.startswith(f"{counted}."):
            return _walk(element, field[len(counted) :].removeprefix("."))
    kind, path = path_of(field)
    if resource["type"].lower() != kind.lower():
        return [_MISSING]  # an alias of another type has no value here
    return _walk(resource, path)


def _walk(value: Any, path: str) -> list[Any]:
    found = [value]
    for step in path.split(".") if path else []:
        name, each = step.removesuffix("[*]"), step.endswith("[*]")
        found = [here.get(name, _MISSING) if isinstance(here, dict) else _MISSING for here in found]
        if each:
            found = [item for here in found if isinstance(here, list) for item in here]
    return found
