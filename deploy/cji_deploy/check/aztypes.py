"""Type check of resource bodies against Azure's published resource types.

The types are the `types.json` files from Azure/bicep-types-az (the data that Bicep's own compiler uses), one
file per provider and API version, in a folder outside this repository. Flags of a property: 1 required, 2 read-only,
4 write-only, 8 constant at deployment.

Contract: `Catalogue.problems` names every unknown, missing, read-only or mistyped property in a literal body.
Expressions are checked by their kind if it is known. A value outside an open enumeration counts as a problem here
although Bicep only warns: a misspelt enumeration is an outage at deployment.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from cji_deploy.check.bicep import Resource
from cji_deploy.check.outcome import DeployError, resembling
from cji_deploy.check.values import Choice, Expression, Value

__all__ = ["Catalogue"]

_REQUIRED: Final = 1
_READ_ONLY: Final = 2
# Bicep's own properties of a declaration, and ARM's that the declaration's head already says
# names of a data collection rule's own streams, in an enumeration of Microsoft's
_OWN_STREAM: Final = re.compile(r"Custom-[A-Za-z0-9_-]+")
_ITEM: Final = "[]"
_META: Final = frozenset({"parent", "scope", "dependsOn", "id", "type", "apiVersion"})
_KIND_OF: Final = {
    "StringType": "string",
    "StringLiteralType": "string",
    "UnionType": "string",
    "IntegerType": "int",
    "BooleanType": "bool",
    "ArrayType": "array",
    "ObjectType": "object",
    "DiscriminatedObjectType": "object",
}
Type = Mapping[str, Any]


class Catalogue:
    """The resource types in a folder of `types.json` files, by `provider/type@api-version`."""

    def __init__(self, files: Mapping[str, list[Type]]) -> None:
        self._types: dict[str, tuple[list[Type], Type]] = {
            entry["name"].lower(): (types, entry)
            for types in files.values()
            for entry in types
            if entry.get("$type") == "ResourceType"
        }

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read every `*.json` of the folder. Raises DeployError if there is none or another file."""
        try:
            published = cls({path.name: json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))})
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise DeployError(f"{folder.name}: not a folder of resource types ({type(error).__name__})") from error
        if not published._types:
            raise DeployError(f"{folder.name}: no resource types in it")
        return published

    def has(self, kind: str, path: str) -> bool:
        """Whether a type has a property at a dotted path, in any of its versions; arrays are stepped into."""
        found = [each for name, each in self._types.items() if name.partition("@")[0] == kind.lower()]
        return any(_reaches(types, entry["body"], path.split(".")) for types, entry in found)

    def newest(self, kind: str) -> str:
        """The newest version of a type that is not a preview; none if there is no such type."""
        names = (name.partition("@") for name in self._types)
        return max((api for name, _, api in names if name == kind.lower() and "preview" not in api), default="")

    def member(self, type_name: str, steps: Sequence[str]) -> tuple[bool, str | None]:
        """Whether a resource of this type may have what the steps lead to, and its kind; `[]` is a step into a list."""
        found = self._types.get(type_name.lower())
        if found is None:
            return True, None  # the type itself is a problem already
        types, entry = found
        return _member(types, _resolve(types, entry["body"]), steps)

    def problems(self, resource: Resource) -> Iterator[str]:
        """One text per deviation of the resource's body from its type."""
        found = self._types.get(resource.type_name.lower())
        where = f"line {resource.line}: {resource.symbol}"
        if found is None:
            near = resembling(resource.type_name.lower(), self._types)
            yield f"{where}: unknown type or API version {resource.type_name!r}{near}"
            return
        types, entry = found
        body = {name: value for name, value in resource.body.items() if name not in _META}
        if resource.existing:
            yield from (f"{where}: an existing resource takes no {name!r}" for name in body if name != "name")
            return
        declared = _resolve(types, entry["body"])
        part = "properties" if declared["$type"] == "ObjectType" else "baseProperties"
        properties = {name: spec for name, spec in declared[part].items() if name not in _META}
        yield from _judge(types, {**declared, part: properties}, body, where)


def _resolve(types: list[Type], reference: Type) -> Type:
    return types[int(reference["$ref"].rpartition("/")[2])]


def _member(types: list[Type], here: Type, steps: Sequence[str]) -> tuple[bool, str | None]:
    kind = here["$type"]
    if not steps or kind == "AnyType":
        return True, None if steps else _KIND_OF.get(kind)
    if kind == "ArrayType":
        return _member(types, _resolve(types, here["itemType"]), steps[1:]) if steps[0] == _ITEM else (False, None)
    if kind == "DiscriminatedObjectType":
        several = [_resolve(types, each)["properties"] for each in here["elements"].values()]
        known = {name: spec for each in (*several, here["baseProperties"]) for name, spec in each.items()}
    else:
        known = dict(here.get("properties", {}))
    if steps[0] in known:
        return _member(types, _resolve(types, known[steps[0]]["type"]), steps[1:])
    return steps[0] == _ITEM or "additionalProperties" in here, None


def _reaches(types: list[Type], reference: Type, steps: list[str]) -> bool:
    here = _resolve(types, reference)
    while here["$type"] == "ArrayType":
        here = _resolve(types, here["itemType"])
    if not steps:
        return True
    properties = {**here.get("properties", {}), **here.get("baseProperties", {})}
    spec = properties.get(steps[0])
    return spec is not None and _reaches(types, spec["type"], steps[1:])


def _judge(types: list[Type], expected: Type, value: Value, where: str) -> Iterator[str]:
    kind = expected["$type"]
    if isinstance(value, Choice):
        for branch in value.branches:
            yield from _judge(types, expected, branch, where)
    elif isinstance(value, Expression):
        wanted = _KIND_OF.get(kind)
        if value.kind and wanted and value.kind != wanted:
            yield f"{where}: {value.source} is {value.kind}, expected {wanted}"
    elif value is None or kind == "AnyType":
        return  # null leaves a property out
    elif kind == "ObjectType":
        yield from _judge_object(types, expected, value, where)
    elif kind == "DiscriminatedObjectType":
        yield from _judge_discriminated(types, expected, value, where)
    elif kind == "ArrayType":
        if not isinstance(value, list):
            yield f"{where}: expected array"
            return
        for index, item in enumerate(value):
            yield from _judge(types, _resolve(types, expected["itemType"]), item, f"{where}[{index}]")
    else:
        yield from _judge_scalar(types, expected, value, where)


def _judge_object(types: list[Type], expected: Type, value: Value, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where}: expected object"
        return
    properties: Mapping[str, Any] = expected["properties"]
    for name, item in value.items():
        spec = properties.get(name)
        if spec is not None and spec["flags"] & _READ_ONLY:
            yield f"{where}.{name}: read-only"
        elif spec is not None:
            yield from _judge(types, _resolve(types, spec["type"]), item, f"{where}.{name}")
        elif "additionalProperties" in expected:
            yield from _judge(types, _resolve(types, expected["additionalProperties"]), item, f"{where}.{name}")
        else:
            yield f"{where}: unknown property {name!r}{resembling(name, properties)}"
    for name, spec in properties.items():
        if spec["flags"] & _REQUIRED and not spec["flags"] & _READ_ONLY and value.get(name) is None:
            yield f"{where}: missing required property {name!r}"


def _judge_discriminated(types: list[Type], expected: Type, value: Value, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where}: expected object"
        return
    chosen = value.get(expected["discriminator"])
    element = expected["elements"].get(chosen) if isinstance(chosen, str) else None
    if element is None:
        yield f"{where}: {expected['discriminator']!r} must be one of {sorted(expected['elements'])}"
        return
    concrete = _resolve(types, element)
    properties = {**expected["baseProperties"], **concrete["properties"]}
    yield from _judge_object(types, {**concrete, "properties": properties}, value, where)


def _judge_scalar(types: list[Type], expected: Type, value: Value, where: str) -> Iterator[str]:
    match expected["$type"]:
        case "UnionType":
            values = [_resolve(types, element).get("value") for element in expected["elements"]]
            own = isinstance(value, str) and None in values and _OWN_STREAM.fullmatch(value)
            if not own and value not in [known for known in values if known is not None]:
                near = resembling(str(value), (str(known) for known in values if known))
                yield f"{where}: {value!r} is not among the known values{near}"
        case "StringLiteralType" if value != expected["value"]:
            yield f"{where}: must be {expected['value']!r}"
        case "BooleanType" if not isinstance(value, bool):
            yield f"{where}: expected bool"
        case "IntegerType":
            if isinstance(value, bool) or not isinstance(value, int):
                yield f"{where}: expected int"
            elif not expected.get("minValue", value) <= value <= expected.get("maxValue", value):
                yield f"{where}: {value} is out of range"
        case "StringType":
            if not isinstance(value, str):
                yield f"{where}: expected string"
            elif not expected.get("minLength", 0) <= len(value) <= expected.get("maxLength", len(value)):
                yield f"{where}: wrong length"
            elif not re.search(expected.get("pattern", ""), value):
                yield f"{where}: does not match {expected['pattern']}"
        case _:
            return
