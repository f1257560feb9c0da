"""`cji audit deliver`: the process that delivers a trail to its sinks and the log."""

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from cji_core.azure_client import brokered_identity
from cji_core.command.common import FILE, Failure, explained
from cji_core.errors import StartupError
from cji_core.format.configuration.sinks import needs as needs_of_sinks
from cji_core.log import events_only, log
from cji_core.trail.delivery import Destination, load_delivery
from cji_core.trail.witnesses.configured import log_destination, make_folder
from cji_core.trail.witnesses.configured import needs as needs_of_log
from cji_worker.deliverer.deliverer import Deliverer, TrailChangedError
from cji_worker.deliverer.sinks import CLOUDS, Azure, sinks
from cji_worker.service_rights import confine

_LOCK: Final = "deliver.lock"


@click.command()
@click.option("--config", type=FILE, required=True, help="audit.toml; see docs/audit.md.")
@click.option("--once", is_flag=True, help="Deliver what is there now, then end.")
@explained
def deliver(config: Path, *, once: bool) -> None:
    """Deliver an audit trail to every sink and the log that audit.toml names, until SIGTERM.

    Sinks get every event, at least once and always under the same id; the log gets the worker's newest checkpoint, and
    its cosigned proof is kept. Each has its own position, kept in the state folder, so none holds up another and a
    restart continues where each one was. Run it as a user of its own that can
    read the trail; deploy/systemd/cji-audit.service does.

    \b
    Exit status: 0 after SIGTERM or with everything delivered, 3 if the trail was changed, 4 if --once could not deliver
    everything.

    \b
    Examples:
      cji audit deliver --config /etc/cji/audit.toml
      cji audit deliver --config /etc/cji/audit.toml --once
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    from cji_attestation.fetch import system_roots_file  # noqa: PLC0415 - for this verb alone

    roots = system_roots_file()
    try:
        found = load_delivery(config)
        azure = Azure(clouds=CLOUDS, roots=roots, credential=brokered_identity)
        folder = config.resolve().parent
        destinations: list[Destination] = [*sinks(found, azure)]
        if (log_of := log_destination(found, folder=folder)) is not None:
            destinations.append(log_of)
        with _alone(Path(found.state)):
            make_folder(found)
            of_sinks, of_log = needs_of_sinks(found), needs_of_log(found, folder=folder)
            confine(
                read=(str(Path(found.trail).parent), roots, *of_log.read),
                write=(found.state, *of_sinks.folders),
                urls=(*of_sinks.urls, *of_log.urls),
            )
            _run(Deliverer(destinations), once=once)
    except StartupError as error:
        raise Failure(error.what, remedy=error.remedy, status=2) from error


def _run(deliverer: Deliverer, *, once: bool) -> None:
    signal.signal(signal.SIGTERM, lambda *_: deliverer.stop())
    signal.signal(signal.SIGINT, lambda *_: deliverer.stop())
    try:
        if once:
            if behind := deliverer.once():
                raise Failure(
                    f"not everything was delivered to {', '.join(behind)}",
                    remedy="The log has the reasons. Run the command again: it continues where each sink was.",
                    status=4,
                )
            return
        delivers(deliverer)
    except TrailChangedError as error:
        raise Failure(
            f"the trail is not the one that was delivered: {error}",
            remedy="Keep the trail and investigate who changed it. To deliver another trail from its start, move the "
            "files of the state folder away.",
            status=3,
        ) from error


def delivers(deliverer: Deliverer) -> None:
    """Deliver until it is stopped."""
    events_only()
    log("delivering")
    deliverer.run()


@contextmanager
def _alone(state: Path) -> Iterator[None]:
    """Hold the lock of the state folder. Raises StartupError if it is held, or if the folder cannot be used."""
    try:
        fd = os.open(state / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartupError(
            f"The state folder {state} cannot be written ({os.strerror(error.errno or 0)})",
            "Create it and give it to the user of this process; see deploy/systemd/cji-worker.tmpfiles.conf.",
        ) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise StartupError(f"Another process delivers with {state}", "Stop it first.") from error
    finally:
        os.close(fd)
