"""Values in exported resources: by dotted paths, and as text to show."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

_SHOWN: Final = 120


def last(name: str) -> str:
    """The last part of a resource's name."""
    return name.rpartition("/")[2]


def short(kind: str) -> str:
    """A resource type without its provider."""
    return kind.partition("/")[2] or kind


def at(value: Any, path: str) -> list[Any]:
    """Every value at a dotted path, through all items of arrays; None where a branch lacks it."""
    found = [value]
    for step in path.split("."):
        reached: list[Any] = []
        for here in found:
            for each in here if isinstance(here, list) else [here]:
                reached.append(each.get(step) if isinstance(each, Mapping) else None)
        found = reached
    return found


def flat(values: Sequence[Any]) -> list[Any]:
    """Items of arrays; an empty array stays itself, which no rule allows."""
    return [item for value in values for item in (value if isinstance(value, list) and value else [value])]


def items_of(value: Any) -> list[Any]:
    """The items of an array, or none."""
    return value if isinstance(value, list) else []


def text_of(value: Any) -> str:
    """A value as JSON, cut where it is long."""
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
