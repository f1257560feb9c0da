"""The network's part of `cji doctor --client`: proxy, names, ports, another's clock, and the worker itself."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from cji_attestation import Trust
from cji_client.connection import connect
from cji_client.errors import ClientError
from cji_client.profile import ClientProfile
from cji_core.command.findings import Finding, NotOk, run_check
from cji_core.https import Client, ExchangeError, tls_context

_SECONDS: Final = 5.0
_HTTPS: Final = 443
_SKEW_S: Final = 60
_PROXIES: Final = ("grpc_proxy", "https_proxy", "http_proxy")
_EXCEPT: Final = ("no_grpc_proxy", "no_proxy")
"""Read by gRPC, the first that is set; `https_proxy` in lower case only (grpc, environment_variables.md)."""


def network_findings(profile: ClientProfile, trust: Trust | None) -> Iterator[Finding]:
    """The way to each service that the profile names, then the worker's evidence."""
    host, port = _host_and_port(profile.target)
    proxy = _proxy(host)
    yield run_check("proxy", partial(_without_proxy, host, proxy))
    yield (worker := _through_proxy("worker") if proxy else _reached("worker", host, port))
    for name, url in _services(profile):
        yield _reached(name, *_host_and_port(urlsplit(url).netloc))
    yield run_check("clock of others", partial(_compared, profile, trust))
    if trust is None or worker.state == "failed":
        remedy = "Correct what failed above: the worker is asked for its evidence then."
        yield Finding(name="evidence", state="not run", found="the worker was not asked", remedy=remedy)
    else:
        yield asked("evidence", partial(_attested, profile, trust))


def asked(name: str, run: Callable[[], str]) -> Finding:
    """As `run_check`, of a function that may raise a ClientError, too."""

    def checking() -> str:
        try:
            return run()
        except ClientError as error:
            raise NotOk(str(error), error.remedy) from error

    return run_check(name, checking)


def _host_and_port(target: str) -> tuple[str, int]:
    at = urlsplit(f"//{target}")
    with suppress(ValueError):
        return at.hostname or "", at.port or _HTTPS
    return at.hostname or "", 0


def _services(profile: ClientProfile) -> Iterator[tuple[str, str]]:
    """The services that this machine itself talks to. The worker's vault is none of them."""
    yield "attestation provider", profile.maa_url
    for name in ("signer", "decrypter"):
        device = getattr(profile, name)
        if device is not None and device.vault is not None:
            yield f"vault of {name}", device.vault
    if profile.storage is not None:
        yield "storage, blobs", profile.storage.blob_url
        yield "storage, queues", profile.storage.queue_url
    if profile.evidence.timestamp is not None:
        yield "timestamps", profile.evidence.timestamp


def _proxy(host: str) -> str:
    """The variable of the proxy that calls to this host take, "" for none."""
    excepted = next((value for name in _EXCEPT if (value := os.environ.get(name))), "")
    if any(host.endswith(one.strip()) for one in excepted.split(",") if one.strip()):
        return ""
    return next((name for name in _PROXIES if os.environ.get(name)), "")


def _without_proxy(host: str, proxy: str) -> str:
    if not proxy:
        return "none for calls to the worker"
    at = urlsplit(os.environ[proxy]).hostname or "?"
    remedy = f"Have it pass TLS on unopened, or exempt the worker: export no_proxy={host}."
    raise NotOk(f"calls to the worker go through {at}, by {proxy}", remedy, state="warning")


def _through_proxy(name: str) -> Finding:
    remedy = "See `evidence`: it is fetched by that way."
    return Finding(name=name, state="not run", found="calls go through a proxy", remedy=remedy)


def _reached(name: str, host: str, port: int) -> Finding:
    return run_check(name, partial(_reach, host, port))


def _reach(host: str, port: int) -> str:
    """Resolve the name and open a connection; nothing is sent."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        remedy = "Correct the name in the profile, or ask your network's people which resolver knows it."
        raise NotOk(f"{host or 'an empty name'} has no address", remedy) from None
    addresses = sorted({str(each[4][0]) for each in found})
    try:
        socket.create_connection((host, port), _SECONDS).close()
    except OSError as error:
        remedy = f"Have your network's people open TCP port {port} to it, or ask the operator whether it runs."
        raise NotOk(f"{host} ({', '.join(addresses)}) port {port}: {error.strerror or error}", remedy) from None
    return f"{host} ({', '.join(addresses)}) port {port}"


def _compared(profile: ClientProfile, trust: Trust | None) -> str:
    """The clock of this machine beside the attestation provider's, by the Date of a reply over TLS."""
    remedy = "See `attestation provider`: a job needs the keys that it publishes, to verify the worker's evidence."
    try:
        with Client(tls_context(pem=None if trust is None else trust.tls_roots), seconds=_SECONDS) as client:
            reply = client.exchange("GET", f"{profile.maa_url}/certs", connect_seconds=_SECONDS)
        theirs = parsedate_to_datetime(reply.headers["date"])
        ours = datetime.now(UTC)
    except (ExchangeError, KeyError, ValueError, OSError):
        raise NotOk(f"{profile.maa_url} gives no time", remedy, state="not run") from None
    off = round((ours - theirs).total_seconds())
    if abs(off) > _SKEW_S:
        side = "ahead" if off > 0 else "behind"
        raise NotOk(f"{abs(off)} s {side} of {profile.maa_url}", "Set this machine's clock by NTP.")
    return f"as that of {profile.maa_url}, within {max(1, abs(off))} s"


def _attested(profile: ClientProfile, trust: Trust) -> str:
    with connect(profile, trusts=[trust]) as worker:
        attested = worker.attest()
    verdict = attested.verdict
    return f"{verdict.tee} {verdict.product}, {len(verdict.checks)} checks passed"
