"""A linkage model as it stands in a job spec: `[operations.model]` in TOML, below the `link` that it belongs to."""

import json
from typing import Any

import msgspec

from cji_core.operations.link.model import Model


def to_toml(model: Model) -> str:
    """The text that a job spec reads as this model, without what is a default."""
    members: dict[str, Any] = msgspec.to_builtins(model)
    comparisons = members.pop("comparisons")
    lines = ["[operations.model]", *_members(members)]
    for one in comparisons:
        lines += ["", "[[operations.model.comparisons]]", *_members(one)]
    return "\n".join([*lines, ""])


def _members(table: dict[str, Any]) -> list[str]:
    """A line for each member; several tables have a line each."""
    found = list[str]()
    for name, value in table.items():
        if isinstance(value, tuple) and value and isinstance(value[0], dict):
            found += [f"{name} = [", *(f"  {_value(one)}," for one in value), "]"]
        else:
            found.append(f"{name} = {_value(value)}")
    return found


def _value(value: Any) -> str:
    """A value on one line; texts as in JSON, which escapes all that TOML asks for but DEL."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{name} = {_value(one)}' for name, one in value.items())} }}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
