"""Events as rows of Microsoft Sentinel's ASIM, schema AuditEvent 0.1.

Every kind is an audit event: the schema of authentications has no place for a job, and a stream has one schema. A row
has the columns of `COLUMNS` and no other; AdditionalFields is the whole line, so that nothing is lost. EventOriginalUid
is the event's id: a query removes repetitions with `summarize take_any(*) by EventOriginalUid`.

Sources: the schema references "AuditEvent" and "common fields" of Microsoft Sentinel, and the table of its schema
tester (ASimTester.csv).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec

from cji_core.trail.chain import Record
from cji_core.trail.meaning import PRODUCT
from cji_worker.deliverer.sinks.mapping import endpoint, meaning

VERSION: Final = "0.1"
_MAX_INT: Final = (1 << 31) - 1
_EVENT_TYPES: Final = (
    *("Set", "Read", "Create", "Delete", "Execute", "Install", "Clear", "Enable", "Disable", "Initialize"),
    *("Start", "Stop", "Terminate", "Other"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: its type in Log Analytics, whether every row has it, its values, and the column that it describes."""

    name: str
    type: Literal["datetime", "string", "int", "dynamic"] = "string"
    mandatory: bool = False
    values: tuple[str, ...] = ()
    describes: str | None = None


COLUMNS: Final = (
    Column(name="TimeGenerated", type="datetime", mandatory=True),
    Column(name="EventCount", type="int", mandatory=True),
    Column(name="EventStartTime", type="datetime", mandatory=True),
    Column(name="EventEndTime", type="datetime", mandatory=True),
    Column(name="EventType", mandatory=True, values=_EVENT_TYPES),
    Column(name="EventResult", mandatory=True, values=("Success", "Failure", "Partial", "NA")),
    Column(name="EventResultDetails"),
    Column(name="EventSeverity", mandatory=True, values=("Informational", "Low", "Medium", "High")),
    Column(name="EventMessage", mandatory=True),
    Column(name="EventOriginalUid", mandatory=True),
    Column(name="EventOriginalType", mandatory=True),
    Column(name="EventProduct", mandatory=True),
    Column(name="EventProductVersion"),
    Column(name="EventVendor", mandatory=True),
    Column(name="EventSchema", mandatory=True, values=("AuditEvent",)),
    Column(name="EventSchemaVersion", mandatory=True),
    Column(name="Dvc", mandatory=True),
    Column(name="Operation", mandatory=True),
    Column(name="Object", mandatory=True),
    Column(
        name="ObjectType",
        mandatory=True,
        values=("Configuration Atom", "Policy Rule", "Event Log", "Service", "Other"),
        describes="Object",
    ),
    Column(name="OldValue"),
    Column(name="NewValue"),
    Column(name="ActorUsername"),
    Column(name="ActorUsernameType", values=("Simple",), describes="ActorUsername"),
    Column(name="ActorUserId"),
    Column(name="ActorUserIdType", values=("UID",), describes="ActorUserId"),
    Column(name="ActingAppName"),
    Column(name="ActingAppType", values=("Service",), describes="ActingAppName"),
    Column(name="ActingAppId"),
    Column(name="SrcIpAddr"),
    Column(name="SrcPortNumber", type="int"),
    Column(name="TargetAppName", mandatory=True),
    Column(name="TargetAppType", mandatory=True, values=("Service",), describes="TargetAppName"),
    Column(name="AdditionalFields", type="dynamic", mandatory=True),
)


def to_asim(record: Record, uid: str) -> dict[str, Any]:
    """The row of one line, whose id is `uid`. A column without a value is left out."""
    row, event = meaning(record.event), msgspec.to_builtins(record.event)
    found = endpoint(event["source"]) if "source" in event else None
    columns: dict[str, Any] = {
        "TimeGenerated": record.time,
        "EventCount": min(event.get("count", 1), _MAX_INT),
        "EventStartTime": _start(record, event),
        "EventEndTime": record.time,
        "EventType": row.asim,
        "EventResult": row.outcome,
        "EventResultDetails": event.get("reason"),
        "EventSeverity": row.severity.value[2],
        "EventMessage": row.title,
        "EventOriginalUid": uid,
        "EventOriginalType": event["kind"],
        "EventProduct": PRODUCT,
        "EventProductVersion": event.get("version"),
        "EventVendor": PRODUCT,
        "EventSchema": "AuditEvent",
        "EventSchemaVersion": VERSION,
        "Dvc": record.worker,
        "Operation": event["kind"],
        "Object": (event.get(row.object[1:]) or row.noun) if row.object.startswith("@") else row.object,
        "ObjectType": row.type.value,
        **_values(event),
        **_actor(event),
        "SrcIpAddr": found.ip if found else None,
        "SrcPortNumber": found.port if found else None,
        "TargetAppName": PRODUCT,
        "TargetAppType": "Service",
        "AdditionalFields": msgspec.to_builtins(record),
    }
    return {name: value for name, value in columns.items() if value is not None}


def _start(record: Record, event: dict[str, Any]) -> str:
    """The start of what the line reports: a job's, a period's, or its own time."""
    seconds = event["seconds"] if event["kind"] == "calls_refused" else event.get("duration_ms", 0) / 1000
    try:
        start = datetime.fromisoformat(record.time) - timedelta(seconds=seconds)
    except OverflowError:
        return record.time
    return start.isoformat().replace("+00:00", "Z")


def _values(event: dict[str, Any]) -> dict[str, Any]:
    """The digests of a policy before and after."""
    match event["kind"]:
        case "files_reloaded":
            return {"OldValue": event["before"]["policy_file"], "NewValue": event["after"]["policy_file"]}
        case "key_released":
            return {"OldValue": event.get("policy_before"), "NewValue": event["policy_sha256"]}
    return {}


def _actor(event: dict[str, Any]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    operator = event.get("operator_id") or (event.get("attribution") or {}).get("operator_id")
    if operator:
        columns |= {"ActorUsername": operator, "ActorUsernameType": "Simple"}
    if "uid" in event:
        columns |= {"ActorUserId": str(event["uid"]), "ActorUserIdType": "UID"}
    if event.get("submitter"):
        columns |= {"ActingAppName": event["submitter"], "ActingAppType": "Service"}
    if event.get("identity"):
        columns["ActingAppId"] = event["identity"]
    return columns
