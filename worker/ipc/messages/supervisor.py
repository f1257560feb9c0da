"""Messages between the supervisor and its children."""

from worker.host import HostReport
from worker.ipc.messages.base import Beat, Message


class Up(Message, frozen=True, kw_only=True):
    """The process serves. The front sends it with its port, once the worker is ready for jobs."""

    port: int = 0


class Drain(Message, frozen=True, kw_only=True):
    """Accept no new jobs, finish the running ones, then exit."""


class HostConditions(Message, frozen=True, kw_only=True):
    """The machine's conditions, after each change; for the keyholder."""

    report: HostReport


SupervisorFromChild = Up | Beat
ChildFromSupervisor = Drain | HostConditions | Beat
