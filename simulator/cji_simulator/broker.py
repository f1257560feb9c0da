"""The worker's own broker in front of the simulated metadata service, in a thread of the servers.

One user runs all processes of a simulated worker, so that user has the requests of all of them.
"""

import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cji_core.metadata import AMD_CERTIFICATES, EVENTS, INSTANCE, LOCATION, TD_QUOTE, USER_DATA
from cji_worker.broker.grants import Grants, get
from cji_worker.broker.server import Broker, Limits

SERVICE_USER: Final = 12001
"""A user other than the simulator's, as which a worker may run here."""
_LIMITS: Final = Limits(connections=64, burst=1000, per_second=1000.0, renew_seconds=float("inf"))
"""Nothing slows a test, and no token outlives a fault that is ordered."""
_DOCUMENTS: Final = (AMD_CERTIFICATES, LOCATION, EVENTS, INSTANCE, USER_DATA)


@contextmanager
def broker(path: Path, address: str, audiences: Sequence[str]) -> Iterator[Path]:
    """Serve at `path`, in front of the metadata service at `address`; tokens are for these audiences.

    The folder of a drain is `drain` beside the socket.
    """
    requests = frozenset({*map(get, _DOCUMENTS), f"POST {TD_QUOTE}", f"POST {EVENTS}"})
    grants = Grants(requests=requests, any_identity=tuple(audiences))
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        users = dict.fromkeys((os.getuid(), SERVICE_USER), grants)
        serving = Broker(users, address=address, limits=_LIMITS, drain=path.with_name("drain"))
        threading.Thread(target=serving.serve, args=(listener,), daemon=True).start()
        yield path
        listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
    path.unlink(missing_ok=True)
