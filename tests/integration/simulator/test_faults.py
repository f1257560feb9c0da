"""Every fault that can be ordered, and what the worker's own code makes of it: a Fault and a check, or a key."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cji_attestation import AttestationError, Fault
from cji_attestation.appraisal.crl import read_published
from cji_attestation.evidence import Evidence, maa_nonce, qualifying_data, root_of
from cji_attestation.evidence.kds import fetch_crl
from cji_attestation.maa import guest_request, send_request
from cji_attestation.release import Attester
from cji_attestation.trust import endpoint
from cji_simulator import Kind, Service, Simulation, SimulationError, measured_boot
from cji_simulator.cli import main
from cji_simulator.faults import CATALOGUE, EVENTS, Event
from cji_simulator.faults import Fault as Order
from cji_simulator.simulation import Cmk
from cji_worker.keyholder.entra import KeySets
from tests.support.refusals import rejected
from tests.support.simulations import simulated

RECEIPT_KEY = b"r" * 32
MAA, VAULT, IMDS, TPM, INTEL = Service.MAA, Service.VAULT, Service.IMDS, Service.TPM, Service.INTEL
AMD, ENTRA = Service.AMD, Service.ENTRA
TENANT = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
THIM, IDENTITY = "/metadata/THIM/", "/metadata/identity/"


@pytest.fixture(scope="module")
def cmk(simulation_servers: Simulation) -> Cmk:
    return simulation_servers.create_cmk("sim-faults")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries as in production, without their pauses."""
    monkeypatch.setenv("TSS2_LOG", "all+NONE")
    monkeypatch.setattr("cji_attestation.evidence.collect.REPORT_PAUSES", (0.0,))
    monkeypatch.setattr("cji_attestation.release.flow.MAA_PAUSE", 0.01)
    monkeypatch.setattr("cji_attestation.release.vault.IDENTITY_PAUSE", 0.01)
    monkeypatch.setattr("cji_attestation.evidence.tpm_response.PAUSE", 0.001)


@pytest.fixture
def attester(simulation: Simulation) -> Attester:
    return simulation.attester()


def outcome(attester: Attester, cmk: Cmk) -> tuple[Fault, str] | None:
    """The whole way from evidence to key: where it ended, or None when there is a key."""
    try:
        attester.release_into(attester.attest(receipt_key=RECEIPT_KEY), cmk.spec, memoryview(bytearray(4096)))
    except AttestationError as error:
        return error.fault, error.check
    return None


def row(service: Service, kind: Kind, ends: tuple[Fault, str] | None, **options: Any) -> Any:
    order = Order(service=service, kind=kind, **options)
    words = [service, kind, str(options.get("status", "")), options.get("path", ""), str(options.get("times", ""))]
    return pytest.param(order, ends, id="-".join(word.strip("/") for word in words if word))


TABLE = [
    row(MAA, Kind.STATUS, (Fault.MAA_UNAVAILABLE, "maa-503")),
    row(MAA, Kind.STATUS, (Fault.MAA_UNAVAILABLE, "maa-429"), status=429, seconds=1),
    row(MAA, Kind.STATUS, (Fault.MAA_REFUSED, "maa-400"), status=400),
    row(MAA, Kind.STATUS, None, times=2),
    row(MAA, Kind.STATUS, (Fault.MAA_UNAVAILABLE, "jwks"), path="/certs"),
    row(MAA, Kind.SLOW, None, seconds=0.2),
    row(MAA, Kind.DOWN, (Fault.MAA_UNAVAILABLE, "maa")),
    row(MAA, Kind.MALFORMED, (Fault.TOKEN_INVALID, "maa-reply"), path="/attest/"),
    row(MAA, Kind.MALFORMED, (Fault.TOKEN_INVALID, "T03"), path="/certs"),
    row(MAA, Kind.EXPIRED, (Fault.TOKEN_INVALID, "T06")),
    row(MAA, Kind.FUTURE, (Fault.TOKEN_INVALID, "T06")),
    row(MAA, Kind.WRONG_NONCE, (Fault.TOKEN_INVALID, "T12")),
    row(MAA, Kind.DEBUGGABLE, (Fault.TOKEN_INVALID, "T10")),
    row(MAA, Kind.TRUSTED_LAUNCH, (Fault.TOKEN_INVALID, "T08")),
    row(MAA, Kind.OTHER_ISSUER, (Fault.TOKEN_INVALID, "T05")),
    row(MAA, Kind.UNSIGNED, (Fault.TOKEN_INVALID, "T01")),
    row(MAA, Kind.HS256, (Fault.TOKEN_INVALID, "T02")),
    row(MAA, Kind.WRONG_JKU, (Fault.TOKEN_INVALID, "T04")),
    row(VAULT, Kind.STATUS, (Fault.RELEASE_THROTTLED, "vault-429"), status=429, seconds=3),
    row(VAULT, Kind.STATUS, (Fault.RELEASE_UNAVAILABLE, "vault-503"), path="/release"),
    row(VAULT, Kind.STATUS, (Fault.RELEASE_DENIED, "vault-404"), status=404),
    row(VAULT, Kind.SLOW, None, seconds=0.2),
    row(VAULT, Kind.DOWN, (Fault.RELEASE_UNAVAILABLE, "vault")),
    row(VAULT, Kind.MALFORMED, (Fault.RELEASE_UNAVAILABLE, "vault-200")),
    row(VAULT, Kind.FORBIDDEN, (Fault.RELEASE_DENIED, "vault-403-ForbiddenByRbac")),
    row(VAULT, Kind.REPLACED_STATEMENT, (Fault.RELEASE_INVALID, "S05")),
    row(IMDS, Kind.STATUS, (Fault.EVIDENCE_UNAVAILABLE, "imds-thim"), status=404, path=THIM),
    row(IMDS, Kind.STATUS, (Fault.EVIDENCE_UNAVAILABLE, "imds-thim"), status=400, path=THIM),
    row(IMDS, Kind.STATUS, None, status=410, path=THIM, times=1),
    row(IMDS, Kind.STATUS, None, status=429, path=THIM, times=1),
    row(IMDS, Kind.STATUS, (Fault.IDENTITY_UNAVAILABLE, "imds-identity"), status=500, path=IDENTITY),
    row(IMDS, Kind.SLOW, None, seconds=0.2),
    row(IMDS, Kind.DOWN, (Fault.EVIDENCE_UNAVAILABLE, "imds-location")),
    row(IMDS, Kind.MALFORMED, (Fault.EVIDENCE_UNAVAILABLE, "imds-location")),
    row(IMDS, Kind.WRONG_TCBM, (Fault.EVIDENCE_UNAVAILABLE, "imds-thim-tcb")),
    row(IMDS, Kind.SEVERAL_IDENTITIES, (Fault.IDENTITY_UNAVAILABLE, "imds-identity")),
    row(IMDS, Kind.ELSEWHERE, (Fault.POLICY_MISMATCH, "region")),
    row(TPM, Kind.RETRY, (Fault.EVIDENCE_UNAVAILABLE, "nv-01400002")),
    row(TPM, Kind.RETRY, None, times=12),
    row(TPM, Kind.YIELDED, None, times=12),
    row(TPM, Kind.OBJECT_MEMORY, (Fault.EVIDENCE_UNAVAILABLE, "ephemeral-key")),
    row(TPM, Kind.NOT_CONFIDENTIAL, (Fault.NOT_CONFIDENTIAL, "hcl-report")),
    row(TPM, Kind.AK_CERTIFICATE_PENDING, (Fault.EVIDENCE_UNAVAILABLE, "ak-cert-pending")),
    row(TPM, Kind.BOOT_REPORT, None),
]


@pytest.mark.parametrize(("order", "ends"), TABLE)
def test_what_the_worker_makes_of_it(
    simulation: Simulation,
    attester: Attester,
    cmk: Cmk,
    monkeypatch: pytest.MonkeyPatch,
    order: Order,
    ends: tuple[Fault, str] | None,
) -> None:
    if ends is not None:
        monkeypatch.setattr("cji_attestation.evidence.imds.TOTAL_SECONDS", 0.1)
    fields = {name: getattr(order, name) for name in ("status", "seconds", "path", "times")}
    simulation.fault(order.service, order.kind, **fields)
    assert outcome(attester, cmk) == ends
    assert [one.times for one in simulation.faults()] == ([] if order.times else [None])  # it struck as often as told


def test_the_table_has_every_fault() -> None:
    rows = (*TABLE, *TDX_TABLE, *AMD_TABLE, *ENTRA_TABLE)
    tried = {(order.service, order.kind) for order in (given.values[0] for given in rows)}
    assert tried == {(service, kind) for kind, entry in CATALOGUE.items() for service in entry.services}


TDX_TABLE = [
    row(INTEL, Kind.STATUS, (Fault.EVIDENCE_UNAVAILABLE, "pcs-tcb"), path="/tcb"),
    row(INTEL, Kind.STATUS, None, status=429, seconds=1, times=1),
    row(INTEL, Kind.SLOW, None, seconds=0.2),
    row(INTEL, Kind.DOWN, (Fault.EVIDENCE_UNAVAILABLE, "pcs-tcb")),
    row(INTEL, Kind.MALFORMED, (Fault.EVIDENCE_UNAVAILABLE, "pcs-tcb"), path="/tcb"),
    row(IMDS, Kind.STATUS, (Fault.EVIDENCE_UNAVAILABLE, "imds-tdquote"), status=404, path="/acc/tdquote"),
    row(MAA, Kind.DEBUGGABLE, (Fault.TOKEN_INVALID, "T10")),
    row(TPM, Kind.BOOT_REPORT, None),
]


AMD_TABLE = [
    row(AMD, Kind.STATUS, (Fault.EVIDENCE_UNAVAILABLE, "amd-kds")),
    row(AMD, Kind.STATUS, None, status=429, seconds=1, times=1),
    row(AMD, Kind.SLOW, None, seconds=0.2),
    row(AMD, Kind.DOWN, (Fault.EVIDENCE_UNAVAILABLE, "amd-kds")),
    row(AMD, Kind.MALFORMED, (Fault.EVIDENCE_INVALID, "not a CRL"), path="/crl"),
]


ENTRA_TABLE = [
    row(ENTRA, Kind.STATUS, (Fault.KEYS_UNAVAILABLE, "entra-keys")),
    row(ENTRA, Kind.SLOW, None, seconds=0.2),
    row(ENTRA, Kind.DOWN, (Fault.KEYS_UNAVAILABLE, "entra-keys")),
    row(ENTRA, Kind.MALFORMED, (Fault.KEYS_UNAVAILABLE, "entra-keys"), path="/discovery/"),
]


@pytest.mark.parametrize(("order", "ends"), ENTRA_TABLE)
def test_what_a_worker_that_needs_tokens_makes_of_it(
    simulation: Simulation, order: Order, ends: tuple[Fault, str] | None
) -> None:
    fields = {name: getattr(order, name) for name in ("status", "seconds", "path", "times")}
    simulation.fault(order.service, order.kind, **fields)
    found: tuple[Fault, str] | None = None
    try:
        assert KeySets(simulation.trust).fetch(TENANT)
    except AttestationError as error:
        found = error.fault, error.check
    assert found == ends


@pytest.mark.parametrize(("order", "ends"), AMD_TABLE)
def test_what_an_operator_who_fetches_makes_of_it(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch, order: Order, ends: tuple[Fault, str] | None
) -> None:
    if ends is not None:
        monkeypatch.setattr("cji_attestation.evidence.kds.TOTAL_SECONDS", 0.1)
    fields = {name: getattr(order, name) for name in ("status", "seconds", "path", "times")}
    simulation.fault(order.service, order.kind, **fields)
    found: tuple[Fault, str] | None = None
    try:
        got = fetch_crl(simulation.trust, "Genoa")
        read_published(got.chain, got.crl, product="Genoa", roots=simulation.trust.amd_roots)
    except AttestationError as error:
        found = error.fault, error.check
    except ValueError as error:
        found = Fault.EVIDENCE_INVALID, str(error)
    assert found == ends


@pytest.fixture(scope="module")
def tdx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    with simulated(tmp_path_factory.mktemp("tdx"), report_period=0, tee="tdx") as running:
        yield running


@pytest.mark.parametrize(("order", "ends"), TDX_TABLE)
def test_what_a_worker_on_tdx_makes_of_it(
    tdx: Simulation, monkeypatch: pytest.MonkeyPatch, order: Order, ends: tuple[Fault, str] | None
) -> None:
    if ends is not None:
        monkeypatch.setattr("cji_attestation.evidence.imds.TOTAL_SECONDS", 0.1)
        monkeypatch.setattr("cji_attestation.evidence.pcs.TOTAL_SECONDS", 0.1)
    fields = {name: getattr(order, name) for name in ("status", "seconds", "path", "times")}
    tdx.fault(order.service, order.kind, **fields)
    attester = tdx.attester()
    found: tuple[Fault, str] | None = None
    try:
        attester.attest(receipt_key=RECEIPT_KEY)
    except AttestationError as error:
        found = error.fault, error.check
    finally:
        tdx.clear_faults()
    assert found == ends


def test_all_is_well_after_clearing(simulation: Simulation, attester: Attester, cmk: Cmk) -> None:
    for service, kind in ((MAA, Kind.DOWN), (VAULT, Kind.DOWN), (IMDS, Kind.DOWN), (TPM, Kind.RETRY)):
        simulation.fault(service, kind)
    assert outcome(attester, cmk) is not None
    simulation.clear_faults()
    assert simulation.faults() == []
    assert outcome(attester, cmk) is None


def test_a_boot_report_is_of_the_boot_and_no_newer(simulation: Simulation, attester: Attester) -> None:
    simulation.fault(TPM, Kind.BOOT_REPORT)
    one, two = (attester.attest(receipt_key=RECEIPT_KEY) for _ in range(2))
    assert one.evidence.hcl_report == two.evidence.hcl_report
    assert dict(one.verdict.checks)["E02"].endswith("made at boot")
    simulation.clear_faults()
    assert dict(attester.attest(receipt_key=RECEIPT_KEY).verdict.checks)["E02"].endswith("made for this quote")


@pytest.mark.parametrize(
    ("service", "kind", "options"),
    [
        (TPM, Kind.SLOW, {"seconds": 1.0}),
        (VAULT, Kind.EXPIRED, {}),
        (MAA, Kind.EXPIRED, {"status": 500}),
        (MAA, Kind.EXPIRED, {"path": "/certs"}),
        (MAA, Kind.SLOW, {}),
        (MAA, Kind.SLOW, {"seconds": -1.0}),
        (MAA, Kind.STATUS, {"status": 200}),
        (MAA, Kind.DOWN, {"times": 0}),
        (MAA, Kind.DOWN, {"times": -1}),
    ],
)
def test_orders_that_make_no_sense(
    simulation: Simulation, service: Service, kind: Kind, options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"has no fault|takes no|needs|positive"):
        simulation.fault(service, kind, **options)
    assert simulation.faults() == []


def test_control_refuses_what_it_does_not_know(simulation: Simulation) -> None:
    for method, path, body in (
        ("POST", "/faults", b'{"service":"tpm","kind":"expired"}'),
        ("POST", "/faults", b'{"service":"maa","kind":"expired","more":1}'),
        ("POST", "/events/explode", b""),
        ("POST", "/events/extend-pcr", b'{"pcr":24}'),
    ):
        with pytest.raises(SimulationError, match="400"):
            simulation._control(method, path, body)


@pytest.fixture(scope="module")
def own_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    """For what cannot be undone."""
    with simulated(tmp_path_factory.mktemp("own"), release_limit=1000, report_period=0) as running:
        yield running


class TestEvents:
    """What happens once, to servers that no other test uses."""

    @pytest.fixture
    def simulation(self, own_servers: Simulation) -> Simulation:
        own_servers.reboot()
        return own_servers

    @pytest.fixture
    def cmk(self, own_servers: Simulation) -> Cmk:
        return own_servers.create_cmk("sim-faults")

    def released_after(self, simulation: Simulation, attester: Attester, cmk: Cmk, event: Callable[[], None]) -> object:
        """Attest, let something happen, and then ask for the key with what was attested before."""
        attestation = attester.attest(receipt_key=RECEIPT_KEY)
        event()
        try:
            attester.release_into(attestation, cmk.spec, memoryview(bytearray(4096)))
        except AttestationError as error:
            return error.fault, error.check
        return None

    def test_reboot(self, simulation: Simulation, attester: Attester, cmk: Cmk) -> None:
        """The ephemeral key dies with the NULL seed, and so does every process: one that goes on sees another TPM."""
        ends = self.released_after(simulation, attester, cmk, simulation.reboot)
        assert ends == (Fault.EVIDENCE_INVALID, "ephemeral-key")
        assert outcome(attester, cmk) == (Fault.EVIDENCE_INVALID, "E35")
        new = simulation.attester()
        assert outcome(new, cmk) is None

    def test_extend_pcr(self, simulation: Simulation, attester: Attester, cmk: Cmk) -> None:
        """Not one of the firmware's, whose log would no longer lead to the quoted values."""
        ends = self.released_after(simulation, attester, cmk, lambda: simulation.extend_pcr(13))
        assert ends == (Fault.EVIDENCE_INVALID, "pcr-changed")
        assert outcome(attester, cmk) is None

    def test_extend_a_pcr_that_no_boot_uses(self, simulation: Simulation, attester: Attester, cmk: Cmk) -> None:
        assert self.released_after(simulation, attester, cmk, lambda: simulation.extend_pcr(16)) is None

    def test_update_host(self, simulation: Simulation, attester: Attester, cmk: Cmk) -> None:
        """The certificates of the old TCB are not used with the report of the new one."""
        before = attester.attest(receipt_key=RECEIPT_KEY)
        attester.release_into(before, cmk.spec, memoryview(bytearray(4096)))
        simulation.update_host()
        after = attester.quote(receipt_key=RECEIPT_KEY, root=root_of(bytes(32)))  # this one remembers the certificates
        assert after.certs != before.evidence.certs
        assert outcome(attester, cmk) is None

    def test_rotate_signing_keys(self, simulation: Simulation, attester: Attester, cmk: Cmk) -> None:
        """The vault fetches the keys anew, so a token that the rolled key signed is worth nothing there."""
        ends = self.released_after(simulation, attester, cmk, simulation.rotate_signing_keys)
        assert ends == (Fault.RELEASE_DENIED, "vault-403-unverified")

    def test_rotate_entra_keys(self, simulation: Simulation, attester: Attester, cmk: Cmk) -> None:
        """Keys of tenants have no part in attestation."""
        before = KeySets(simulation.trust).fetch(TENANT)
        assert self.released_after(simulation, attester, cmk, simulation.rotate_entra_keys) is None
        assert not before.keys() & KeySets(simulation.trust).fetch(TENANT).keys()

    def test_revoked_key(self, simulation: Simulation, attester: Attester, cmk: Cmk) -> None:
        ends = self.released_after(simulation, attester, cmk, lambda: simulation.enable_cmk(cmk, enabled=False))
        assert ends == (Fault.RELEASE_DENIED, "vault-403-KeyDisabled")
        simulation.enable_cmk(cmk, enabled=True)
        assert outcome(attester, cmk) is None

    def test_every_event_is_tried(self) -> None:
        assert {f"test_{event.replace('-', '_')}" for event in Event} <= set(dir(self))
        assert set(EVENTS) == set(Event)


def command(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def test_the_command_line_gives_every_order(simulation: Simulation) -> None:
    """The examples that its help shows are run as they stand."""
    state = str(simulation.state)
    for kind, entry in CATALOGUE.items():
        assert entry.example in command("fault", "set", "--help").output
        assert command("fault", "set", *entry.example.split(), "--state", state).exit_code == 0
        (order,) = simulation.faults()
        assert order.kind is kind
        assert command("fault", "clear", "--state", state).exit_code == 0
        assert simulation.faults() == []


def test_the_command_line_lists_what_is_in_force(simulation: Simulation) -> None:
    state = str(simulation.state)
    simulation.fault(VAULT, Kind.STATUS, status=429, seconds=5, times=3, path="/release")
    listed = command("fault", "list", "--state", state).output
    (line,) = [line for line in listed.splitlines() if "429" in line]
    assert line.split()[:2] == ["vault", "status"]
    assert line.rstrip().endswith("status 429, 5 s, /release, 3 more")
    assert all(kind in listed for kind in Kind)
    shown = command("status", "--state", state).output
    assert simulation.vault_url in shown
    assert CATALOGUE[Kind.STATUS].does in shown


def test_the_command_line_lets_events_happen(own_servers: Simulation) -> None:
    state, before = str(own_servers.state), own_servers.create_cmk("cli")
    own_servers.reboot()
    attester = own_servers.attester()

    def ends(*arguments: str) -> str | None:
        """Where a release ends when this happened after the attestation that it is asked with."""
        attestation = attester.attest(receipt_key=RECEIPT_KEY)
        done = command("fault", *arguments, "--state", state)
        assert done.exit_code == 0, done.output
        try:
            attester.release_into(attestation, before.spec, memoryview(bytearray(4096)))
        except AttestationError as error:
            return error.check
        return None

    assert ends(Event.EXTEND_PCR, "--pcr", "13") == "pcr-changed"
    assert ends(Event.ROTATE_SIGNING_KEYS) == "vault-403-unverified"
    own_servers.reboot()  # PCR 13 is as it was
    attester = own_servers.attester()
    assert ends(Event.REBOOT) == "ephemeral-key"
    attester = own_servers.attester()
    assert ends("disable-key", "--key", "cli") == "vault-403-KeyDisabled"
    assert ends("enable-key", "--key", "cli") is None
    assert ends("change-policy", "--key", "cli") == "vault-403-policy"
    tcb = attester.attest(receipt_key=RECEIPT_KEY).verdict.tcb
    assert command("fault", Event.UPDATE_HOST, "--state", state).exit_code == 0
    assert attester.attest(receipt_key=RECEIPT_KEY).verdict.tcb != tcb
    rotated = command("fault", "rotate-key", "--key", "cli", "--state", state)
    assert rotated.output.strip() == own_servers.cmk("cli").kek_id != before.kek_id


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("set", "maa", "slow"), "slow needs seconds"),
        (("set", "tpm", "down"), "tpm has no fault down"),
        (("set", "maa", "slow", "--retry-after", "5"), "--retry-after is for"),
        (("set", "vault", "explode"), "is not one of"),
        (("disable-key", "--key", "nobody"), "was not found"),
    ],
)
def test_the_command_line_explains_refusals(simulation: Simulation, arguments: tuple[str, ...], says: str) -> None:
    done = command("fault", *arguments, "--state", str(simulation.state))
    assert done.exit_code != 0
    assert says in done.output


def test_the_command_line_without_a_simulation(tmp_path: Path) -> None:
    for arguments in (("fault", "list"), ("status",)):
        done = command(*arguments, "--state", str(tmp_path))
        assert done.exit_code == 1
        assert "no simulation runs" in done.output


def collected(simulation: Simulation) -> tuple[Evidence, str]:
    bound = qualifying_data(RECEIPT_KEY, bytes(32))
    return simulation.collect(bound), maa_nonce(bound)


def test_a_boot_log_is_replayed(simulation: Simulation) -> None:
    """The log of this boot is taken, and any other is refused: a missing event, a changed one, another order."""
    simulation.reboot()  # what other tests extended is gone
    evidence, nonce = collected(simulation)
    provider = endpoint(simulation.maa_url, simulation.trust.maa_hosts, resource="", check="maa-url")
    log = Path(simulation.trust.firmware_log).read_bytes()

    def send(data: bytes) -> None:
        send_request(guest_request(evidence, nonce=nonce, log=data), provider=provider, trust=simulation.trust)

    boot = measured_boot.BOOT
    send(log)
    send(b"")
    for wrong in (
        measured_boot.encode(boot[:-1]),
        measured_boot.encode([one for one in boot if one.pcr != 2]),
        measured_boot.encode((boot[1], boot[0], *boot[3:], boot[2])),
        log[:-1],
        log.replace("BootOrder".encode("utf-16-le"), "BootOther".encode("utf-16-le")),
        log.replace(boot[-1].digest, bytes(32)),
        bytes(64),
    ):
        with rejected("maa-400", fault=Fault.MAA_REFUSED):
            send(wrong)


def test_the_second_provider_is_told_apart_by_its_name_only(simulation: Simulation, cmk: Cmk) -> None:
    """Real providers share signing keys across regions, so a signature tells nothing about whose policy was applied."""
    import msgspec

    other = simulation.endpoints.other_maa_url
    trust = msgspec.structs.replace(simulation.trust, maa_hosts=(other.removeprefix("https://"),))
    attester = simulation.attester(trust=trust, maa_url=other)
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    assert attestation.token.issuer == other
    with rejected(fault=Fault.RELEASE_DENIED):  # the key's policy names the first provider
        attester.release_into(attestation, cmk.spec, memoryview(bytearray(4096)))
