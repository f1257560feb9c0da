"""`cji audit delivered`: whether the trail has left the machine."""

import time
from pathlib import Path
from typing import Final

import click

from cji_core.command.common import FILE, Failure, configuration, explained
from cji_core.format.configuration.worker import Config
from cji_core.trail.delivered import line_at_of, standing
from cji_core.trail.delivery import LOG

_LOOK_S: Final = 1.0


@click.command()
@click.option("--config", type=FILE, required=True, help="worker.toml.")
@click.option("--within", type=click.IntRange(0, 86_400), default=0, show_default=True, help="Seconds to wait for it.")
@explained
def delivered(config: Path, *, within: int) -> None:
    """Exit with 0 once every destination that worker.toml requires has every line of a stopped worker's trail.

    cji-drain.service runs it before a machine is given up to Azure, because the trail's disk is deleted with the
    machine. Without [audit_delivery] nothing is required.

    \b
    Exit status: 0 delivered, 4 not within the time.

    \b
    Example:
      cji audit delivered --config /etc/cji/worker.toml --within 600
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    found, until = configuration(config), time.monotonic() + within
    while behind := waiting(found):
        if time.monotonic() >= until:
            remedy = "Look at the log of `cji audit deliver`, and at what it cannot reach."
            raise Failure(f"the trail was not delivered to {', '.join(behind)}", remedy=remedy, status=4)
        time.sleep(_LOOK_S)


def waiting(config: Config) -> list[str]:
    """The required destinations that lack a line. The log never has the checkpoint that covers the last one.

    A stopped worker has a trail: a destination without a line lacks one, also if the trail is gone.
    """
    section = config.audit_delivery
    if section is None:
        return []
    line_at, folder = line_at_of(Path(config.audit_file)), Path(section.state)
    behind = []
    for name in section.required:
        try:
            at = standing(folder, name, line_at)
        except OSError:
            behind.append(name)
        else:
            lacks = at.waiting_since is not None or not (at.complete or name == LOG)
            if at.cause is not None or at.seq == 0 or lacks:
                behind.append(name)
    return behind
