"""`cji door`: the files of the TLS door, made from the worker's own configuration, and its checks."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import msgspec

from cji_core.command.common import FILE, Failure, configuration, explained
from cji_core.command.findings import NotOk
from cji_core.command.json_output import answers, member, print_answer, print_json
from cji_core.errors import StartupError
from cji_core.format.configuration.worker import EnrollmentSection, ListenSection
from cji_worker.door.config import door_config, socket_unit
from cji_worker.door.egress import open_public, require_open
from cji_worker.door.firewall import install, require_installed
from cji_worker.door.program import installed
from cji_worker.verbs.door_checks import check_files, check_module

if TYPE_CHECKING:
    from cji_worker.door.approval import Channel

_CONFIG = click.option("--config", type=FILE, required=True, help="worker.toml; see docs/configuration.md.")


class CheckedDoor(msgspec.Struct, frozen=True, kw_only=True):
    """`cji door check`: a door that could serve."""

    found: Annotated[str, member("builds of nginx and OpenSSL, end of the certificate; with --pid the module")]


class Enrolled(msgspec.Struct, frozen=True, kw_only=True):
    """`cji door enroll`: the certificate of the door."""

    certificate_until: Annotated[str, member("when it ends, ISO 8601")]
    renewed: Annotated[bool, member("whether it is a new one")]


class LimitedDoor(msgspec.Struct, frozen=True, kw_only=True):
    """`cji door limit`: what counts the connections of one address, and what the keyholder may reach."""

    found: Annotated[str, member("the limit, what counts, and how many public ranges are open")]


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
    For a certificate from your own authority, of a key that this machine makes:
      cji door enroll --config /etc/cji/worker.toml
    """  # noqa: D301 - \b is click's mark for text that it must not wrap


@door.command("config")
@_CONFIG
@explained
def config_command(config: Path) -> None:
    """Print the configuration of nginx, for the build that is installed."""
    click.echo(_made(lambda: door_config(configuration(config), installed())), nl=False)


@door.command("socket")
@_CONFIG
@explained
def socket_command(config: Path) -> None:
    """Print the drop-in of cji-door.socket: the sockets that the door inherits."""
    click.echo(_made(lambda: socket_unit(configuration(config))), nl=False)


@door.command("check")
@_CONFIG
@click.option("--pid", type=click.IntRange(min=1), help="Check the module of this running door instead.")
@answers(CheckedDoor)
@explained
def check_command(config: Path, pid: int | None, *, as_json: bool) -> None:
    """Check that nginx accepts the configuration and its TLS files. Changes nothing."""
    loaded = configuration(config)
    found = _made(lambda: check_files(loaded) if pid is None else check_module(loaded, pid))
    print_answer(CheckedDoor(found=found), found, as_json=as_json)


@door.command("limit")
@_CONFIG
@answers(LimitedDoor)
@explained
def limit_command(config: Path, *, as_json: bool) -> None:
    """Have the kernel count the connections of each address, and let the keyholder reach `egress`. Needs root.

    With connections_counted_by = "firewall", loads the table cji_door of nftables and reads it again; with "door",
    removes it. Puts the addresses of `egress` into the set `public` of the image's own table. Both are read again.
    cji-door.service starts only after cji-door-limit.service has done this.
    """
    loaded = configuration(config)

    def limited() -> str:
        install(loaded)
        open_public(loaded)
        return f"{require_installed(loaded)}; {require_open(loaded)}"

    found = _made(limited)
    print_answer(LimitedDoor(found=found), found, as_json=as_json)


@door.command("enroll")
@_CONFIG
@click.option("--force", is_flag=True, help="Obtain a new certificate now, however long the current one lasts.")
@answers(Enrolled)
@explained
def enroll_command(config: Path, *, force: bool, as_json: bool) -> None:
    """Make the door's private key on this machine, and have it certified: by EST (RFC 7030), or `cji enroll approve`.

    Does nothing while the certificate is in the first two thirds of its life; after that it is renewed, with a new
    key. A renewal that fails leaves both files as they are. Needs [listen.enrollment] in worker.toml, and a folder in
    memory for certificate and private_key. Reload the door afterwards.

    \b
    Example:
      cji door enroll --config /etc/cji/worker.toml && systemctl reload cji-door.service
    """  # noqa: D301 - as above
    from cji_worker.door.enrollment import enroll  # noqa: PLC0415 - with what it needs for HTTPS

    loaded = configuration(config)
    try:
        with _channel(loaded.listen, config.parent) as channel:
            token = _identity_token(loaded.listen.enrollment)
            done = enroll(loaded.listen, token=token, channel=channel, force=force)
    except StartupError as error:
        raise Failure(error.what, remedy=error.remedy, status=error.status) from error
    if as_json:
        print_json(Enrolled(certificate_until=f"{done.until:%Y-%m-%dT%H:%M:%SZ}", renewed=done.renewed))
        return
    state = "a new certificate" if done.renewed else "the certificate is in force"
    click.echo(f"{state}, until {done.until:%Y-%m-%d %H:%M} UTC")


@contextlib.contextmanager
def _channel(listen: ListenSection, folder: Path) -> Iterator["Channel | None"]:
    """The ways of a request that `cji enroll approve` approves; None where there is an EST service."""
    section = listen.enrollment
    if section is None or section.container is None:
        yield None
        return
    from cji_core.azure_client import brokered_identity  # noqa: PLC0415 - not for EST
    from cji_core.format.configuration.machine import machine_in  # noqa: PLC0415
    from cji_core.pool.enrollment import Exchange  # noqa: PLC0415
    from cji_core.pool.store import Blobs  # noqa: PLC0415
    from cji_worker.door.approval import Channel, vouch_at  # noqa: PLC0415

    machine = machine_in(folder)
    if machine is None:
        remedy = "Configure the machine by a bundle, which writes machine.json; or use an EST service."
        raise StartupError("The vmId of this machine is not known", remedy)
    identity = brokered_identity(section.client_id)
    blobs = Blobs(section.url, section.container, credential=identity, ca_file=section.ca_file)
    with contextlib.closing(blobs):
        yield Channel(exchange=Exchange(blobs, machine.vm_id), vouch=vouch_at(listen.socket))


def _identity_token(section: EnrollmentSection | None) -> Callable[[], str] | None:
    """A token of this machine's identity for the EST service, if that wants one."""
    if section is None or section.audience is None:
        return None
    audience, client_id = section.audience, section.client_id

    def token() -> str:
        from cji_core.azure_client import identity_token  # noqa: PLC0415 - as above

        return identity_token(client_id, audience)

    return token


def _made(make: Callable[[], str]) -> str:
    try:
        return make()
    except StartupError as error:
        raise Failure(error.what, remedy=error.remedy, status=1) from error
    except NotOk as error:
        raise Failure(error.found, remedy=error.remedy, status=1) from error
