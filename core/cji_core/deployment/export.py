"""Readers of exports: what Azure's resource manager answers about a deployment, as JSON. Untrusted, so bounded.

Three forms are read, alone or together:

* an export of `deploy/cji_deploy/runbooks/export.py`: `{"format": "cji-deployment/1", "covers": [...], "resources":
  [...]}`
* a list of resources, or `{"value": [...]}`, as `az resource show` and the resource manager's API print them
* a template of `az group export`: names are expressions over parameters with default values

`covers` names what was looked for. Without it, an absent diagnostic setting or role assignment proves nothing.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cji_core.errors import CoreError
from cji_core.strict import StrictError, parse

FORMAT: Final = "cji-deployment/1"
MAX_BYTES: Final = 64 << 20
MAX_RESOURCES: Final = 20_000
_DEPTH: Final = 64  # levels; a template of Azure has 20 and more
_MAX_NAME: Final = 2048
_EXPRESSION: Final = re.compile(r"\[(.*)\]", re.DOTALL)
_PARAMETER: Final = re.compile(r"parameters\('([A-Za-z0-9_]{1,128})'\)")
_CONCAT: Final = re.compile(r"concat\((.*)\)")
_RESOURCE_ID: Final = re.compile(r"resourceId\('([A-Za-z0-9./]{1,256})',\s*(.*)\)")
_REMEDY: Final = "Make the export again: `python -m cji_deploy.runbooks.export --group GROUP --out export.json`."


class ExportError(CoreError):
    """An export cannot be read. `remedy` describes how to get one that can."""

    code = "export-unreadable"

    remedy = _REMEDY


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A resource: type and id in lower case, name with those of its parents, and everything that was exported."""

    type: str
    name: str
    id: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """All resources of the exports. `covers` are the types, in lower case, of which every one is included."""

    resources: tuple[Resource, ...]
    covers: frozenset[str]

    def of(self, kind: str) -> list[Resource]:
        """The resources of a type."""
        return [each for each in self.resources if each.type == kind.lower()]


def read_export(exports: Sequence[tuple[str, bytes]]) -> Deployed:
    """The resources in these files, by name and content. Raises ExportError."""
    found: dict[str, Resource] = {}
    covers: set[str] = set()
    for name, data in exports:
        document = _decoded(name, data)
        items, parameters = _items(name, document)
        if isinstance(document, dict):
            covers |= {str(each).lower() for each in _list(document.get("covers", []))}
        for item in items:
            resource = _resource(name, item, parameters)
            found[resource.id] = resource
        if len(found) > MAX_RESOURCES:
            raise ExportError(f"{name} has more than {MAX_RESOURCES} resources")
    if not found:
        raise ExportError("The export has no resource")
    return Deployed(resources=tuple(found.values()), covers=frozenset(covers))


def _decoded(name: str, data: bytes) -> Any:
    if len(data) > MAX_BYTES:
        raise ExportError(f"{name} is larger than {MAX_BYTES >> 20} MiB")
    try:
        return parse(data, limit=MAX_BYTES, depth=_DEPTH)
    except StrictError as error:
        raise ExportError(f"{name} is not JSON: {error}") from error


def _items(name: str, document: Any) -> tuple[list[Any], Mapping[str, Any]]:
    """The resources of a document, and the parameters of a template."""
    if isinstance(document, list):
        return document, {}
    if isinstance(document, dict):
        if "format" in document and document["format"] != FORMAT:
            raise ExportError(f"{name} is of a format that this version does not read")
        parameters = document.get("parameters", {})
        defaults = {
            key: value["defaultValue"]
            for key, value in (parameters.items() if isinstance(parameters, dict) else ())
            if isinstance(value, dict) and "defaultValue" in value
        }
        for key in ("resources", "value"):
            if isinstance(document.get(key), list):
                return document[key], defaults
        if isinstance(document.get("type"), str):
            return [document], {}
    raise ExportError(f"{name} has no list of resources")


def _resource(file: str, item: Any, parameters: Mapping[str, Any]) -> Resource:
    if not isinstance(item, dict) or not isinstance(item.get("type"), str) or not isinstance(item.get("name"), str):
        raise ExportError(f"{file}: an item is not a resource, it has no type and name")
    body = _resolved(item, parameters)
    kind, name = str(item["type"]).lower(), str(body["name"])
    stated = body.get("id")
    scope = str(body.get("scope") or "")
    identifier = stated if isinstance(stated, str) else f"{scope}/providers/{kind}/{name}"
    if max(map(len, (kind, name, identifier))) > _MAX_NAME:
        raise ExportError(f"{file}: a resource has a name of more than {_MAX_NAME} characters")
    return Resource(type=kind, name=name, id=identifier.lower(), body=body)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _resolved(value: Any, parameters: Mapping[str, Any]) -> Any:
    """A value with the template's expressions replaced; one that cannot be resolved stays as it is."""
    if isinstance(value, dict):
        return {key: _resolved(each, parameters) for key, each in value.items()}
    if isinstance(value, list):
        return [_resolved(each, parameters) for each in value]
    if isinstance(value, str) and (expression := _EXPRESSION.fullmatch(value)):
        found = _evaluated(expression[1].strip(), parameters)
        return value if found is None else found
    return value


def _evaluated(text: str, parameters: Mapping[str, Any]) -> Any:
    if (parameter := _PARAMETER.fullmatch(text)) is not None:
        return parameters.get(parameter[1])
    if (joined := _CONCAT.fullmatch(text)) is not None:
        parts = [_argument(part, parameters) for part in _arguments(joined[1])]
        return None if None in parts else "".join(map(str, parts))
    if (reference := _RESOURCE_ID.fullmatch(text)) is not None:
        names = [_argument(part, parameters) for part in _arguments(reference[2])]
        return None if None in names else f"/providers/{reference[1]}/{'/'.join(map(str, names))}"
    return None


def _arguments(text: str) -> list[str]:
    """The arguments of a call, split at commas outside quotes and parentheses."""
    parts, depth, quoted, start = [], 0, False, 0
    for at, character in enumerate(text):
        if character == "'":
            quoted = not quoted
        elif not quoted:
            depth += (character == "(") - (character == ")")
            if character == "," and depth == 0:
                parts.append(text[start:at].strip())
                start = at + 1
    return [*parts, text[start:].strip()]


def _argument(text: str, parameters: Mapping[str, Any]) -> Any:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == "'" else _evaluated(text, parameters)
