"""The process that cells are forked from: started before any key exists, everything imported, one thread.

Per secret region it keeps one warm cell: forked, its heap inside the region, sandboxed, waiting for a job. When a
cell is gone the region is wiped again, whatever the cell itself did, and a new cell is forked into it. The zygote
never sees a key or a record: it hands the ends of every cell's channels to the keyholder and keeps none.

Shelves are regions that outlive a cell: every cell is born with all of them, and keeps the one at most that its job
is given. The zygote wipes one when the keyholder says so.
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

from worker.cell.job import run_job
from worker.cell.sandbox import enter_sandbox
from worker.cell.self_test import self_test
from worker.cell.wires import Wires
from worker.compute.tables import Tables
from worker.compute.tables import load as load_tables
from worker.ipc import Boot, Channel, ChannelClosed, KeySlot, Ring, receive_boot
from worker.ipc.messages import (
    CellFromFront,
    CellFromKeyholder,
    CellGone,
    CellReady,
    Clear,
    Cleared,
    KeyholderFromZygote,
    Kill,
    SupervisorFromChild,
    Up,
    ZygoteFromKeyholder,
)
from worker.log import log
from worker.memory import Region, SecretHeap, Touched, forbid_files, harden, wipe_and_exit

__all__ = ["WINDOW_BYTES", "main"]

WINDOW_BYTES: Final = 32 << 20
"""The end of each region: where records are unsealed. The rest is the cell's heap."""

_DONE: Final = object()
_EXIT_FAULT: Final = 70
_STDERR: Final = 2
_NOBODY: Final = -1


@dataclass(slots=True, kw_only=True)
class _Place:
    """One region and the cell that lives in it."""

    index: int
    region: Region
    slot: KeySlot
    cell: int = -1
    pid: int = -1
    pidfd: int = _NOBODY


class Zygote:
    """Keeps every place populated with a warm cell until the keyholder hangs up."""

    def __init__(
        self,
        keyholder: Channel[ZygoteFromKeyholder, KeyholderFromZygote],
        places: list[_Place],
        shelves: list[Region],
        tables: Tables,
    ) -> None:
        self._keyholder = keyholder
        self._places, self._shelves = places, shelves
        self._tables = tables
        self._next = 0
        self._poll = select.poll()
        self._poll.register(keyholder.fileno(), select.POLLIN)

    def serve(self) -> None:
        """Until the keyholder hangs up; then every cell ends with it."""
        try:
            for place in self._places:
                self._populate(place)
            # the first cells are warm by now; what they have not touched yet is faulted in between messages
            regions = [*(place.region for place in self._places), *self._shelves]
            ahead = chain.from_iterable(region.fault_in() for region in regions)
            turn: object = None
            while True:
                turn = next(ahead, _DONE) if turn is not _DONE else _DONE
                for fd, _ in self._poll.poll(None if turn is _DONE else 0):
                    if fd == self._keyholder.fileno():
                        self._follow()
                    else:
                        self._reap(next(p for p in self._places if p.pidfd == fd))
        except ChannelClosed:
            for place in self._places:
                self._kill(place.cell)

    def _follow(self) -> None:
        message, _ = self._keyholder.receive()
        match message:
            case Kill(cell=cell):
                self._kill(cell)
            case Clear(shelf=shelf):
                self._shelves[shelf].wipe()
                self._keyholder.send(Cleared(shelf=shelf))

    def _populate(self, place: _Place) -> None:
        control, cell_control = Channel.pair()
        data, cell_data = Channel.pair()
        data.setblocking(False)
        ring = Ring.create()
        place.cell = self._next
        self._next += 1
        sys.stderr.flush()
        place.pid = os.fork()
        if place.pid == 0:
            others = [other for other in self._places if other is not place]
            _cell(place, others, cell_control, cell_data, ring=ring, shelves=self._shelves, tables=self._tables)
        place.pidfd = os.pidfd_open(place.pid)
        self._poll.register(place.pidfd, select.POLLIN)
        ready = CellReady(cell=place.cell, place=place.index)
        self._keyholder.send(ready, [control.fileno(), data.fileno(), ring.fd])
        for end in (control, cell_control, data, cell_data):
            end.close()
        ring.close()

    def _reap(self, place: _Place) -> None:
        _, status = os.waitpid(place.pid, 0)
        self._poll.unregister(place.pidfd)
        os.close(place.pidfd)
        place.pidfd = _NOBODY
        place.region.wipe()
        place.slot.wipe()
        self._keyholder.send(CellGone(cell=place.cell, status=os.waitstatus_to_exitcode(status)))
        self._populate(place)

    def _kill(self, cell: int) -> None:
        for place in self._places:
            if place.cell == cell and place.pidfd != _NOBODY:
                signal.pidfd_send_signal(place.pidfd, signal.SIGKILL)


def _cell(
    place: _Place,
    others: list[_Place],
    control: socket.socket,
    data: socket.socket,
    *,
    ring: Ring,
    shelves: list[Region],
    tables: Tables,
) -> NoReturn:
    """The life of a cell, from the fork to the exit. Never returns, never unwinds into the zygote's code."""
    status = _EXIT_FAULT
    heap_bytes = place.region.size - WINDOW_BYTES
    ranges = [(place.region.address, heap_bytes), (place.region.address + heap_bytes, WINDOW_BYTES)]
    try:
        for other in others:
            other.region.unmap()
            other.slot.unmap()
        _close_all_but(_STDERR, control.fileno(), data.fileno(), ring.fd)
        touched = Touched()
        harden(die_with_parent=True)
        forbid_files()
        SecretHeap(place.region, size=heap_bytes)
        enter_sandbox()
        wires = Wires(control=Channel(control, CellFromKeyholder), data=Channel(data, CellFromFront), ring=ring)
        window = place.region.view(heap_bytes)
        status = run_job(wires, slot=place.slot, window=window, shelves=shelves, tables=tables)
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


def main(boot: Boot) -> None:
    """Body of the zygote's process."""
    harden(die_with_parent=True)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    places = [
        _Place(index=index, region=Region(region), slot=KeySlot(slot))
        for index, (region, slot) in enumerate(zip(boot.regions, boot.slots, strict=True))
    ]
    tables = load_tables(boot.config.tables_folder)
    # made-up records need no secret memory, and the regions stay as new as they are
    self_test(memoryview(mmap.mmap(-1, WINDOW_BYTES)), places[0].slot, tables)
    gc.collect()
    gc.freeze()
    supervisor: Channel[Up, SupervisorFromChild] = Channel(boot.supervisor, Up)
    supervisor.send(Up())
    shelves = [Region(shelf) for shelf in boot.shelves]
    Zygote(Channel(boot.zygote, ZygoteFromKeyholder), places, shelves, tables).serve()


if __name__ == "__main__":
    main(receive_boot(int(sys.argv[1])))
