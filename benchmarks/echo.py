"""The peer: a gRPC server that sends every segment back, with the worker's own options, messages and TLS door.

`EchoServer` runs `python -m benchmarks.echo SOCKET` in its own process, like the front, behind a door of its own; or
`... TARGET FOLDER` with gRPC's own TLS and no door, `... TARGET` without TLS, which show what the door costs. Like the
front, it reads and writes at the same time, with as many segments in flight as a job's window allows. It does nothing
else: no digests, no copies beyond those that messages need.
"""

import asyncio
import re
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, get_args

import grpc
import msgspec

from cji_core.format.configuration.worker import Config
from cji_core.wire.v1 import worker_pb2 as pb
from cji_core.wire.v1 import worker_pb2_grpc
from cji_simulator.door import Door, socket_folder
from cji_simulator.ports import free_port
from cji_worker.door.program import CONFIG_NAME
from cji_worker.front.heap import keep_free_memory
from cji_worker.front.server import OPTIONS
from cji_worker.ipc.ring import SLOTS

__all__ = ["SIDES", "EchoServer", "Side"]

Side = Literal["counting", "firewall", "clear", "tls", "plain"]
"""A door that counts connections, one that does not, one without TLS; gRPC's own TLS without a door, and no TLS."""
SIDES: Final = get_args(Side)

Context = grpc.aio.ServicerContext[Any, Any]

_EOF: Final = grpc.aio.EOF  # type: ignore[attr-defined]  # the stubs forgot it


class Echo(worker_pb2_grpc.CjiWorkerServicer):
    """Run: open -> accepted; each segment -> the same segment; finish -> done."""

    async def Run(self, request_iterator: object, context: Context) -> None:  # noqa: N802, ARG002
        """One call."""
        window: asyncio.Queue[pb.RunRequest | None] = asyncio.Queue(SLOTS)

        async def read() -> None:
            while (request := await context.read()) is not _EOF:
                await window.put(request)
            await window.put(None)

        reading = asyncio.create_task(read())
        while (request := await window.get()) is not None:
            await context.write(_answer(request))
        await reading


def _answer(request: pb.RunRequest) -> pb.RunResponse:
    match request.WhichOneof("message"):
        case "segment":
            return pb.RunResponse(segment=request.segment)
        case "open":
            return pb.RunResponse(accepted=pb.Accepted())
        case _:
            return pb.RunResponse(done=pb.Done())


async def _serve(target: str, folder: Path | None) -> None:
    keep_free_memory()
    server = grpc.aio.server(options=OPTIONS)
    worker_pb2_grpc.add_CjiWorkerServicer_to_server(Echo(), server)
    if folder is None:
        port = server.add_insecure_port(target)
    else:
        key, chain, roots = ((folder / name).read_bytes() for name in ("server.key", "server.pem", "client-roots.pem"))
        own = grpc.ssl_server_credentials([(key, chain)], root_certificates=roots, require_client_auth=True)
        port = server.add_secure_port(target, own)
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)  # until the process that started us ends
    await server.stop(grace=0)


class _ClearDoor(Door):
    """The door without TLS, whose cost this shows."""

    def _write(self, config: Config) -> None:
        super()._write(config)
        file = self._folder / CONFIG_NAME
        text = re.sub(r"(?m)^ *ssl_.*\n", "", file.read_text().replace(" ssl backlog", " backlog"))
        file.write_text(re.sub(r"\$ssl_\w+", "none", text))


class EchoServer:
    """A running echo; a context manager. It has the TLS files of this worker's configuration."""

    def __init__(self, config: Config, *, side: Side = "firewall") -> None:
        door = side in ("counting", "firewall", "clear")
        self._stack, folder = ExitStack(), Path(config.listen.certificate).parent
        port = free_port()
        self.target = f"127.0.0.1:{port}"
        if door:
            private = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="cji-")))
            listen = msgspec.structs.replace(config.listen, port=port, socket=str(private / "front.sock"))
            counted = "door" if side == "counting" else "firewall"
            limits = msgspec.structs.replace(config.limits, connections_counted_by=counted)
            config = msgspec.structs.replace(config, listen=listen, limits=limits)
            socket_folder(config)
            arguments = [f"unix:{listen.socket}"]
        else:
            arguments = [self.target, *([str(folder)] if side == "tls" else [])]
        command = [sys.executable, "-m", "benchmarks.echo", *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, umask=0o007)
        assert self._process.stdout is not None
        self._process.stdout.readline()
        self.pids = {"echo": self._process.pid}
        """The echo, and its door."""
        if door:
            kind = _ClearDoor if side == "clear" else Door
            running = self._stack.enter_context(kind(config, log=folder / "echo.door.log"))
            self.pids["door"] = running.process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], Path(sys.argv[2]) if sys.argv[2:] else None))
