"""New authorities and revocation lists: checked on arrival, in force on the supervisor's commit, else forgotten."""

from datetime import UTC, datetime

from cji_core.documents import msgpack
from cji_core.format.configuration.operator_files import MAX_BYTES, ClientFiles, FileRefused
from cji_worker.front.client_certificates import AcceptedClients, ClientCertificates
from cji_worker.front.guard import Guard
from cji_worker.front.health import Readiness
from cji_worker.ipc import Channel, ChannelClosed, take_over
from cji_worker.ipc.messages import (
    AbandonReload,
    ClientsChange,
    CommitClients,
    Committed,
    Drain,
    FrontFromSupervisor,
    PrepareClients,
    Prepared,
    ReloadFault,
    Silent,
    SupervisorFromFront,
    reload_fault,
)

_MOST_BYTES = 2 * MAX_BYTES + 1024


class Reload:
    """The front's part in a reload (`cji_worker.ipc.messages.reload`)."""

    def __init__(
        self, clients: AcceptedClients, guard: Guard, supervisor: Channel[FrontFromSupervisor, SupervisorFromFront]
    ) -> None:
        self._clients, self._guard, self._supervisor = clients, guard, supervisor
        self._prepared: tuple[int, ClientCertificates] | None = None

    async def follow(self, readiness: Readiness) -> None:
        """Follow the supervisor until it says to drain; `readiness` gets its beats, and which processes are silent."""
        while True:
            message, fds = await self._supervisor.receive_async()
            match message:
                case Silent(processes=processes):
                    readiness.hear(processes)
                case PrepareClients(number=number):
                    self._supervisor.send(self.prepare(number, fds[0]))
                case CommitClients(number=number):
                    self._supervisor.send(self.commit(number))
                case AbandonReload():
                    self._prepared = None
                case Drain():
                    return

    def prepare(self, number: int, fd: int) -> Prepared:
        """Check the files behind this descriptor, and keep them if they can be used."""
        self._prepared = None
        try:
            files = msgpack(take_over(fd, most=_MOST_BYTES), ClientFiles)
            checked = ClientCertificates.load(files, now=datetime.now(UTC))
        except FileRefused as error:
            return Prepared(number=number, fault=reload_fault(error.file, error.what, error.remedy))
        except ValueError as error:  # msgspec's errors are ValueErrors; no control process of ours sends this
            raise ChannelClosed from error
        self._prepared = number, checked
        return Prepared(number=number, clients=ClientsChange(before=self._clients.now.digests, after=checked.digests))

    def commit(self, number: int) -> Committed:
        """Use what was prepared: at the next call, and for the calls that are open."""
        if self._prepared is None or self._prepared[0] != number:
            fault: ReloadFault = reload_fault("reload", "The front prepared no such reload", "Restart the worker.")
            return Committed(number=number, fault=fault)
        self._clients.now = self._prepared[1]
        self._prepared = None
        self._guard.accept_again()
        return Committed(number=number)
