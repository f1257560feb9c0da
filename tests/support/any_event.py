"""Every kind of audit event, with any values of its fields, made from the types: no kind can be forgotten."""

import re
from datetime import UTC, datetime
from typing import Any, Final, get_args

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from cji_core.trail import GENESIS, Event, Record, append_record
from cji_core.trail.chain import read
from cji_core.trail.fields import Utc, utc_hundredths

__all__ = ["KINDS", "TIME", "events", "records"]

KINDS: Final[tuple[type[msgspec.Struct], ...]] = get_args(Event)
TIME: Final = "2026-11-24T15:00:00.12Z"
_MAX_ITEMS: Final = 3
_HEX: Final = re.compile(r"\^\[0-9a-f\]\{(\d+)\}\\Z")
_UTC: Final = get_args(Utc)[1].pattern


def events(kind: type[msgspec.Struct]) -> st.SearchStrategy[Event]:
    """Events of one kind."""
    return _struct(inspect.type_info(kind)).map(lambda fields: msgspec.convert(fields, type=Event))


def members(kind: type[msgspec.Struct]) -> st.SearchStrategy[dict[str, Any]]:
    """The members of any value of a type, as JSON has them."""
    return _struct(inspect.type_info(kind))


def records(kind: type[msgspec.Struct]) -> st.SearchStrategy[Record]:
    """Lines with events of one kind, each the first of its trail."""
    return events(kind).map(lambda event: read(append_record(event, head=GENESIS, time=TIME, worker="worker-1")[1]))


def _struct(found: inspect.Type) -> st.SearchStrategy[dict[str, Any]]:
    assert isinstance(found, inspect.StructType)
    required = {field.encode_name: _value(field.type) for field in found.fields if field.required}
    optional = {field.encode_name: _value(field.type) for field in found.fields if not field.required}
    tag = {} if found.tag is None else {str(found.tag_field): st.just(found.tag)}
    return st.fixed_dictionaries({**tag, **required}, optional=optional)


def _value(found: inspect.Type) -> st.SearchStrategy[Any]:
    match found:
        case inspect.Metadata(type=inner):
            return _value(inner)
        case inspect.StrType(pattern=str(pattern), max_length=most):
            if digest := _HEX.fullmatch(pattern):  # as from_regex, and much faster
                size = int(digest[1]) // 2
                return st.binary(min_size=size, max_size=size).map(bytes.hex)
            if pattern == _UTC:
                return st.datetimes(datetime(2000, 1, 1), timezones=st.just(UTC)).map(utc_hundredths)
            texts = st.from_regex(pattern, fullmatch=True)
            return texts if most is None else texts.map(lambda text: text[:most])
        case inspect.IntType(ge=least, le=most):
            return st.integers(least, most)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.EnumType(cls=cls):
            return st.sampled_from([each.value for each in cls])
        case inspect.UnionType(types=types):
            return st.one_of([_value(each) for each in types])
        case inspect.VarTupleType(item_type=item, min_length=least):
            return st.lists(_value(item), min_size=least or 0, max_size=_MAX_ITEMS)
        case inspect.TupleType(item_types=items):
            return st.tuples(*[_value(each) for each in items]).map(list)
        case inspect.DictType(key_type=key, value_type=value, min_length=least):
            return st.dictionaries(_value(key), _value(value), min_size=least or 0, max_size=_MAX_ITEMS)
        case inspect.StructType():
            return _struct(found)
    raise AssertionError(found)
