"""The objects of the folders, with what only the tenant knows filled in.

{{groups/NAME}}   the id in the tenant of the object in this file
{{each NAME}}     one object for each value of a list in the parameters
{{the NAME}}      an object id in the parameters
{{now}}           the time of the request
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cji_core.strict import parse_object
from cji_deploy.errors import DeploymentError
from cji_deploy.identity.kinds import ELIGIBILITY, KINDS, PREFIX, TYPE

PLACEHOLDER: Final = re.compile(r"\{\{([^{}]*)\}\}")
FOLDER: Final = Path(__file__).parents[2] / "identity"
_EACH: Final = "each "
_THE: Final = "the "
_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

MAX_FILE_BYTES: Final = 1 << 20


class IdentityError(DeploymentError):
    """A step that cannot be done, and the remedy. The text has nothing secret."""

    code = "identity-not-applied"
    remedy = "Correct the object that the message names, and apply again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One object: `name` is `FOLDER/FILE`, with the principal behind it if there is one for each."""

    name: str
    kind: str
    body: dict[str, Any]

    @property
    def type(self) -> str:
        """Its Graph type."""
        stated = self.body.get(TYPE)
        return stated.removeprefix(PREFIX) if isinstance(stated, str) else next(iter(KINDS[self.kind].collections))

    @property
    def collection(self) -> str:
        """Its collection."""
        return KINDS[self.kind].collections[self.type]


def items(folder: Path, parameters: Mapping[str, Any]) -> list[Item]:
    """All objects in the order in which they are applied. Raises IdentityError."""
    found = []
    for kind in KINDS:
        for path in sorted((folder / kind).glob("*.json")):
            try:
                body = parse_object(path.read_bytes(), limit=MAX_FILE_BYTES)
            except (OSError, ValueError) as error:
                raise IdentityError(f"{kind}/{path.name} cannot be read: {error}") from error
            item = Item(name=f"{kind}/{path.stem}", kind=kind, body=filled(body, _given(body, parameters).get))
            found += _each(item, parameters) if kind == ELIGIBILITY else [item]
    return found


def _given(body: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, str]:
    known = {}
    for name in PLACEHOLDER.findall(json.dumps(body)):
        if name.startswith(_THE):
            value = parameters.get(name.removeprefix(_THE))
            if not isinstance(value, str) or not _GUID.fullmatch(value):
                raise IdentityError(
                    f"parameters: {name.removeprefix(_THE)} is not an object id; see parameters.example.json"
                )
            known[name] = value
    return known


def _each(item: Item, parameters: Mapping[str, Any]) -> list[Item]:
    found = PLACEHOLDER.findall(json.dumps(item.body))
    wanted = {each.removeprefix(_EACH) for each in found if each.startswith(_EACH)}
    (parameter,) = wanted
    values = parameters.get(parameter)
    if not isinstance(values, list) or not all(isinstance(each, str) and _GUID.fullmatch(each) for each in values):
        raise IdentityError(f"parameters: {parameter} is not a list of object ids; see parameters.example.json")
    return [
        Item(name=f"{item.name}/{value}", kind=item.kind, body=filled(item.body, {f"{_EACH}{parameter}": value}.get))
        for value in values
    ]


def filled(value: Any, known: Callable[[str], str | None]) -> Any:
    """The value with placeholders replaced that are known; others stay."""
    if isinstance(value, dict):
        return {name: filled(each, known) for name, each in value.items()}
    if isinstance(value, list):
        return [filled(each, known) for each in value]
    if isinstance(value, str) and (found := PLACEHOLDER.fullmatch(value)):
        if found[1] == "now":
            return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return known(found[1]) or value
    return value
