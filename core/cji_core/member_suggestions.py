"""Suggestions in msgspec's refusals of documents that people write: a member or a choice that is not known.

msgspec's error has the name and the path to it, the type has the names that are possible there.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import inspect

from cji_core.suggest import close_to

_REFUSED: Final = re.compile(
    r"(?:Object contains unknown field `(?P<member>[^`]*)`|Invalid (?:enum )?value '(?P<choice>[^']*)')"
    r"(?P<place> - at `\$(?P<path>[^`]*)`)?"
)
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")


def with_suggestion(error: Exception, kind: object, value: object) -> Exception:
    """The error, with a suggestion if it refuses a name that is like one which `kind` has at that place of `value`.

    It stands before the place, which thus stays the end of msgspec's text: what reads the place finds it there.
    """
    found = _REFUSED.fullmatch(str(error)) if isinstance(error, msgspec.ValidationError) else None
    if found is None:
        return error
    path = [name or index for name, index in _STEP.findall(found["path"] or "")]
    nodes = list(_at(inspect.type_info(kind), value, path))
    known = _members(nodes) if found["choice"] is None else _choices(nodes)
    close = close_to(found["member"] or found["choice"] or "", known)
    if close is None:
        return error
    place = found["place"] or ""
    return msgspec.ValidationError(f"{str(error).removesuffix(place)}; did you mean {close}?{place}")


def _at(node: inspect.Type, value: Any, path: Sequence[str]) -> Iterator[inspect.Type]:
    """The types that may stand at this path below `node`."""
    alternatives = list(_alternatives(node))
    tagged = [each for each in alternatives if isinstance(each, inspect.StructType) and each.tag_field is not None]
    if _is_map(value):
        alternatives = [each for each in tagged if value.get(each.tag_field) == each.tag] or alternatives
    if not path:
        yield from alternatives
        return
    step, *rest = path
    inner = value.get(step) if _is_map(value) else _item(value, step)
    for each in alternatives:
        match each:
            case inspect.StructType() if step == each.tag_field:
                yield inspect.LiteralType((each.tag,))
            case inspect.StructType():
                for field in each.fields:
                    if field.encode_name == step:
                        yield from _at(field.type, inner, rest)
            case inspect.DictType():
                yield from _at(each.value_type, inner, rest)
            case inspect.ListType() | inspect.VarTupleType() | inspect.SetType() | inspect.FrozenSetType():
                yield from _at(each.item_type, inner, rest)


def _alternatives(node: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(node, inspect.UnionType):
        for each in node.types:
            yield from _alternatives(each)
    elif isinstance(node, inspect.Metadata):
        yield from _alternatives(node.type)
    else:
        yield node


def _is_map(value: object) -> bool:
    return isinstance(value, Mapping)


def _item(value: Any, step: str) -> Any:
    return value[int(step)] if isinstance(value, list | tuple) and step.isdecimal() and int(step) < len(value) else None


def _members(nodes: Sequence[inspect.Type]) -> Iterator[str]:
    for each in nodes:
        if isinstance(each, inspect.StructType):
            yield from (field.encode_name for field in each.fields)


def _choices(nodes: Sequence[inspect.Type]) -> Iterator[str]:
    for each in nodes:
        values = [one.value for one in each.cls] if isinstance(each, inspect.EnumType) else getattr(each, "values", ())
        yield from (value for value in values if isinstance(value, str))
