"""The readers of one process of a worker for another: each takes whatever a compromised peer may put on its channel.

A union of messages has a target of its own, with every message it names as a sound input. An input of such a target is
a byte, the number of descriptors that come with the packet, and the packet.

The other targets take whole conversations: packets, each behind its length in two bytes.
"""

import asyncio
import functools
import os
import random
import socket
import struct
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, get_args

import msgspec
from msgspec import inspect as kinds

from cji_core.errors import Refusal
from cji_core.format.configuration import worker as config
from cji_core.format.configuration.operator_files import ClientFiles, PolicyFiles
from cji_core.format.records import window_bytes
from cji_core.operations.tables import load as load_tables
from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.cell.channels import CellChannels
from cji_worker.cell.job import run_job
from cji_worker.control.door import Door
from cji_worker.front.job_stream import JobStream
from cji_worker.ipc import (
    SLOT_PAGE_BYTES,
    Boot,
    Channel,
    ChannelClosed,
    KeySlot,
    Ring,
    hand_over,
    receive_boot,
    take_over,
)
from cji_worker.ipc import messages as m
from tests.fuzz.attestation_targets import target
from tests.fuzz.mutators import MSGPACK, Mutator, of_packets, packets, split
from tests.support.job_headers import make
from tests.support.worker_configs import WORKER_CONFIG

__all__ = ["PROCESSES", "TABLES"]

UNIONS: Final = {name: getattr(m, name) for name in m.__all__ if "From" in name}
MOST_DESCRIPTORS: Final = 11
_PACKETS: Final = 64  # of a conversation; each is in the queue of a socket before the first is read


# ---------------------------------------------------------------- one packet


def _sample(kind: Any) -> Any:
    """A value of a msgspec type that its constraints allow."""
    match kind:
        case kinds.IntType():
            return next(n for n in (1, kind.ge, kind.le) if n is not None and _within(n, kind))
        case kinds.BoolType():
            return True
        case kinds.StrType():
            return "x" * (kind.min_length or 1)
        case kinds.BytesType():
            return bytes(kind.min_length or 3)
        case kinds.EnumType(cls=cls):
            return next(iter(cls))
        case kinds.LiteralType(values=values):
            return values[0]
        case kinds.VarTupleType(item_type=item) | kinds.ListType(item_type=item):
            return (_sample(item),) * (kind.min_length or 1)
        case kinds.TupleType(item_types=items):
            return tuple(map(_sample, items))
        case kinds.UnionType(types=types):
            return _sample(types[0])
        case kinds.StructType(cls=cls, fields=fields):
            return cls(**{field.name: _sample(field.type) for field in fields})
        case _:
            raise TypeError(kind)


def _within(number: int, kind: kinds.IntType) -> bool:
    return (kind.ge is None or number >= kind.ge) and (kind.le is None or number <= kind.le)


def _messages(union: Any) -> tuple[bytes, ...]:
    members = get_args(union) or (union,)
    return tuple(
        bytes([member.descriptors]) + msgspec.msgpack.encode(_sample(kinds.type_info(member))) for member in members
    )


def _receive(union: Any, data: bytes) -> object:
    """What a process makes of one packet. Neither an accepted nor a refused one leaves a descriptor behind."""
    count, packet = (data[0] % (MOST_DESCRIPTORS + 1), data[1:]) if data else (0, b"")
    ours, theirs = Channel.pair()
    before = len(os.listdir("/proc/self/fd"))
    channel: Channel[Any, Any] = Channel(theirs, union)
    try:
        rights = [(1, 1, struct.pack(f"{count}i", *[0] * count))] if count else []  # SOL_SOCKET, SCM_RIGHTS
        ours.sendmsg([packet or b"\xc0"], rights)
        message, fds = channel.receive()
        for fd in fds:
            os.close(fd)
        return message
    finally:
        assert len(os.listdir("/proc/self/fd")) == before
        ours.close()
        channel.close()


def _same_count(mutators: Sequence[Mutator]) -> tuple[Mutator, ...]:
    """Damage the packet or, sometimes, change the number of its descriptors."""

    def mutate(rng: random.Random, data: bytes, donor: bytes) -> bytes:
        count = data[:1] if rng.random() < 0.9 else rng.randbytes(1)
        return count + rng.choice(mutators)(rng, data[1:], donor[1:])

    return (mutate,)


def _again(union: Any) -> Any:
    """A message means the same when it is written and read once more."""

    def fair(_: bytes, value: Any) -> bool:
        return bool(msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=union) == value)

    return fair


# ---------------------------------------------------------------- the first message of a process


@functools.cache
def _boots() -> tuple[bytes, ...]:
    boot = Boot(config=msgspec.convert(msgspec.toml.decode(WORKER_CONFIG), config.Config), tables={"a": b"b"})
    return (msgspec.msgpack.encode(boot),)


def _receive_boot(data: bytes) -> object:
    fd = os.memfd_create("cji-fuzz-boot", os.MFD_CLOEXEC)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return receive_boot(fd)


# ---------------------------------------------------------------- conversations


def _send_all(channel: Any, data: bytes) -> None:
    for packet in split(data)[:_PACKETS]:
        channel.send(packet or b"\xc0")


def _conversation(*messages: msgspec.Struct) -> bytes:
    return packets(*map(msgspec.msgpack.encode, messages))


class _Keyholder:
    """A keyholder that takes the front's statement."""

    number = 1

    def send(self, statement: m.Witnessed) -> None:
        """Read it as the other end would."""
        assert _again(m.KeyholderFromFront)(b"", statement)


class _Caller:
    """The caller of a job, who takes everything."""

    def __init__(self) -> None:
        self.written: list[pb.RunResponse] = []

    async def write(self, message: bytes) -> None:
        self.written.append(pb.RunResponse.FromString(message))


def _front_hears(data: bytes) -> object:
    """A front serves the outputs of a cell that sends this, until the cell is gone."""
    ours, theirs = Channel.pair()
    ring, caller, keyholder = Ring.create(), _Caller(), _Keyholder()
    admitted = m.Admitted(call=1, inputs=1, outputs=2, steps=("rows", "check"))
    fds = [ours.detach(), os.dup(ring.fd)]
    job = JobStream(caller, keyholder, keyholder, admitted, fds, header_sha384=bytes(48), idle_seconds=5)  # type: ignore[arg-type]
    job._witness.finished = True
    try:
        _send_all(theirs, data)
        theirs.close()
        asyncio.run(job._downstream())
    finally:
        job.close()
        ring.close()
    return caller.written


def _written_fair(_: bytes, value: Any) -> bool:
    """A caller gets segments that a window can hold, and steps that have a name."""
    steps = {one.progress.stage for one in value if one.WhichOneof("message") == "progress"}
    return steps <= {"rows", "check"} and all(len(one.segment.data) <= 1 << 21 for one in value)


@functools.cache
def _memory() -> memoryview:
    return memoryview(bytearray(window_bytes(1 << 20)))


TABLES: Final = functools.cache(load_tables)


def _cell_hears(data: bytes) -> object:
    """A cell with a job, whose front sends this and leaves. Returns what the keyholder got to hear."""
    control, cell_control = Channel.pair()
    front, cell_data = Channel.pair()
    ring, fd = Ring.create(), os.memfd_create("cji-fuzz-slot", os.MFD_CLOEXEC)
    os.ftruncate(fd, SLOT_PAGE_BYTES)
    slot = KeySlot(fd)
    slot.put([bytes(32)])
    channels = CellChannels(
        control=Channel(cell_control, m.CellFromKeyholder), data=Channel(cell_data, m.CellFromFront), ring=ring
    )
    keyholder: Channel[m.KeyholderFromCell, m.CellFromKeyholder] = Channel(control, m.KeyholderFromCell)
    try:
        keyholder.send(m.OpenJob(header=make(), worker_id="w", max_rows=1 << 20, max_bytes=1 << 30))
        keyholder.send(m.KeysReady())
        _send_all(front, data)
        front.shutdown(1)  # SHUT_WR: the cell may still write, and then learns that its front is gone
        status = run_job(channels, key_slot=slot, window=_memory(), reference_slots=[], tables=TABLES())
        try:
            return status, keyholder.receive(flags=socket.MSG_DONTWAIT)[0]
        except BlockingIOError:
            raise ChannelClosed from None  # the cell gave the job up with its front
    finally:
        channels.close()
        keyholder.close()
        front.close()
        slot.unmap()


def _refused_fair(_: bytes, value: Any) -> bool:
    """Nothing that a front makes up can be a part that was sealed under the job's key."""
    status, said = value
    return status == 1 and isinstance(said, m.CellFailed)


def _union_targets() -> Sequence[Any]:
    return [
        target(
            f"ipc-{name.lower()}",
            functools.partial(_messages, union),
            functools.partial(_receive, union),
            refusals=(ChannelClosed,),
            fair=_again(union),
            mutators=_same_count(MSGPACK),
            weight=6,
        )
        for name, union in UNIONS.items()
    ]


# ---------------------------------------------------------------- the control socket and what a reload hands over


def _door_hears(data: bytes) -> object:
    """The control socket with a peer that sends this and reads the answer; returns it, and the reloads asked for."""
    reloads: list[int] = []

    def reload(uid: int) -> bytes:
        reloads.append(uid)
        return b"done\n"

    with tempfile.TemporaryDirectory(prefix="cji-fuzz-") as name:
        door = Door(Path(name) / "d.sock", status=lambda: b"{}\n", reload=reload)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
                peer.connect(f"{name}/d.sock")
                peer.send(data)
                peer.shutdown(socket.SHUT_WR)
                for _ in range(3):
                    for fd in door.descriptors():
                        door.ready(fd, 0.0)
                assert len(door.descriptors()) == 1, "a connection is left"
                peer.settimeout(60)
                try:
                    return peer.recv(100), len(reloads)
                except ConnectionResetError:
                    return b"", len(reloads)
        finally:
            door.close()


def _door_fair(data: bytes, value: Any) -> bool:
    answers = {b"status\n": (b"{}\n", 0), b"reload\n": (b"done\n", 1)}
    return bool(value == answers.get(data[:16], (b"", 0)))


@functools.cache
def _client_files() -> tuple[bytes, ...]:
    empty = ClientFiles(client_roots=b"r", client_crl=None)
    return tuple(msgspec.msgpack.encode(each) for each in (empty, msgspec.structs.replace(empty, client_crl=b"l")))


def _take_files(kind: type[Any], data: bytes) -> object:
    return msgspec.msgpack.decode(take_over(hand_over(data), most=1 << 20), type=kind)


@functools.cache
def _policy_files() -> tuple[bytes, ...]:
    unsigned = PolicyFiles(policy=b"p", signatures=None)
    return tuple(
        msgspec.msgpack.encode(each)
        for each in (unsigned, msgspec.structs.replace(unsigned, signatures=b"s", head=b"h"))
    )


_OPENED: Final = m.Opened(result_header_sha384=bytes(48))
_OUTPUTS: Final = tuple(m.OutputReady(slot=1, part=part, index=0, length=200) for part in (0, 1))
"""The only segment of each output: the zeros of an empty ring do not say that others follow."""

PROCESSES: Final = (
    *_union_targets(),
    target("boot", _boots, _receive_boot, refusals=(ValueError, RecursionError), mutators=MSGPACK, weight=6),
    target(
        "control-line",
        lambda: (b"status\n", b"reload\n"),
        _door_hears,
        refusals=(),
        fair=_door_fair,
        weight=2,
    ),
    target(
        "client-files",
        _client_files,
        partial(_take_files, ClientFiles),
        refusals=(ValueError, RecursionError),
        fair=_again(ClientFiles),
        mutators=MSGPACK,
        weight=6,
    ),
    target(
        "policy-files",
        _policy_files,
        partial(_take_files, PolicyFiles),
        refusals=(ValueError, RecursionError),
        fair=_again(PolicyFiles),
        mutators=MSGPACK,
        weight=6,
    ),
    target(
        "front-from-cell",
        lambda: (
            _conversation(_OPENED, *_OUTPUTS, m.OutputsDone()),
            _conversation(_OPENED, m.ProgressMade(step=1, per_cent=5), *_OUTPUTS, m.OutputsDone()),
        ),
        _front_hears,
        refusals=(ChannelClosed, Refusal),
        fair=_written_fair,
        mutators=of_packets(MSGPACK),
        weight=6,
    ),
    target(
        "cell-from-front",
        lambda: (_conversation(m.InputReady(slot=1, part=0, length=200), m.Finish()),),
        _cell_hears,
        refusals=(ChannelClosed,),
        fair=_refused_fair,
        mutators=of_packets(MSGPACK),
        weight=2,
    ),
)
