"""Messages between the supervisor and its children."""

from worker.ipc.messages.base import Beat, Message


class Up(Message, frozen=True, kw_only=True):
    """The process serves. The front sends it with its port, once the worker is ready for jobs."""

    port: int = 0


class Drain(Message, frozen=True, kw_only=True):
    """Accept no new jobs, finish the running ones, then exit."""


SupervisorFromChild = Up | Beat
ChildFromSupervisor = Drain | Beat
