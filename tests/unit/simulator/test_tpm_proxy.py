"""The proxy in front of a TPM that answers when the test lets it: no object of a dead process meets a later client."""

import asyncio
import contextlib
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cji_simulator import tpm_wire as wire
from cji_simulator.faults import Faults
from cji_simulator.tpm_proxy import TpmProxy

CREATE_PRIMARY = 0x131
HANDLE = 0x80000000
CLIENT = """
import socket, sys, time
with socket.socket(socket.AF_UNIX) as link:
    link.connect(sys.argv[1])
    link.sendall(bytes.fromhex(sys.argv[2]))
    if sys.argv[3] == "answered":
        link.recv(64)
        print(flush=True)
    time.sleep(60)
"""


def command(code: int, *handles: int) -> bytes:
    return struct.pack(f">HII{len(handles)}I", 0x8001, wire.HEADER + 4 * len(handles), code, *handles)


@dataclass
class Tpm:
    """What the proxy sent, in order; each answer waits for `let`."""

    let: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    heard: list[bytes] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(wire.HEADER)
                self.heard.append(head + await reader.readexactly(wire.header_size(head) - wire.HEADER))
                self.arrived.set()
                await self.let.acquire()
                handle = struct.pack(">I", HANDLE) if wire.code(self.heard[-1]) == CREATE_PRIMARY else b""
                writer.write(struct.pack(">HII", 0x8001, wire.HEADER + len(handle), 0) + handle)


@asynccontextmanager
async def proxy(folder: Path) -> AsyncIterator[tuple[Tpm, Path]]:
    near, far = socket.socketpair()
    tpm = Tpm()
    serving = asyncio.create_task(tpm.serve(*await asyncio.open_connection(sock=far)))
    made = TpmProxy(tpm=await asyncio.open_connection(sock=near), indices={}, faults=Faults())
    path = folder / "tpm.sock"
    await made.start(path)
    try:
        yield tpm, path
    finally:
        await made.stop()
        await serving


def client(path: Path, until: str) -> "subprocess.Popen[bytes]":
    words = [str(path), command(CREATE_PRIMARY).hex(), until]
    return subprocess.Popen([sys.executable, "-c", CLIENT, *words], stdout=subprocess.PIPE)


async def ask(path: Path, code: int) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(command(code))
    await reader.readexactly(wire.HEADER)
    writer.close()


async def test_an_object_made_after_its_process_died_is_flushed(tmp_path: Path) -> None:
    """Killed in the middle of TPM2_CreatePrimary, as a worker is at a reboot: the answer comes to nobody."""
    async with proxy(tmp_path) as (tpm, path):
        with client(path, "sent") as dead:
            await asyncio.wait_for(tpm.arrived.wait(), 30)
            dead.kill()
            await asyncio.to_thread(dead.wait)
        for _ in range(3):
            tpm.let.release()
        await ask(path, 0x144)
        assert tpm.heard[1:] == [wire.flush_context(HANDLE), command(0x144)]


async def test_the_next_command_finds_the_slots_of_the_dead_free(tmp_path: Path) -> None:
    async with proxy(tmp_path) as (tpm, path):
        for _ in range(3):
            tpm.let.release()
        with client(path, "answered") as dead:
            assert dead.stdout is not None
            await asyncio.to_thread(dead.stdout.readline)
            dead.kill()
            await asyncio.to_thread(dead.wait)
        await ask(path, 0x144)
        assert tpm.heard[1:] == [wire.flush_context(HANDLE), command(0x144)]
