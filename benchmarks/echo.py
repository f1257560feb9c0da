"""The peer: a gRPC server that sends every segment back, with the worker's own options, credentials and messages.

`EchoServer` runs `python -m benchmarks.echo FOLDER` in its own process, like the front. Like the front, it reads and
writes at the same time, with as many segments in flight as a job's window allows. It does nothing else: no digests, no
copies beyond those that messages need.
"""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import grpc

from worker.config import ListenSection
from worker.front.server import OPTIONS
from worker.front.tls import Tls, check, read_listen_files
from worker.ipc.limits import SLOTS
from worker.wire.v1 import worker_pb2 as pb
from worker.wire.v1 import worker_pb2_grpc

__all__ = ["EchoServer"]

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


async def _serve(folder: Path) -> None:
    listen = ListenSection(
        certificate=str(folder / "server.pem"),
        private_key=str(folder / "server.key"),
        client_roots=str(folder / "client-roots.pem"),
    )
    server = grpc.aio.server(options=OPTIONS)
    worker_pb2_grpc.add_CjiWorkerServicer_to_server(Echo(), server)
    port = server.add_secure_port(
        "127.0.0.1:0", Tls(check(read_listen_files(listen), now=datetime.now(UTC))).credentials()
    )
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)  # until whoever started us ends
    await server.stop(grace=0)


class EchoServer:
    """A running echo; a context manager. `folder` holds the worker's TLS files."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.echo", str(folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.pid = self._process.pid
        self.target = f"127.0.0.1:{int(self._process.stdout.readline())}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
