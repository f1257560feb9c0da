"""Every caller of a service, against servers that keep to no protocol: it ends in time, and reports a failure."""

import base64
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from azure.core.exceptions import AzureError

from cji_attestation import AZURE_US, AttestationError, Fault, Trust
from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.evidence.imds import region
from cji_attestation.fetch import exchange
from cji_attestation.provider_policy import administration, provider
from cji_attestation.release import vault
from cji_attestation.release.keyspec import VaultKey
from cji_attestation.trust import endpoint
from cji_audit.reconcile import workspace
from cji_audit.reconcile.workspace import WorkspaceError
from cji_audit.tlog.cosigning import Cosigner, CosigningError
from cji_audit.tlog.store import LogStore
from cji_client import errors as client_errors
from cji_client.vault_keys import VaultSigner
from cji_core.azure_client import client_options
from cji_core.format.configuration.console import OtlpSection
from cji_core.format.configuration.worker import EnrollmentSection
from cji_core.https import Client, ExchangeError, tls_context
from cji_core.pool.errors import StoreError
from cji_core.pool.queue import Queue
from cji_core.pool.store import Blobs
from cji_core.trail.checkpoint import Checkpoint
from cji_core.trail.delivery import DeliveryError, load_delivery
from cji_core.trail.witnesses.agency_log import LogWitness
from cji_core.trail.witnesses.settings import LogTable
from cji_deploy import vault_signer
from cji_deploy.identity import graph
from cji_deploy.identity.files import IdentityError
from cji_deploy.runbooks import answers
from cji_worker.console import telemetry
from cji_worker.deliverer.sinks import sinks
from cji_worker.door import est
from cji_worker.probe import notice
from tests.support.console_tools import VIEW
from tests.support.fixed_credential import FixedCredential
from tests.support.hostile_http import BEHAVIOURS, Hostile, hostile
from tests.support.sink_faults import Trail as Events
from tests.support.sink_faults import azure_of
from tests.support.tlog_site import ORIGIN, Machine, a_policy, write_policy

LIMIT: Final = 0.4
ENOUGH: Final = 3.0
TOKEN: Any = FixedCredential()
KEY: Final = "keys/agency/" + "0" * 32


class SilentError(Exception):
    """A caller that reports failures by its return value reported one."""


def trust_of(at: Hostile) -> Trust:
    host = f"https://127.0.0.1:{at.port}"
    return msgspec.structs.replace(
        AZURE_US, vault_hosts=(host,), maa_hosts=(host,), tls_roots=Path(at.ca_file).read_text(), imds=plain(at)
    )


def plain(at: Hostile) -> str:
    return f"http://127.0.0.1:{at.port}"


def url(at: Hostile) -> str:
    return f"https://127.0.0.1:{at.port}"


def base(at: Hostile) -> None:
    with Client(tls_context(ca_file=at.ca_file), seconds=LIMIT) as client:
        if client.exchange("GET", url(at)).status != 200:
            raise SilentError


def attested(at: Hostile) -> None:
    target = endpoint(url(at), (url(at),), resource="", check="x")
    found = exchange(
        target, method="GET", path="/", headers={}, body=None, roots=Path(at.ca_file).read_text(), limit=1000,
        seconds=LIMIT, fault=Fault.MAA_UNAVAILABLE, check="x",
    )  # fmt: skip
    if found.status != 200:
        raise SilentError


def metadata(at: Hostile) -> None:
    notice.Metadata(plain(at)).look()


def location(at: Hostile) -> None:
    region(trust_of(at))


def sink(table: str, at: Hostile) -> None:
    folder = Path(at.ca_file).parent
    Events(folder / "audit.log").grow(1)
    (folder / "state").mkdir()
    (folder / "audit.toml").write_text(f'trail = "audit.log"\nstate = "state"\n[[sinks]]\nname = "sink"\n{table}')
    text = (folder / "audit.toml").read_text().replace("URL", f"https://localhost:{at.port}")
    (folder / "audit.toml").write_text(text)
    (found,) = sinks(load_delivery(folder / "audit.toml"), azure_of(Path(at.ca_file), seconds=LIMIT))
    found.advance()


def agency_log(at: Hostile) -> None:
    folder = Path(at.ca_file).parent
    policy = a_policy(url=f"{url(at)}/trails")
    write_policy(folder / "policy.toml", policy)
    (folder / "token").write_text("s" * 40)
    table = LogTable(policy=str(folder / "policy.toml"), token_file=str(folder / "token"), ca_file=at.ca_file)
    machine = Machine(folder=folder)
    LogWitness(table, trail=machine.trail.path, seconds=LIMIT).newest(None)


def cosigner(at: Hostile) -> None:
    store = LogStore(Path(at.ca_file).parent / "log.db", origin=ORIGIN)
    try:
        policy = a_policy(url="https://log.example", witness=url(at))
        client = Client(tls_context(ca_file=at.ca_file), seconds=LIMIT)
        asked = Cosigner(witness=policy.witnesses[1], client=client, policy=policy, store=store, seconds=LIMIT)
        root = base64.b64encode(store.root(0)).decode()
        text = f"{ORIGIN}\n0\n{root}\n"
        asked.ask(Checkpoint(origin=ORIGIN, size=0, root=store.root(0), text=text.encode(), signatures=()), cosigned=0)
    finally:
        store.close()


def blobs(at: Hostile) -> None:
    Blobs(f"{url(at)}/account", "jobs", credential=TOKEN, ca_file=at.ca_file, seconds=LIMIT).read("x", most=10)


def queue(at: Hostile) -> None:
    Queue(f"{url(at)}/account", "jobs", credential=TOKEN, ca_file=at.ca_file, seconds=LIMIT).receive(lease=9)


def release(at: Hostile) -> None:
    found = endpoint(url(at), (url(at),), resource=url(at), check="x")
    key = VaultKey(vault=found, name="a", version="0" * 32, thumbprint=bytes(32), accept=frozenset())
    vault.Vault(trust=trust_of(at), client_id=None).release(key, token="t", nonce="n", request_id="r")


def identity(at: Hostile) -> None:
    credential = vault.Vault(trust=trust_of(at), client_id=None).credential("https://vault.azure.net")
    credential.get_token("https://vault.azure.net/.default")


def described(at: Hostile) -> None:
    provider.describe_provider(trust=trust_of(at), maa_url=url(at))


def policy(at: Hostile) -> None:
    administration.read_policy("AzureGuest", trust=trust_of(at), maa_url=url(at), credential=TOKEN, now=0)


def enrolment(at: Hostile) -> None:
    section = EnrollmentSection(url=f"{url(at)}/.well-known/est", roots=at.ca_file, names=("a.example",))
    est.obtain(section, est.new_key(), current=None, token=lambda: "t", total_seconds=LIMIT)


def collector(at: Hostile) -> None:
    if not telemetry.Telemetry(OtlpSection(endpoint=plain(at), instance="w")).send_metrics(VIEW):
        raise SilentError


def directory(at: Hostile) -> None:
    graph.Graph(plain(at), TOKEN, sleep=lambda _: None).one("/groups/x")


def runbook(at: Hostile) -> None:
    if answers.main([url(at)]):
        raise SilentError


def log_query(at: Hostile) -> None:
    found = workspace.Workspace("w", timedelta(hours=1), endpoint=f"{url(at)}/v1", credential=TOKEN, ca_file=at.ca_file)
    list(found.entries())


def submitter_key(at: Hostile) -> None:
    VaultSigner(f"{url(at)}/{KEY}", credential=TOKEN, ca_file=at.ca_file)


def bundle_key(at: Hostile) -> None:
    vault_signer.VaultSigner(f"{url(at)}/{KEY}", credential=TOKEN, ca_file=at.ca_file)


MONITOR: Final = f'kind = "monitor"\nendpoint = "URL"\nrule = "dcr-{"0" * 32}"\nstream = "Custom-CjiAudit"\n'
HUB: Final = 'kind = "event_hubs"\nnamespace = "URL"\nhub = "cji-audit"\n'
# caller, whether it speaks TLS, its errors
CALLERS: Final[dict[str, tuple[Callable[[Hostile], None], bool, tuple[type[Exception], ...]]]] = {
    "base": (base, True, (ExchangeError,)),
    "attestation": (attested, True, (AttestationError,)),
    "scheduled events": (metadata, False, (notice.NoticeError,)),
    "metadata service": (location, False, (AttestationError,)),
    "sink monitor": (partial(sink, MONITOR), True, (DeliveryError,)),
    "sink event_hubs": (partial(sink, HUB), True, (DeliveryError,)),
    "agency's log": (agency_log, True, (DeliveryError,)),
    "witness of a log": (cosigner, True, (CosigningError,)),
    "fleet blobs": (blobs, True, (StoreError,)),
    "fleet queue": (queue, True, (StoreError,)),
    "key release": (release, True, (AttestationError,)),
    "identity": (identity, False, (AttestationError, AzureError)),
    "provider": (described, True, (AttestationError,)),
    "provider policy": (policy, True, (AttestationError,)),
    "enrolment": (enrolment, True, (est.EnrollmentRefused,)),
    "collector": (collector, False, ()),
    "graph": (directory, False, (IdentityError,)),
    "runbook": (runbook, True, ()),
    "workspace": (log_query, True, (WorkspaceError,)),
    "submitter's key": (submitter_key, True, (client_errors.ClientError,)),
    "bundle's key": (bundle_key, True, (BundleRefused,)),
}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The limits that a caller's constructor does not take, and the one trust store that a desk's tool reads."""
    for module, name in (
        (notice, "EXCHANGE_S"), (vault, "EXCHANGE_SECONDS"), (vault, "IDENTITY_SECONDS"), (graph, "_EXCHANGE_S"),
        (provider, "EXCHANGE_SECONDS"), (administration, "EXCHANGE_SECONDS"), (telemetry, "TIMEOUT_S"),
        (answers, "_SECONDS"), (workspace, "_EXCHANGE_S"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, LIMIT)
    monkeypatch.setattr("cji_attestation.evidence.imds.TOTAL_SECONDS", 0.0)
    monkeypatch.setattr("cji_attestation.evidence.service.REQUEST_SECONDS", LIMIT)
    monkeypatch.setattr(vault, "IDENTITY_ATTEMPTS", 1)
    monkeypatch.setattr("cji_core.pool.exchange._TRIES", 1)
    monkeypatch.setitem(client_options.__kwdefaults__ or {}, "seconds", LIMIT)


def ended(
    caller: Callable[[Hostile], None], errors: tuple[type[Exception], ...], folder: Path, behaviour: str, *, tls: bool
) -> str:
    """What a caller did that it must not do; empty if it failed in time."""
    folder.mkdir()
    with hostile(folder, behaviour, tls=tls) as at:
        start = time.monotonic()
        try:
            caller(at)
        except Exception as error:  # noqa: BLE001 - its kind is what the test is about
            own = isinstance(error, (SilentError, *errors))
            outcome = "" if own else f"an error that is not its own: {type(error).__name__} {error}"
        else:
            outcome = "a success"
        seconds = time.monotonic() - start
    return outcome or (f"after {seconds:.1f} s" if seconds > ENOUGH else "")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", CALLERS)
def test_a_hostile_service_is_a_failure_in_time(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    caller, tls, errors = CALLERS[name]
    behaviours = [*BEHAVIOURS, *(["slow handshake"] if tls else [])]
    if name == "runbook":
        behaviours = ["header by the byte"]  # it reads one trust store, that of the environment
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "0" / "ca.pem"))
    with ThreadPoolExecutor(4) as pool:
        runs = [
            pool.submit(ended, caller, errors, tmp_path / str(number), behaviour, tls=tls)
            for number, behaviour in enumerate(behaviours)
        ]
        found = {behaviour: run.result() for behaviour, run in zip(behaviours, runs, strict=True)}
    assert {behaviour: outcome for behaviour, outcome in found.items() if outcome} == {}
