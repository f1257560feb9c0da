"""The process that cells are forked from: started before any key exists, with everything imported and one thread.

It keeps one warm cell per cell slot: forked, its heap inside the slot's secret region, warmed up, sandboxed, waiting
for a job. When a cell has ended, the zygote wipes all of the region that the cell could write to, whatever the cell
itself did, and forks a new cell into it. The zygote never sees a key or a record: it passes the ends of every cell's
channels to the keyholder and keeps none. It has no files, no network, and user ids that own nothing.

A cell reports once that it is confined, with the listener of its filter. A system call outside the filter arrives
there: the zygote logs its number and kills the cell. One arrives there and goes on: that which opens more of the cell's
own region, once the zygote has noted what has to be wiped.

Reference regions outlive a cell: every cell inherits all of them and keeps at most the one that its job is given. The
zygote wipes a region on the keyholder's request.
"""

import gc
import mmap
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

import pyarrow as pa

from cji_core.errors import StartupError
from cji_core.fips import module_in_force, require_usable
from cji_core.log import events_only, log
from cji_core.operations.tables import Tables
from cji_core.operations.tables import decode as decode_tables
from cji_worker.cell.process import EXIT_FAULT, WINDOW_BYTES, WINDOW_READY_BYTES, Belongings, run_cell
from cji_worker.cell.sandbox import cell_filter
from cji_worker.cell.self_test import MadeUpJob, self_test, warm_up_job
from cji_worker.ipc import Boot, Channel, ChannelClosed, KeySlot, new_ring, receive_boot
from cji_worker.ipc.beats import BEAT_S
from cji_worker.ipc.messages import (
    Beat,
    CellGone,
    CellReady,
    ChildFromSupervisor,
    Confined,
    JobsWait,
    KeyholderFromZygote,
    Kill,
    ReferenceWiped,
    SupervisorFromChild,
    Touch,
    Up,
    WipeReference,
    ZygoteFromKeyholder,
)
from cji_worker.memory import Region, Writable, harden, join_pages, load_allocator
from cji_worker.rights import (
    ReportedCall,
    address_space,
    enter_namespaces,
    forbid_files_and_network,
    fork,
    reported_call,
)

_NOBODY: Final = -1


@dataclass(slots=True, kw_only=True)
class _CellSlot:
    """One region and the cell that lives in it."""

    index: int
    region: Region
    writable: Writable
    key_slot: KeySlot
    cell: int = -1
    pid: int = -1
    pidfd: int = _NOBODY
    report: Channel[Confined, Confined] | None = None
    """Until the cell has reported; then its ends of the channels go to the keyholder."""
    listener: int = _NOBODY
    ends: tuple[socket.socket, socket.socket, int] | None = None
    """Of the two channels, and the ring, which the zygote does not map: the next cell would inherit it."""


class Zygote:
    """Keeps every cell slot populated with a warm cell until the keyholder hangs up."""

    def __init__(
        self,
        *,
        keyholder: Channel[ZygoteFromKeyholder, KeyholderFromZygote],
        supervisor: Channel[ChildFromSupervisor, SupervisorFromChild],
        cell_slots: list[_CellSlot],
        reference_regions: list[Region],
        tables: Tables,
        warm_up: MadeUpJob,
        users: bool,
        namespaces: bool,
        parent: int,
    ) -> None:
        """Needs every file that the zygote will ever need: after `serve` begins it can open none."""
        self._keyholder, self._supervisor = keyholder, supervisor
        self._cell_slots, self._reference_regions = cell_slots, reference_regions
        self._tables, self._warm_up = tables, warm_up
        self._namespaces, self._users = namespaces, users and namespaces
        self._rules, self._nothing = cell_filter(), os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        load_allocator()
        self._address_space = address_space()
        if namespaces:
            enter_namespaces(users=users)
        harden(parent=parent)
        forbid_files_and_network()
        self._next, self._beat_at, self._jobs_wait = 0, 0.0, False
        self._poll = select.poll()
        self._ready: dict[int, Callable[[], None]] = {}
        self._await(keyholder.fileno(), self._follow)
        self._work: deque[Iterator[None]] = deque()

    def serve(self) -> None:
        """Serve until the keyholder hangs up; then kill every cell."""
        try:
            for cell_slot in self._cell_slots:
                self._populate(cell_slot)
            while True:
                self._beat()
                self._do_some_work()
                for fd, _ in self._poll.poll(0 if self._work else BEAT_S * 1000):
                    if fd in self._ready:  # an event before it may have ended the cell
                        self._ready[fd]()
        except ChannelClosed:
            for cell_slot in self._cell_slots:
                self._kill(cell_slot.cell)

    def _await(self, fd: int, ready: Callable[[], None]) -> None:
        self._poll.register(fd, select.POLLIN)
        self._ready[fd] = ready

    def _forget(self, fd: int) -> None:
        self._poll.unregister(fd)
        del self._ready[fd]

    def _beat(self) -> None:
        if (now := time.monotonic()) >= self._beat_at:
            self._beat_at = now + BEAT_S
            self._supervisor.offer(Beat())

    def _do_some_work(self) -> None:
        """A few milliseconds of the oldest work, so that no region is too large for a heartbeat."""
        if self._work:
            try:
                next(self._work[0])
            except StopIteration:
                self._work.popleft()

    def _follow(self) -> None:
        message, _ = self._keyholder.receive()
        match message:
            case Kill(cell=cell):
                self._kill(cell)
            case JobsWait(waiting=waiting):
                self._jobs_wait = waiting
            case WipeReference(slot=slot):
                self._work.appendleft(self._wipe_reference(slot))
            case Touch():  # what the first cells have not touched yet, between messages
                regions = [*(cell_slot.region for cell_slot in self._cell_slots), *self._reference_regions]
                self._work.extend(region.fault_in() for region in regions)

    def _wipe_reference(self, slot: int) -> Iterator[None]:
        yield from self._reference_regions[slot].wipe_in_turns()
        self._keyholder.send(ReferenceWiped(slot=slot))

    def _populate(self, cell_slot: _CellSlot) -> None:
        control, cell_control = Channel.pair()
        data, cell_data = Channel.pair()
        report, cell_report = Channel.pair()
        data.setblocking(False)
        ring = new_ring()
        cell_slot.cell = self._next
        self._next += 1
        sys.stderr.flush()
        zygote = os.getpid()
        cell_slot.pid, cell_slot.pidfd = fork(own_pids=self._namespaces)
        if cell_slot.pid == 0:
            run_cell(
                Belongings(
                    region=cell_slot.region,
                    key_slot=cell_slot.key_slot,
                    others=[(other.region, other.key_slot) for other in self._cell_slots if other is not cell_slot],
                    control=cell_control,
                    data=cell_data,
                    report=cell_report,
                    ring=ring,
                    nothing=self._nothing,
                    reference_regions=self._reference_regions,
                    tables=self._tables,
                    warm_up=None if self._jobs_wait else self._warm_up,
                    rules=self._rules,
                    address_space=self._address_space,
                    user=1 + cell_slot.index if self._users else None,
                    parent=0 if self._namespaces else zygote,
                )
            )
        for end in (cell_control, cell_data, cell_report):
            end.close()
        cell_slot.ends, cell_slot.report = (control, data, ring), Channel(report, Confined)
        self._await(cell_slot.pidfd, partial(self._reap, cell_slot))
        self._await(cell_slot.report.fileno(), partial(self._confined, cell_slot))

    def _confined(self, cell_slot: _CellSlot) -> None:
        """The cell is in its sandbox: hand it to the keyholder."""
        assert cell_slot.report is not None  # noqa: S101 - for the type checker
        assert cell_slot.ends is not None  # noqa: S101
        self._forget(cell_slot.report.fileno())
        try:
            confined, (cell_slot.listener,) = cell_slot.report.receive()
        except ChannelClosed:
            return  # it has ended
        heap_bytes = cell_slot.region.size - WINDOW_BYTES
        cell_slot.writable.only((0, confined.opened), (heap_bytes, WINDOW_READY_BYTES))
        self._await(cell_slot.listener, partial(self._reported_call, cell_slot))
        control, data, ring = cell_slot.ends
        ready = CellReady(cell=cell_slot.cell, cell_slot=cell_slot.index)
        self._keyholder.send(ready, [control.fileno(), data.fileno(), ring])
        self._close_ends(cell_slot)

    def _close_ends(self, cell_slot: _CellSlot) -> None:
        if cell_slot.ends is not None:
            control, data, ring = cell_slot.ends
            control.close()
            data.close()
            os.close(ring)
        cell_slot.ends = None
        if cell_slot.report is not None:
            cell_slot.report.close()
        cell_slot.report = None

    def _reported_call(self, cell_slot: _CellSlot) -> None:
        """The cell stands in a system call: it asks for more of its region, may not make the call, or has ended."""
        call = reported_call(cell_slot.listener)
        if call is not None and _opens(call, cell_slot.writable):
            call.go_on(cell_slot.listener)
            return
        self._forget(cell_slot.listener)
        if call is not None:
            log("cell killed", cell=cell_slot.cell, syscall=call.number, what=call.name)
            self._kill(cell_slot.cell)

    def _reap(self, cell_slot: _CellSlot) -> None:
        """Report the end of a cell, wipe what it had, and fork the next one."""
        _, wait_status = os.waitpid(cell_slot.pid, 0)
        status = os.waitstatus_to_exitcode(wait_status)
        if cell_slot.ends is not None and status == EXIT_FAULT:
            raise StartupError(
                "A cell could not confine itself", "Run `cji doctor`; compare the unit with deploy/systemd."
            )
        fds = [cell_slot.pidfd, cell_slot.listener]
        for fd in [*fds, cell_slot.report.fileno()] if cell_slot.report else fds:
            if fd in self._ready:
                self._forget(fd)
        for fd in fds:
            if fd != _NOBODY:
                os.close(fd)
        cell_slot.pidfd = cell_slot.listener = _NOBODY
        self._close_ends(cell_slot)
        cell_slot.key_slot.wipe()
        self._work.appendleft(self._renew(cell_slot, status))

    def _renew(self, cell_slot: _CellSlot, status: int) -> Iterator[None]:
        yield from cell_slot.writable.wipe_in_turns()
        cell_slot.writable.everything()
        self._keyholder.send(CellGone(cell=cell_slot.cell, status=status))
        self._populate(cell_slot)

    def _kill(self, cell: int) -> None:
        for cell_slot in self._cell_slots:
            if cell_slot.cell == cell and cell_slot.pidfd != _NOBODY:
                signal.pidfd_send_signal(cell_slot.pidfd, signal.SIGKILL)


def _opens(call: ReportedCall, writable: Writable) -> bool:
    """Whether a call makes memory writable that `writable` has, and has not noted yet; then it is noted."""
    if call.name != "mprotect":
        return False
    address, size, protection, *_ = call.arguments
    return protection == mmap.PROT_READ | mmap.PROT_WRITE and writable.open(address, size)


def _serve(boot: Boot) -> None:
    harden(parent=boot.parent)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    cell_slots = [
        _CellSlot(index=index, region=region, writable=Writable(region), key_slot=KeySlot(slot))
        for index, (region, slot) in enumerate(zip(map(Region, boot.regions), boot.slots, strict=True))
    ]
    reference_regions = [Region(fd) for fd in boot.reference_regions]
    tables = decode_tables(boot.tables)
    # made-up records need no secret memory, and the regions stay as new as they are
    self_test(memoryview(mmap.mmap(-1, WINDOW_BYTES)), tables, in_parts=boot.config.fleet is not None)
    warm_up = warm_up_job()
    boot.code.check_mapped()
    gc.collect()
    join_pages()
    supervisor: Channel[ChildFromSupervisor, SupervisorFromChild] = Channel(boot.supervisor, ChildFromSupervisor)
    zygote = Zygote(
        keyholder=Channel(boot.zygote, ZygoteFromKeyholder),
        supervisor=supervisor,
        cell_slots=cell_slots,
        reference_regions=reference_regions,
        tables=tables,
        warm_up=warm_up,
        users=boot.users,
        namespaces=boot.namespaces,
        parent=boot.parent,
    )
    gc.freeze()
    supervisor.send(Up())
    zygote.serve()


def main(boot: Boot) -> int:
    """Body of the process; returns its exit status."""
    events_only()
    try:
        require_usable(module_in_force(), require_fips=boot.config.require_fips)
        _serve(boot)
    except StartupError as error:
        log("error", what=error.what, remedy=error.remedy)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(receive_boot(int(sys.argv[1]))))
