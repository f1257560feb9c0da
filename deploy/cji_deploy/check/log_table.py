"""The table of audit events in Log Analytics, derived from them: `python -m cji_deploy.check.log_table` writes it.

One source: the union `Event`. A sink of kind `monitor` with the mapping `native` sends lines as the stream has them;
the transformation of the rule makes a column of each field of each event, so that a query names no field
that no event has. The file is loaded by the template that declares table and rule, and by the check of queries.

    stream        what the deliverer sends: name and columns of the data collection rule's stream
    transformKql  the rule's transformation of it
    table         what comes out: name and columns of the table

`TimeGenerated` is when a line arrived, so that a rule that looks back an hour sees what came an hour late, and a
machine whose clock is wrong hides nothing; `EventTime` is the time in the line.

A column is named by the path of its field (`volumes.rows_out` is VolumesRowsOut). Fields of one path in several events
must have one type, or one of them is a list: then the column is dynamic.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args

from msgspec import inspect

from cji_core.trail.chain import Record
from cji_core.trail.events import Event
from cji_core.trail.fields import Utc

__all__ = ["KQL_TYPES", "log_table", "main", "stale", "written"]

FILE: Final = "schema/cji-audit.json"
TABLE: Final = "CjiAudit_CL"
STREAM: Final = "Custom-CjiAudit"
MAX_TRANSFORM: Final = 15_360
"""Characters of a transformation (Azure Monitor, service limits)."""
_MAX_NAME: Final = 45
"""Characters of a column's name (Azure Monitor, "Add or delete tables and columns")."""
KQL_TYPES: Final[Mapping[str, str]] = {
    "string": "string",
    "long": "long",
    "int": "int",
    "real": "real",
    "boolean": "bool",
    "datetime": "datetime",
    "dateTime": "datetime",
    "dynamic": "dynamic",
}
"""Types of a stream's and a table's columns, as KQL names them."""
_READ: Final = {"string": "tostring", "long": "tolong", "boolean": "tobool", "datetime": "todatetime"}
_UTC_PATTERN: Final = get_args(Utc)[1].pattern


def log_table() -> dict[str, Any]:
    """The content of the file. Raises ValueError for events that cannot have one table."""
    stream = {"event_id": "string"} | {field.encode_name: _type(field.type) for field in _fields(Record)}
    fixed = {"TimeGenerated": "now()", "EventTime": "['time']", "EventId": "event_id", "Worker": "worker", "Seq": "seq"}
    lines = fixed | {"PreviousHash": "prev", "Hash": "hash", "Kind": "tostring(event['kind'])"}
    types = dict.fromkeys(lines, "string") | {"TimeGenerated": "datetime", "EventTime": "datetime", "Seq": "long"}
    for path, kind in sorted(_paths().items()):
        name = "".join(part.title() for step in path for part in step.split("_"))
        if name in lines or len(name) > _MAX_NAME:
            raise ValueError(f"the column {name} exists, or its name is too long")
        place = "event" + "".join(f"['{step}']" for step in path)
        lines[name] = f"{_READ[kind]}({place})" if kind in _READ else place
        types[name] = kind
    transform = "source | project " + ", ".join(f"{name} = {source}" for name, source in lines.items())
    if len(transform) > MAX_TRANSFORM:
        raise ValueError(f"the transformation has {len(transform)} characters")
    named = {"datetime": "dateTime"}
    return {
        "stream": {"name": STREAM, "columns": [{"name": name, "type": kind} for name, kind in stream.items()]},
        "transformKql": transform,
        "table": {
            "name": TABLE,
            "columns": [{"name": name, "type": named.get(types[name], types[name])} for name in lines],
        },
    }


def _fields(struct: type) -> tuple[inspect.Field, ...]:
    found = inspect.type_info(struct)
    assert isinstance(found, inspect.StructType)  # noqa: S101 - for the type checker
    return found.fields


def _paths() -> dict[tuple[str, ...], str]:
    """The type of each path of fields of an event."""
    paths: dict[tuple[str, ...], str] = {}
    for event in get_args(Event):
        for path, kind in _leaves(_fields(event)):
            if paths.setdefault(path, kind) != kind:
                if "dynamic" not in (paths[path], kind):
                    raise ValueError(f"{'.'.join(path)} has the types {paths[path]} and {kind}")
                paths[path] = "dynamic"
    return paths


def _leaves(fields: tuple[inspect.Field, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    for field in fields:
        inner = _of(field.type)
        if isinstance(inner, inspect.StructType):
            yield from (((field.encode_name, *rest), kind) for rest, kind in _leaves(inner.fields))
        else:
            yield (field.encode_name,), _type(field.type)


def _of(given: inspect.Type) -> inspect.Type:
    """The type without None and metadata."""
    if isinstance(given, inspect.Metadata):
        return _of(given.type)
    if isinstance(given, inspect.UnionType):
        rest = [each for each in given.types if not isinstance(each, inspect.NoneType)]
        return _of(rest[0]) if len(rest) == 1 else given
    return given


def _type(given: inspect.Type) -> str:
    match _of(given):
        case inspect.StrType(pattern=pattern):
            return "datetime" if pattern == _UTC_PATTERN else "string"
        case inspect.LiteralType() | inspect.EnumType():
            return "string"
        case inspect.BoolType():
            return "boolean"
        case inspect.IntType():
            return "long"
        case inspect.VarTupleType() | inspect.UnionType() | inspect.StructType():
            return "dynamic"
        case other:
            raise ValueError(f"no column has the type {other}")


def written() -> str:
    """The text of the file."""
    return json.dumps(log_table(), indent=2) + "\n"


def stale(folder: Path) -> list[str]:
    """A problem if the file in a folder `sentinel` is not what the events make."""
    path = folder / FILE
    remedy = "run `python -m cji_deploy.check.log_table`"
    try:
        return [] if path.read_text("utf-8") == written() else [f"{path.name}: differs from the events; {remedy}"]
    except (OSError, ValueError) as error:
        return [f"{path.name}: {type(error).__name__}; {remedy}"]


def main() -> None:
    """Write the file of this folder."""
    (Path(__file__).parents[2] / "sentinel" / FILE).write_text(written(), "utf-8")


if __name__ == "__main__":
    main()
