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
from cji_worker.ipc import KeySlot, receive_boot
from cji_worker.ipc.messages import InputFreed, ProgressMade

_F_SETOWN, _F_SETSIG, _SIGSTOP = 8, 10, 19
_STDERR: Final = 2


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
)


def run_attack(channels: CellChannels, *, key_slot: KeySlot, **_: Any) -> int:
    """What a compromised cell does with its job: the reason in its attribution."""
    header = parse(channels.await_open().header)
    channels.await_keys()
    attribution = Attribution.decode(open_box(key_slot.take()[0], ATTRIBUTION, header.sealed_attribution))
    name, argument = f"{attribution.reason} ".split(" ", 1)
    next(attack for attack in ATTACKS if attack.__name__ == name)(channels, argument.strip())
    os._exit(1)  # and says nothing


if __name__ == "__main__":
    process.run_job = run_attack  # type: ignore[attr-defined]
    sys.exit(zygote.main(receive_boot(int(sys.argv[1]))))
