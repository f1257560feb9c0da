"""Typed messages over a Unix SOCK_SEQPACKET pair, with descriptors attached where a message needs them.

A message is a msgspec Struct of a closed tagged union; anything else on the wire closes the channel. Its class states
how many descriptors come with it; with any other number all are closed, and so is the channel. One send is one packet,
so a message is never split. What waits in a channel is bounded by the sender's socket buffer.
"""

import os
import socket
from array import array
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

import msgspec

from cji_core.documents import msgpack_decoder
from cji_worker.errors import WorkerError
from cji_worker.ipc.messages.base import Message

MAX_MESSAGE_BYTES: Final = 128 << 10
_MAX_FDS: Final = 3
_CONTROL_BYTES: Final = socket.CMSG_SPACE(_MAX_FDS * 4)
_RIGHTS: Final = (socket.SOL_SOCKET, socket.SCM_RIGHTS)

In = TypeVar("In", bound=Message)
Out = TypeVar("Out", bound=Message)


class ChannelClosed(WorkerError):  # noqa: N818 - a state of the peer, not a fault
    """The peer is gone, or sent something that is not a message."""

    code = "channel-closed"
    remedy = "Read the log of the process that ended."


class Channel(Generic[In, Out]):
    """One end. `In` is the union of incoming messages, `Out` of outgoing ones."""

    __slots__ = ("_decoder", "_encoder", "_socket")

    def __init__(self, sock: socket.socket | int, incoming: object) -> None:
        self._socket = sock if isinstance(sock, socket.socket) else socket.socket(fileno=sock)
        self._decoder: msgspec.msgpack.Decoder[In] = msgpack_decoder(incoming)
        self._encoder = msgspec.msgpack.Encoder()

    @staticmethod
    def pair() -> tuple[socket.socket, socket.socket]:
        """Two connected sockets for two `Channel`s."""
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def fileno(self) -> int:
        """Descriptor to poll."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hang up; the peer sees ChannelClosed."""
        self._socket.close()

    def detach(self) -> int:
        """Return the descriptor, which this object no longer owns."""
        return self._socket.detach()

    def send(self, message: Out, fds: Sequence[int] = ()) -> None:
        """Send one message with the descriptors of its class; blocks while the queue is full, if the socket blocks."""
        data = self._encoder.encode(message)
        if len(data) > MAX_MESSAGE_BYTES or len(fds) != message.descriptors:
            raise ValueError("not a message for a channel")
        try:
            if fds:
                socket.send_fds(self._socket, [data], list(fds))
            else:
                self._socket.send(data)
        except OSError as error:
            raise ChannelClosed from error

    def offer(self, message: Out) -> None:
        """Send one message without descriptors, if there is room for it: a peer that does not read blocks nobody."""
        try:
            self._socket.send(self._encoder.encode(message), socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass
        except OSError as error:
            raise ChannelClosed from error

    def receive(self, *, flags: int = 0) -> tuple[In, list[int]]:
        """The next message and its descriptors. Raises BlockingIOError if there is none and `flags` forbid to wait.

        Everything that a peer sent before it ended is received. The kernel can report the end first, in two ways: as
        ECONNRESET, if the peer had not read everything that we sent; and as an end of file, if it sent and ended
        between the kernel's check of the queue and that of the peer. So only the third report counts.
        """
        for _ in range(3):
            try:
                # not socket.recv_fds: it ignores its flags
                data, control, state, _ = self._socket.recvmsg(
                    MAX_MESSAGE_BYTES, _CONTROL_BYTES, flags | socket.MSG_CMSG_CLOEXEC
                )
            except ConnectionResetError:
                continue
            if data:
                return self._decode(data, control, state)
        raise ChannelClosed

    def _decode(self, data: bytes, control: list[tuple[int, int, bytes]], state: int) -> tuple[In, list[int]]:
        fds = [fd for level, kind, raw in control if (level, kind) == _RIGHTS for fd in array("i", raw)]
        try:
            if state & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                raise ChannelClosed
            message = self._decoder.decode(data)
            if len(fds) != message.descriptors:
                raise ChannelClosed
            return message, fds
        except (ValueError, RecursionError, ChannelClosed) as error:  # msgspec's errors are ValueErrors
            for fd in fds:
                os.close(fd)
            raise ChannelClosed from error

    async def receive_async(self) -> tuple[In, list[int]]:
        """`receive` without blocking the event loop. One waiter at a time.

        The loop has its turn before every message, so a peer that never stops sending does not stop others.
        """
        import asyncio  # noqa: PLC0415 - most processes have no event loop, and need neither asyncio nor ssl

        await asyncio.sleep(0)
        while True:
            if self.fileno() < 0:
                raise ChannelClosed
            try:
                return self.receive(flags=socket.MSG_DONTWAIT)
            except BlockingIOError:
                await _readable(self.fileno())


async def _readable(fd: int) -> None:
    import asyncio  # noqa: PLC0415 - as above

    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(fd, wake)
    try:
        await ready
    finally:
        loop.remove_reader(fd)
