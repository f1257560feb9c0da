"""Every kind of event, with any values, in the forms of sinks: valid there, complete, and nothing beyond the line."""

import json
import re
from datetime import datetime
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cji_core.trail import Record
from cji_core.trail.event_id import event_id
from cji_worker.deliverer.sinks.asim import COLUMNS, to_asim
from cji_worker.deliverer.sinks.batch import outgoing, to_native
from cji_worker.deliverer.sinks.mapping import Endpoint, endpoint
from cji_worker.deliverer.sinks.ocsf import to_ocsf
from tests.reference.ocsf import require_valid
from tests.support.any_event import KINDS, records

FEW: Final = settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
BY_NAME: Final = {column.name: column for column in COLUMNS}
PYTHON: Final = {"string": str, "int": int, "datetime": str, "dynamic": dict}


def leaves(value: Any) -> set[str]:
    """The texts and numbers in a value, as texts."""
    if isinstance(value, dict):
        return set().union(*map(leaves, value.values()))
    if isinstance(value, list | tuple):
        return set().union(*map(leaves, value))
    return set() if value is None else {str(value)}


@every_kind
@FEW
@given(data=st.data())
def test_every_form_is_valid_and_true(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    first, second = data.draw(records(kind)), data.draw(records(kind))
    require_ocsf(first)
    require_asim(first)
    require_nothing_new(first, second)


def require_ocsf(record: Record) -> None:
    """Valid, and nothing of the line is lost."""
    uid = event_id(record)
    event = to_ocsf(record, uid)
    require_valid(event)
    assert event["metadata"]["uid"] == uid
    assert leaves(msgspec.to_builtins(record)) - leaves(event) <= _in_other_form(record)


def require_asim(record: Record) -> None:
    """The declared columns, and the whole line among them."""
    row = to_asim(record, event_id(record))
    assert row.keys() <= BY_NAME.keys()
    assert {column.name for column in COLUMNS if column.mandatory} <= row.keys()
    for name, value in row.items():
        column = BY_NAME[name]
        assert isinstance(value, PYTHON[column.type])
        assert not column.values or value in column.values
        assert column.describes is None or column.describes in row
        if column.type == "datetime":
            assert datetime.fromisoformat(str(value)).utcoffset() is not None
    described = {column.describes: column.name for column in COLUMNS if column.describes}
    assert all(described[name] in row for name in row.keys() & described.keys())
    assert row["AdditionalFields"] == msgspec.to_builtins(record)


def require_nothing_new(first: Record, second: Record) -> None:
    """Every value is in the line or a word of the table: two lines of a kind have no other values that differ."""
    for form in (to_ocsf, to_asim):
        fixed = leaves(form(first, "id")) - leaves(msgspec.to_builtins(first))
        other = leaves(form(second, "id"))  # with what the line has: a constant may be in it by chance
        assert fixed - other <= _derived(first)


def _derived(record: Record) -> set[str]:
    """Texts that are parts or sums of a line's own, and the words of a state."""
    event: dict[str, Any] = msgspec.to_builtins(record.event)
    parts = endpoint(event["source"]) if "source" in event else Endpoint(None, None, None)
    row = to_asim(record, "id")
    found = leaves(list(parts)) | {
        row["EventStartTime"],
        str(row["EventCount"]),
        row["EventSeverity"],
        row["EventMessage"],
        row["EventResult"],
    }
    words = {"Create", "Close", "New", "Resolved", "True", "False", "200401", "200403", *map(str, range(10))}
    words |= {"Detection Finding: Create", "Detection Finding: Close", "Unknown", "job", "UID", "Simple", "Service"}
    words |= {"worker", "resident reference", "released key"}
    finding = to_ocsf(record, "id").get("finding_info", {}).get("uid")
    names = {finding} if finding else set()
    return found | words | names


def _in_other_form(record: Record) -> set[str]:
    """What an OCSF event has in other form: an address in its parts."""
    source: str | None = getattr(record.event, "source", None)
    return {source} if source is not None and endpoint(source).ip is not None else set()


@given(st.sampled_from(KINDS).flatmap(records))
@FEW
def test_json_of_every_form_is_one_line(record: Record) -> None:
    for mapping in ("native", "ocsf", "asim"):
        found = outgoing(record, mapping)
        assert b"\n" not in found.data
        assert found.id in json.dumps(json.loads(found.data))


@given(st.sampled_from(KINDS).flatmap(records))
@FEW
def test_the_native_form_is_the_line_with_its_id(record: Record) -> None:
    found = to_native(record, event_id(record))
    found.pop("event_id")
    assert msgspec.convert(found, type=Record) == record


@given(st.sampled_from(KINDS).flatmap(records), st.sampled_from(KINDS).flatmap(records))
@FEW
def test_an_id_is_a_uuid_of_one_event(first: Record, second: Record) -> None:
    shape = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    assert shape.fullmatch(event_id(first))
    assert (event_id(first) == event_id(second)) is (first == second)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("ipv4:10.0.0.7:50000", Endpoint("10.0.0.7", 50000, None)),
        ("ipv6:[2001:db8::1]:443", Endpoint("2001:db8::1", 443, None)),
        ("unknown", Endpoint(None, None, "unknown")),
        ("ipv4:10.0.0.7", Endpoint(None, None, "ipv4:10.0.0.7")),
        ("unix:/run/x:7", Endpoint(None, None, "unix:/run/x:7")),
    ],
)
def test_an_endpoint_is_read_from_what_the_front_writes(source: str, found: Endpoint) -> None:
    assert endpoint(source) == found
