"""New TLS files: checked when they arrive, in force once the supervisor commits them, forgotten otherwise."""

from datetime import UTC, datetime

import msgspec

from worker.front.guard import Guard
from worker.front.tls import CheckedTls, Tls, check
from worker.ipc import Channel, ChannelClosed, take_over
from worker.ipc.beats import Pulse
from worker.ipc.messages import (
    AbandonReload,
    Beat,
    Committed,
    CommitTls,
    Drain,
    FrontFromSupervisor,
    Prepared,
    PrepareTls,
    ReloadFault,
    SupervisorFromFront,
    TlsChange,
    reload_fault,
)
from worker.operator_files import MAX_BYTES, FileRefused, TlsFiles

_MOST_BYTES = 4 * MAX_BYTES + 1024


class Reload:
    """The front's part in a reload (`worker.ipc.messages.reload`)."""

    def __init__(self, tls: Tls, guard: Guard, supervisor: Channel[FrontFromSupervisor, SupervisorFromFront]) -> None:
        self._tls, self._guard, self._supervisor = tls, guard, supervisor
        self._prepared: tuple[int, CheckedTls] | None = None

    async def follow(self, pulse: Pulse) -> None:
        """Follow the supervisor until it says to drain; `pulse` gets its beats."""
        while True:
            message, fds = await self._supervisor.receive_async()
            match message:
                case Beat():
                    pulse.beat()
                case PrepareTls(number=number):
                    self._supervisor.send(self.prepare(number, fds[0]))
                case CommitTls(number=number):
                    self._supervisor.send(self.commit(number))
                case AbandonReload():
                    self._prepared = None
                case Drain():
                    return

    def prepare(self, number: int, fd: int) -> Prepared:
        """Check the files behind this descriptor, and keep them if they can be used."""
        self._prepared = None
        try:
            files = msgspec.msgpack.decode(take_over(fd, most=_MOST_BYTES), type=TlsFiles)
            checked = check(files, now=datetime.now(UTC))
        except FileRefused as error:
            return Prepared(number=number, fault=reload_fault(error.file, error.what, error.remedy))
        except ValueError as error:  # msgspec's errors are ValueErrors; no control process of ours sends this
            raise ChannelClosed from error
        self._prepared = number, checked
        return Prepared(number=number, tls=TlsChange(before=self._tls.now.digests, after=checked.digests))

    def commit(self, number: int) -> Committed:
        """Use what was prepared: at the next handshake, the next call, and for the calls that are open."""
        if self._prepared is None or self._prepared[0] != number:
            fault: ReloadFault = reload_fault("reload", "The front prepared no such reload", "Restart the worker.")
            return Committed(number=number, fault=fault)
        self._tls.replace(self._prepared[1])
        self._prepared = None
        self._guard.accept_again()
        return Committed(number=number)
