"""The vTPM of a machine in QEMU: QEMU takes this for an swtpm, its guest takes it for Azure's vTPM.

QEMU connects to a Unix socket, passes a descriptor for the TPM's commands, and controls the TPM by requests of swtpm's
control channel (swtpm, include/swtpm/tpm_ioctl.h; big-endian: u32 request, then its body; u32 result, then the answer).
A power cycle of the machine is a request, too, and resets the PCRs.
"""

import array
import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from cji_simulator import tpm_wire
from cji_simulator.tpm_proxy import TpmProxy

__all__ = ["MachineTpm"]

_CAPABILITY, _INIT, _SHUTDOWN, _ESTABLISHED, _LOCALITY, _CANCEL = 1, 2, 3, 4, 5, 9
_RESET_ESTABLISHED, _STOP, _DATA, _BUFFER = 11, 14, 16, 17
_BODY: Final = {_INIT: 4, _LOCALITY: 4, _RESET_ESTABLISHED: 4, _BUFFER: 4}
"""Bytes that follow a request; none follow the others."""
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

    def _run(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # type: ignore[arg-type] - a coroutine makes a task
        task.add_done_callback(self._tasks.discard)  # type: ignore[arg-type]

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
                request, body, descriptors = received
                if request == _DATA:
                    self._run(self._commands(socket.socket(fileno=descriptors[0])))
                if request == _INIT:
                    await self._init()
                await loop.sock_sendall(connection, self._answer(request, body))

    async def _request(self, connection: socket.socket) -> tuple[int, bytes, list[int]] | None:
        """(request, body, descriptors); None at the end."""
        data, descriptors = b"", array.array("i")
        while len(data) < 4 or len(data) < 4 + _BODY.get(struct.unpack_from(">I", data)[0], 0):
            await _readable(connection)
            part, extra, *_ = connection.recvmsg(64, socket.CMSG_LEN(4))
            if not part:
                return None
            data += part
            for _, _, one in extra:
                descriptors.frombytes(one)
        return struct.unpack_from(">I", data)[0], data[4:], list(descriptors)

    async def _init(self) -> None:
        self._starts += 1
        if self._starts > 1:
            await self._restart()

    def _answer(self, request: int, body: bytes) -> bytes:
        match request:
            case 1:
                return struct.pack(">Q", _CAPABILITIES)
            case 4:
                return bytes(8)
            case 17:
                return struct.pack(">IIII", 0, _BUFFER_BYTES, _BUFFER_BYTES, _BUFFER_BYTES)
            case 2 | 3 | 5 | 9 | 11 | 14 | 16:
                return bytes(4)
            case _:
                return struct.pack(">I", 0xA)  # TPM_BAD_ORDINAL

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
