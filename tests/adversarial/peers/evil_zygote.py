"""The worker's own zygote, whose cells run hostile code: a module in place of `cji_worker.cell.zygote`.

Everything else is the worker's: a cell is forked, confined and given a job as always. Then the attack that the job's
header names in `reason` ("NAME ARGUMENT") runs in place of the job.
"""

import contextlib
import ctypes
import fcntl
import mmap
import os
import socket
import sys
from typing import Any, Final

import msgspec

from cji_core.format.envelope import ATTRIBUTION, open_box
from cji_core.format.job import Attribution, parse
from cji_worker.cell import process, zygote
from cji_worker.cell.channels import CellChannels
from cji_worker.cell.process import WINDOW_BYTES, WINDOW_READY_BYTES
from cji_worker.ipc import KeySlot, receive_boot
from cji_worker.ipc.messages import InputFreed, ProgressMade

_F_SETOWN, _F_SETSIG, _SIGSTOP = 8, 10, 19
_STDERR: Final = 2
_OPENED: Final = 32 << 20
"""More than a cell of the tests has open at first."""

_libc = ctypes.CDLL(None, use_errno=True)
_window: list[memoryview] = []


def honest(channels: CellChannels, _: str) -> None:
    """End like a cell whose code fails."""
    raise ArithmeticError


def stop_another(channels: CellChannels, pid: str) -> None:
    """Have the kernel send SIGSTOP to this process whenever a message arrives."""
    fd = channels.data.fileno()
    fcntl.fcntl(fd, _F_SETOWN, int(pid))
    fcntl.fcntl(fd, _F_SETSIG, _SIGSTOP)
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
    channels.await_end()


def write_to_journal(channels: CellChannels, canary: str) -> None:
    """Write plaintext to descriptors that are no channel, by Python and by C."""
    for descriptor in (1, _STDERR):
        with contextlib.suppress(OSError):
            os.write(descriptor, canary.encode())
    print(canary, file=sys.stderr)
    ctypes.CDLL(None).dprintf(_STDERR, canary.encode())


def name_a_fault(channels: CellChannels, canary: str) -> None:
    """Raise an exception whose class, text and cause are plaintext."""
    raise type(canary, (ValueError,), {})(canary) from RuntimeError(canary)


def send_descriptors(channels: CellChannels, count: str) -> None:
    """Attach descriptors to messages that carry none."""
    progress = msgspec.msgpack.encode(ProgressMade(step=0, per_cent=1))
    data = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, fileno=channels.data.fileno())
    for _ in range(int(count) // 8):
        socket.send_fds(data, [progress], [channels.data.fileno()] * 8)


def make_a_socket(channels: CellChannels, _: str) -> None:
    """Make a call that no honest cell makes, and go on if it only fails."""
    try:
        socket.socket()
    except OSError:
        channels.await_end()


def open_file(channels: CellChannels, path: str) -> None:
    """Open what is not its own, and go on if that only fails."""
    try:
        os.open(path, os.O_RDONLY)
    except OSError:
        channels.await_end()


def read_memory(channels: CellChannels, pid: str) -> None:
    """Read another process's memory; likewise."""
    ctypes.CDLL(None).process_vm_readv(int(pid), None, 0, None, 0, 0)
    channels.await_end()


def take_address_space(channels: CellChannels, size: str) -> None:
    """Map memory beside the region."""
    mmap.mmap(-1, int(size))
    channels.await_end()


def crash(channels: CellChannels, _: str) -> None:
    """Read where nothing is."""
    ctypes.string_at(16)


def free_what_is_free(channels: CellChannels, count: str) -> None:
    """Free an input slot again and again."""
    for _ in range(int(count)):
        channels.data.send(InputFreed(slot=0))
    channels.await_end()


def _closed(channels: CellChannels, size: str) -> tuple[int, int]:
    """The part of its heap that a cell has not opened: from behind what it has at first to the window."""
    end = ctypes.addressof(ctypes.c_ubyte.from_buffer(_window[0]))
    return end + WINDOW_BYTES - int(size) + _OPENED, end


def write_to_closed_memory(channels: CellChannels, size: str) -> None:
    """Write to memory of its region that it has not asked for."""
    start, end = _closed(channels, size)
    ctypes.memset((start + end) // 2, 1, 1)
    channels.await_end()


def fill_its_region(channels: CellChannels, argument: str) -> None:
    """Open all of its heap at once, leave a value in every part of it and of the window, and go on holding them."""
    size, canary = argument.split()
    start, end = _closed(channels, size)
    _open(start, end)
    _open(end + WINDOW_READY_BYTES, end + WINDOW_BYTES)
    for address in range(start, end + WINDOW_BYTES, 1 << 20):
        ctypes.memmove(address, canary.encode(), len(canary))
    channels.await_end()


def open_it_twice(channels: CellChannels, size: str) -> None:
    """Open what is open."""
    start, end = _closed(channels, size)
    _open(start, end)
    _open(start, end)
    channels.await_end()


def open_what_is_behind(channels: CellChannels, size: str) -> None:
    """Open closed memory with a range that goes on behind its region."""
    start, end = _closed(channels, size)
    _open(start, end + WINDOW_BYTES + mmap.PAGESIZE)
    channels.await_end()


def map_more(channels: CellChannels, size: str) -> None:
    """Have an open page of the region mapped once more, and the closed ones behind it too."""
    start, end = _closed(channels, size)
    _libc.mremap(ctypes.c_void_p(start - mmap.PAGESIZE), ctypes.c_size_t(0), ctypes.c_size_t(end - start), 1)
    channels.await_end()


def _open(start: int, end: int) -> None:
    _libc.mprotect(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.PROT_READ | mmap.PROT_WRITE)


ATTACKS: Final = (
    honest,
    stop_another,
    write_to_journal,
    name_a_fault,
    send_descriptors,
    make_a_socket,
    open_file,
    read_memory,
    take_address_space,
    crash,
    free_what_is_free,
    write_to_closed_memory,
    fill_its_region,
    open_it_twice,
    open_what_is_behind,
    map_more,
)


def run_attack(channels: CellChannels, *, key_slot: KeySlot, window: memoryview, **_: Any) -> int:
    """What a compromised cell does with its job: the reason in its attribution."""
    _window.append(window)
    header = parse(channels.await_open().header)
    channels.await_keys()
    attribution = Attribution.decode(open_box(key_slot.take()[0], ATTRIBUTION, header.sealed_attribution))
    name, argument = f"{attribution.reason} ".split(" ", 1)
    next(attack for attack in ATTACKS if attack.__name__ == name)(channels, argument.strip())
    os._exit(1)  # and says nothing


if __name__ == "__main__":
    process.run_job = run_attack  # type: ignore[attr-defined]
    sys.exit(zygote.main(receive_boot(int(sys.argv[1]))))
