"""The checks of `cji doctor` and `cji door check` on the TLS door: nginx, its configuration, its files, its module."""

import time
from datetime import UTC, datetime
from typing import Final

from cji_core.command.findings import NotOk
from cji_core.fips import CryptoModule, mapped_modules
from cji_core.format.configuration.door_files import check_client_roots, check_server_files
from cji_core.format.configuration.worker import Config
from cji_worker.door.config import by_firewall
from cji_worker.door.egress import require_open
from cji_worker.door.firewall import require_installed
from cji_worker.door.program import installed, refusal, running
from cji_worker.front.server import listening_folder
from cji_worker.fronts import front_count
from cji_worker.verbs.machine_checks import fips_module

_LOADED_S: Final = 5.0
"""A door that has just started loads its module within this time."""


def check_door(config: Config) -> str:
    """The door's build, certificate, limit, fronts and module. Raises NotOk or StartupError if it could not serve."""
    rules = f"{require_installed(config)}; {require_open(config)}"
    return f"{check_files(config)}; {rules}; {_fronts(config)}; {_module(config)}"


def check_files(config: Config) -> str:
    """Everything but a running door."""
    build = installed()
    until = check_server_files(config.listen, now=datetime.now(UTC))
    check_client_roots(config.listen)
    if reason := refusal(config, build):
        raise NotOk(
            f"nginx refuses the configuration: {reason}",
            "Correct the files of [listen], OPENSSL_CONF and OPENSSL_MODULES.",
        )
    listening_folder(config.listen.socket)
    version, library = (".".join(map(str, numbers)) for numbers in (build.version, build.openssl))
    return f"nginx {version} with OpenSSL {library}, certificate until {until:%Y-%m-%d}"


def check_module(config: Config, pid: int) -> str:
    """The module of the door with this process id. Raises NotOk if require_fips is set and it is not the worker's."""
    ours, until = fips_module(), time.monotonic() + _LOADED_S
    while True:
        try:
            found = mapped_modules(str(pid))
        except OSError as error:
            raise NotOk("the door has ended, or its memory map is not readable", "Run this as root.") from error
        if not config.require_fips or found == {ours.file}:
            return _compared(found, ours)
        if time.monotonic() > until:
            raise _other_module(_compared(found, ours), ours)
        time.sleep(0.1)


def _fronts(config: Config) -> str:
    """The number of fronts. Raises NotOk for a running door that was written for another number, or another counter."""
    count, doors = front_count(config.worker.fronts), running(config).values()
    if not by_firewall(config) and not all(door.counts for door in doors):
        raise NotOk(
            "nobody counts the connections of an address: the door was written for a firewall that does",
            "Write door.conf again with `cji door config`, then restart cji-door.service.",
        )
    if others := {door.fronts for door in doors} - {count}:
        raise NotOk(
            f"the door leads to {others.pop()} fronts, and the worker has {count}",
            "Write door.conf again with `cji door config`, then restart cji-door.service. If units have CPU quotas of "
            "their own, set fronts of [worker] to a number.",
        )
    return f"{count} fronts" if count > 1 else "1 front"


def _module(config: Config) -> str:
    """The FIPS module that a running door has mapped, compared with the worker's."""
    ours = fips_module()
    found = [modules for pid in running(config) if (modules := _mapped(pid)) is not None]
    if not found:
        text = "not running, or its memory map is not readable: run this as root beside the door"
        if config.require_fips:
            raise NotOk(text, "Start cji-door.service.", state="not run")
        return text
    texts = {_compared(modules, ours) for modules in found}
    if config.require_fips and texts != {str(ours)}:
        raise _other_module(", ".join(sorted(texts)), ours)
    return f"it uses {', '.join(sorted(texts))}"


def _other_module(found: str, ours: CryptoModule) -> NotOk:
    return NotOk(
        f"the door uses {found}, the worker {ours}",
        "Give cji-door.service the same EnvironmentFile= as cji-worker.service; see deploy/fips.",
    )


def _compared(modules: frozenset[str], ours: CryptoModule) -> str:
    if not modules:
        return "no FIPS module"
    return str(ours) if modules == {ours.file} else f"another module: {', '.join(sorted(modules))}"


def _mapped(pid: str) -> frozenset[str] | None:
    try:
        return mapped_modules(pid)
    except OSError:
        return None
