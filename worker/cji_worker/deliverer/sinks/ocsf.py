"""Events in the Open Cybersecurity Schema Framework, version 1.5.0.

    class_uid   6002 Application Lifecycle, 6003 API Activity, 3004 Entity Management, 2004 Detection Finding
    time        milliseconds since 1970
    metadata    uid is the event's id, sequence its number, event_code its kind, correlation_uid its job
    unmapped    every field of the line that has no other place

A required attribute whose value the line does not have is `Unknown`, which the schema provides for that. Submitters are
applications (`actor.app_name`), operators are users. Source: the schema of OCSF 1.5.0.
"""

from datetime import datetime
from typing import Any, Final

import msgspec

from cji_core.trail.chain import Record
from cji_core.trail.meaning import PRODUCT, Meaning, OcsfClass
from cji_worker.deliverer.sinks.mapping import endpoint, meaning

VERSION: Final = "1.5.0"
_UNKNOWN: Final = "Unknown"
_STATUS: Final = {"Success": (1, "Success"), "Failure": (2, "Failure"), "NA": (0, "Unknown")}
_FINDING_STATUS: Final = {"Success": (4, "Resolved"), "Failure": (1, "New"), "NA": (0, "Unknown")}


def to_ocsf(record: Record, uid: str) -> dict[str, Any]:
    """The event of one line, whose id is `uid`."""
    row, rest = meaning(record.event), msgspec.to_builtins(record.event)
    class_uid, class_name, category_uid, category_name = row.ocsf.value
    activity_id, activity_name = row.activity.value
    statuses = _FINDING_STATUS if row.ocsf is OcsfClass.FINDING else _STATUS
    status_id, status = statuses[row.outcome]
    event: dict[str, Any] = {
        "activity_id": activity_id,
        "activity_name": activity_name,
        "category_uid": category_uid,
        "category_name": category_name,
        "class_uid": class_uid,
        "class_name": class_name,
        "type_uid": class_uid * 100 + activity_id,
        "type_name": f"{class_name}: {activity_name}",
        "time": int(datetime.fromisoformat(record.time).timestamp() * 1000),
        "severity_id": row.severity.value[0],
        "severity": row.severity.value[1],
        "status_id": status_id,
        "status": status,
        "message": row.title,
        "metadata": _metadata(record, uid, rest),
    }
    for name, at in (("reason", "status_code"), ("stage", "status_detail"), ("count", "count")):
        if (value := rest.pop(name, None)) is not None:
            event[at] = value
    if (milliseconds := rest.pop("duration_ms", None)) is not None:
        event["duration"] = milliseconds
    _CLASSES[row.ocsf](event, row, record, rest)
    event["unmapped"] = {"worker": record.worker, "prev": record.prev, "hash": record.hash, **rest}
    return event


def _metadata(record: Record, uid: str, rest: dict[str, Any]) -> dict[str, Any]:
    found = {
        "version": VERSION,
        "uid": uid,
        "event_code": rest.pop("kind"),
        "sequence": record.seq,
        "original_time": record.time,
        "log_name": "cji-audit/1",
        "log_provider": record.worker,
        "product": {"name": PRODUCT, "vendor_name": PRODUCT, "uid": record.worker},
    }
    if (version := rest.pop("version", None)) is not None:
        found["product"]["version"] = version
    if "job_id" in rest:
        found["correlation_uid"] = rest["job_id"]
    return found


def _lifecycle(event: dict[str, Any], row: Meaning, record: Record, rest: dict[str, Any]) -> None:  # noqa: ARG001
    event["app"] = event["metadata"]["product"]


def _api(event: dict[str, Any], row: Meaning, record: Record, rest: dict[str, Any]) -> None:
    event["actor"] = _actor(rest) or {"app_name": _UNKNOWN}
    event["api"] = {"operation": _UNKNOWN if row.object[0] != "@" else "Run"}
    event["src_endpoint"] = _source(event, rest)
    job = rest.pop("job_id", None)
    event["resources"] = [{"type": row.noun, "uid": job}] if job else [{"type": "worker", "uid": record.worker}]


def _entity(event: dict[str, Any], row: Meaning, record: Record, rest: dict[str, Any]) -> None:  # noqa: ARG001
    event["entity"] = {"type": row.noun, **_object(row, rest)}
    if (actor := _actor(rest)) is not None:
        event["actor"] = actor


def _finding(event: dict[str, Any], row: Meaning, record: Record, rest: dict[str, Any]) -> None:
    found = _object(row, rest)
    name = next(iter(found.values()))
    event["finding_info"] = {"uid": f"{record.worker}/{row.noun}/{name}", "title": row.title}
    event["resources"] = [{"type": row.noun, **found}, {"type": "worker", "uid": record.worker}]
    event["is_alert"] = row.outcome == "Failure"


_CLASSES: Final = {
    OcsfClass.LIFECYCLE: _lifecycle,
    OcsfClass.API: _api,
    OcsfClass.ENTITY: _entity,
    OcsfClass.FINDING: _finding,
}


def _object(row: Meaning, rest: dict[str, Any]) -> dict[str, str]:
    """The object's uid, from its field, or its fixed name."""
    if row.object.startswith("@"):
        return {"uid": str(rest.pop(row.object[1:]))}
    return {"name": row.object}


def _actor(rest: dict[str, Any]) -> dict[str, Any] | None:
    """The submitter's application, and the operator behind it if the line names one."""
    actor: dict[str, Any] = {}
    if (submitter := rest.pop("submitter", None)) is not None:
        actor["app_name"] = submitter
    if (identity := rest.pop("identity", None)) is not None:
        actor["app_uid"] = identity
    attribution = rest.get("attribution")
    operator = rest.pop("operator_id", None) or (attribution and attribution.pop("operator_id"))
    if operator:
        actor["user"] = {"name": operator}
    elif "uid" in rest:
        actor["user"] = {"uid": str(rest.pop("uid"))}
    return actor or None


def _source(event: dict[str, Any], rest: dict[str, Any]) -> dict[str, Any]:
    """The caller's address; a line without one names the caller alone."""
    source = rest.pop("source", None)
    if source is None:
        return {"name": event["actor"].get("app_name", _UNKNOWN)}
    found = endpoint(source)
    return {key: value for key, value in found._asdict().items() if value is not None}
