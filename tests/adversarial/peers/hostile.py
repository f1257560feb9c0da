"""A simulated worker in which some processes are hostile peers.

`python -m tests.adversarial.peers.hostile NAME=MODULE... CONFIG` is `cji_simulator.worker`, but the process NAME
(front, front-1, zygote, keyholder, control) runs MODULE; a front that is not named runs that of `front`. Where
NOSY_ORDERS is set, all follow it (`nosy`), the supervisor included. `hostile_site` starts it with its submitter. A peer
runs the worker's own code and lies where a job names a lie, so one worker serves every test.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from cji_simulator import worker as simulated
from cji_simulator.launch import Agency
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, open_site
from cji_worker import supervisor
from cji_worker.fronts import FRONT_NAMES
from tests.adversarial.peers.nosy import ORDERS, Orders
from tests.support.with_tests import import_tests

_ROOT: Final = Path(__file__).resolve().parents[3]


@contextmanager
def hostile_site(
    folder: Path, simulation: Simulation, *, fronts: int | None = None, agency: Agency | None = None, **peers: str
) -> Iterator[Site]:
    """A worker whose processes of these names are modules of this folder."""
    program = ["-m", __name__, *(f"{name}={__package__}.{module}" for name, module in peers.items())]
    with open_site(folder, simulation, program=program, fronts=fronts, agency=agency) as site:
        yield site


def main() -> int:
    """Run the worker."""
    *peers, config = sys.argv[1:]
    modules = dict(peer.split("=") for peer in peers)

    class Hostile(supervisor.Supervisor):
        def _spawn(self, name: str, module: str, *args: Any, **options: Any) -> None:
            every = modules.get("front", module) if name in FRONT_NAMES else module
            super()._spawn(name, modules.get(name, every), *args, **options)

        def _follow_host(self) -> None:
            super()._follow_host()
            if orders:
                orders.follow()

    orders = Orders("supervisor") if ORDERS in os.environ else None
    given = {ORDERS: os.environ[ORDERS]} if orders else {}
    supervisor.ENVIRONMENT = {**supervisor.ENVIRONMENT, **given, "PYTHONPATH": str(_ROOT)}  # type: ignore[misc]
    import_tests()
    simulated.Supervisor = Hostile  # type: ignore[attr-defined]
    sys.argv[1:] = [config]
    return simulated.main()


if __name__ == "__main__":
    sys.exit(main())
