"""The fleet process of a test: `python -m tests.support.fleet_process CONFIG`, which may be killed at a named step.

It is what `cji fleet run` is, its confinement included, with tokens that Azurite accepts. What kills it is outside of
the product, which has no hook: the functions at its seams are wrapped. A step is a call of one of them, a plus behind
its name the moment after.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cji_core.log import log
from cji_core.pool.queue import Queue
from cji_core.pool.store import Blobs
from cji_simulator.door import FLEET_USER
from cji_worker.fleet.front import Front
from cji_worker.fleet.records import Records
from cji_worker.fleet.run import Fleet
from cji_worker.fleet.settings import load
from cji_worker.service_rights import confine
from tests.support.azurite import StorageCredential
from tests.support.listed_process import FOLDER, begin

STEP: Final = "CJI_TEST_FLEET_STEP"
"""Name of an environment variable."""
HALTED: Final = "halted"
"""File in the state folder."""
_SEAMS: Final[tuple[tuple[type, str], ...]] = (
    (Queue, "receive"),
    (Queue, "send"),
    (Queue, "renew"),
    (Queue, "delete"),
    (Blobs, "read"),
    (Blobs, "read_range"),
    (Blobs, "create"),
    (Blobs, "stage"),
    (Blobs, "commit_in_order"),
    (Front, "attest"),
    (Front, "run"),
    (Front, "settle"),
    (Front, "failure"),
    (Records, "begin"),
    (Records, "end"),
)
_BY_NAME: Final = frozenset({"create", "read", "read_range", "stage", "commit_in_order"})
STEPS: Final = (
    "receive+",
    "read:header",
    "begin",
    "begin+",
    "attest",
    "create:evidence+",
    "run",
    "read_range:parts",
    "create:result-header",
    "create:result-header+",
    "stage:parts",
    "stage:parts+",
    "commit:parts",
    "commit:parts+",
    "settle",
    "settle+",
    "create:receipt",
    "create:receipt+",
    "end",
    "end+",
    "delete",
    "delete+",
)
"""The steps of a job that completes, in order."""
ENDS: Final = ("failure", "failure+", "create:failure", "create:failure+", "send", "send+", "delete+")
"""The steps of a job that is given up, in order."""


def _named(method: str, args: tuple[Any, ...]) -> str:
    if method not in _BY_NAME:
        return method
    name = str(args[0])
    kind = next(
        (each for each in ("parts", "evidence", "result-header", "receipt", "failure", "header") if each in name),
        "other",
    )
    return f"{method.removesuffix('_in_order')}:{kind}"


def halt_at(step: str, marker: Path) -> None:
    """Stand still when this process comes to this step, and make a file: whoever waits for it sends SIGKILL.

    The confined process may send no signal, to itself neither.
    """

    def halt() -> None:
        marker.touch()
        while True:
            time.sleep(60)

    for owner, method in _SEAMS:
        inner: Callable[..., Any] = getattr(owner, method)

        def wrapped(
            self: Any, *args: Any, _inner: Callable[..., Any] = inner, _method: str = method, **keywords: Any
        ) -> Any:
            name = _named(_method, args)
            if name == step:
                halt()
            answer = _inner(self, *args, **keywords)
            if f"{name}+" == step and (answer is not None or _method != "receive"):
                halt()
            return answer

        setattr(owner, method, wrapped)


def main() -> None:
    """Run the process."""
    if FOLDER in os.environ:
        begin("fleet")
    settings = load(Path(sys.argv[1]))
    found = settings.fleet
    if step := os.environ.get(STEP):
        halt_at(step, Path(found.state) / HALTED)
    fleet = Fleet(settings, identity=lambda _: StorageCredential())
    if os.geteuid() == 0:
        os.setgroups([FLEET_USER])
    urls = (found.blob_url, found.queue_url)
    confine(read=(str(found.ca_file),), write=(found.state,), urls=urls, accepts=found.tasks_socket is not None)
    signal.signal(signal.SIGTERM, lambda *_: fleet.stop())
    fleet.run()
    log("fleet ended")


if __name__ == "__main__":
    main()
