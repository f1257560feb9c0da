"""The process that cells are forked from: started before any key exists, with everything imported and one thread.

It keeps one warm cell per cell slot: forked, its heap inside the slot's secret region, sandboxed, waiting for a job.
When a cell has ended, its region is wiped again, whatever the cell itself did, and a new cell is forked into it. The
zygote never sees a key or a record: it passes the ends of every cell's channels to the keyholder and keeps none.

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
from dataclasses import dataclass
from itertools import chain
from typing import Final, NoReturn

import pyarrow as pa

from worker.cell.channels import CellChannels
from worker.cell.job import run_job
from worker.cell.sandbox import enter_sandbox
from worker.cell.self_test import self_test
from worker.compute.tables import Tables
from worker.compute.tables import decode as decode_tables
from worker.errors import StartupError
from worker.ipc import Boot, Channel, ChannelClosed, KeySlot, Ring, receive_boot
from worker.ipc.messages import (
    CellFromFront,
    CellFromKeyholder,
    CellGone,
    CellReady,
    KeyholderFromZygote,
    Kill,
    ReferenceWiped,
    SupervisorFromChild,
    Up,
    WipeReference,
    ZygoteFromKeyholder,
)
from worker.log import log
from worker.memory import Region, SecretHeap, Touched, forbid_files, harden, wipe_and_exit

WINDOW_BYTES: Final = 32 << 20
"""The last bytes of each region, into which records are unsealed. The rest is the cell's heap."""

_DONE: Final = object()
_EXIT_FAULT: Final = 70
_STDERR: Final = 2
_NOBODY: Final = -1


@dataclass(slots=True, kw_only=True)
class _CellSlot:
    """One region and the cell that lives in it."""

    index: int
    region: Region
    key_slot: KeySlot
    cell: int = -1
    pid: int = -1
    pidfd: int = _NOBODY


class Zygote:
    """Keeps every cell slot populated with a warm cell until the keyholder hangs up."""

    def __init__(
        self,
        keyholder: Channel[ZygoteFromKeyholder, KeyholderFromZygote],
        cell_slots: list[_CellSlot],
        reference_regions: list[Region],
        tables: Tables,
    ) -> None:
        self._keyholder = keyholder
        self._cell_slots, self._reference_regions = cell_slots, reference_regions
        self._tables = tables
        self._next = 0
        self._poll = select.poll()
        self._poll.register(keyholder.fileno(), select.POLLIN)

    def serve(self) -> None:
        """Serve until the keyholder hangs up; then kill every cell."""
        try:
            for cell_slot in self._cell_slots:
                self._populate(cell_slot)
            # the first cells are warm by now; what they have not touched yet is faulted in between messages
            regions = [*(cell_slot.region for cell_slot in self._cell_slots), *self._reference_regions]
            ahead = chain.from_iterable(region.fault_in() for region in regions)
            turn: object = None
            while True:
                turn = next(ahead, _DONE) if turn is not _DONE else _DONE
                for fd, _ in self._poll.poll(None if turn is _DONE else 0):
                    if fd == self._keyholder.fileno():
                        self._follow()
                    else:
                        self._reap(next(each for each in self._cell_slots if each.pidfd == fd))
        except ChannelClosed:
            for cell_slot in self._cell_slots:
                self._kill(cell_slot.cell)

    def _follow(self) -> None:
        message, _ = self._keyholder.receive()
        match message:
            case Kill(cell=cell):
                self._kill(cell)
            case WipeReference(slot=slot):
                self._reference_regions[slot].wipe()
                self._keyholder.send(ReferenceWiped(slot=slot))

    def _populate(self, cell_slot: _CellSlot) -> None:
        control, cell_control = Channel.pair()
        data, cell_data = Channel.pair()
        data.setblocking(False)
        ring = Ring.create()
        cell_slot.cell = self._next
        self._next += 1
        sys.stderr.flush()
        cell_slot.pid = os.fork()
        if cell_slot.pid == 0:
            others = [other for other in self._cell_slots if other is not cell_slot]
            _cell(
                cell_slot,
                others,
                cell_control,
                cell_data,
                ring=ring,
                reference_regions=self._reference_regions,
                tables=self._tables,
            )
        cell_slot.pidfd = os.pidfd_open(cell_slot.pid)
        self._poll.register(cell_slot.pidfd, select.POLLIN)
        ready = CellReady(cell=cell_slot.cell, cell_slot=cell_slot.index)
        self._keyholder.send(ready, [control.fileno(), data.fileno(), ring.fd])
        for end in (control, cell_control, data, cell_data):
            end.close()
        ring.close()

    def _reap(self, cell_slot: _CellSlot) -> None:
        _, status = os.waitpid(cell_slot.pid, 0)
        self._poll.unregister(cell_slot.pidfd)
        os.close(cell_slot.pidfd)
        cell_slot.pidfd = _NOBODY
        cell_slot.region.wipe()
        cell_slot.key_slot.wipe()
        self._keyholder.send(CellGone(cell=cell_slot.cell, status=os.waitstatus_to_exitcode(status)))
        self._populate(cell_slot)

    def _kill(self, cell: int) -> None:
        for cell_slot in self._cell_slots:
            if cell_slot.cell == cell and cell_slot.pidfd != _NOBODY:
                signal.pidfd_send_signal(cell_slot.pidfd, signal.SIGKILL)


def _cell(
    cell_slot: _CellSlot,
    others: list[_CellSlot],
    control: socket.socket,
    data: socket.socket,
    *,
    ring: Ring,
    reference_regions: list[Region],
    tables: Tables,
) -> NoReturn:
    """The life of a cell, from the fork to the exit. Never returns, never unwinds into the zygote's code."""
    status = _EXIT_FAULT
    heap_bytes = cell_slot.region.size - WINDOW_BYTES
    ranges = [(cell_slot.region.address, heap_bytes), (cell_slot.region.address + heap_bytes, WINDOW_BYTES)]
    try:
        for other in others:
            other.region.unmap()
            other.key_slot.unmap()
        _close_all_but(_STDERR, control.fileno(), data.fileno(), ring.fd)
        touched = Touched()
        harden(die_with_parent=True)
        forbid_files()
        SecretHeap(cell_slot.region, size=heap_bytes)
        enter_sandbox()
        channels = CellChannels(
            control=Channel(control, CellFromKeyholder), data=Channel(data, CellFromFront), ring=ring
        )
        window = cell_slot.region.view(heap_bytes)
        status = run_job(
            channels, key_slot=cell_slot.key_slot, window=window, reference_slots=reference_regions, tables=tables
        )
        ranges = [(address, touched.extent(address, size)) for address, size in ranges]
    except ChannelClosed:
        status = 0
    except BaseException as fault:  # noqa: BLE001 - nothing of a cell may unwind into the zygote
        log("cell fault", error=type(fault).__name__)
    finally:
        wipe_and_exit(ranges, status)


def _close_all_but(*keep: int) -> None:
    start = 0
    for fd in sorted(keep):
        os.closerange(start, fd)
        start = fd + 1
    os.closerange(start, 1 << 16)


def _serve(boot: Boot) -> None:
    harden(die_with_parent=True)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    cell_slots = [
        _CellSlot(index=index, region=Region(region), key_slot=KeySlot(slot))
        for index, (region, slot) in enumerate(zip(boot.regions, boot.slots, strict=True))
    ]
    tables = decode_tables(boot.tables)
    # made-up records need no secret memory, and the regions stay as new as they are
    self_test(memoryview(mmap.mmap(-1, WINDOW_BYTES)), cell_slots[0].key_slot, tables)
    boot.code.check_mapped()
    gc.collect()
    gc.freeze()
    supervisor: Channel[Up, SupervisorFromChild] = Channel(boot.supervisor, Up)
    supervisor.send(Up())
    reference_regions = [Region(fd) for fd in boot.reference_regions]
    Zygote(Channel(boot.zygote, ZygoteFromKeyholder), cell_slots, reference_regions, tables).serve()


def main(boot: Boot) -> int:
    """Body of the process; returns its exit status."""
    try:
        _serve(boot)
    except StartupError as error:
        log("error", what=error.what, remedy=error.remedy)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(receive_boot(int(sys.argv[1]))))
