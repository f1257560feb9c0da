"""The meaning of an event in the terms of other schemas, for OCSF events and ASIM rows. Each event declares its own.

A column names a field of the event with `@`, or is a fixed word. Nothing is said about an event that its line does not
say.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, Final, Literal

PRODUCT: Final = "cji-worker"
SERVICE: Final = "cji.worker.v1.CjiWorker"


class OcsfClass(Enum):
    """Classes of OCSF 1.5: uid, name, category and its name."""

    LIFECYCLE = (6002, "Application Lifecycle", 6, "Application Activity")
    API = (6003, "API Activity", 6, "Application Activity")
    ENTITY = (3004, "Entity Management", 3, "Identity & Access Management")
    FINDING = (2004, "Detection Finding", 2, "Findings")


class Severity(Enum):
    """`severity_id` and caption of OCSF, EventSeverity of ASIM, and the priority of syslog (RFC 5424)."""

    INFORMATIONAL = (1, "Informational", "Informational", 6)
    LOW = (2, "Low", "Low", 5)
    MEDIUM = (3, "Medium", "Medium", 4)
    HIGH = (4, "High", "High", 3)
    CRITICAL = (5, "Critical", "High", 2)


class Activity(Enum):
    """Activities of the four classes. An activity without a number of its own is 99, with its name."""

    ENABLE = (6, "Enable")
    DISABLE = (7, "Disable")
    START = (3, "Start")
    STOP = (4, "Stop")
    CREATE = (1, "Create")
    UPDATE = (3, "Update")
    DELETE = (4, "Delete")
    CLOSE = (3, "Close")
    COMPLETE = (99, "Complete")
    END = (99, "End")
    REFUSE = (99, "Refuse")


class ObjectType(StrEnum):
    """ObjectType of ASIM's audit events, as far as it is used."""

    SERVICE = "Service"
    CONFIGURATION = "Configuration Atom"
    POLICY = "Policy Rule"
    LOG = "Event Log"
    OTHER = "Other"


Outcome = Literal["Success", "Failure", "NA"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """One row. `noun` is the kind of thing that `object` names; `asim` is an EventType of ASIM's audit events."""

    ocsf: OcsfClass
    activity: Activity
    severity: Severity
    outcome: Outcome
    asim: str
    type: ObjectType
    noun: str
    object: str
    title: str


def lifecycle(activity: Activity, severity: Severity, title: str, outcome: Outcome = "Success") -> Meaning:
    """A worker starts, stops, or admits jobs."""
    return Meaning(
        ocsf=OcsfClass.LIFECYCLE,
        activity=activity,
        severity=severity,
        outcome=outcome,
        asim=activity.value[1],
        type=ObjectType.SERVICE,
        noun="worker",
        object=PRODUCT,
        title=title,
    )


def job(
    activity: Activity,
    severity: Severity,
    outcome: Outcome,
    title: str,
    *,
    asim: str = "Execute",
    object: str = "@job_id",  # noqa: A002 - the column's name
) -> Meaning:
    """A job or a call."""
    return Meaning(
        ocsf=OcsfClass.API,
        activity=activity,
        severity=severity,
        outcome=outcome,
        asim=asim,
        type=ObjectType.OTHER,
        noun="job",
        object=object,
        title=title,
    )


def entity(
    activity: Activity,
    severity: Severity,
    title: str,
    *,
    noun: str,
    object: str,  # noqa: A002 - the column's name
    asim: str,
    type: ObjectType = ObjectType.OTHER,  # noqa: A002 - the column's name
    outcome: Outcome = "Success",
) -> Meaning:
    """A thing is made, changed or removed."""
    return Meaning(
        ocsf=OcsfClass.ENTITY,
        activity=activity,
        severity=severity,
        outcome=outcome,
        asim=asim,
        type=type,
        noun=noun,
        object=object,
        title=title,
    )


def finding(
    severity: Severity,
    title: str,
    *,
    noun: str,
    object: str,  # noqa: A002 - the column's name
    asim: str = "Other",
    type: ObjectType = ObjectType.OTHER,  # noqa: A002 - the column's name
    over: bool = False,
) -> Meaning:
    """Somebody must look at this; or it is over."""
    return Meaning(
        ocsf=OcsfClass.FINDING,
        activity=Activity.CLOSE if over else Activity.CREATE,
        severity=severity,
        outcome="Success" if over else "Failure",
        asim=asim,
        type=type,
        noun=noun,
        object=object,
        title=title,
    )


TRAIL: Final[Mapping[str, Any]] = {"noun": "audit trail", "object": "audit trail", "type": ObjectType.LOG}
POLICY: Final[Mapping[str, Any]] = {"noun": "policy", "type": ObjectType.POLICY, "asim": "Set"}
HOST: Final[Mapping[str, Any]] = {
    "noun": "host conditions",
    "object": "host conditions",
    "type": ObjectType.CONFIGURATION,
    "asim": "Set",
}
DELIVERY: Final[Mapping[str, Any]] = {"noun": "audit delivery", "object": "@destination", "type": ObjectType.LOG}
KEY: Final[Mapping[str, Any]] = {"noun": "released key", "object": "@kek_id"}
HOLD: Final[Mapping[str, Any]] = {"noun": "legal hold", "object": "@name"}
DOCUMENT: Final[Mapping[str, Any]] = {"noun": "document about the trail", "object": "@sha384"}
REFERENCE: Final[Mapping[str, Any]] = {"noun": "resident reference", "object": "@sha256"}

HOST_RESTORED: Final = finding(Severity.INFORMATIONAL, "All conditions of the machine hold", over=True, **HOST)
