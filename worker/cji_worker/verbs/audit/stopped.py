"""The trail of a stopped worker, to which a command appends a line: for `prune`, `hold` and `release`."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import click

from cji_attestation.verbs.trusts import trust_named
from cji_core.command.common import Failure, configuration
from cji_core.errors import StartupError
from cji_core.format.configuration.worker import Config
from cji_core.trail import Event
from cji_core.trail.trail import size_of
from cji_worker.keyholder.anchor import OpenCounter, anchor_again, establish, is_alone
from cji_worker.keyholder.replay import open_trail
from cji_worker.trail.file import AuditFile
from cji_worker.trail.retention import Survey, survey

WAIT = click.option(
    "--wait",
    type=click.IntRange(0, 3600),
    default=60,
    show_default=True,
    help="Seconds to wait for the worker to stop.",
)
_LOOK_S: Final = 0.2
_REPORT_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedTrail:
    """The trail, locked and compared with the vTPM's counter, and all of it verified."""

    config: Config
    audit: AuditFile
    found: Survey
    _open_counter: OpenCounter

    def append(self, make: Callable[[], Event]) -> int:
        """Append an event and anchor it, so that nobody can take it back; return its line. Failure for its words."""
        try:
            line = self.audit.append(make()).seq
        except ValueError as error:
            remedy = "Ids, names and explanations are printable characters on one line, at most 256."
            raise Failure("no line can hold these words", remedy=remedy, status=2) from error
        anchor_again(self.audit, self._open_counter)
        return line


@contextmanager
def stopped_trail(context: click.Context, config: Path, *, wait: float) -> Iterator[StoppedTrail]:
    """Open and verify the trail of this configuration, once its worker is stopped: within `wait` seconds.

    Raises StartupError, also for a trail that the next start would refuse; ChainError or OSError.
    """
    from cji_attestation.evidence.tpm_counter import NvCounter  # noqa: PLC0415 - needs the TPM's libraries

    loaded = configuration(config)
    trust = trust_named(context, loaded.cloud)
    counter = partial(NvCounter, trust.tcti, loaded.audit_counter)
    with _once_free(loaded, wait) as audit:
        for name in audit.remove_pruned():
            click.echo(f"{name} is removed: a pruning before had not come so far", err=True)
        establish(audit, counter, alone=is_alone(loaded, trust))
        trail = Path(loaded.audit_file)
        length = size_of(trail)
        with click.progressbar(length=length, label="verifying", hidden=length < 1 << 20, file=sys.stderr) as bar:
            found = survey(trail, bar.update)
        yield StoppedTrail(config=loaded, audit=audit, found=found, _open_counter=counter)


def _once_free(config: Config, wait: float) -> AuditFile:
    """The trail, once no other process has it. Says on stderr that it waits, and how long. Raises StartupError."""
    begun, reported = time.monotonic(), -_REPORT_S
    while True:
        try:
            return open_trail(config)
        except StartupError as error:
            waited = time.monotonic() - begun
            if not isinstance(error.__cause__, BlockingIOError) or waited >= wait:
                raise
        if waited - reported >= _REPORT_S:
            click.echo(f"the worker has the trail: waiting until it stops, for {wait - waited:.0f} s more", err=True)
            reported = waited
        time.sleep(min(_LOOK_S, wait - waited))
