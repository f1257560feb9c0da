"""Messages between the supervisor and its children. Each child has a union of its own: it can say nothing else."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta

from cji_worker.fronts import FRONT_NAMES, FrontName
from cji_worker.host import HostReport
from cji_worker.ipc.messages.base import Beat, Message
from cji_worker.ipc.messages.record import RecordDocument, RecordedDocument
from cji_worker.ipc.messages.reload import (
    AbandonReload,
    CommitClients,
    CommitPolicy,
    Committed,
    EverywhereInForce,
    NewFiles,
    NotRead,
    PrepareClients,
    Prepared,
    PreparePolicy,
    Reloaded,
    Reread,
)
from cji_worker.ipc.messages.reports import FrontReport, KeyholderReport, Snapshot

ProcessName: TypeAlias = Literal[FrontName, "keyholder", "zygote", "control"]


class Up(Message, frozen=True, kw_only=True):
    """The process serves. A front sends it once the worker is ready for jobs."""


class Drain(Message, frozen=True, kw_only=True):
    """Accept no new jobs, finish the running ones, then exit."""


class Renew(Message, frozen=True, kw_only=True):
    """Attest, and have every key released again, without waiting for the time of its renewal."""


class HostConditions(Message, frozen=True, kw_only=True):
    """The machine's conditions, after each change; for the keyholder."""

    report: HostReport


class Silent(Message, frozen=True, kw_only=True):
    """The supervisor's beat for fronts and keyholder: the processes that count as stopped (`cji_worker.ipc.beats`).

    To a front, one that has not beaten yet counts as stopped too: no front serves before all can.
    """

    processes: Annotated[tuple[ProcessName, ...], Meta(max_length=32)]


SupervisorFromFront = Up | Beat | FrontReport | Prepared | Committed
SupervisorFromKeyholder = Up | Beat | KeyholderReport | Prepared | Committed | RecordedDocument
SupervisorFromControl = Up | Beat | NewFiles | NotRead | Renew | RecordDocument
SupervisorFromZygote = Up | Beat
SupervisorFromChild = SupervisorFromFront | SupervisorFromKeyholder | SupervisorFromControl
FrontFromSupervisor = Drain | Silent | PrepareClients | CommitClients | AbandonReload
KeyholderFromSupervisor = (
    HostConditions | Silent | PreparePolicy | CommitPolicy | EverywhereInForce | AbandonReload | Renew | RecordDocument
)
ControlFromSupervisor = Beat | Reread | Reloaded | Snapshot | RecordedDocument
ChildFromSupervisor = FrontFromSupervisor | KeyholderFromSupervisor | ControlFromSupervisor
SUPERVISOR_FROM: Final[Mapping[str, object]] = MappingProxyType(
    {
        **dict.fromkeys(FRONT_NAMES, SupervisorFromFront),
        "keyholder": SupervisorFromKeyholder,
        "control": SupervisorFromControl,
        "zygote": SupervisorFromZygote,
    }
)
"""The union of each child by its name."""
