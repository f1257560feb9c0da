"""Evidence to key against real servers and a real software TPM on loopback."""

import fcntl
import json
import logging
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from cji_attestation import AZURE_US, AttestationError, Fault, Trust
from cji_attestation.appraisal import ReferenceValues, appraise
from cji_attestation.evidence import Evidence, qualifying_data, root_of
from cji_attestation.evidence.boot_logs import open_logs
from cji_attestation.evidence.event_log import start_event
from cji_attestation.evidence.tpm import Tpm
from cji_attestation.fetch import exchange
from cji_attestation.maa import SigningKeys
from cji_attestation.release import Attestation, Attester, KeySpec
from cji_attestation.release.keyspec import locate
from cji_attestation.release.statement import verify_statement
from cji_attestation.release.vault import Vault
from cji_attestation.trust import endpoint
from cji_core.https import ExchangeError
from cji_simulator import jws
from cji_simulator.encoding import b64url, unb64url
from cji_simulator.faults import Kind, Service
from cji_simulator.simulation import Cmk, Simulation, SimulationError
from tests.support.refusals import rejected

RECEIPT_KEY = b"r" * 32


@pytest.fixture(scope="module")
def cmk(simulation_servers: Simulation) -> Cmk:
    return simulation_servers.create_cmk("att-flow")


@pytest.fixture(autouse=True)
def _one_reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for a report that is younger than the paravisor's two seconds, where a test is not about that."""
    if "fresh_report" not in request.fixturenames:
        monkeypatch.setattr("cji_attestation.evidence.collect.REPORT_PAUSES", (0.0,))


@pytest.fixture
def fresh_report() -> None:
    """For tests that wait as production does."""


@pytest.fixture
def attester(simulation: Simulation) -> Attester:
    return simulation.attester()


def spec(cmk: Cmk, **kw: Any) -> KeySpec:
    return msgspec.structs.replace(cmk.spec, **kw)


def refused(attester: Attester, attestation: Attestation, key: KeySpec) -> AttestationError:
    """The error of a release, which left nothing in the buffer."""
    buffer = bytearray(4096)
    with rejected() as caught:
        attester.release_into(attestation, key, memoryview(buffer))
    assert not any(buffer)
    return caught.value


def told(error: AttestationError) -> tuple[Fault, str]:
    return error.fault, error.check


def test_evidence_to_key(simulation: Simulation, attester: Attester, cmk: Cmk, fresh_report: None) -> None:
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    assert attestation.region == simulation.region
    assert attestation.token.issuer == simulation.maa_url
    assert attestation.token.raw not in repr(attestation)
    assert dict(attestation.verdict.checks)["E02"].endswith("made for this quote")
    buffer = bytearray(4096)
    key = attester.release_into(attestation, spec(cmk), memoryview(buffer))
    private = load_der_private_key(bytes(buffer[: key.length]), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    assert private.key_size == 3072
    assert msgspec.json.decode(key.public_jwk)["n"] == cmk.public_jwk["n"]
    with rejected("used", fault=Fault.TOKEN_INVALID):
        attester.release_into(attestation, spec(cmk), memoryview(buffer))


def test_f01_each_attestation_has_its_own_nonce_key_and_report(attester: Attester, fresh_report: None) -> None:
    one, two = (attester.attest(receipt_key=RECEIPT_KEY) for _ in range(2))
    assert one.nonce != two.nonce
    assert one.evidence.ephemeral != two.evidence.ephemeral
    assert one.evidence.hcl_report != two.evidence.hcl_report
    assert all(dict(each.verdict.checks)["E02"].endswith("made for this quote") for each in (one, two))


@pytest.fixture
def started(attester: Attester, cmk: Cmk) -> Attester:
    """One that has released its first key."""
    attester.release_into(attester.attest(receipt_key=RECEIPT_KEY), spec(cmk), memoryview(bytearray(4096)))
    return attester


def test_x03_nothing_is_quoted_before_the_first_release(attester: Attester) -> None:
    attester.attest(receipt_key=RECEIPT_KEY)
    with rejected("not-started", fault=Fault.EVIDENCE_UNAVAILABLE):
        attester.quote(receipt_key=RECEIPT_KEY, root=root_of(bytes(32)))


def test_x03_whoever_starts_second_obtains_no_key(simulation: Simulation, started: Attester, cmk: Cmk) -> None:
    """Another program with the same rights, or this one after a crash: the TPM has the start of the first."""
    second = simulation.attester()
    with rejected("E48", fault=Fault.EVIDENCE_INVALID):
        second.attest(receipt_key=b"s" * 32)
    started.quote(receipt_key=RECEIPT_KEY, root=root_of(bytes(32)))
    simulation.reboot()
    second.release_into(second.attest(receipt_key=b"s" * 32), spec(cmk), memoryview(bytearray(4096)))


def test_x03_a_second_start_ends_what_the_first_can_show(simulation: Simulation, started: Attester) -> None:
    attestation = started.attest(receipt_key=RECEIPT_KEY)
    started.check_pcrs(attestation)
    with Tpm(simulation.trust.tcti) as tpm:
        tpm.measure(15, start_event(b"s" * 32))
    with rejected("pcr-changed"):
        started.check_pcrs(attestation)
    for act in (started.attest, partial(started.quote, root=root_of(bytes(32)))):
        with rejected("E48"):
            act(receipt_key=RECEIPT_KEY)


def test_x03_a_start_that_cannot_be_measured_costs_the_key(
    attester: Attester, cmk: Cmk, monkeypatch: pytest.MonkeyPatch
) -> None:
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    measure = Tpm.measure
    monkeypatch.setattr(
        Tpm, "measure", lambda tpm, _, text: measure(tpm, 17, text)
    )  # which this locality may not extend
    with rejected("pcr-extend", fault=Fault.EVIDENCE_UNAVAILABLE):
        attester.release_into(attestation, spec(cmk), memoryview(bytearray(4096)))


def test_f09_a_measurement_since_then_bars_the_release(simulation: Simulation, attester: Attester, cmk: Cmk) -> None:
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    simulation.extend_pcr(13)
    assert told(refused(attester, attestation, spec(cmk))) == (Fault.EVIDENCE_INVALID, "pcr-changed")


@pytest.mark.parametrize(("logged", "check"), [(True, None), (False, "E47")])
def test_f09_measurements_need_a_record(
    simulation: Simulation, attester: Attester, logged: bool, check: str | None
) -> None:
    simulation.extend_pcr(12, logged=logged)
    if check is None:
        assert attester.attest(receipt_key=RECEIPT_KEY).booted[12] != bytes(32)
        return
    with rejected(check):
        attester.attest(receipt_key=RECEIPT_KEY)


def test_logs_that_may_not_be_read(attester: Attester, simulation: Simulation, tmp_path: Path) -> None:
    broken = msgspec.structs.replace(simulation.trust, firmware_log=str(tmp_path / ("x" * 300)))
    other = simulation.attester(trust=broken)
    with rejected("event-log", fault=Fault.EVIDENCE_UNAVAILABLE):
        other.attest(receipt_key=RECEIPT_KEY)
    absent = msgspec.structs.replace(simulation.trust, firmware_log=str(tmp_path / "absent"))
    other = simulation.attester(trust=absent)
    with rejected("E47"):
        other.attest(receipt_key=RECEIPT_KEY)


def test_inherited_logs_are_read_again_for_each_quote(simulation: Simulation, cmk: Cmk, tmp_path: Path) -> None:
    """As the unit opens them: the trust names files that this user cannot read."""
    nowhere = msgspec.structs.replace(
        simulation.trust, firmware_log=str(tmp_path / "no"), userspace_log=str(tmp_path / "no")
    )
    with open(simulation.trust.firmware_log, "rb") as firmware, open(simulation.trust.userspace_log, "rb") as userspace:
        names = {"firmware-log": firmware.fileno(), "userspace-log": userspace.fileno()}
        logs = open_logs(nowhere, names)
        attester = simulation.attester(trust=nowhere, logs=logs)
        before = attester.attest(receipt_key=RECEIPT_KEY)
        simulation.extend_pcr(12)
        after = attester.attest(receipt_key=RECEIPT_KEY)
        assert [pcr for pcr in range(16) if before.booted[pcr] != after.booted[pcr]] == [12]
    with rejected("event-log", fault=Fault.EVIDENCE_UNAVAILABLE):
        attester.attest(receipt_key=RECEIPT_KEY)  # the descriptors are closed


def test_systemds_lock_is_waited_for_but_not_for_ever(
    simulation: Simulation, attester: Attester, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(simulation.trust.userspace_log, "rb") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        released = threading.Timer(0.3, lambda: fcntl.flock(log, fcntl.LOCK_UN))
        released.start()
        assert attester.attest(receipt_key=RECEIPT_KEY)
        released.join()
        fcntl.flock(log, fcntl.LOCK_EX)
        monkeypatch.setattr("cji_attestation.evidence.boot_logs._LOCK_SECONDS", 0.1)
        with rejected("event-log", fault=Fault.EVIDENCE_UNAVAILABLE):
            attester.attest(receipt_key=RECEIPT_KEY)


def test_quote_for_a_callers_nonce(simulation: Simulation, started: Attester) -> None:
    nonce = os.urandom(32)
    evidence = Evidence.from_json(started.quote(receipt_key=RECEIPT_KEY, root=root_of(nonce)).to_json())
    import datetime

    now = datetime.datetime.now(datetime.UTC)
    bound = qualifying_data(RECEIPT_KEY, nonce)
    given: dict[str, Any] = {"reference": simulation.reference, "expected_qualifying_data": bound, "now": now}
    appraise(evidence, trust=simulation.trust, start=(RECEIPT_KEY,), **given)
    with rejected("E04", fault=Fault.UNTRUSTED_ROOT):  # S03
        appraise(evidence, trust=AZURE_US, start=None, **given)


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
    with rejected(check, fault=Fault.TOKEN_INVALID):
        attester.attest(receipt_key=RECEIPT_KEY)


def test_a21_rolled_signing_keys(simulation: Simulation, attester: Attester) -> None:
    attester.attest(receipt_key=RECEIPT_KEY)
    simulation.rotate_signing_keys()
    with rejected("T03", fault=Fault.TOKEN_INVALID):
        attester.attest(receipt_key=RECEIPT_KEY)  # within the cool-down
    simulation.attester().attest(receipt_key=RECEIPT_KEY)


def test_maa_comes_back_after_one_failure(simulation: Simulation, attester: Attester) -> None:
    simulation.fault(Service.MAA, Kind.STATUS, status=503, times=1)
    attester.attest(receipt_key=RECEIPT_KEY)


def test_maa_says_when_to_come_back(simulation: Simulation, attester: Attester) -> None:
    simulation.fault(Service.MAA, Kind.STATUS, status=503, seconds=2, times=1)
    began = time.monotonic()
    attester.attest(receipt_key=RECEIPT_KEY)
    assert time.monotonic() - began >= 2  # MAA_PAUSE alone is shorter


def test_maa_is_away(simulation: Simulation, attester: Attester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cji_attestation.release.flow.MAA_PAUSE", 0.01)
    for kind in (Kind.DOWN, Kind.STATUS):
        simulation.fault(Service.MAA, kind)
        with rejected(fault=Fault.MAA_UNAVAILABLE):
            attester.attest(receipt_key=RECEIPT_KEY)
        simulation.clear_faults()


def test_signing_keys_are_away(simulation: Simulation) -> None:
    issuer = endpoint(simulation.maa_url, simulation.trust.maa_hosts, resource="", check="maa-url")

    def sought() -> tuple[Fault, str]:
        with rejected() as caught:
            SigningKeys(issuer=issuer, trust=simulation.trust).get("any")
        return told(caught.value)

    for kind in (Kind.STATUS, Kind.DOWN):
        simulation.fault(Service.MAA, kind)
        assert sought() == (Fault.MAA_UNAVAILABLE, "jwks")
        simulation.clear_faults()
    assert sought() == (Fault.TOKEN_INVALID, "T03")


def test_imds_is_away(simulation: Simulation, attester: Attester, cmk: Cmk, monkeypatch: pytest.MonkeyPatch) -> None:
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    monkeypatch.setattr("cji_attestation.evidence.imds.TOTAL_SECONDS", 0.1)
    monkeypatch.setattr("cji_attestation.release.vault.IDENTITY_PAUSE", 0.01)
    simulation.fault(Service.IMDS, Kind.STATUS, status=500)
    with rejected(fault=Fault.EVIDENCE_UNAVAILABLE):
        attester.attest(receipt_key=RECEIPT_KEY)
    with rejected("imds-identity", fault=Fault.IDENTITY_UNAVAILABLE):
        attester.release_into(attestation, spec(cmk), memoryview(bytearray(4096)))


# azure-attestation: what the service answers, and what an operator is told
ANSWERS = [
    (400, Fault.RELEASE_DENIED, "vault-400"),
    (401, Fault.RELEASE_DENIED, "vault-401"),
    (403, Fault.RELEASE_DENIED, "vault-403"),
    (404, Fault.RELEASE_DENIED, "vault-404"),
    (408, Fault.RELEASE_UNAVAILABLE, "vault-408"),
    (409, Fault.RELEASE_UNAVAILABLE, "vault-409"),
    (500, Fault.RELEASE_UNAVAILABLE, "vault-500"),
    (502, Fault.RELEASE_UNAVAILABLE, "vault-502"),
    (503, Fault.RELEASE_UNAVAILABLE, "vault-503"),
    (504, Fault.RELEASE_UNAVAILABLE, "vault-504"),
]


def test_answers_of_the_vault_by_status(simulation: Simulation, attester: Attester, cmk: Cmk) -> None:
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    for status, fault, check in ANSWERS:
        simulation.fault(Service.VAULT, Kind.STATUS, status=status, seconds=9)
        error = refused(attester, attestation, cmk.spec)
        simulation.clear_faults()
        assert told(error) == (fault, check)
        assert error.retry_after == (9 if fault is Fault.RELEASE_UNAVAILABLE else None)
    assert attester.release_into(attestation, cmk.spec, memoryview(bytearray(4096))).length  # denials use nothing up


def test_k10_throttled(simulation: Simulation, attester: Attester, cmk: Cmk) -> None:
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    for seconds, wait in ((7, 7.0), (0, 10.0), (86400, 300.0)):
        simulation.fault(Service.VAULT, Kind.STATUS, status=429, seconds=seconds)
        error = refused(attester, attestation, cmk.spec)
        simulation.clear_faults()
        assert (*told(error), error.retry_after) == (Fault.RELEASE_THROTTLED, "vault-429", wait)


def test_answers_of_the_vault_by_code(simulation: Simulation, attester: Attester, cmk: Cmk) -> None:
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    simulation.fault(Service.VAULT, Kind.FORBIDDEN)
    assert told(refused(attester, attestation, cmk.spec)) == (Fault.RELEASE_DENIED, "vault-403-ForbiddenByRbac")
    simulation.clear_faults()
    simulation.fault(Service.MAA, Kind.DOWN)  # the vault does not reach the issuer
    assert told(refused(attester, attestation, cmk.spec)) == (Fault.RELEASE_DENIED, "vault-403-unverified")
    simulation.clear_faults()
    absent = spec(cmk, kek_id=f"{cmk.kek_id[:-32]}{'0' * 32}")
    assert told(refused(attester, attestation, absent)) == (Fault.RELEASE_DENIED, "vault-404")
    made = simulation.vault("POST", "/keys/att-plain/create", {"kty": "RSA-HSM"})
    plain = spec(cmk, kek_id=made["key"]["kid"])
    assert told(refused(attester, attestation, plain)) == (Fault.RELEASE_DENIED, "vault-400")


def test_no_answer_or_half_of_one(
    simulation: Simulation, attester: Attester, cmk: Cmk, monkeypatch: pytest.MonkeyPatch
) -> None:
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    simulation.fault(Service.VAULT, Kind.DOWN)
    assert told(refused(attester, attestation, cmk.spec)) == (Fault.RELEASE_UNAVAILABLE, "vault")
    simulation.clear_faults()
    simulation.fault(Service.VAULT, Kind.MALFORMED)
    assert told(refused(attester, attestation, cmk.spec)) == (Fault.RELEASE_UNAVAILABLE, "vault-200")
    simulation.clear_faults()
    monkeypatch.setattr("cji_attestation.release.vault.EXCHANGE_SECONDS", 0.2)
    simulation.fault(Service.VAULT, Kind.SLOW, seconds=2)
    assert told(refused(attester, attestation, cmk.spec)) == (Fault.RELEASE_UNAVAILABLE, "vault")


def test_f04_an_answer_is_the_last_one_for_its_attestation(
    simulation: Simulation, attester: Attester, cmk: Cmk
) -> None:
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    simulation.fault(Service.VAULT, Kind.REPLACED_STATEMENT)
    assert told(refused(attester, attestation, cmk.spec)) == (Fault.RELEASE_INVALID, "S05")
    simulation.clear_faults()
    assert told(refused(attester, attestation, cmk.spec)) == (Fault.TOKEN_INVALID, "used")
    attester.release_into(attester.attest(receipt_key=RECEIPT_KEY), cmk.spec, memoryview(bytearray(4096)))


def test_f04_an_earlier_attestation_takes_no_answer(attester: Attester, cmk: Cmk) -> None:
    earlier, latest = (attester.attest(receipt_key=RECEIPT_KEY) for _ in range(2))
    assert told(refused(attester, earlier, cmk.spec)) == (Fault.TOKEN_INVALID, "used")
    attester.release_into(latest, cmk.spec, memoryview(bytearray(4096)))


def test_an_attester_does_not_grow_with_its_releases(attester: Attester, cmk: Cmk) -> None:
    def sizes() -> dict[str, int]:
        attestation = attester.attest(receipt_key=RECEIPT_KEY)
        attester.release_into(attestation, cmk.spec, memoryview(bytearray(4096)))
        return {name: len(held) for name, held in vars(attester).items() if isinstance(held, set | dict | list)}

    first = sizes()
    assert 1 in first.values()
    assert [sizes() for _ in range(3)] == [first] * 3


def test_policy_of_the_key(simulation: Simulation, attester: Attester) -> None:
    policy = simulation.release_policy()
    policy["anyOf"][0]["allOf"].append({"claim": "x-ms-azurevm-vmid", "equals": "another machine"})
    strict = simulation.create_cmk("att-strict", policy=policy)
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    assert told(refused(attester, attestation, strict.spec)) == (Fault.RELEASE_DENIED, "vault-403-policy")
    cmk = simulation.set_policy("att-strict", simulation.release_policy())
    moved = spec(cmk, policy_sha256="00" * 32)
    assert told(refused(attester, attestation, moved)) == (Fault.RELEASE_INVALID, "S09")


@pytest.mark.parametrize(
    ("claim", "rule"),
    [("secureboot", "RP15"), ("x-ms-azurevm-testsigning-enabled", "RP16"), ("x-ms-attestation-type", "RP11")],
)
def test_k01_a_key_under_a_weak_policy_is_not_used(
    simulation: Simulation, attester: Attester, claim: str, rule: str
) -> None:
    policy = simulation.release_policy()
    conditions = policy["anyOf"][0]["allOf"]
    conditions[:] = [one for one in conditions if one.get("claim") != claim]
    cmk = simulation.create_cmk("att-weak", policy=policy)  # its digest is pinned, and that does not help
    error = refused(attester, attester.attest(receipt_key=RECEIPT_KEY), cmk.spec)
    assert told(error) == (Fault.RELEASE_INVALID, rule)
    assert "cji policy build" in error.remedy


def test_k01_a_second_authority_is_accepted_by_name_only(simulation: Simulation) -> None:
    trust = msgspec.structs.replace(simulation.trust, maa_hosts=(*simulation.trust.maa_hosts, "other.example"))
    attester = simulation.attester(trust=trust)
    policy = simulation.release_policy()
    policy["anyOf"].append(policy["anyOf"][0] | {"authority": "https://other.example"})
    cmk = simulation.create_cmk("att-two", policy=policy)
    error = refused(attester, attester.attest(receipt_key=RECEIPT_KEY), cmk.spec)
    assert told(error) == (Fault.RELEASE_INVALID, "RP04")
    accepting = spec(cmk, accept_findings=("RP04",))
    released = attester.release_into(attester.attest(receipt_key=RECEIPT_KEY), accepting, memoryview(bytearray(4096)))
    assert (released.policy.accepted, released.policy.warnings) == (("RP04",), ("RP17", "RP30"))


def test_k11_an_immutable_policy_is_told(simulation: Simulation, attester: Attester) -> None:
    cmk = simulation.create_cmk("att-immutable", immutable=True)
    released = attester.release_into(attester.attest(receipt_key=RECEIPT_KEY), cmk.spec, memoryview(bytearray(4096)))
    assert (released.policy.immutable, released.policy.warnings) == (True, ("RP17",))
    with pytest.raises(SimulationError, match=r"AKV\.SKR\.1020"):
        simulation.set_policy("att-immutable", simulation.release_policy())


def test_k11_drift_of_a_policy_that_is_not_pinned_is_told_once(simulation: Simulation, attester: Attester) -> None:
    first = simulation.create_cmk("att-drift")
    loose, buffer = spec(first, policy_sha256=None), memoryview(bytearray(4096))

    def told_before() -> str | None:
        return attester.release_into(attester.attest(receipt_key=RECEIPT_KEY), loose, buffer).policy_before

    assert [told_before(), told_before()] == [None, None]
    second = simulation.set_policy("att-drift", simulation.release_policy() | {"version": "1.0"})
    assert second.policy_sha256 != first.policy_sha256
    assert [told_before(), told_before()] == [first.policy_sha256, None]
    simulation.set_policy("att-drift", simulation.release_policy())
    pinned = refused(attester, attester.attest(receipt_key=RECEIPT_KEY), second.spec)
    assert told(pinned) == (Fault.RELEASE_INVALID, "S09")
    assert told_before() == second.policy_sha256


@pytest.mark.parametrize(("curve", "length"), [("P-256", 67), ("P-384", 80), ("P-521", 98)])
def test_an_ec_key_is_released(simulation: Simulation, attester: Attester, curve: str, length: int) -> None:
    cmk = simulation.create_cmk(f"att-{curve}", curve=curve)
    buffer = bytearray(4096)
    released = attester.release_into(attester.attest(receipt_key=RECEIPT_KEY), cmk.spec, memoryview(buffer))
    assert (released.length, json.loads(released.public_jwk)) == (length, cmk.public_jwk)
    private = load_der_private_key(bytes(buffer[:length]), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    x = private.public_key().public_numbers().x
    assert b64url(x.to_bytes((private.key_size + 7) // 8, "big")) == cmk.public_jwk["x"]


def test_k13_previous_and_current_version_side_by_side(simulation: Simulation, attester: Attester) -> None:
    previous = simulation.create_cmk("att-turning")
    current = simulation.rotate_cmk("att-turning")
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    buffers = {one.kek_id: bytearray(4096) for one in (previous, current)}
    for one in (previous, current):
        released = attester.release_into(attestation, one.spec, memoryview(buffers[one.kek_id]))
        assert json.loads(released.public_jwk)["n"] == one.public_jwk["n"]
    assert buffers[previous.kek_id] != buffers[current.kek_id]
    crossed = spec(current, public_thumbprint=previous.public_thumbprint)
    again = attester.attest(receipt_key=RECEIPT_KEY)
    assert told(refused(attester, again, crossed)) == (Fault.RELEASE_INVALID, "S08")
    assert told(refused(attester, attestation, previous.spec)) == (Fault.TOKEN_INVALID, "used")  # F03, key by key


def test_k08_a_disabled_version_is_denied_and_the_other_is_not(simulation: Simulation, attester: Attester) -> None:
    previous = simulation.create_cmk("att-disabled")
    current = simulation.rotate_cmk("att-disabled")
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    simulation.enable_cmk(previous, enabled=False)
    assert told(refused(attester, attestation, previous.spec)) == (Fault.RELEASE_DENIED, "vault-403-KeyDisabled")
    attester.release_into(attestation, current.spec, memoryview(bytearray(4096)))
    simulation.enable_cmk(previous, enabled=True)
    attester.release_into(attestation, previous.spec, memoryview(bytearray(4096)))


def test_k02_an_expired_key_is_released_but_not_used(simulation: Simulation, attester: Attester) -> None:
    """Key Vault releases it, as documented; the statement says when it ended (S11)."""
    cmk, now = simulation.create_cmk("att-expired"), int(time.time())
    buffer = bytearray(4096)
    for times in ({"exp": now - 60}, {"nbf": now + 3600, "exp": now + 7200}):
        simulation.date_cmk(cmk, **times)
        attestation = attester.attest(receipt_key=RECEIPT_KEY)
        assert told(refused(attester, attestation, cmk.spec)) == (Fault.RELEASE_INVALID, "S11")
    simulation.date_cmk(cmk, nbf=now - 60)
    attester.release_into(attester.attest(receipt_key=RECEIPT_KEY), cmk.spec, memoryview(buffer))


class Impostor:
    """A server under a good certificate that asks for a token of `resource`, and then gives its `answer`."""

    def __init__(self, roots: Path) -> None:
        self.resource = ""
        self.imds = ""
        self.answer = (500, b"")
        self.tokens: list[str | None] = []  # Authorization of each request
        impostor = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                impostor.tokens.append(self.headers["Authorization"])
                status, body = impostor.answer if self.headers["Authorization"] else (401, b"")
                self.send_response(status)
                authorization = "https://login.microsoftonline.com/t"
                challenge = f'Bearer authorization="{authorization}", resource="{impostor.resource}"'
                self.send_header("WWW-Authenticate", challenge)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
                """Nothing is printed."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(roots / "tls.pem", roots / "tls.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.domain = self.host.partition(".")[2]

    def trusted(self, trust: Trust) -> Trust:
        """A trust in which it is the only vault."""
        self.resource = f"https://{self.domain}"
        return msgspec.structs.replace(trust, vault_hosts=(f".{self.domain}",), imds=self.imds)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def impostor(simulation: Simulation) -> Iterator[Impostor]:
    server = Impostor(simulation.state / "roots")
    server.imds = simulation.endpoints.imds_url  # no broker would ask for a token for it
    yield server
    server.close()


def test_k04_no_token_for_a_challenge_of_another_domain(
    simulation: Simulation, attester: Attester, cmk: Cmk, impostor: Impostor
) -> None:
    impostor.resource = "https://evil.example"
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    elsewhere = spec(cmk, kek_id=cmk.kek_id.replace(simulation.vault_url, f"https://{impostor.host}"))
    for pattern, expected in (
        (f".{impostor.domain}", (Fault.RELEASE_UNAVAILABLE, "vault-challenge")),  # the client compares domains
        (impostor.host, (Fault.IDENTITY_UNAVAILABLE, "resource")),  # only the identity's pin is left
    ):
        trust = msgspec.structs.replace(simulation.trust, vault_hosts=(pattern,))
        other = simulation.attester(trust=trust)
        assert told(refused(other, attestation, elsewhere)) == expected
    assert len(impostor.tokens) >= 2
    assert set(impostor.tokens) == {None}


def test_k12_no_token_in_logs_or_errors(
    simulation: Simulation, attester: Attester, cmk: Cmk, impostor: Impostor, caplog: pytest.LogCaptureFixture
) -> None:
    other = simulation.attester(trust=impostor.trusted(simulation.trust))
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    elsewhere = spec(cmk, kek_id=cmk.kek_id.replace(simulation.vault_url, f"https://{impostor.host}"))
    with caplog.at_level(logging.DEBUG):
        error = refused(other, attestation, elsewhere)
    assert told(error) == (Fault.RELEASE_UNAVAILABLE, "vault-500")
    (token,) = {one.removeprefix("Bearer ") for one in impostor.tokens if one}
    shown = caplog.text + "".join(traceback.format_exception(error)) + repr(error) + repr(vars(other))
    assert shown
    assert token not in shown
    assert attestation.token.raw not in shown


@pytest.mark.parametrize("answer", [b"{}", b'{"value":null}', b'{"value":5}', b'{"value":{}}', b'{"value":"a.b.c"}'])
def test_k02_an_answer_that_is_no_statement(
    simulation: Simulation, attester: Attester, cmk: Cmk, impostor: Impostor, answer: bytes
) -> None:
    impostor.answer = (200, answer)
    other = simulation.attester(trust=impostor.trusted(simulation.trust))
    elsewhere = spec(cmk, kek_id=cmk.kek_id.replace(simulation.vault_url, f"https://{impostor.host}"))
    error = refused(other, attester.attest(receipt_key=RECEIPT_KEY), elsewhere)
    assert told(error) == (Fault.RELEASE_INVALID, "S01")


def test_k02_statement_under_other_roots(simulation: Simulation, attester: Attester, cmk: Cmk) -> None:
    for roots in (simulation.trust.tls_roots, None):
        trust = msgspec.structs.replace(simulation.trust, release_roots=roots)
        other = simulation.attester(trust=trust)
        error = refused(other, attester.attest(receipt_key=RECEIPT_KEY), cmk.spec)
        assert told(error) == (Fault.RELEASE_INVALID, "S02")


def test_k03_pinned_public_key(simulation: Simulation, attester: Attester, cmk: Cmk) -> None:
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    other = simulation.rotate_cmk("att-flow")
    wrong = spec(cmk, public_thumbprint=other.public_thumbprint)
    with rejected("S08", fault=Fault.RELEASE_INVALID):
        attester.release_into(attestation, wrong, memoryview(bytearray(4096)))


def test_k04_no_socket_for_a_foreign_vault(
    simulation: Simulation, attester: Attester, cmk: Cmk, monkeypatch: pytest.MonkeyPatch
) -> None:
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    opened: list[object] = []
    foreign = spec(cmk, kek_id="https://evil.vault.azure.net/keys/cji-kek/0123456789abcdef0123456789abcdef")
    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", lambda *a, **k: opened.append(a))
        with rejected("kek-host", fault=Fault.CONFIG_INVALID):
            attester.release_into(attestation, foreign, memoryview(bytearray(4096)))
    assert not opened


def test_f03_old_attestation(simulation: Simulation, cmk: Cmk) -> None:
    ahead = [0.0]
    attester = Attester(
        trust=simulation.trust,
        maa_url=simulation.maa_url,
        reference=simulation.reference,
        ak_issuers=simulation.ak_issuers,
        clock=lambda: time.time() + ahead[0],
    )
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    for shift in (601.0, -3600.0):
        ahead[0] = shift
        with rejected("age", fault=Fault.TOKEN_INVALID):
            attester.release_into(attestation, spec(cmk), memoryview(bytearray(4096)))


def test_s02_no_device(simulation: Simulation) -> None:
    trust = msgspec.structs.replace(simulation.trust, tcti="device:/nonexistent/tpm")
    attester = simulation.attester(trust=trust)
    with rejected("tpm-open", fault=Fault.EVIDENCE_UNAVAILABLE):
        attester.attest(receipt_key=RECEIPT_KEY)


def test_r02_identity_is_not_taken_from_the_environment(
    simulation: Simulation, attester: Attester, cmk: Cmk, monkeypatch: pytest.MonkeyPatch
) -> None:
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    elsewhere = ("IDENTITY_ENDPOINT", "MSI_ENDPOINT", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_POD_IDENTITY_AUTHORITY_HOST")
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", *elsewhere):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    attester.release_into(attestation, spec(cmk), memoryview(bytearray(4096)))


def test_r02_tls_roots_are_the_trusts(
    simulation: Simulation, attester: Attester, cmk: Cmk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("cji_attestation.release.flow.MAA_PAUSE", 0.01)
    roots = tmp_path / "roots.pem"
    roots.write_text(simulation.trust.tls_roots or "")
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(roots))
    trust = msgspec.structs.replace(simulation.trust, tls_roots=None)
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    elsewhere = simulation.attester(trust=trust)
    with rejected("maa", fault=Fault.MAA_UNAVAILABLE):
        elsewhere.attest(receipt_key=RECEIPT_KEY)
    with rejected("vault", fault=Fault.RELEASE_UNAVAILABLE):
        elsewhere.release_into(attestation, spec(cmk), memoryview(bytearray(4096)))


def test_changed_pcr_means_attest_again(simulation: Simulation, attester: Attester, cmk: Cmk) -> None:
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    attester.check_pcrs(attestation)
    simulation.extend_pcr(12)
    with rejected("pcr-changed", fault=Fault.EVIDENCE_INVALID):
        attester.check_pcrs(attestation)
    with rejected("pcr-changed", fault=Fault.EVIDENCE_INVALID):
        attester.release_into(attestation, spec(cmk), memoryview(bytearray(4096)))
    attester.release_into(attester.attest(receipt_key=RECEIPT_KEY), spec(cmk), memoryview(bytearray(4096)))


def test_no_transient_object_is_left(simulation: Simulation, started: Attester) -> None:
    """A software TPM has three slots: a leak shows at once."""
    for _ in range(5):
        started.quote(receipt_key=RECEIPT_KEY, root=root_of(os.urandom(32)))
    with Tpm(simulation.trust.tcti) as tpm:
        for _ in range(5):
            with rejected("ephemeral-key"):
                tpm.rsa_decrypt(b"x" * 256, padding="oaep-sha256", salt=b"s", pcrs=(bytes(32),) * 8, public=b"")
        with rejected("qualifying-length"):
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
    with rejected("x") as caught:
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
    assert isinstance(caught.value.__cause__, ExchangeError)
    assert isinstance(caught.value.__cause__.__cause__, TimeoutError)


def test_a_managed_hsm_has_its_own_audience(simulation: Simulation, attester: Attester, cmk: Cmk) -> None:
    """One identity, one attestation, two services; a token for the one is not sent to the other."""
    in_hsm, buffer = simulation.create_cmk("att-hsm", hsm=True), bytearray(4096)
    vault, hsm = (locate(one.spec, trust=simulation.trust).vault for one in (cmk, in_hsm))
    assert vault.resource != hsm.resource
    confused = msgspec.structs.replace(simulation.trust, vault_hosts=(f"{hsm.host}:{hsm.port}",))
    other = simulation.attester(trust=confused)
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    assert told(refused(other, attestation, in_hsm.spec)) == (Fault.IDENTITY_UNAVAILABLE, "resource")
    for one in (in_hsm, cmk):
        released = attester.release_into(attestation, one.spec, memoryview(buffer))
        assert json.loads(released.public_jwk) == one.public_jwk


@pytest.mark.parametrize("curve", [None, "P-256"])
def test_a_managed_hsm_writes_in_its_own_way_and_is_understood(
    simulation: Simulation, attester: Attester, curve: str | None
) -> None:
    """As recorded: alphabetical members, kinds without HSM, no `immutable` that is false, a certificate by SHA-256."""
    cmk = simulation.create_cmk("att-hsm-way", hsm=True, curve=curve)
    attestation = attester.attest(receipt_key=RECEIPT_KEY)
    located = locate(cmk.spec, trust=simulation.trust)
    raw = Vault(trust=simulation.trust, client_id=None).release(
        located, token=attestation.token.raw, nonce="n", request_id="r"
    )
    header, payload = jws.split(raw)
    released = payload["response"]["key"]
    assert list(header) == ["alg", "kid", "x5c", "x5t#S256"]
    assert header["kid"] == header["x5t#S256"]
    assert list(released) == ["attributes", "key", "release_policy"]
    assert list(released["release_policy"]) == ["contentType", "data"]
    assert released["key"]["kty"] == ("RSA" if curve is None else "EC")
    assert unb64url(released["release_policy"]["data"]).startswith(b'{"anyOf":[{"allOf":[{"claim":')
    statement = verify_statement(raw, key=cmk.spec, located=located, nonce="n", trust=simulation.trust, now=time.time())
    assert not statement.policy_immutable


@pytest.mark.parametrize("change", ["/x", "/x/", "//", "?a=1", "#a", "evil"])
def test_a04_provider_that_the_trust_does_not_name(simulation: Simulation, change: str) -> None:
    for url in (f"{simulation.maa_url}{change}", ""):
        with rejected("maa-url", fault=Fault.CONFIG_INVALID):
            simulation.attester(maa_url=url)
    with rejected("maa-url", fault=Fault.CONFIG_INVALID):
        Attester(trust=AZURE_US, maa_url=simulation.maa_url, reference=ReferenceValues())
    simulation.attester(maa_url=f"{simulation.maa_url}/")


def test_a_refusal_of_maa_is_not_asked_about_again(simulation: Simulation, attester: Attester) -> None:
    simulation.fault(Service.MAA, Kind.STATUS, status=400, times=1)
    with rejected("maa-400", fault=Fault.MAA_REFUSED):
        attester.attest(receipt_key=RECEIPT_KEY)


def test_key_vaults_clients_are_imported_when_asked_for() -> None:
    """They take longer to import than a machine takes to attest."""
    modules = '"azure.keyvault.keys" in sys.modules'
    attester = "import sys; from cji_attestation.release import Attester"
    code = f"{attester}; print({modules}); Attester.preload(); print({modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=120)
    assert done.stdout.split() == [b"False", b"True"]
    Attester.preload()  # a second time is nothing
    assert "azure.keyvault.keys" in sys.modules
