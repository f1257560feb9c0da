"""A hostile caller over real TLS and gRPC, in a process of its own.

    python -m tests.adversarial.peers.stranger ACT TARGET FOLDER COUNT

FOLDER has `ca.pem`, `client.pem` and `client.key`. It prints one line once all COUNT calls or connections are made, and
leaves when its standard input ends.

    silent       Run calls with a deadline in a year that send nothing
    unsent       Describe, Attest and GetReceipt calls whose request never comes
    crowd        Run calls with a deadline in a year that send a header of 16 KiB of noise, again and again
    attest       Attest calls in COUNT threads, as fast as they are answered
    connect      TCP connections from 127.0.0.2 that send nothing
"""

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import grpc

from cji_core.wire.v1 import worker_pb2 as pb
from cji_core.wire.v1.worker_pb2_grpc import CjiWorkerStub

__all__ = ["ACTS", "main"]

YEAR: Final = 365 * 86_400.0
_SERVICE: Final = "/cji.worker.v1.CjiWorker/"


def _channel(target: str, folder: Path) -> grpc.Channel:
    ca, chain, key = ((folder / name).read_bytes() for name in ("ca.pem", "client.pem", "client.key"))
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(ca, key, chain), options=options)


def _never() -> Iterator[pb.RunRequest]:
    threading.Event().wait()
    yield pb.RunRequest()


def silent(target: str, folder: Path, count: int) -> object:
    """Streams without a word, over few connections."""
    channels = [_channel(target, folder) for _ in range(4)]
    return [CjiWorkerStub(channels[n % 4]).Run(_never(), timeout=YEAR) for n in range(count)]


def unsent(target: str, folder: Path, count: int) -> object:
    """Calls of one request that never comes: streams to gRPC's client, ordinary calls to the server."""
    channel = _channel(target, folder)
    names = ("Describe", "Attest", "GetReceipt")
    return [
        channel.stream_stream(_SERVICE + names[n % 3], lambda m: m, lambda m: m)(_never(), timeout=YEAR)
        for n in range(count)
    ]


def crowd(target: str, folder: Path, count: int) -> object:
    """Headers that nobody signed, from `count` threads."""
    opening = pb.RunRequest(open=pb.Open(header=os.urandom(16 << 10), signature=bytes(96)))

    def call(stub: CjiWorkerStub) -> None:
        list(stub.Run(iter([opening]), timeout=YEAR))

    return _hammer(target, folder, count, call)


def attest(target: str, folder: Path, count: int) -> object:
    """Evidence for a new nonce each time, from `count` threads."""
    return _hammer(target, folder, count, lambda stub: stub.Attest(pb.AttestRequest(nonce=os.urandom(32)), timeout=30))


def connect(target: str, _: Path, count: int) -> object:
    """Connections only."""
    host, port = target.rsplit(":", 1)
    found = []
    for _n in range(count):
        connection = socket.socket()
        connection.bind(("127.0.0.2", 0))
        connection.setblocking(False)
        connection.connect_ex((host, int(port)))
        found.append(connection)
    return found


def _hammer(target: str, folder: Path, count: int, call: Callable[[CjiWorkerStub], object]) -> object:
    channel = _channel(target, folder)
    stub = CjiWorkerStub(channel)

    def again() -> None:
        while True:
            try:
                call(stub)
            except grpc.RpcError:
                continue

    threads = [threading.Thread(target=again, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


ACTS: Final[dict[str, Callable[[str, Path, int], object]]] = {
    act.__name__: act for act in (silent, unsent, crowd, attest, connect)
}


def main(act: str, target: str, folder: str, count: str) -> None:
    """Perform the act until standard input ends."""
    held: Any = ACTS[act](target, Path(folder), int(count))
    sys.stdout.write(f"{act} {count}\n")
    sys.stdout.flush()
    sys.stdin.read()
    del held
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
