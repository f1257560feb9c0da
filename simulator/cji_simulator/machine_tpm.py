"""The vTPM of a machine in QEMU: QEMU takes this for an swtpm, its guest takes it for Azure's vTPM.

QEMU connects to a Unix socket, passes a descriptor for the TPM's commands, and controls the TPM by requests of swtpm's
control channel (swtpm, include/swtpm/tpm_ioctl.h; big-endian: u32 request, then its body; u32 result, then the answer).
A power cycle of the machine is a request, too, and resets the PCRs.
"""

import array
import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Coroutine
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

from cji_simulator import tpm_wire
from cji_simulator.tpm_proxy import TpmProxy

__all__ = ["MachineTpm"]


class _Request(IntEnum):
    CAPABILITY = 1
    INIT = 2
    SHUTDOWN = 3
    ESTABLISHED = 4
    LOCALITY = 5
    CANCEL = 9
    RESET_ESTABLISHED = 11
    STOP = 14
    DATA = 16
    BUFFER = 17


_BODY: Final = dict.fromkeys((_Request.INIT, _Request.LOCALITY, _Request.RESET_ESTABLISHED, _Request.BUFFER), 4)
"""Bytes that follow a request; none follow the others."""
_BAD_ORDINAL: Final = 0xA
_CAPABILITIES: Final = sum(1 << bit for bit in (0, 1, 2, 3, 5, 7, 10, 12, 13))
_BUFFER_BYTES: Final = 4096


class MachineTpm:
    """Serves one QEMU at `path`; `restart` resets the TPM behind the proxy when the machine is started again."""

    def __init__(self, *, proxy: TpmProxy, path: Path, restart: Callable[[], Awaitable[None]]) -> None:
        self._proxy, self._path, self._restart = proxy, path, restart
        self._starts = 0
        self._tasks: set[asyncio.Task[None]] = set()
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen(1)
        self._listener.setblocking(False)
        self._run(self._accept())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Take no more machines, and end the one there is."""
        for task in self._tasks:
            task.cancel()
        self._listener.close()

    async def _accept(self) -> None:
        while True:
            connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            self._run(self._control(connection))

    async def _control(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with connection:
            while (received := await self._request(connection)) is not None:
                request, descriptors = received
                if request == _Request.DATA:
                    self._run(self._commands(socket.socket(fileno=descriptors[0])))
                if request == _Request.INIT:
                    await self._init()
                await loop.sock_sendall(connection, _answer(request))

    async def _request(self, connection: socket.socket) -> tuple[int, list[int]] | None:
        """(request, descriptors); None at the end."""
        data, descriptors = b"", array.array("i")
        while len(data) < 4 or len(data) < 4 + _body(data):
            await _readable(connection)
            part, extra, *_ = connection.recvmsg(64, socket.CMSG_LEN(4))
            if not part:
                return None
            data += part
            for _, _, one in extra:
                descriptors.frombytes(one)
        return struct.unpack_from(">I", data)[0], list(descriptors)

    async def _init(self) -> None:
        self._starts += 1
        if self._starts > 1:
            await self._restart()

    async def _commands(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=connection)
        try:
            while True:
                head = await reader.readexactly(tpm_wire.HEADER)
                size = struct.unpack_from(">I", head, 2)[0]
                command = head + await reader.readexactly(size - tpm_wire.HEADER)
                writer.write(await self._proxy.answer_machine(command))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, tpm_wire.MalformedCommandError):
            pass
        finally:
            writer.close()


async def _readable(connection: socket.socket) -> None:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(connection, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(connection)


def _answer(request: int) -> bytes:
    match request:
        case _Request.CAPABILITY:
            return struct.pack(">Q", _CAPABILITIES)
        case _Request.ESTABLISHED:
            return bytes(8)
        case _Request.BUFFER:
            return struct.pack(">IIII", 0, _BUFFER_BYTES, _BUFFER_BYTES, _BUFFER_BYTES)
        case _ if request in set(_Request):
            return bytes(4)
        case _:
            return struct.pack(">I", _BAD_ORDINAL)


def _body(data: bytes) -> int:
    return _BODY.get(struct.unpack_from(">I", data)[0], 0)
