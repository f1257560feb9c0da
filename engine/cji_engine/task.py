"""The one task that Dask runs: hand the name of a job's task to this node's fleet process, and return its answer."""

import os
import socket
from typing import Final

from cji_engine.messages import Answer, MessageError, Refused, Request, framed, read_answer

__all__ = ["SOCKET", "SOCKET_VARIABLE", "run_task"]

SOCKET: Final = "/run/cji-tasks/tasks.sock"
SOCKET_VARIABLE: Final = "CJI_TASKS_SOCKET"
"""Names the socket, in the environment of the engine's worker; no request names it."""
_RETRY_MS: Final = 1000


def run_task(request: Request) -> Answer:
    """The answer of this node's fleet process. A socket that does not answer is a refusal: another node may run it.

    There is no timeout: a task takes as long as its cell, and the fleet process ends what takes too long.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(os.environ.get(SOCKET_VARIABLE, SOCKET))
            connection.sendall(framed(request))
            return read_answer(connection.recv)
    except (OSError, MessageError):
        return Refused(reason="NODE_UNAVAILABLE", stage=request.stage, retry_after_ms=_RETRY_MS)
