"""Bodies of Microsoft Graph against its schema: unknown properties, wrong kinds, words outside an enumeration.

The schemas are `deploy/identity/schema`, one for each version of Graph; they name their sources. A word of an
enumeration that Graph keeps for the future (`unknownFutureValue`) is refused.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Self

from cji_deploy.check.outcome import DeployError, resembling
from cji_deploy.identity.kinds import PREFIX, TYPE

__all__ = ["GraphTypes"]

_FLAGS: Final = frozenset({"ConditionalAccessTransferMethods", "DeviceManagementConfigurationTechnologies"})
"""Enumerations of which a body may have several words, with commas between them."""


class GraphTypes:
    """The types and enumerations of a schema."""

    def __init__(self, found: dict[str, Any]) -> None:
        self._types: dict[str, dict[str, Any]] = found["types"]
        self._enums: dict[str, list[str]] = found["enums"]
        # the name in a body begins with a small letter
        self._names = {name[0].lower() + name[1:]: name for name in self._types}

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the schema. Raises DeployError."""
        try:
            return cls(json.loads(path.read_bytes()))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DeployError(f"{path.name} cannot be read ({type(error).__name__})") from error

    def problems(self, body: object, name: str) -> Iterator[tuple[str, str]]:
        """Pointers and problems of a body whose type is called `name` in Graph."""
        yield from self._object(self._names[name], body, "")

    def _properties(self, name: str) -> dict[str, str]:
        own = self._types[name]
        inherited = self._properties(own["base"]) if own.get("base") in self._types else {}
        return {**inherited, **own["properties"]}

    def _derives(self, name: str, base: str) -> bool:
        own: str | None = name
        while own is not None and own != base:
            own = self._types.get(own, {}).get("base")
        return own == base

    def _object(self, name: str, value: object, pointer: str) -> Iterator[tuple[str, str]]:
        if not isinstance(value, dict):
            yield pointer, "expected an object"
            return
        stated = value.get(TYPE)
        if stated is not None:
            chosen = self._names.get(str(stated).removeprefix(PREFIX)) if str(stated).startswith(PREFIX) else None
            if chosen is None or not self._derives(chosen, name):
                yield f"{pointer}/{TYPE}", f"{stated!r} is not a kind of {name}"
                return
            name = chosen
        properties = self._properties(name)
        for key, each in value.items():
            place = f"{pointer}/{key}"
            if key == TYPE:
                continue
            if key not in properties:
                yield place, f"unknown property {key!r} of {name}{resembling(key, properties)}"
            elif each is not None:
                yield from self._value(properties[key], each, place)

    def _value(self, kind: str, value: object, pointer: str) -> Iterator[tuple[str, str]]:
        if kind.endswith("[]"):
            if not isinstance(value, list):
                yield pointer, "expected an array"
                return
            for number, each in enumerate(value):
                yield from self._value(kind.removesuffix("[]"), each, f"{pointer}/{number}")
        elif kind in self._types:
            yield from self._object(kind, value, pointer)
        elif kind in self._enums:
            words = [word for word in self._enums[kind] if word != "unknownFutureValue"]
            for word in value.split(",") if kind in _FLAGS and isinstance(value, str) else [value]:
                if word not in words:
                    yield pointer, f"{word!r} is not a word of {kind}{resembling(str(word), words)}"
        else:
            wanted: dict[str, tuple[type, ...]] = {"string": (str,), "number": (int, float), "boolean": (bool,)}
            if kind in wanted and (
                not isinstance(value, wanted[kind]) or (kind == "number" and isinstance(value, bool))
            ):
                yield pointer, f"expected {kind}"
