"""A proxy in front of a software TPM that adds what Azure's vTPM has and swtpm cannot hold.

It serves NV indices larger than swtpm's 2048 bytes from memory, refuses qualifying data above 50 bytes, lets several
clients share the one TPM, and flushes what a process left loaded when it ends, as the kernel's resource manager does.
(The TCTI opens a connection for every command, so it is the process that counts and not the connection.) It does so
before it forwards the next command of anybody, so no client meets a slot of a process that has ended, not even one that
was filled after its death. Unlike that manager it does not swap objects: three transient slots are all there are for
everybody together.

Orders to fail are carried out here too. They strike what clients send, never what the machine itself does.
"""

import asyncio
import os
import select
import socket as sockets
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class _Client:
    """A process by its pidfd, and the handles of its objects and sessions."""

    pidfd: int
    handles: set[int] = field(default_factory=set)

    def has_ended(self) -> bool:
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)  # pidfd_open(2): readable when the process has ended
        return bool(poll.poll(0))


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
        self._clients: dict[int, _Client] = {}  # by process id

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
        for client in self._clients.values():
            os.close(client.pidfd)
        self._clients.clear()
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
            for client in self._clients.values():
                client.handles.clear()  # nothing transient outlives a reset
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
        except (asyncio.IncompleteReadError, ConnectionError, ProcessLookupError, wire.MalformedCommandError):
            pass  # the client left, or speaks something else
        finally:
            writer.close()

    async def _forward(self, command: bytes, process: int) -> bytes:
        """Send a client's command to the TPM; note what its process has loaded afterwards."""
        code = wire.code(command)
        async with self._one_command:
            await self._flush_ended()
            if code in wire.CREATES_HANDLE and process not in self._clients:
                self._clients[process] = _Client(os.pidfd_open(process))
            response = await self._exchange(command)
            client = self._clients.get(process)
            if client is not None and wire.succeeded(response):
                if code in wire.CREATES_HANDLE:
                    client.handles.add(struct.unpack_from(">I", response, wire.HEADER)[0])
                elif code == wire.FLUSH_CONTEXT:
                    client.handles.discard(struct.unpack_from(">I", command, wire.HEADER)[0])
        return response

    async def _flush_ended(self) -> None:
        """Flush what processes left that have ended; with the lock held."""
        for process in [process for process, client in self._clients.items() if client.has_ended()]:
            client = self._clients.pop(process)
            os.close(client.pidfd)
            for handle in client.handles:
                await self._exchange(wire.flush_context(handle))

    async def _answer(self, command: bytes, process: int) -> bytes:
        try:
            local = self._ordered(command) or await self._local(command)
        except wire.MalformedCommandError:
            return wire.error(wire.RC_COMMAND_SIZE)
        return await self._forward(command, process) if local is None else local

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
