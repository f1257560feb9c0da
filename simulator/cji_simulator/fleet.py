"""`python -m cji_simulator.fleet CONFIG`: `cji fleet run` with tokens that Azurite accepts, and its confinement."""

import os
import signal
import sys
from pathlib import Path

from cji_core.log import log
from cji_simulator.azurite import StorageCredential
from cji_simulator.door import FLEET_USER
from cji_worker.fleet.run import Fleet
from cji_worker.fleet.settings import load
from cji_worker.service_rights import confine


def main() -> None:
    """Run until SIGTERM."""
    settings = load(Path(sys.argv[1]))
    found = settings.fleet
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
