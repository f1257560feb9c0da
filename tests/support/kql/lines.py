"""Sample rows of the table of audit events: real events, through the native mapping and the transformation.

A sample states only the fields that matter. All others get the same valid value of their type, and the whole event is
validated as the worker would.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, get_args

import msgspec
from msgspec import inspect

from cji_core import digests
from cji_core.trail import fields
from cji_core.trail.chain import Record
from cji_core.trail.event_id import event_id
from cji_core.trail.events import Event
from cji_core.trail.fields import utc_hundredths
from cji_core.trail.task_events import StageName
from cji_worker.deliverer.sinks.batch import to_native
from tests.support.any_event import KINDS
from tests.support.kql.functions import World
from tests.support.kql.operators import run
from tests.support.kql.tables import Node, Row, Table

_KINDS: Final = {str(kind.__struct_config__.tag): kind for kind in KINDS}
KEK: Final = "https://vault-1.vault.azure.net/keys/cji-cmk/" + "ab" * 16
_SAMPLES: Final[Mapping[Any, str]] = {
    digests.Hex32: "0a" * 16,
    digests.Hex64: "0b" * 32,
    digests.Hex96: "0c" * 48,
    fields.Chip: "0d" * 16,
    fields.Utc: "2026-11-25T20:00:00.00Z",
    fields.Ori: "WI0130000",
    fields.Code: "C",
    fields.Token: "token",
    fields.Address: "ipv4:10.1.0.9:50000",
    fields.RuleId: "RP01",
    fields.KeyId: "A" * 43,
    fields.Url: KEK,
    fields.Jws: "head.body.sig",
    fields.Note: "worker-1\n",
    fields.Uuid: "00000000-0000-4000-8000-000000000001",
    fields.Text: "text",
    fields.OptionalText: "text",
    StageName: "plan",
}
_BY_PATTERN: Final = {get_args(kind)[1].pattern: value for kind, value in _SAMPLES.items()}


def event(kind: str, **stated: Any) -> Event:
    """An event of a kind with these fields. Raises msgspec.ValidationError."""
    found = inspect.type_info(_KINDS[kind])
    made: Event = msgspec.convert({**_struct(found, stated), "kind": kind}, type=Event)
    return made


def line(kind: str, at: datetime, *, worker: str = "worker-1", seq: int = 1, **stated: Any) -> Record:
    """A line of a trail. Its hashes are of the right form only."""
    text = utc_hundredths(at)
    sample = f"{seq:096x}"
    before = f"{seq - 1:096x}"
    return Record(seq=seq, time=text, worker=worker, prev=before, event=event(kind, **stated), hash=sample)


def streamed(lines: list[Record], columns: Mapping[str, str]) -> Table:
    """What the deliverer sends, as the stream of the data collection rule has it."""
    rows: list[Row] = []
    for record in lines:
        row = json.loads(msgspec.json.encode(to_native(record, event_id(record))))
        rows.append({**row, "time": datetime.fromisoformat(row["time"])})
    return Table.of(columns, rows)


def events_table(
    lines: list[Record],
    transformation: Node,
    columns: Mapping[str, str],
    *,
    late: timedelta,
    late_by: Mapping[int, timedelta],
) -> Table:
    """The table of audit events after the transformation, of lines that arrive `late`, or by their number."""
    found = run(transformation, World(tables={"source": streamed([], columns)}, now=datetime.now(UTC)))
    rows: list[Row] = []
    for record in lines:
        arrives = datetime.fromisoformat(record.time) + late_by.get(record.seq, late)
        rows += run(transformation, World(tables={"source": streamed([record], columns)}, now=arrives)).rows
    return Table(found.columns, rows)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def _struct(found: inspect.Type, stated: Mapping[str, Any]) -> dict[str, Any]:
    assert isinstance(found, inspect.StructType)
    made: dict[str, Any] = {}
    for field in found.fields:
        value = stated.get(field.encode_name)
        inner = _inner(field.type)
        if isinstance(inner, inspect.StructType) and (isinstance(value, dict) or field.required):
            made[field.encode_name] = _struct(inner, value or {})
        elif field.encode_name in stated:
            made[field.encode_name] = value
        elif field.required:
            made[field.encode_name] = _value(field.type)
    assert stated.keys() <= made.keys(), sorted(stated.keys() - made.keys())
    return made


def _inner(found: inspect.Type) -> inspect.Type:
    if isinstance(found, inspect.UnionType):
        return next(each for each in found.types if not isinstance(each, inspect.NoneType))
    return found.type if isinstance(found, inspect.Metadata) else found


def _value(found: inspect.Type) -> Any:
    match found:
        case inspect.StrType(pattern=str(pattern)):
            return _BY_PATTERN[pattern]
        case inspect.IntType(ge=least):
            return least or 0
        case inspect.BoolType():
            return False
        case inspect.LiteralType(values=values):
            return values[0]
        case inspect.EnumType(cls=kind):
            return next(iter(kind))
        case inspect.VarTupleType(item_type=item, min_length=least):
            return [_value(item)] * (least or 0)
        case inspect.UnionType(types=types):
            texts = [each for each in types if isinstance(_inner(each), inspect.StrType)]
            return None if any(isinstance(each, inspect.NoneType) for each in types) or not texts else _value(texts[0])
        case inspect.Metadata(type=inner):
            return _value(inner)
    raise TypeError(found)
