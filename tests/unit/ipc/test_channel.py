"""Channels, rings and key slots: whole messages, passed descriptors, honest ends, keys that are taken once."""

import asyncio
import contextlib
import mmap
import os
import socket
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from cji_core.errors import Reason, Stage
from cji_core.trail import utc_hundredths
from cji_worker.ipc import SLOT_PAGE_BYTES, Boot, Channel, ChannelClosed, KeySlot, Ring, receive_boot
from cji_worker.ipc.channel import MAX_MESSAGE_BYTES
from cji_worker.ipc.messages import (
    Abort,
    Admit,
    Admitted,
    Attest,
    CellFromFront,
    Completed,
    Finish,
    FrontFromKeyholder,
    GiveUp,
    InputReady,
    KeyholderFromFront,
    NotReady,
    Ready,
)
from cji_worker.ipc.ring import SLOT_BYTES, SLOTS
from cji_worker.memory import Region, secret_fd
from tests.support.connections import TRANSPORT

NOT_READY = NotReady(reason=Reason.NOT_READY, condition="cells")
ADMITTED = Admitted(call=1, inputs=1, outputs=2, steps=("rows",))
COMPLETED = Completed(call=1, receipt="receipt")


def plain_fd(size: int) -> int:
    fd = os.memfd_create("test", os.MFD_CLOEXEC)
    os.ftruncate(fd, size)
    return fd


@pytest.fixture
def ends() -> Any:
    ours, theirs = Channel.pair()
    sender: Channel[Any, Any] = Channel(ours, KeyholderFromFront)
    receiver: Channel[Any, Any] = Channel(theirs, FrontFromKeyholder)
    yield sender, receiver
    sender.close()
    receiver.close()


def test_descriptors_travel_with_their_message_and_close_on_exec(ends: Any) -> None:
    sender, receiver = ends
    read, write = os.pipe()
    sender.send(ADMITTED, [read, write])
    message, fds = receiver.receive()
    assert message == ADMITTED
    assert not any(os.get_inheritable(fd) for fd in fds)
    os.write(fds[1], b"same pipe")
    assert os.read(read, 16) == b"same pipe"
    for fd in (read, write, *fds):
        os.close(fd)


def test_too_large_a_message_is_not_sent(ends: Any) -> None:
    sender, receiver = ends
    big = Admit(
        call=1,
        submitter="s",
        source="p",
        transport=TRANSPORT,
        correlation_id="c",
        header=bytes(MAX_MESSAGE_BYTES),
        signature=b"",
    )
    with pytest.raises(ValueError, match="not a message"):
        sender.send(big)
    with pytest.raises(BlockingIOError):
        receiver.receive(flags=socket.MSG_DONTWAIT)


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1",
        b"not msgpack",
        msgspec.msgpack.encode({"type": "Nothing"}),
        msgspec.msgpack.encode({"type": "Admitted", "call": "1"}),
        msgspec.msgpack.encode({"type": "Admitted", "call": 1, "more": 2}),
        msgspec.msgpack.encode(Finish()),  # a message of another channel
        bytes(MAX_MESSAGE_BYTES + 1),  # cut by the kernel
    ],
)
def test_what_is_not_a_message_closes_and_its_descriptors_too(data: bytes) -> None:
    ours, theirs = Channel.pair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    receiver: Channel[Any, Any] = Channel(theirs, FrontFromKeyholder)
    read, write = os.pipe()
    socket.send_fds(ours, [data], [write])
    os.close(write)
    with pytest.raises(ChannelClosed):
        receiver.receive()
    assert os.read(read, 1) == b""  # the last copy of the other end is closed
    os.close(read)
    ours.close()
    receiver.close()


def test_more_descriptors_than_any_message_has_are_refused(ends: Any) -> None:
    sender, receiver = ends
    socket.send_fds(sender._socket, [msgspec.msgpack.encode(ADMITTED)], [0] * 12)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ChannelClosed):
        receiver.receive()
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize(
    ("message", "count"), [(COMPLETED, 1), (ADMITTED, 0), (ADMITTED, 1), (ADMITTED, 3), (NOT_READY, 2)]
)
def test_x07_descriptors_come_only_where_the_class_says(ends: Any, message: Any, count: int) -> None:
    sender, receiver = ends
    with pytest.raises(ValueError, match="not a message"):
        sender.send(message, [0] * count)
    before = os.listdir("/proc/self/fd")
    data = msgspec.msgpack.encode(message)
    socket.send_fds(sender._socket, [data], [0] * count)
    with pytest.raises(ChannelClosed):
        receiver.receive()
    assert os.listdir("/proc/self/fd") == before


def test_x07_an_offer_to_a_peer_that_does_not_read_returns(ends: Any) -> None:
    sender, receiver = ends
    for _ in range(10_000):
        sender.offer(NOT_READY)
    sender.close()
    waiting = 0
    with contextlib.suppress(ChannelClosed):
        while receiver.receive():
            waiting += 1
    assert 0 < waiting < 1000


def test_a_peer_that_ended_is_heard_out(ends: Any) -> None:
    sender, receiver = ends
    receiver.send(COMPLETED)  # never read by the other: its end is a reset
    sender.send(COMPLETED)
    sender.send(Completed(call=2, receipt="receipt"))
    sender.close()
    assert [receiver.receive()[0].call for _ in range(2)] == [1, 2]
    with pytest.raises(ChannelClosed):
        receiver.receive()
    with pytest.raises(ChannelClosed):
        receiver.send(COMPLETED)


async def test_a_waiter_is_woken_by_a_message_and_by_the_end(ends: Any) -> None:
    sender, receiver = ends
    waiting = asyncio.create_task(receiver.receive_async())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    sender.send(COMPLETED)
    assert (await waiting)[0] == COMPLETED
    waiting = asyncio.create_task(receiver.receive_async())
    await asyncio.sleep(0.01)
    sender.close()
    with pytest.raises(ChannelClosed):
        await waiting


async def test_a_closed_channel_is_closed_for_waiters(ends: Any) -> None:
    _, receiver = ends
    receiver.close()
    with pytest.raises(ChannelClosed):
        await receiver.receive_async()


async def test_a_peer_that_never_stops_sending_stops_nobody(ends: Any) -> None:
    """Each message is followed by another one; everybody else has a turn before each."""
    sender, receiver = ends
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    for number in range(20):
        sender.send(Completed(call=number, receipt="receipt"))
    received = [(await receiver.receive_async())[0].call for _ in range(20)]
    beside.cancel()
    assert received == list(range(20))
    assert turns >= 20


# ------------------------------------------------------------------ ring


def test_both_ends_of_a_ring_see_the_same_slots_and_none_overlap() -> None:
    ring = Ring.create()
    twin = Ring(os.dup(ring.fd))
    for slot in range(SLOTS):
        ring.input(slot)[:] = bytes([slot + 1]) * SLOT_BYTES
        ring.output(slot)[:] = bytes([slot + 101]) * SLOT_BYTES
    for slot in range(SLOTS):
        assert twin.input(slot) == bytes([slot + 1]) * SLOT_BYTES
        assert twin.output(slot) == bytes([slot + 101]) * SLOT_BYTES
    ring.close()
    twin.close()


def test_no_peer_can_change_the_size_of_a_ring_or_unseal_it() -> None:
    import fcntl

    ring = Ring.create()
    size = os.fstat(ring.fd).st_size
    for new in (0, size - mmap.PAGESIZE, size + mmap.PAGESIZE):
        with pytest.raises(PermissionError):
            os.ftruncate(ring.fd, new)
    with pytest.raises(PermissionError):
        fcntl.fcntl(ring.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    ring.close()


@pytest.mark.parametrize("slot", [-1, SLOTS, 1 << 40])
def test_there_are_no_other_slots(slot: int) -> None:
    ring = Ring.create()
    for view in (ring.input, ring.output):
        with pytest.raises(ValueError, match="no such slot"):
            view(slot)
    ring.close()


def test_a_file_of_another_size_is_not_a_ring() -> None:
    fd = plain_fd(mmap.PAGESIZE)
    with pytest.raises(ValueError, match="not a ring"):
        Ring(fd)
    os.close(fd)


# ------------------------------------------------------------------ key slot, boot


def test_keys_pass_once_and_leave_zeros() -> None:
    fd = secret_fd(SLOT_PAGE_BYTES)
    keyholder, cell, region = KeySlot(os.dup(fd)), KeySlot(os.dup(fd)), Region(fd)
    keys = [os.urandom(32), os.urandom(32), b""]
    keyholder.put(keys)
    assert cell.take() == keys
    assert cell.take() == []
    assert not any(region.view())
    keyholder.put(keys)  # of a cell that ended before it took them
    cell.wipe()
    assert not any(region.view())
    most = [bytes(32)] * 124
    keyholder.put(most)
    assert cell.take() == most
    with pytest.raises(ValueError, match="too many keys"):
        keyholder.put([*most, bytes(32)])
    region.unmap()
    cell.unmap()
    keyholder.unmap()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (CellFromFront, InputReady(slot=0, part=0, length=1)),
        (KeyholderFromFront, Abort(call=1, reason="DEADLINE", stage="compute")),  # type: ignore[arg-type]
        (FrontFromKeyholder, Ready(keys=(), operations=("deidentify",), schemas=())),
    ],
)
def test_messages_survive_the_way(kind: Any, message: Any) -> None:
    ours, theirs = Channel.pair()
    sender, receiver = Channel[Any, Any](ours, kind), Channel[Any, Any](theirs, kind)
    sender.send(message)
    received, _ = receiver.receive()
    assert msgspec.msgpack.encode(received) == msgspec.msgpack.encode(message)
    ours.close()
    theirs.close()


@pytest.mark.parametrize(("queued", "fits"), [(0, True), (1 << 36, True), ((1 << 36) + 1, False), (1 << 39, False)])
def test_a_ticket_has_a_time_that_a_receipt_can_state(queued: int, fits: bool) -> None:
    ours, theirs = Channel.pair()
    sender, receiver = Channel[Any, Any](ours, KeyholderFromFront), Channel[Any, Any](theirs, KeyholderFromFront)
    sender.send(
        GiveUp(
            call=1,
            job_id=bytes(16),
            queued=queued,
            fault="absent",
            header=b"",
            signature=b"",
            submitter="",
            reason=Reason.INCOMPLETE,
            stage=Stage.OPEN,
        )
    )
    if fits:
        message, _ = receiver.receive()
        assert utc_hundredths(datetime.fromtimestamp(message.queued, UTC))
    else:
        with pytest.raises(ChannelClosed):
            receiver.receive()
    sender.close()
    receiver.close()


def test_a_request_to_vouch_for_has_one_length() -> None:
    """The pool's name stands before it in what is signed: a shorter one could have the end of another pool's name."""
    decoder = msgspec.msgpack.Decoder(KeyholderFromFront)
    for length, fits in ((47, False), (48, True), (49, False), (0, False)):
        sent = msgspec.msgpack.encode(Attest(call=1, nonce=bytes(32), request_sha384=bytes(length)))
        with contextlib.nullcontext() if fits else pytest.raises(msgspec.ValidationError):
            assert decoder.decode(sent) == Attest(call=1, nonce=bytes(32), request_sha384=bytes(length))


def test_a_boot_message_with_an_unknown_field_is_refused() -> None:
    fd = plain_fd(0)
    os.write(fd, msgspec.msgpack.encode({"config": {}, "debug": True}))
    os.lseek(fd, 0, os.SEEK_SET)
    with pytest.raises(msgspec.ValidationError):
        receive_boot(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    assert {"config", "trust", "regions"} < set(Boot.__struct_fields__)
