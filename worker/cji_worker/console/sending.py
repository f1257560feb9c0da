"""The console that sends: one row of each look to a stream of Log Analytics, and nothing else.

It accepts no connection, reads no trail, and has one token: that of its own identity for one audience, from the broker.
Of an answer only the status counts. A row that was not taken is not sent again: the next one has what was added since
the last one that was. Where an answer is lost, both have it.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from cji_core.azure_client import brokered_identity
from cji_core.errors import StartupError
from cji_core.format.configuration.console import ConsoleConfig, MonitorSection
from cji_core.format.configuration.machine import VM_ID
from cji_core.log import events_only, log
from cji_core.trail.delivery import DeliveryError
from cji_worker.console.observer import Observer
from cji_worker.console.rows import STREAM, known, row
from cji_worker.console.view import Own, View
from cji_worker.ingestion import Ingestion
from cji_worker.service_https import CLOUDS, Azure
from cji_worker.service_rights import confine

LONGEST_S: Final = 3600.0
"""The longest wait that the service can ask for."""


class Sender:
    """Sends the rows of one machine. For one thread."""

    def __init__(self, config: ConsoleConfig, monitor: MonitorSection, azure: Azure) -> None:
        """Raises StartupError."""
        if VM_ID in monitor.machine:
            raise StartupError("There is no id of this machine beside console.toml", "Name it by machine of [monitor].")
        self._observer, self._own = Observer(config), Own()
        self._taken: View | None = None
        self._monitor = monitor
        self._ingestion = Ingestion(
            monitor.endpoint,
            key="endpoint of [monitor]",
            rule=monitor.rule,
            stream=STREAM,
            cloud=monitor.cloud,
            client_id=monitor.client_id,
            azure=azure,
        )

    def step(self) -> float:
        """Send one row; returns the seconds until the next."""
        self._observer.own = self._own
        view = self._observer.look()
        try:
            self._ingestion.send([row(view, self._monitor.machine, before=self._taken)])
        except DeliveryError as error:
            log("not exported", what="row", reason=str(error))
            self._own = replace(self._own, export_failures=self._own.export_failures + 1)
            return min(LONGEST_S, max(error.after, self._monitor.interval_seconds))
        self._taken = view if self._taken is None else known(view, self._taken)
        return self._monitor.interval_seconds

    def run(self, *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Send until the process is ended."""
        log("console sends")
        while True:
            sleep(self.step())


def send(config: ConsoleConfig, monitor: MonitorSection, *, roots: str) -> None:
    """Give up every other right, then send until SIGTERM or SIGINT. Raises StartupError."""
    events_only()
    sender = Sender(config, monitor, Azure(clouds=CLOUDS, roots=roots, credential=brokered_identity))
    confine_sender(config, monitor, roots=roots)
    sender.run()


def confine_sender(config: ConsoleConfig, monitor: MonitorSection, *, roots: str) -> None:
    """Keep the files that a look reads, and the port of the service. Needs a single thread. Raises StartupError."""
    files = [str(Path(config.certificate).parent)] if config.certificate is not None else []
    folders = [each for each in (config.reviews, config.delivery, config.fleet) if each is not None]
    confine(read=(*files, *folders, roots), write=(), urls=(monitor.endpoint,))
