"""`cji fleet run`: the process that takes tickets for the worker of its machine."""

import signal
from pathlib import Path

import click

from cji_core.command.common import FILE, Failure, explained
from cji_core.errors import StartupError


@click.command()
@click.option("--config", type=FILE, required=True, help="worker.toml; its section [fleet] is read.")
@explained
def run(config: Path) -> None:
    """Take tickets from the pool's queue and run their jobs on this machine's worker, until SIGTERM.

    It moves ciphertext between Blob Storage and the worker's front, and has no key. Each ticket is leased, and visible
    to other workers again if this one dies. SIGTERM drains: attempts may finish for drain_seconds, the others are given
    back. Run it beside `cji serve`, as a user of its own; deploy/systemd/cji-fleet.service does.

    \b
    Exit status: 0 after SIGTERM, 2 for a configuration or machine that cannot be used.

    \b
    Example:
      cji fleet run --config /etc/cji/worker.toml
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    from cji_core.azure_client import brokered_identity  # noqa: PLC0415 - Microsoft's clients are for this verb alone
    from cji_core.https import SYSTEM_ROOTS  # noqa: PLC0415
    from cji_worker.fleet.run import Fleet  # noqa: PLC0415
    from cji_worker.fleet.settings import load  # noqa: PLC0415
    from cji_worker.service_rights import confine  # noqa: PLC0415

    try:
        settings = load(config)
        found = settings.fleet
        fleet = Fleet(settings, identity=brokered_identity)
        confine(
            read=(found.ca_file or SYSTEM_ROOTS,),
            write=(found.state,),
            urls=(found.blob_url, found.queue_url),
            accepts=found.tasks_socket is not None,
        )
        signal.signal(signal.SIGTERM, lambda *_: fleet.stop())
        signal.signal(signal.SIGINT, lambda *_: fleet.stop())
        fleet.run()
    except StartupError as error:
        raise Failure(error.what, remedy=error.remedy, status=2) from error
