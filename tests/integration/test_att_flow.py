"""Evidence to key against real servers and a real software TPM on loopback."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cji_simulator.faults import Kind, Service
from cji_simulator.simulation import Cmk, Simulation
from cryptography.hazmat.primitives.serialization import load_der_private_key

from attestation import AZURE_US, AttestationError, Fault
from attestation.appraisal import ReferenceValues, appraise
from attestation.evidence import Evidence, qualifying
from attestation.evidence.tpm import Tpm
from attestation.fetch import exchange
from attestation.maa import SigningKeys
from attestation.release import Attester, KeySpec
from attestation.trust import endpoint

RECEIPT_KEY = b"r" * 32


@pytest.fixture(scope="module")
def cmk(simulation_servers: Simulation) -> Cmk:
    return simulation_servers.create_cmk("att-flow")


@pytest.fixture(autouse=True)
def _one_reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for a report that is younger than the paravisor's two seconds, where a test is not about that."""
    if "fresh_report" not in request.fixturenames:
        monkeypatch.setattr("attestation.evidence.collect.REPORT_PAUSES", (0.0,))


@pytest.fixture
def fresh_report() -> None:
    """For tests that wait as production does."""


@pytest.fixture
def attester(simulation: Simulation) -> Attester:
    return Attester(trust=simulation.trust, maa_url=simulation.maa_url, reference=ReferenceValues())


def spec(cmk: Cmk, **kw: str) -> KeySpec:
    given = {"kek_id": cmk.kek_id, "public_thumbprint": cmk.public_thumbprint, "policy_sha256": cmk.policy_sha256}
    return KeySpec(**(given | kw))


def fault_of(caught: pytest.ExceptionInfo[AttestationError]) -> tuple[Fault, str]:
    return caught.value.fault, caught.value.check


def test_evidence_to_key(simulation: Simulation, attester: Attester, cmk: Cmk, fresh_report: None) -> None:
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    assert attestation.region == simulation.region
    assert attestation.token.issuer == simulation.maa_url
    assert attestation.token.raw not in repr(attestation)
    assert dict(attestation.verdict.checks)["E02"].endswith("made for this quote")
    buffer = bytearray(4096)
    key = attester.release_into(attestation, spec(cmk), memoryview(buffer))
    private = load_der_private_key(bytes(buffer[: key.length]), None)
    assert private.public_key().key_size == 3072
    assert msgspec.json.decode(key.public_jwk)["n"] == cmk.public_jwk["n"]
    with pytest.raises(AttestationError) as caught:
        attester.release_into(attestation, spec(cmk), memoryview(buffer))
    assert fault_of(caught) == (Fault.TOKEN_INVALID, "used")


def test_f01_each_attestation_has_its_own_nonce_key_and_report(attester: Attester, fresh_report: None) -> None:
    one, two = (attester.attest(receipt_key=RECEIPT_KEY) for _ in range(2))
    assert one.nonce != two.nonce
    assert one.evidence.ephemeral != two.evidence.ephemeral
    assert one.evidence.hcl_report != two.evidence.hcl_report
    assert all(dict(each.verdict.checks)["E02"].endswith("made for this quote") for each in (one, two))


def test_quote_for_a_callers_nonce(simulation: Simulation, attester: Attester) -> None:
    nonce = os.urandom(32)
    evidence = Evidence.from_json(attester.quote(receipt_key=RECEIPT_KEY, nonce=nonce).to_json())
    import datetime

    now = datetime.datetime.now(datetime.UTC)
    bound = qualifying(RECEIPT_KEY, nonce)
    appraise(evidence, trust=simulation.trust, reference=ReferenceValues(), expected_qualifying=bound, now=now)
    with pytest.raises(AttestationError) as caught:
        appraise(evidence, trust=AZURE_US, reference=ReferenceValues(), expected_qualifying=bound, now=now)
    assert fault_of(caught) == (Fault.UNTRUSTED_ROOT, "E04")  # S03


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (Kind.EXPIRED, "T06"),
        (Kind.FUTURE, "T06"),
        (Kind.WRONG_NONCE, "T12"),
        (Kind.DEBUGGABLE, "T10"),
        (Kind.TRUSTED_LAUNCH, "T08"),
        (Kind.UNSIGNED, "T01"),
    ],
)
def test_wrong_tokens(simulation: Simulation, attester: Attester, kind: Kind, check: str) -> None:
    simulation.fault(Service.MAA, kind)
    with pytest.raises(AttestationError) as caught:
        attester.attest(receipt_key=RECEIPT_KEY)
    assert fault_of(caught) == (Fault.TOKEN_INVALID, check)


def test_a21_rolled_signing_keys(simulation: Simulation, attester: Attester) -> None:
    attester.attest(receipt_key=RECEIPT_KEY)
    simulation.rotate_signing_keys()
    with pytest.raises(AttestationError) as caught:
        attester.attest(receipt_key=RECEIPT_KEY)  # within the cool-down
    assert fault_of(caught) == (Fault.TOKEN_INVALID, "T03")
    Attester(trust=simulation.trust, maa_url=simulation.maa_url, reference=ReferenceValues()).attest(
        receipt_key=RECEIPT_KEY
    )


def test_maa_comes_back_after_one_failure(simulation: Simulation, attester: Attester) -> None:
    simulation.fault(Service.MAA, Kind.STATUS, status=503, times=1)
    attester.attest(receipt_key=RECEIPT_KEY)


def test_maa_is_away(simulation: Simulation, attester: Attester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attestation.release.flow.MAA_PAUSE", 0.01)
    for kind in (Kind.DOWN, Kind.STATUS):
        simulation.fault(Service.MAA, kind)
        with pytest.raises(AttestationError) as caught:
            attester.attest(receipt_key=RECEIPT_KEY)
        assert caught.value.fault is Fault.MAA_UNAVAILABLE
        simulation.clear_faults()


def test_signing_keys_are_away(simulation: Simulation) -> None:
    issuer = endpoint(simulation.maa_url, simulation.trust.maa_hosts, resource="", check="maa-url")
    keys = SigningKeys(issuer=issuer, trust=simulation.trust)
    for kind in (Kind.STATUS, Kind.DOWN):
        simulation.fault(Service.MAA, kind)
        with pytest.raises(AttestationError) as caught:
            keys.get("any")
        assert fault_of(caught) == (Fault.MAA_UNAVAILABLE, "jwks")
        simulation.clear_faults()
    with pytest.raises(AttestationError) as caught:
        keys.get("any")
    assert fault_of(caught) == (Fault.TOKEN_INVALID, "T03")


def test_imds_is_away(simulation: Simulation, attester: Attester, cmk: Cmk, monkeypatch: pytest.MonkeyPatch) -> None:
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    monkeypatch.setattr("attestation.evidence.imds.TOTAL_SECONDS", 0.1)
    monkeypatch.setattr("attestation.release.vault.IDENTITY_PAUSE", 0.01)
    simulation.fault(Service.IMDS, Kind.STATUS, status=500)
    with pytest.raises(AttestationError) as caught:
        attester.attest(receipt_key=RECEIPT_KEY)
    assert caught.value.fault is Fault.EVIDENCE_UNAVAILABLE
    with pytest.raises(AttestationError) as caught:
        attester.release_into(attestation, spec(cmk), memoryview(bytearray(4096)))
    assert fault_of(caught) == (Fault.IDENTITY_UNAVAILABLE, "imds-identity")


def test_vault_answers(simulation: Simulation, attester: Attester, cmk: Cmk) -> None:
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    buffer = bytearray(4096)

    def refused(fault: Fault, check: str) -> AttestationError:
        with pytest.raises(AttestationError) as caught:
            attester.release_into(attestation, spec(cmk), memoryview(buffer))
        simulation.clear_faults()
        assert fault_of(caught) == (fault, check)
        assert not any(buffer)
        return caught.value

    simulation.fault(Service.VAULT, Kind.FORBIDDEN)
    refused(Fault.RELEASE_DENIED, "vault-403-ForbiddenByRbac")
    simulation.fault(Service.VAULT, Kind.STATUS, status=429, seconds=7)
    assert refused(Fault.RELEASE_THROTTLED, "vault-429").retry_after == 7
    simulation.fault(Service.VAULT, Kind.STATUS, status=503)
    refused(Fault.RELEASE_UNAVAILABLE, "vault-503")
    simulation.fault(Service.VAULT, Kind.DOWN)
    refused(Fault.RELEASE_UNAVAILABLE, "vault")
    simulation.fault(Service.VAULT, Kind.MALFORMED)
    refused(Fault.RELEASE_UNAVAILABLE, "vault-200")
    simulation.fault(Service.VAULT, Kind.REPLACED_STATEMENT)
    refused(Fault.RELEASE_INVALID, "S05")
    simulation.enable_cmk(cmk, enabled=False)
    refused(Fault.RELEASE_DENIED, "vault-403-KeyDisabled")
    simulation.enable_cmk(cmk, enabled=True)
    key = attester.release_into(attestation, spec(cmk), memoryview(buffer))  # a refusal uses nothing up
    assert key.length > 0


def test_policy_of_the_key(simulation: Simulation, attester: Attester) -> None:
    policy = simulation.release_policy()
    strict = {"claim": "x-ms-azurevm-vmid", "equals": "another machine"}
    policy["anyOf"][0]["allOf"].append(strict)
    cmk = simulation.create_cmk("att-strict", policy=policy)
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    with pytest.raises(AttestationError) as caught:
        attester.release_into(attestation, spec(cmk), memoryview(bytearray(4096)))
    assert fault_of(caught) == (Fault.RELEASE_DENIED, "vault-403-AccessDenied")
    cmk = simulation.set_policy("att-strict", simulation.release_policy())
    with pytest.raises(AttestationError) as caught:
        attester.release_into(attestation, spec(cmk, policy_sha256="00" * 32), memoryview(bytearray(4096)))
    assert fault_of(caught) == (Fault.RELEASE_INVALID, "S09")


def test_k03_pinned_public_key(simulation: Simulation, attester: Attester, cmk: Cmk) -> None:
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    other = simulation.rotate_cmk("att-flow")
    wrong = spec(cmk, public_thumbprint=other.public_thumbprint)
    with pytest.raises(AttestationError) as caught:
        attester.release_into(attestation, wrong, memoryview(bytearray(4096)))
    assert fault_of(caught) == (Fault.RELEASE_INVALID, "S08")


def test_k04_no_socket_for_a_foreign_vault(
    simulation: Simulation, attester: Attester, cmk: Cmk, monkeypatch: pytest.MonkeyPatch
) -> None:
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    opened: list[object] = []
    foreign = spec(cmk, kek_id="https://evil.vault.azure.net/keys/cji-kek/0123456789abcdef0123456789abcdef")
    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", lambda *a, **k: opened.append(a))
        with pytest.raises(AttestationError) as caught:
            attester.release_into(attestation, foreign, memoryview(bytearray(4096)))
    assert fault_of(caught) == (Fault.CONFIG_INVALID, "kek-host")
    assert not opened


def test_f03_old_attestation(simulation: Simulation, cmk: Cmk) -> None:
    import time

    ahead = [0.0]
    attester = Attester(
        trust=simulation.trust,
        maa_url=simulation.maa_url,
        reference=ReferenceValues(),
        clock=lambda: time.time() + ahead[0],
    )
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    for shift in (601.0, -3600.0):
        ahead[0] = shift
        with pytest.raises(AttestationError) as caught:
            attester.release_into(attestation, spec(cmk), memoryview(bytearray(4096)))
        assert fault_of(caught) == (Fault.TOKEN_INVALID, "age")


def test_s02_no_device(simulation: Simulation) -> None:
    trust = msgspec.structs.replace(simulation.trust, tcti="device:/nonexistent/tpm")
    attester = Attester(trust=trust, maa_url=simulation.maa_url, reference=ReferenceValues())
    with pytest.raises(AttestationError) as caught:
        attester.attest(receipt_key=RECEIPT_KEY)
    assert fault_of(caught) == (Fault.EVIDENCE_UNAVAILABLE, "tpm-open")


def test_r02_identity_is_not_taken_from_the_environment(
    simulation: Simulation, attester: Attester, cmk: Cmk, monkeypatch: pytest.MonkeyPatch
) -> None:
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    for name in (
        "IDENTITY_ENDPOINT",
        "MSI_ENDPOINT",
        "AZURE_FEDERATED_TOKEN_FILE",
        "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, "http://127.0.0.1:9")
            with pytest.raises(AttestationError) as caught:
                attester.release_into(attestation, spec(cmk), memoryview(bytearray(4096)))
            assert fault_of(caught) == (Fault.CONFIG_INVALID, "identity-environment")
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    attester.release_into(attestation, spec(cmk), memoryview(bytearray(4096)))


def test_r02_tls_roots_are_the_trusts(
    simulation: Simulation, attester: Attester, cmk: Cmk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("attestation.release.flow.MAA_PAUSE", 0.01)
    roots = tmp_path / "roots.pem"
    roots.write_text(simulation.trust.tls_roots or "")
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(roots))
    trust = msgspec.structs.replace(simulation.trust, tls_roots=None)
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    elsewhere = Attester(trust=trust, maa_url=simulation.maa_url, reference=ReferenceValues())
    with pytest.raises(AttestationError) as caught:
        elsewhere.attest(receipt_key=RECEIPT_KEY)
    assert fault_of(caught) == (Fault.MAA_UNAVAILABLE, "maa")
    with pytest.raises(AttestationError) as caught:
        elsewhere.release_into(attestation, spec(cmk), memoryview(bytearray(4096)))
    assert fault_of(caught) == (Fault.RELEASE_UNAVAILABLE, "vault")


def test_changed_pcr_means_attest_again(simulation: Simulation, attester: Attester, cmk: Cmk) -> None:
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    _extend_pcr(simulation.trust.tcti)
    with pytest.raises(AttestationError) as caught:
        attester.release_into(attestation, spec(cmk), memoryview(bytearray(4096)))
    assert fault_of(caught) == (Fault.EVIDENCE_INVALID, "pcr-changed")
    attester.release_into(attester.attest(receipt_key=RECEIPT_KEY), spec(cmk), memoryview(bytearray(4096)))


def _extend_pcr(tcti: str) -> None:
    from tpm2_pytss import ESAPI
    from tpm2_pytss.constants import ESYS_TR, TPM2_ALG
    from tpm2_pytss.types import TPML_DIGEST_VALUES, TPMT_HA, TPMU_HA

    with ESAPI(tcti) as esapi:
        esapi.pcr_extend(
            ESYS_TR.PCR7, TPML_DIGEST_VALUES([TPMT_HA(hashAlg=TPM2_ALG.SHA256, digest=TPMU_HA(sha256=os.urandom(32)))])
        )


def test_no_transient_object_is_left(simulation: Simulation, attester: Attester) -> None:
    """A software TPM has three slots: a leak shows at once."""
    for _ in range(5):
        attester.quote(receipt_key=RECEIPT_KEY, nonce=os.urandom(32))
    with Tpm(simulation.trust.tcti) as tpm:
        for _ in range(5):
            with pytest.raises(AttestationError):
                tpm.rsa_decrypt(b"x" * 256, padding="oaep-sha256", salt=b"s", pcrs=(bytes(32),) * 8, public=b"")
        with pytest.raises(AttestationError):
            tpm.quote(bytes(51))


@pytest.fixture
def dripping() -> Iterator[int]:
    """A server that accepts, and then sends one byte of a header now and then."""
    stop = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        client, _ = server.accept()
        with client:
            while not stop.wait(0.05):
                try:
                    client.sendall(b"H")
                except OSError:
                    return

    thread = threading.Thread(target=serve)
    thread.start()
    yield server.getsockname()[1]
    stop.set()
    thread.join()
    server.close()


def test_a_dripping_server_gets_no_more_time(dripping: int) -> None:
    url = f"http://127.0.0.1:{dripping}"
    with pytest.raises(AttestationError) as caught:
        exchange(
            endpoint(url, (url,), resource="", check="x"),
            method="GET",
            path="/",
            headers={},
            body=None,
            roots=None,
            limit=100,
            seconds=0.3,
            fault=Fault.MAA_UNAVAILABLE,
            check="x",
        )
    assert isinstance(caught.value.__cause__, TimeoutError)
