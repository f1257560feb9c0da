"""The requests of each user to the metadata service, from the worker's configuration alone.

    user        documents                                   tokens: identity and audience of
    cji         AMD's certificates, TD quotes, region       the vault of each of [[keys]]; [ledger]
    cji-fleet                                               [fleet], Azure Storage
    cji-audit                                               each of [[sinks]] of audit.toml
    cji-console                                             [monitor] of console.toml
    cji-door                                                [listen.enrollment]: EST's, or storage
    cji-probe   scheduled events and their approval, name of the machine
    root        user data, and all of the above             storage, by the identity that user data name

Root starts every process here and can become each of these users. Before there is a worker.toml, root has user data and
storage: it fetches the bundle that worker.toml comes in. The probe's documents need no configuration, and Azure
announces no event before somebody asked for them.

Sections are read here as far as they name an identity; the processes that use a file check the whole of it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from cji_attestation import AttestationError, Trust
from cji_attestation.trust import endpoint
from cji_core.audiences import EVENT_HUBS, MONITOR, STORAGE
from cji_core.documents import toml
from cji_core.errors import StartupError
from cji_core.metadata import AMD_CERTIFICATES, EVENTS, INSTANCE, LOCATION, TD_QUOTE, USER_DATA, token_target

ROOT, KEYHOLDER, FLEET, DELIVERER, DOOR, PROBE = "root", "cji", "cji-fleet", "cji-audit", "cji-door", "cji-probe"
CONSOLE: Final = "cji-console"
_MAX_BYTES: Final = 256 << 10
_ABSENT: Final = b"#"
"""The unit's credential in place of a file that is not there."""
_Text = Annotated[str, Meta(min_length=1, max_length=1024)]
_REMEDY: Final = "Correct it, as `cji doctor` and the log of its own process say; then restart cji-broker.service."


_T = TypeVar("_T", bound=msgspec.Struct)


def get(target: str) -> str:
    """The request for this target."""
    return f"GET {target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """The requests of one user, each as method and target; `any_identity` are audiences for whatever client id."""

    requests: frozenset[str]
    any_identity: tuple[str, ...] = ()


class _Identity(msgspec.Struct, frozen=True, kw_only=True):
    client_id: _Text | None = None


class _Key(msgspec.Struct, frozen=True, kw_only=True):
    kek_id: _Text


class _Enrollment(_Identity, frozen=True, kw_only=True):
    audience: _Text | None = None
    container: _Text | None = None


class _Listen(msgspec.Struct, frozen=True, kw_only=True):
    enrollment: _Enrollment | None = None


class _Worker(msgspec.Struct, frozen=True, kw_only=True):
    """worker.toml."""

    cloud: _Text
    attestation: _Identity
    keys: Annotated[tuple[_Key, ...], Meta(min_length=1, max_length=64)]
    listen: _Listen
    ledger: _Identity | None = None
    fleet: _Identity | None = None


class _Destination(_Identity, frozen=True, kw_only=True):
    kind: _Text
    cloud: _Text = "azure-us"


class _Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """audit.toml."""

    sinks: Annotated[tuple[_Destination, ...], Meta(max_length=16)] = ()


class _Monitor(msgspec.Struct, frozen=True, kw_only=True):
    client_id: _Text
    cloud: _Text = "azure-us"


class _Console(msgspec.Struct, frozen=True, kw_only=True):
    """console.toml."""

    monitor: _Monitor | None = None


def grants(worker: bytes, delivery: bytes, console: bytes, *, clouds: Mapping[str, Trust]) -> dict[str, Grants]:
    """The grants of each user, by its name; an empty file is one that is not there. Raises StartupError."""
    found: dict[str, set[str]] = {user: set() for user in (KEYHOLDER, FLEET, DELIVERER, DOOR, CONSOLE)}
    found[PROBE] = {get(EVENTS), get(INSTANCE), f"POST {EVENTS}"}
    if worker:
        config = _decoded(worker, _Worker, "worker.toml")
        if config.cloud not in clouds:
            raise StartupError(f'cloud = "{config.cloud}" is unknown', f"Use one of {', '.join(clouds)}.")
        found[KEYHOLDER] = {get(AMD_CERTIFICATES), get(LOCATION), f"POST {TD_QUOTE}"}
        found[KEYHOLDER].update(_keyholder(config, clouds[config.cloud]))
        if config.fleet is not None:
            found[FLEET] = {get(token_target(STORAGE, config.fleet.client_id))}
        enrollment = config.listen.enrollment
        audience = None if enrollment is None else STORAGE if enrollment.container else enrollment.audience
        if enrollment is not None and audience is not None:
            found[DOOR] = {get(token_target(audience, enrollment.client_id))}
    if delivery:
        found[DELIVERER] = set(_deliverer(_decoded(delivery, _Delivery, "audit.toml")))
    if console:
        monitor = _decoded(console, _Console, "console.toml").monitor
        if monitor is not None and monitor.cloud in MONITOR:
            found[CONSOLE] = {get(token_target(MONITOR[monitor.cloud], monitor.client_id))}
    named = {name: Grants(requests=frozenset(requests)) for name, requests in found.items()}
    everything = frozenset({get(USER_DATA)}.union(*found.values()))
    return {**named, ROOT: Grants(requests=everything, any_identity=(STORAGE,))}


def read(path: Path) -> bytes:
    """The bytes of a configuration; none if there is no such file. Raises StartupError."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise StartupError(f"{path} cannot be read", "Start the broker with its unit.") from error
    if len(data) > _MAX_BYTES:
        raise StartupError(f"{path} is larger than 256 KiB", _REMEDY)
    return b"" if data.strip() == _ABSENT else data


def _keyholder(config: _Worker, trust: Trust) -> Iterator[str]:
    for key in config.keys:
        try:
            vault = endpoint(key.kek_id, trust.vault_hosts, resource=trust.vault_resource, check="kek-host")
        except AttestationError as error:
            raise StartupError("kek_id is not a key of the cloud's vaults", _REMEDY) from error
        yield get(token_target(vault.resource, config.attestation.client_id))
    if config.ledger is not None:
        yield get(token_target(STORAGE, config.ledger.client_id))


def _deliverer(config: _Delivery) -> Iterator[str]:
    for sink in config.sinks:
        if sink.kind == "monitor" and sink.cloud in MONITOR:
            yield get(token_target(MONITOR[sink.cloud], sink.client_id))
        elif sink.kind == "event_hubs":
            yield get(token_target(EVENT_HUBS, sink.client_id))


def _decoded(data: bytes, kind: type[_T], name: str) -> _T:
    try:
        return toml(data, kind)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise StartupError(f"{name} is not valid: {error}", _REMEDY) from error
