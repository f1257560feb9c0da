"""`cji door`: the files of the TLS door, made from the worker's own configuration, and its checks."""

from collections.abc import Callable
from pathlib import Path

import click

from worker.cli.common import FILE, Failure, configuration, explained
from worker.cli.door_checks import check_files, check_module
from worker.cli.findings import NotOk
from worker.door.config import door_config, socket_unit
from worker.door.program import installed
from worker.errors import StartupError

_CONFIG = click.option("--config", type=FILE, required=True, help="worker.toml; see docs/configuration.md.")


@click.group()
def door() -> None:
    """Write the files of the TLS door, nginx in front of the worker's socket.

    \b
    After each change of [listen], [limits] or require_fips, and after an update of nginx or OpenSSL:
      cji door config --config /etc/cji/worker.toml > /etc/cji/door.conf
      cji door socket --config /etc/cji/worker.toml > /etc/systemd/system/cji-door.socket.d/listen.conf
      systemctl daemon-reload && systemctl restart cji-door.socket cji-door.service
    After a new server certificate, key or authorities:
      systemctl reload cji-door.service
    """  # noqa: D301 - \b is click's mark for text that it must not wrap


@door.command("config")
@_CONFIG
@explained
def config_command(config: Path) -> None:
    """Print the configuration of nginx, for the build that is installed."""
    _print(lambda: door_config(configuration(config), installed()))


@door.command("socket")
@_CONFIG
@explained
def socket_command(config: Path) -> None:
    """Print the drop-in of cji-door.socket: the sockets that the door inherits."""
    _print(lambda: socket_unit(configuration(config)))


@door.command("check")
@_CONFIG
@click.option("--pid", type=click.IntRange(min=1), help="Check the module of this running door instead.")
@explained
def check_command(config: Path, pid: int | None) -> None:
    """Check that nginx accepts the configuration and its TLS files. Changes nothing."""
    loaded = configuration(config)
    _print(lambda: f"{check_files(loaded) if pid is None else check_module(loaded, pid)}\n")


def _print(make: Callable[[], str]) -> None:
    try:
        text = make()
    except StartupError as error:
        raise Failure(error.what, remedy=error.remedy, status=1) from error
    except NotOk as error:
        raise Failure(error.found, remedy=error.remedy, status=1) from error
    click.echo(text, nl=False)
