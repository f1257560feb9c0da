"""The meaning of each event in the terms of other schemas: one table, for OCSF events and ASIM rows.

`meaning` is total over the union `Event`; a test enumerates it. A column of the table names a field of the event with
`@`, or is a fixed word. Nothing is said about an event that its line does not say.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, Final, Literal, NamedTuple

from cji_core.trail.events import (
    Attested,
    CallsRefused,
    Event,
    JobAdmitted,
    JobCompleted,
    JobEnded,
    JobRefused,
    KeyDropped,
    KeyReleased,
    ReferenceDropped,
    ReferenceRetained,
    WitnessesDisagreed,
)
from cji_core.trail.fleet_events import AttemptSuperseded, TicketPoisoned, TicketRefused
from cji_core.trail.task_events import StatementsRefused, TaskAdmitted, TaskCompleted, TaskEnded
from cji_core.trail.worker_events import (
    DeliveryOverdue,
    DeliveryResumed,
    FilesReloaded,
    HoldPlaced,
    HoldReleased,
    HostChanged,
    ReloadRefused,
    TailRecovered,
    TrailAnchored,
    TrailCheckpoint,
    TrailPruned,
    TrailRefused,
    TrailResumed,
    WorkerNotReady,
    WorkerReady,
    WorkerStarted,
    WorkerStopped,
)

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


def _lifecycle(activity: Activity, severity: Severity, title: str, outcome: Outcome = "Success") -> Meaning:
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


def _job(
    activity: Activity,
    severity: Severity,
    outcome: Outcome,
    title: str,
    *,
    asim: str = "Execute",
    object: str = "@job_id",  # noqa: A002 - the column's name
) -> Meaning:
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


def _entity(
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


def _finding(
    severity: Severity,
    title: str,
    *,
    noun: str,
    object: str,  # noqa: A002 - the column's name
    asim: str = "Other",
    type: ObjectType = ObjectType.OTHER,  # noqa: A002 - the column's name
    over: bool = False,
) -> Meaning:
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


_A, _S = Activity, Severity
_TRAIL: Final[Mapping[str, Any]] = {"noun": "audit trail", "object": "audit trail", "type": ObjectType.LOG}
_POLICY: Final[Mapping[str, Any]] = {"noun": "policy", "type": ObjectType.POLICY, "asim": "Set"}
_HOST: Final[Mapping[str, Any]] = {
    "noun": "host conditions",
    "object": "host conditions",
    "type": ObjectType.CONFIGURATION,
    "asim": "Set",
}
_DELIVERY: Final[Mapping[str, Any]] = {"noun": "audit delivery", "object": "@destination", "type": ObjectType.LOG}
_KEY: Final[Mapping[str, Any]] = {"noun": "released key", "object": "@kek_id"}
_HOLD: Final[Mapping[str, Any]] = {"noun": "legal hold", "object": "@name"}
_REFERENCE: Final[Mapping[str, Any]] = {"noun": "resident reference", "object": "@sha256"}

MEANINGS: Final[Mapping[type[Event], Meaning]] = {
    WorkerStarted: _lifecycle(_A.START, _S.INFORMATIONAL, "Worker started"),
    WorkerReady: _lifecycle(_A.ENABLE, _S.INFORMATIONAL, "Worker admits jobs"),
    WorkerNotReady: _lifecycle(_A.DISABLE, _S.MEDIUM, "Worker admits no jobs", "Failure"),
    WorkerStopped: _lifecycle(_A.STOP, _S.INFORMATIONAL, "Worker stopped"),
    HostChanged: _finding(_S.HIGH, "Required conditions of the machine do not hold", **_HOST),
    FilesReloaded: _entity(_A.UPDATE, _S.LOW, "Policy and authorities reloaded", object="policy_file", **_POLICY),
    ReloadRefused: _entity(_A.UPDATE, _S.MEDIUM, "Reload refused", object="@file", outcome="Failure", **_POLICY),
    DeliveryOverdue: _finding(_S.HIGH, "Audit trail is not delivered", asim="Disable", **_DELIVERY),
    DeliveryResumed: _finding(
        _S.INFORMATIONAL, "Audit trail is delivered again", asim="Enable", over=True, **_DELIVERY
    ),
    TailRecovered: _entity(_A.UPDATE, _S.MEDIUM, "Audit trail continued after a crash", asim="Set", **_TRAIL),
    TrailAnchored: _entity(_A.UPDATE, _S.INFORMATIONAL, "Audit trail anchored", asim="Set", **_TRAIL),
    TrailCheckpoint: _entity(_A.UPDATE, _S.INFORMATIONAL, "Audit trail signed", asim="Set", **_TRAIL),
    TrailRefused: _finding(_S.CRITICAL, "Audit trail was rolled back or replaced", **_TRAIL),
    TrailResumed: _entity(_A.UPDATE, _S.HIGH, "Operator continued the audit trail", asim="Set", **_TRAIL),
    TrailPruned: _entity(_A.DELETE, _S.HIGH, "Operator removed old lines of the audit trail", asim="Delete", **_TRAIL),
    HoldPlaced: _entity(_A.CREATE, _S.LOW, "Operator placed a legal hold", asim="Create", **_HOLD),
    HoldReleased: _entity(_A.DELETE, _S.HIGH, "Operator released a legal hold", asim="Delete", **_HOLD),
    Attested: _entity(
        _A.CREATE,
        _S.INFORMATIONAL,
        "Machine attested",
        noun="attestation token",
        object="@maa_token_sha384",
        asim="Create",
    ),
    KeyReleased: _entity(_A.CREATE, _S.INFORMATIONAL, "Key released to the machine", asim="Create", **_KEY),
    KeyDropped: _entity(_A.DELETE, _S.LOW, "Released key dropped", asim="Delete", **_KEY),
    JobAdmitted: _job(_A.CREATE, _S.INFORMATIONAL, "Success", "Job admitted"),
    JobRefused: _job(_A.REFUSE, _S.LOW, "Failure", "Job refused"),
    CallsRefused: _job(_A.REFUSE, _S.LOW, "Failure", "Calls refused", object=SERVICE),
    JobCompleted: _job(_A.COMPLETE, _S.INFORMATIONAL, "Success", "Job completed"),
    JobEnded: _job(_A.END, _S.LOW, "Failure", "Job ended without a receipt", asim="Terminate"),
    WitnessesDisagreed: _finding(
        _S.CRITICAL, "Front and cell contradict each other about a job", noun="job", object="@job_id"
    ),
    ReferenceRetained: _entity(
        _A.CREATE, _S.INFORMATIONAL, "Reference retained in secret memory", asim="Create", **_REFERENCE
    ),
    TaskAdmitted: _job(_A.CREATE, _S.INFORMATIONAL, "Success", "Task of a job admitted"),
    TaskCompleted: _job(_A.COMPLETE, _S.INFORMATIONAL, "Success", "Task of a job completed"),
    TaskEnded: _job(_A.END, _S.LOW, "Failure", "Task ended without a statement", asim="Terminate"),
    StatementsRefused: _finding(_S.HIGH, "Statements of tasks do not make their job", noun="job", object="@job_id"),
    AttemptSuperseded: _entity(
        _A.UPDATE, _S.LOW, "Receipt of an attempt superseded", noun="receipt", object="@receipt_sha384", asim="Set"
    ),
    TicketPoisoned: _job(_A.END, _S.MEDIUM, "Failure", "Job by reference given up", asim="Terminate"),
    TicketRefused: _job(_A.REFUSE, _S.MEDIUM, "Failure", "Tickets refused", object=SERVICE),
    ReferenceDropped: _entity(_A.DELETE, _S.INFORMATIONAL, "Reference dropped", asim="Delete", **_REFERENCE),
}
_HOST_RESTORED: Final = _finding(_S.INFORMATIONAL, "All conditions of the machine hold", over=True, **_HOST)


def meaning(event: Event) -> Meaning:
    """The row of an event."""
    if isinstance(event, HostChanged) and not event.unmet:
        return _HOST_RESTORED
    return MEANINGS[type(event)]


class Endpoint(NamedTuple):
    """The parts of an event's `source`; `name` is the whole text if it has no address."""

    ip: str | None
    port: int | None
    name: str | None


def endpoint(source: str) -> Endpoint:
    """Read `ipv4:ADDRESS:PORT` or `ipv6:[ADDRESS]:PORT`, as the front writes it."""
    family, _, rest = source.partition(":")
    host, _, port = rest.rpartition(":")
    try:
        if family not in {"ipv4", "ipv6"} or not port.isascii() or not port.isdigit():
            raise ValueError
        return Endpoint(str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))), int(port), None)
    except ValueError:
        return Endpoint(None, None, source)
