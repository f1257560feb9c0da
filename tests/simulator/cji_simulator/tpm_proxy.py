"""A proxy in front of a software TPM that adds what Azure's vTPM has and swtpm cannot hold.

It serves NV indices larger than swtpm's 2048 bytes from memory, refuses qualifying data above 50 bytes, lets several
clients share the one TPM, and flushes what a process left loaded when it ends, as the kernel's resource manager does.
(The TCTI opens a connection for every command, so it is the process that counts and not the connection.) Unlike that
manager it does not swap objects: three transient slots are all there are for everybody together.

Orders to fail are carried out here too. They strike what clients send, never what the machine itself does.
"""

import asyncio
import os
import socket as sockets
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from cji_simulator import tpm_wire as wire
from cji_simulator.faults import Faults, Kind, Service

__all__ = ["AK_CERTIFICATE", "HCL_REPORT", "QUALIFYING_MAX", "Connection", "NvIndex", "TpmProxy"]

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]

QUALIFYING_MAX: Final = 50  # bytes: a TPMT_HA of SHA-384, the largest that Azure's vTPM takes
AK_CERTIFICATE: Final = 0x01C101D0
HCL_REPORT: Final = 0x01400001
_OWNER: Final = 0x40000001
_BUSY: Final = {Kind.RETRY: wire.RC_RETRY, Kind.YIELDED: wire.RC_YIELDED}


class NvIndex(Protocol):
    """An index whose content is made outside of the TPM."""

    @property
    def size(self) -> int:
        """Bytes that TPM2_NV_ReadPublic names."""

    async def content(self, *, offset: int) -> bytes:
        """Return the whole content; `offset` is where the client begins to read."""


class TpmProxy:
    """Serves the swtpm TCTI protocol (`swtpm:path=SOCKET`) and forwards commands to one TPM.

    Control requests (`SOCKET.ctrl`) are answered with success and have no effect: a guest cannot reset its TPM.
    """

    def __init__(self, *, tpm: Connection, indices: Mapping[int, NvIndex], faults: Faults) -> None:
        self._reader, self._writer = tpm
        self._indices = indices
        self._faults = faults
        self._one_command = asyncio.Lock()
        self._servers: list[asyncio.Server] = []
        self._loaded: dict[int, set[int]] = {}  # process id -> handles of its objects and sessions
        self._cleaning: set[asyncio.Task[None]] = set()

    async def start(self, socket: Path) -> None:
        """Listen; the sockets are as private as the folder they are in."""
        for path, handler in ((socket, self._serve), (Path(f"{socket}.ctrl"), self._control)):
            path.unlink(missing_ok=True)
            self._servers.append(await asyncio.start_unix_server(handler, path))
            path.chmod(0o600)

    async def stop(self) -> None:
        """Close the door and the TPM behind it."""
        for server in self._servers:
            server.close()
        self._writer.close()

    async def exchange(self, command: bytes) -> bytes:
        """Send one command to the TPM and return its response."""
        async with self._one_command:
            return await self._exchange(command)

    async def answer_machine(self, command: bytes) -> bytes:
        """Answer a command of a whole machine, whose kernel manages its objects."""
        try:
            local = self._ordered(command) or await self._local(command)
        except wire.MalformedCommandError:
            return wire.error(wire.RC_COMMAND_SIZE)
        return await self.exchange(command) if local is None else local

    async def _exchange(self, command: bytes) -> bytes:
        self._writer.write(command)
        head = await self._reader.readexactly(wire.HEADER)
        return head + await self._reader.readexactly(wire.header_size(head) - wire.HEADER)

    async def restart(self, again: Callable[[], Awaitable[Connection]], boot: Sequence[bytes]) -> None:
        """Shut the TPM down, connect to it `again`, and send it the commands of a boot before any client's."""
        async with self._one_command:
            await self._exchange(wire.shutdown())
            self._writer.close()
            self._reader, self._writer = await again()
            for handles in self._loaded.values():
                handles.clear()  # nothing transient outlives a reset
            for command in boot:
                await self._exchange(command)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("socket").getsockopt(sockets.SOL_SOCKET, sockets.SO_PEERCRED, 12)
        (process,) = struct.unpack_from("i", peer)
        try:
            while True:
                head = await reader.readexactly(wire.HEADER)
                command = head + await reader.readexactly(wire.header_size(head) - wire.HEADER)
                writer.write(await self._answer(command, process))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, wire.MalformedCommandError):
            pass  # the client left, or speaks something else
        finally:
            writer.close()

    def _owned(self, process: int) -> set[int]:
        """Return the handles of a process; from the first time on its end is watched for."""
        if process not in self._loaded:
            self._loaded[process] = set()
            descriptor = os.pidfd_open(process)
            asyncio.get_running_loop().add_reader(descriptor, self._ended, process, descriptor)
        return self._loaded[process]

    def _ended(self, process: int, descriptor: int) -> None:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
        task = asyncio.create_task(self._flush(self._loaded.pop(process)))
        self._cleaning.add(task)
        task.add_done_callback(self._cleaning.discard)

    async def _flush(self, handles: set[int]) -> None:
        for handle in handles:
            await self.exchange(wire.flush_context(handle))

    async def _answer(self, command: bytes, process: int) -> bytes:
        try:
            local = self._ordered(command) or await self._local(command)
        except wire.MalformedCommandError:
            return wire.error(wire.RC_COMMAND_SIZE)
        if local is not None:
            return local
        code = wire.code(command)
        owned = self._owned(process) if code in wire.CREATES_HANDLE else self._loaded.get(process, set())
        response = await self.exchange(command)
        if wire.succeeded(response) and code in wire.CREATES_HANDLE:
            owned.add(struct.unpack_from(">I", response, wire.HEADER)[0])
        elif wire.succeeded(response) and code == wire.FLUSH_CONTEXT:
            owned.discard(struct.unpack_from(">I", command, wire.HEADER)[0])
        return response

    def _ordered(self, command: bytes) -> bytes | None:
        """Return the error that was ordered for this command, if any."""
        if (busy := self._faults.take(Service.TPM, *_BUSY)) is not None:
            return wire.error(_BUSY[busy.kind])
        match wire.code(command):
            case wire.NV_READ_PUBLIC if wire.nv_read_public(command) == HCL_REPORT:
                kind, rc = Kind.NOT_CONFIDENTIAL, wire.RC_HANDLE
            case wire.NV_READ if wire.parse_nv_read(command).index == AK_CERTIFICATE:
                kind, rc = Kind.AK_CERTIFICATE_PENDING, wire.RC_NV_UNINITIALIZED
            case code if code in wire.CREATES_HANDLE:
                kind, rc = Kind.OBJECT_MEMORY, wire.RC_OBJECT_MEMORY
            case _:
                return None
        return wire.error(rc) if self._faults.take(Service.TPM, kind) else None

    async def _local(self, command: bytes) -> bytes | None:
        match wire.code(command):
            case wire.NV_READ_PUBLIC if (number := wire.nv_read_public(command)) in self._indices:
                return wire.nv_public(number, self._indices[number].size)
            case wire.NV_READ if (read := wire.parse_nv_read(command)).index in self._indices:
                return await self._nv_read(read)
            case wire.QUOTE | wire.CERTIFY if wire.qualifying_length(command) > QUALIFYING_MAX:
                return wire.error(wire.RC_QUALIFYING_SIZE)
            case _:
                return None

    async def _nv_read(self, read: wire.NvRead) -> bytes:
        index = self._indices[read.index]
        if not read.plain_password:  # an HMAC session is keyed inside the TPM, out of this proxy's reach
            return wire.error(wire.RC_AUTH_TYPE)
        if read.authority not in (read.index, _OWNER):
            return wire.error(wire.RC_NV_AUTHORIZATION)
        if read.size > wire.NV_BUFFER_MAX:
            return wire.error(wire.RC_READ_SIZE)
        if read.offset + read.size > index.size:
            return wire.error(wire.RC_NV_RANGE)
        data = await index.content(offset=read.offset)
        return wire.nv_read_response(data[read.offset : read.offset + read.size])

    async def _control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(256):
            writer.write(bytes(4))
            await writer.drain()
        writer.close()
