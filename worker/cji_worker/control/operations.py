"""The supervisor's part in operation: carries a reload through, and keeps the latest reports for the operator.

It reads none of the files: their descriptors pass through. SIGTERM and SIGINT wake the supervisor; SIGHUP
waits until it is collected, with its sender.
"""

import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from cji_core.format.configuration.worker import Config
from cji_core.log import log
from cji_worker.control.reload import (
    DRAINING,
    Begin,
    Checked,
    EndWorker,
    Event,
    GiveOut,
    Gone,
    Phase,
    Send,
    State,
    Switched,
    Tick,
    Unread,
    advance,
)
from cji_worker.control.status import LastReload, ProcessStatus, Reports, snapshot
from cji_worker.errors import WorkerError
from cji_worker.fronts import FRONT_NAMES, FrontName, cores_counted
from cji_worker.host import HostReport
from cji_worker.ipc import Channel, ChannelClosed
from cji_worker.ipc.messages import (
    Committed,
    FrontReport,
    KeyholderReport,
    Message,
    NewFiles,
    NotRead,
    PrepareClients,
    Prepared,
    PreparePolicy,
    RecordDocument,
    RecordedDocument,
    Reloaded,
    ReloadFault,
    Renew,
    Reread,
    Snapshot,
)

_HANGUP: Final = {signal.SIGHUP}


class WorkerMustEnd(WorkerError):  # noqa: N818 - a state, not a fault of this program
    """A reload stopped where nobody can know which files are in force."""

    code = "worker-must-end"
    remedy = "Restart the worker."


class Operations:
    """Follows one worker. `channels` are those of its children by name, `fronts` the names of its fronts."""

    def __init__(
        self, config: Config, channels: Mapping[str, Channel[Any, Any]], fronts: Sequence[FrontName] = FRONT_NAMES[:1]
    ) -> None:
        self._config, self._channels, self._fronts = config, channels, fronts
        self._state = State(fronts=frozenset(fronts))
        self._files: Sequence[int] = ()
        self._reports = Reports(started=datetime.now(UTC), count=len(fronts), cores=cores_counted(config.worker.fronts))

    @property
    def reloading(self) -> bool:
        """Whether a reload is running."""
        return self._state.phase is not Phase.IDLE

    def take(self, child: str, message: Message, fds: Sequence[int]) -> None:
        """A message of a child. Raises WorkerMustEnd."""
        now = time.monotonic()
        match message:
            case FrontReport():
                self._reports.fronts[child] = message
            case KeyholderReport():
                self._reports.keyholder = message
            case NewFiles(by=by, uid=uid):
                self._files = fds
                try:
                    self._feed(Begin(by, uid, now))
                finally:
                    self._files = ()
                    for fd in fds:
                        os.close(fd)
            case Renew() | RecordDocument() if child == "control":
                self._send("keyholder", message)
            case RecordedDocument() if child == "keyholder":
                self._send("control", message)
            case NotRead(by=by, uid=uid, fault=fault):
                self._feed(Unread(by, uid, fault))
            case Prepared(number=number, fault=fault, clients=clients):
                self._feed(Checked(child, number, fault, clients, now))
            case Committed(number=number, fault=fault):
                self._feed(Switched(child, number, fault, now))

    def beat(self, host: HostReport, processes: Sequence[ProcessStatus], *, draining: bool) -> None:
        """Once a beat: a SIGHUP that arrived, a step that is late, the operator's view. Raises WorkerMustEnd."""
        if (uid := hangup()) is not None:
            self._send("control", Reread(uid=uid))
        self._feed(Tick(time.monotonic()))
        self._reports.draining = draining
        view = snapshot(self._config, self._reports, host, processes, reloading=self.reloading, now=datetime.now(UTC))
        self._send("control", Snapshot(json=view))

    def drained(self, front: str) -> None:
        """A front of a worker that drains has ended: nothing waits for its answer."""
        self._feed(Gone(front))

    def service_state(self) -> dict[str, str]:
        """The state of a worker that serves, as sd_notify's variables (sd_notify(3))."""
        if self.reloading:
            now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            return {"RELOADING": "1", "MONOTONIC_USEC": str(now_us), "STATUS": "reloading"}
        return {"READY": "1", "STATUS": "serving"}

    def _feed(self, event: Event) -> None:
        if isinstance(event, Begin) and self._reports.draining:
            self._send("control", Reloaded(fault=DRAINING))
            return
        self._state, effects = advance(self._state, event)
        for effect in effects:
            match effect:
                case GiveOut():
                    self._give_out()
                case Send(to=to, message=message):
                    self._send(to, message)
                case EndWorker():
                    log("reload unfinished", remedy="The worker ends and starts again with the files as they are now.")
                    raise WorkerMustEnd

    def _give_out(self) -> None:
        policy, clients = self._files
        self._send("keyholder", PreparePolicy(number=self._state.number), [policy])
        self._send("fronts", PrepareClients(number=self._state.number), [clients])

    def _send(self, to: str, message: Message, fds: Sequence[int] = ()) -> None:
        if to == "control" and isinstance(message, Reloaded):
            self._ended(message.fault)
        for name in self._fronts if to == "fronts" else (to,):
            with contextlib.suppress(ChannelClosed):  # its end is noticed by the supervisor
                if to == "control":
                    self._channels[name].offer(message)  # a stopped one blocks nobody
                else:
                    self._channels[name].send(message, fds)

    def _ended(self, fault: ReloadFault | None) -> None:
        if fault is None:
            log("reloaded")
        else:
            log("not reloaded", check=fault.file, what=fault.what, remedy=fault.remedy)
        self._reports.reload = LastReload(ended=datetime.now(UTC), fault=fault)


def take_signals() -> int:
    """A descriptor that becomes readable on SIGTERM and SIGINT. SIGHUP is blocked, in children too, who get none."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _HANGUP)
    read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return read


def hangup() -> int | None:
    """The user id of the sender of SIGHUP since the last call; None if nobody did."""
    found = signal.sigtimedwait(_HANGUP, 0)
    return None if found is None else found.si_uid
