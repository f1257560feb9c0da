"""The control process: reads the operator's files when it is asked to, and answers on the control socket.

It binds the socket, then gives up everything but reading below the folders of these files (`cji_worker.rights`). What
it reads goes to the supervisor as sealed memory files, for the processes that check and use them; it checks nothing and
keeps nothing. So it can choose the policy that the worker is offered, as anyone who can write the policy file can, but
the trail records the digest of every policy, and receipts carry it.
"""

import os
import select
import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from cji_core.errors import StartupError
from cji_core.format.configuration.operator_files import FileRefused, read_client_files, read_policy_files
from cji_core.format.configuration.worker import Config
from cji_core.log import events_only, log
from cji_core.strict import hex_decode
from cji_worker.control.door import Door
from cji_worker.control.reload import BUSY
from cji_worker.ipc import Boot, Channel, ChannelClosed, hand_over, receive_boot
from cji_worker.ipc.beats import BEAT_S, Pulse
from cji_worker.ipc.messages import (
    Beat,
    ControlFromSupervisor,
    DocumentKind,
    NewFiles,
    NotRead,
    RecordDocument,
    RecordedDocument,
    Reloaded,
    ReloadFault,
    Renew,
    Requester,
    Reread,
    Snapshot,
    SupervisorFromControl,
    Up,
    reload_fault,
)
from cji_worker.ipc.status import UNKNOWN
from cji_worker.memory import harden
from cji_worker.rights import SOCKETS, deny, deny_powers, drop_capabilities, forbid_files_and_network

_DOCUMENTS: Final[dict[str, DocumentKind]] = {"review": "review", "packet": "packet"}
_SHA384_BYTES: Final = 48
_SILENT: Final = reload_fault("reload", "The supervisor does not answer", "Look at the worker's log; it may be ending.")


class Control:
    """One control process: its two peers are the supervisor and the user who opened the control socket."""

    def __init__(self, config: Config, supervisor: Channel[ControlFromSupervisor, SupervisorFromControl]) -> None:
        """Raises StartupError for a socket that cannot be made."""
        self._config, self._supervisor = config, supervisor
        self._snapshot, self._pulse = b"", Pulse()
        self._running = False
        self._hangup: int | None = None
        """User id of the sender of a SIGHUP that came while a reload or a record was running."""
        path, shared = config.control_socket, config.status_socket
        self._door = (
            None
            if path is None
            else Door(Path(path), status=self._status, reload=self._by_command, renew=self._renew, record=self._record)
        )
        self._shared = None if shared is None else Door(Path(shared), status=self._status)

    def serve(self) -> None:
        """Serve until the supervisor hangs up."""
        beat_at = 0.0
        while True:
            if (now := time.monotonic()) >= beat_at:
                beat_at = now + BEAT_S
                self._supervisor.offer(Beat())
                for door in self._doors():
                    door.beat(now)
            poll, doors = select.poll(), {fd: door for door in self._doors() for fd in door.descriptors()}
            for fd in (self._supervisor.fileno(), *doors):
                poll.register(fd, select.POLLIN)
            for fd, _ in poll.poll(max(0.0, beat_at - now) * 1000):
                if fd == self._supervisor.fileno():
                    self._follow()
                else:
                    doors[fd].ready(fd, now)

    def _doors(self) -> list[Door]:
        return [door for door in (self._door, self._shared) if door is not None]

    def _follow(self) -> None:
        match self._supervisor.receive()[0]:
            case Snapshot(json=document):
                self._snapshot = document
                self._pulse.beat()
            case Reread(uid=uid) if self._running:
                self._hangup = uid
            case Reread(uid=uid):
                self._read("signal", uid)
            case RecordedDocument(line=line):
                self._running = False
                if self._door is not None:
                    self._door.answer(msgspec.json.encode({"line": line}) + b"\n")
                self._again()
            case Reloaded(fault=fault):
                self._running = False
                if self._door is not None:
                    self._door.answer(_answer(fault))
                self._again()

    def _again(self) -> None:
        """The reload of a SIGHUP that came meanwhile."""
        if self._hangup is not None:
            uid, self._hangup = self._hangup, None
            self._read("signal", uid)

    def _status(self) -> bytes:
        """The last snapshot, or the fact that the supervisor is silent: no state is older than it looks."""
        if not self._snapshot or self._pulse.stale():
            return UNKNOWN
        return self._snapshot + b"\n"

    def _renew(self) -> bytes:
        """Whether the request went to the supervisor; the outcome of a renewal is in the worker's log and state."""
        silent = self._pulse.stale()
        if not silent:
            self._supervisor.offer(Renew())
        return msgspec.json.encode({"renewing": not silent}) + b"\n"

    def _record(self, uid: int, line: bytes) -> bytes | None:
        """Pass a digest on, one at a time, none during a reload; `null` is the answer meanwhile and to other lines."""
        try:
            _, kind, digest = line.decode("ascii").removesuffix("\n").split(" ")
            message = RecordDocument(document=_DOCUMENTS[kind], sha384=hex_decode(digest, size=_SHA384_BYTES), uid=uid)
        except (ValueError, KeyError):
            return b"null\n"
        if self._running or self._pulse.stale():
            return b"null\n"
        self._running = True
        self._supervisor.send(message)
        return None

    def _by_command(self, uid: int) -> bytes | None:
        if self._running or self._pulse.stale():
            return _answer(BUSY if self._running else _SILENT)
        self._read("command", uid)
        return None

    def _read(self, by: Requester, uid: int) -> None:
        self._running = True
        listen = self._config.listen
        try:
            policy = read_policy_files(
                self._config.policy_file,
                signed=bool(self._config.policy_signatures),
                values=self._config.attestation.value_files,
            )
            clients = read_client_files(client_roots=listen.client_roots, client_crl=listen.client_crl)
        except FileRefused as error:
            fault = reload_fault(error.file, error.what, error.remedy)
            self._supervisor.send(NotRead(by=by, uid=uid, fault=fault))
            return
        fds = [hand_over(msgspec.msgpack.encode(files)) for files in (policy, clients)]
        try:
            self._supervisor.send(NewFiles(by=by, uid=uid), fds)
        finally:
            for fd in fds:
                os.close(fd)


def _answer(fault: ReloadFault | None) -> bytes:
    return msgspec.json.encode({"reloaded": fault is None, "fault": fault}) + b"\n"


def _folders(config: Config) -> set[Path]:
    """The folders of the operator's files, and of the files that links there lead to."""
    listen = config.listen
    names = (config.policy_file, listen.client_roots, listen.client_crl)
    paths = [Path(name) for name in names if name is not None]
    return {each for path in paths for each in (path.parent, path.resolve().parent) if each.is_dir()}


def main(boot: Boot) -> int:
    """Body of the process; returns its exit status."""
    events_only()
    harden(parent=boot.parent)
    try:
        boot.code.check_mapped()
        supervisor: Channel[ControlFromSupervisor, SupervisorFromControl] = Channel(
            boot.supervisor, ControlFromSupervisor
        )
        control = Control(boot.config, supervisor)
        drop_capabilities()
        forbid_files_and_network(read=(*map(str, _folders(boot.config)), *sys.path))
        deny_powers()
        deny(SOCKETS)
        supervisor.send(Up())
        control.serve()
    except StartupError as error:
        log("error", what=error.what, remedy=error.remedy)
    except ChannelClosed:
        pass
    return 1


if __name__ == "__main__":
    sys.exit(main(receive_boot(int(sys.argv[1]))))
