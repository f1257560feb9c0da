"""The process of a cell, from the fork to the exit. It takes every right away from itself, then waits for its job."""

import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from cji_core.operations.tables import Tables
from cji_worker.cell.channels import CellChannels
from cji_worker.cell.job import run_job
from cji_worker.cell.sandbox import CONTROL, DATA, REPORT, enter_sandbox, keep_descriptors
from cji_worker.cell.self_test import MadeUpJob
from cji_worker.ipc import Channel, ChannelClosed, KeySlot, Ring
from cji_worker.ipc.messages import (
    CellFaulted,
    CellFromFront,
    CellFromKeyholder,
    Confined,
    FaultClass,
    FrontFromCell,
    KeyholderFromCell,
)
from cji_worker.memory import Region, SecretHeap, harden
from cji_worker.rights import SyscallFilter, become, drop_capabilities

WINDOW_BYTES: Final = 32 << 20
"""The last bytes of each region, into which records are unsealed. The rest is the cell's heap."""

WINDOW_READY_BYTES: Final = 2 << 20
_HEAP_READY_BYTES: Final = 12 << 20
"""Of window and heap, open from the start, and wiped after every job: the made-up job and a small one need no more."""

EXIT_FAULT: Final = 70
"""Exit status of a cell whose code failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongings:
    """Inheritance of a cell: its memory, the ends of its channels, and what all cells share."""

    region: Region
    key_slot: KeySlot
    others: Sequence[tuple[Region, KeySlot]]
    """Of the other cells; unmapped at once."""
    control: socket.socket
    data: socket.socket
    report: socket.socket
    ring: int
    """The descriptor; the zygote maps no ring."""
    nothing: int
    """/dev/null, opened for reading."""
    reference_regions: Sequence[Region]
    tables: Tables
    warm_up: MadeUpJob | None
    """The job that it runs before its own; None where that one waits already."""
    rules: SyscallFilter
    address_space: int
    """Bytes that the zygote has mapped, all regions included."""
    user: int | None
    """The number of the cell's own user id, if it has one."""
    parent: int
    """The zygote's process id, as the cell sees it: 0 in a PID namespace of its own."""


def run_cell(own: Belongings) -> NoReturn:
    """Live the life of a cell. Never returns, never unwinds into the zygote's code."""
    status, channels = EXIT_FAULT, None
    try:
        address_space, ring = _forget_others(own), Ring(own.ring)
        keep_descriptors(
            control=own.control.detach(), data=own.data.detach(), report=own.report.detach(), nothing=own.nothing
        )
        # what a library still prints goes nowhere
        sys.stdin = sys.stdout = sys.stderr = None
        if own.user is not None:
            become(own.user)
        drop_capabilities()
        harden(parent=own.parent)
        heap_bytes = own.region.size - WINDOW_BYTES
        heap = SecretHeap(own.region, size=heap_bytes, ready=_HEAP_READY_BYTES)
        window = own.region.view(heap_bytes)
        if own.warm_up is not None:
            own.warm_up.run(ring=ring, window=window, reference_slots=[], tables=own.tables)
        own.region.close(heap.opened, heap_bytes)
        own.region.close(heap_bytes + WINDOW_READY_BYTES, own.region.size)
        channels = _confine(own, ring, address_space, Confined(opened=heap.opened))
        status = run_job(
            channels,
            key_slot=own.key_slot,
            window=window,
            reference_slots=own.reference_regions,
            tables=own.tables,
        )
        channels.await_end()
    except ChannelClosed:
        status = 0  # the zygote is gone
    except BaseException as fault:  # noqa: BLE001 - nothing of a cell may unwind into the zygote
        if channels is not None:
            channels.control.offer(CellFaulted(fault=_class_of(fault)))
    finally:
        os._exit(status)


def _class_of(fault: BaseException) -> FaultClass:
    names = (base.__name__ for base in type(fault).__mro__)
    return next(FaultClass[name] for name in names if name in FaultClass.__members__)


def _forget_others(own: Belongings) -> int:
    """Unmap what belongs to other cells; return the bytes of address space that stay mapped."""
    left = own.address_space
    for region, key_slot in own.others:
        left -= region.unmap() + key_slot.unmap()
    return left


class _Window:
    """Opens what is closed of the window once a job has sent more than the rest of it can hold."""

    def __init__(self, region: Region) -> None:
        self._region, self._left = region, WINDOW_READY_BYTES

    def received(self, size: int) -> None:
        """Of one sealed segment. In the window they lie one after another, or nearer to its start."""
        was_enough, self._left = self._left >= 0, self._left - size
        if was_enough and self._left < 0:
            self._region.open(self._region.size - WINDOW_BYTES + WINDOW_READY_BYTES, self._region.size)


def _confine(own: Belongings, ring: Ring, address_space: int, confined: Confined) -> CellChannels:
    """Enter the sandbox and report it to the zygote; return the channels, which are all that the cell keeps."""
    control: Channel[CellFromKeyholder, KeyholderFromCell] = Channel(CONTROL, CellFromKeyholder)
    data: Channel[CellFromFront, FrontFromCell] = Channel(DATA, CellFromFront)
    report: Channel[Confined, Confined] = Channel(REPORT, Confined)
    channels = CellChannels(control=control, data=data, ring=ring, received=_Window(own.region).received)
    listener = enter_sandbox(own.rules, address_space=address_space)
    report.send(confined, [listener])
    report.close()
    os.close(listener)
    return channels
