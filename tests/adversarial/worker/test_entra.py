"""The second identity: each job of a submitter with an application of Microsoft Entra needs a token bound to it.

Every wrong token is refused with its check in the trail, and without any admission, so no key is opened.
"""

import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from cji_client.errors import WorkerRefused
from cji_client.tokens import token_file
from cji_client.transport import SyncClient
from cji_core.errors import REASONS, Reason, Stage
from cji_core.format.job import LIMITS, EntraRule
from cji_core.trail import CallsRefused, EntraApplication, FilesReloaded, JobAdmitted, JobRefused
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator.faults import Kind, Service
from cji_simulator.launch import Agency
from cji_simulator.raw import Answer, RawWorker, events, forge, until
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, open_site, people

RULE = EntraRule(tenant=str(uuid.uuid4()), client=str(uuid.uuid4()), roles=("Cji.Jobs.Run", "Cji.Jobs.Test"))
OTHER = str(uuid.uuid4())
Wrong = tuple[str, str, dict[str, Any]]


@pytest.fixture(scope="module")
def site(simulation_servers: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("entra")
    with open_site(folder, simulation_servers, cells=1, agency=Agency(entra=RULE)) as opened:
        until(lambda: b'"event": "keys fetched"' in opened.worker.log.read_bytes())
        yield opened


def token(site: Site, **changes: Any) -> str:
    return site.simulation.entra_token(site.token_order(**changes))


def run(site: Site, *metadata: tuple[str, str]) -> Answer:
    job = forge(site)
    with RawWorker.of(site, metadata=metadata) as raw:
        return raw.run(job.messages(job.stream(people(2))), timeout=30)


def with_token(site: Site, raw: str, scheme: str = "Bearer") -> Answer:
    return run(site, ("authorization", f"{scheme} {raw}"))


def admissions(site: Site) -> int:
    return sum(isinstance(each, JobAdmitted) for each in events(site))


def refusals(site: Site) -> int:
    return sum(isinstance(each, JobRefused) for each in events(site))


def last_refused(site: Site) -> JobRefused:
    return [each for each in events(site) if isinstance(each, JobRefused)][-1]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "mtls_pop"])
def test_a_job_with_its_token_runs_and_the_trail_names_it(site: Site, scheme: str) -> None:
    assert with_token(site, token(site), scheme).receipt
    admitted = [each for each in events(site) if isinstance(each, JobAdmitted)][-1]
    assert isinstance(admitted.entra, EntraApplication)
    assert (admitted.entra.tenant, admitted.entra.client) == (RULE.tenant, RULE.client)
    assert admitted.entra.uti


NOW = int(time.time())
WRONG: list[Wrong] = [
    ("not signed", "form", {"forgery": "unsigned"}),
    ("HMAC keyed with the public key", "algorithm", {"forgery": "hs256"}),
    ("signed by a stranger", "signature", {"forgery": "stranger"}),
    ("unknown kid", "kid", {"header": {"kid": "x" * 20}}),
    ("no kid", "kid", {"header": {"kid": None}}),
    ("its own key", "form", {"header": {"jwk": {"kty": "RSA"}}}),
    ("the address of a key set", "form", {"header": {"jku": "https://login.evil.example/keys"}}),
    ("a claim twice", "form", {"twice": "azp"}),
    ("version 1.0", "version", {"claims": {"ver": "1.0"}}),
    ("of another tenant", "issuer", {"tenant": OTHER}),
    ("tid of another tenant", "tenant", {"claims": {"tid": OTHER}}),
    ("for another audience", "audience", {"audience": OTHER}),
    ("for several audiences", "audience", {"claims": {"aud": ["33333333-3333-4333-8333-333333333333", OTHER]}}),
    ("of another client", "client", {"client": OTHER}),
    ("two clients", "client", {"claims": {"appid": OTHER}}),
    ("of a user", "app-only", {"claims": {"idtyp": "user", "scp": "Cji.Jobs.Run", "roles": None}}),
    ("of a user who has roles", "app-only", {"claims": {"idtyp": "user"}}),
    ("without idtyp", "app-only", {"claims": {"idtyp": None}}),
    ("delegated", "app-only", {"claims": {"scp": "Cji.Jobs.Run"}}),
    ("expired", "expired", {"claims": {"exp": NOW - 120}}),
    ("not yet valid", "not-yet-valid", {"claims": {"nbf": NOW + 3600}}),
    ("without an end", "form", {"claims": {"exp": None}}),
    ("not bound", "binding", {"claims": {"cnf": None}}),
    ("bound to a key", "binding", {"claims": {"cnf": {"jkt": "x" * 43}}}),
    ("bound to another certificate", "binding", {"certificate_sha256": "00" * 32}),
    ("without a role", "role", {"claims": {"roles": None}}),
    ("with another role", "role", {"roles": ("Cji.Jobs.Read",)}),
]


@pytest.mark.parametrize(("check", "changes"), [each[1:] for each in WRONG], ids=[each[0] for each in WRONG])
def test_a_wrong_token_is_refused_with_its_check(site: Site, check: str, changes: dict[str, Any]) -> None:
    before = admissions(site)
    answer = with_token(site, token(site, **changes))
    assert (answer.reason, answer.stage) == (Reason.TOKEN_REFUSED, Stage.ADMIT)
    assert answer.code is grpc.StatusCode.UNAUTHENTICATED
    assert not answer.accepted
    assert answer.details == f"TOKEN_REFUSED: {REASONS[Reason.TOKEN_REFUSED].remedy}"  # whatever failed
    assert (last_refused(site).token_check, admissions(site)) == (check, before)


@pytest.mark.parametrize(
    ("check", "values"),
    [
        ("missing", []),
        ("form", ["Basic eA=="]),
        ("form", ["Bearer"]),
        ("form", ["Bearer ..."]),
        ("form", ["Bearer a.b"]),
        ("size", [f"Bearer {'x' * (LIMITS.token_bytes + 1)}"]),
    ],
    ids=["none", "Basic", "no token", "dots", "two parts", "17 KiB"],
)
def test_what_is_no_token_is_refused(site: Site, check: str, values: list[str]) -> None:
    before = admissions(site)
    answer = run(site, *(("authorization", value) for value in values))
    assert answer.reason is Reason.TOKEN_REFUSED
    assert (last_refused(site).token_check, admissions(site)) == (check, before)


def test_a_token_of_16_kib_passes_the_door(site: Site) -> None:
    raw = token(site)
    padded = token(site, claims={"note": "x" * (3 * (LIMITS.token_bytes - len(raw)) // 4 - 20)})
    assert LIMITS.token_bytes - 40 < len(padded) <= LIMITS.token_bytes
    assert with_token(site, padded).receipt


@pytest.mark.parametrize(
    "values", [[f"Bearer {'x' * (1 << 20)}"], ["Bearer a.b.c", "Bearer a.b.c"]], ids=["1 MiB", "two"]
)
def test_the_door_takes_no_call_with_a_huge_token_or_with_two(site: Site, values: list[str]) -> None:
    before, lines = admissions(site), refusals(site)
    answer = run(site, *(("authorization", value) for value in values))
    assert answer.code is not grpc.StatusCode.OK
    assert answer.receipt is None
    assert (admissions(site), refusals(site)) == (before, lines)
    assert with_token(site, token(site)).receipt


def test_a_receipt_needs_a_token_too(site: Site, tmp_path: Path) -> None:
    job = forge(site)
    with RawWorker.of(site, metadata=(("authorization", f"Bearer {token(site)}"),)) as raw:
        assert raw.run(job.messages(job.stream(people(2))), timeout=30).receipt
    job_id = pb.JobHeader.FromString(job.header).job_id
    file = tmp_path / "token"
    with _client(site, file) as client:
        file.write_text(f"{token(site)}\n")
        assert client.get_receipt(job_id)
        file.write_text(token(site, client=OTHER))
        with pytest.raises(WorkerRefused) as refused:
            client.get_receipt(job_id)
    assert refused.value.reason is Reason.TOKEN_REFUSED
    counted = until(lambda: [each for each in events(site) if isinstance(each, CallsRefused)])[-1]
    assert (counted.reason, counted.token_check) == (Reason.TOKEN_REFUSED, "client")
    assert counted.submitter == site.files.agency.name


def _client(site: Site, file: Path) -> SyncClient:
    return SyncClient(
        site.profile.target,
        tls=site.profile.tls(),
        trust=site.simulation.trust,
        reference=site.profile.reference,
        maa_url=site.profile.maa_url,
        token=token_file(file),
    )


def test_the_client_reads_its_file_for_each_job(site: Site) -> None:
    assert site.profile.token_file is not None
    file = Path(site.profile.token_file)
    file.write_text(token(site, claims={"exp": int(time.time()) - 120}))
    with pytest.raises(WorkerRefused) as refused:
        site.run(people(2))
    assert refused.value.reason is Reason.TOKEN_REFUSED
    file.write_text(token(site))
    assert site.run(people(2)).receipt.claims.submitter == site.files.agency.name


def test_no_token_is_anywhere_on_the_disk(site: Site) -> None:
    raw = token(site)
    assert with_token(site, raw).receipt
    assert with_token(site, f"{raw}x").reason is Reason.TOKEN_REFUSED
    payload = raw.split(".")[1].encode()
    for path in site.files.folder.rglob("*"):
        if path.is_file():
            assert payload not in path.read_bytes(), path


def test_a_reload_may_take_the_application_away(site: Site) -> None:
    """Without the table a token is refused, and again without one when the table is back."""
    whole = site.files.policy.read_text()
    site.files.policy.write_text("".join(x for x in whole.splitlines(keepends=True) if not x.startswith("entra")))
    _reload(site)
    assert with_token(site, token(site)).reason is Reason.TOKEN_REFUSED
    assert last_refused(site).token_check == "unexpected"
    assert run(site).receipt
    site.files.policy.write_text(whole)
    _reload(site)
    assert run(site).reason is Reason.TOKEN_REFUSED


def _reload(site: Site) -> None:
    before = sum(isinstance(each, FilesReloaded) for each in events(site))
    os.kill(site.worker.pids["supervisor"], signal.SIGHUP)
    until(lambda: sum(isinstance(each, FilesReloaded) for each in events(site)) > before)


def test_the_keys_have_a_thread_of_their_own(site: Site) -> None:
    """Main, custody, anchor, the trail's, and this one, which a worker without `[entra]` does not have (R07)."""
    tasks = Path(f"/proc/{site.worker.pids['keyholder']}/task").iterdir()
    names = [(task / "comm").read_text().strip() for task in tasks]
    assert len([name for name in names if name != "jemalloc_bg_thd"]) == 5


def test_keys_rotate_and_the_authority_may_be_away(site: Site) -> None:
    """The last of these tests: the worker's next fetch is a minute away. A unit test has the fetch that succeeds."""
    old = token(site)
    fetches = site.simulation.entra_fetches
    site.simulation.rotate_entra_keys()
    site.simulation.fault(Service.ENTRA, Kind.DOWN)
    try:
        for _ in range(5):
            assert with_token(site, token(site)).reason is Reason.TOKEN_REFUSED
            assert last_refused(site).token_check == "kid"
        assert with_token(site, old).receipt  # the last set that was fetched is less than a day old
    finally:
        site.simulation.clear_faults()
    assert site.simulation.entra_fetches - fetches <= 1
