"""Attest and release, end to end against the simulation, with the code that does it on Azure."""

import base64
import dataclasses
import json
import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.identity import ManagedIdentityCredential
from azure.keyvault.keys import KeyClient
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key
from tpm2_pytss import ESAPI
from tpm2_pytss.constants import ESYS_TR, TPM2_ALG, TPMA_OBJECT
from tpm2_pytss.types import (
    TPM2B_DATA,
    TPM2B_PUBLIC,
    TPM2B_SENSITIVE_CREATE,
    TPMS_RSA_PARMS,
    TPMT_PUBLIC,
    TPMT_RSA_SCHEME,
    TPMT_SIG_SCHEME,
    TPMT_SYM_DEF_OBJECT,
    TPMU_PUBLIC_PARMS,
)

from cji_attestation import AZURE_US, AZURE_USGOV, Fault, Trust, is_production
from cji_attestation.appraisal import appraise
from cji_attestation.evidence import Evidence, maa_nonce, qualifying_data
from cji_attestation.evidence.collect import ephemeral_salt
from cji_attestation.evidence.tpm import Tpm
from cji_attestation.evidence.tpm_structures import policy_pcr_digest
from cji_attestation.maa import guest_request, open_reply, send_request
from cji_attestation.release import Attester
from cji_attestation.trust import endpoint
from cji_simulator import Kind, Service, Simulation
from cji_simulator.certificates import pem
from cji_simulator.encoding import b64url, unb64url
from cji_simulator.guest import AttestRefused, verify
from cji_simulator.hcl import report_data
from cji_simulator.intel import Intel
from cji_simulator.roots import Roots
from cji_simulator.snp import Report, Tcb
from tests.support.refusals import rejected

BOUND = qualifying_data(b"r" * 32, b"n" * 32)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSS2_LOG", "all+NONE")
    monkeypatch.setattr("cji_attestation.release.flow.MAA_PAUSE", 0.01)


@pytest.fixture
def attester(simulation: Simulation) -> Attester:
    return simulation.attester()


@pytest.fixture
def evidence(simulation: Simulation) -> Evidence:
    return simulation.collect(BOUND)


def ask(simulation: Simulation, body: bytes) -> bytes:
    provider = endpoint(simulation.maa_url, simulation.trust.maa_hosts, resource="", check="test")
    return send_request(body, provider=provider, trust=simulation.trust)


def inner(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(unb64url(json.loads(body)["AttestationInfo"]))
    return found


def outer(content: dict[str, Any]) -> bytes:
    return json.dumps({"AttestationInfo": b64url(json.dumps(content).encode())}).encode()


def token(simulation: Simulation, evidence: Evidence) -> str:
    def decrypt(ciphertext: bytes) -> bytearray:
        with Tpm(simulation.trust.tcti) as tpm:
            return tpm.rsa_decrypt(
                ciphertext,
                padding="rsaes",
                salt=ephemeral_salt(BOUND),
                pcrs=evidence.pcrs,
                public=evidence.ephemeral,
            )

    body = guest_request(evidence, nonce=maa_nonce(BOUND), log=b"")
    return open_reply(ask(simulation, body), decrypt=decrypt)


def test_a_released_key_is_the_vaults(simulation: Simulation, attester: Attester) -> None:
    cmk = simulation.create_cmk("end-to-end")
    attestation = attester.attest(receipt_key=os.urandom(32))
    buffer = bytearray(4096)
    released = attester.release_into(attestation, cmk.spec, memoryview(buffer))
    key = load_der_private_key(bytes(buffer[: released.length]), None)
    assert key.public_key().public_numbers().n == int.from_bytes(  # type: ignore[union-attr]
        unb64url(cmk.public_jwk["n"]), "big"
    )
    assert attestation.region == "eastus"


def test_s03_production_roots_refuse_the_same_evidence(simulation: Simulation, evidence: Evidence) -> None:
    def judge(trust: Trust) -> None:
        appraise(
            evidence,
            trust=trust,
            reference=simulation.reference,
            expected_qualifying_data=BOUND,
            start=None,
            now=datetime.now(UTC),
        )

    judge(simulation.trust)
    for trust in (AZURE_US, AZURE_USGOV):
        with rejected(fault=Fault.UNTRUSTED_ROOT):
            judge(trust)
    assert not is_production(simulation.trust)


def test_another_simulation_is_another_root(simulation: Simulation, evidence: Evidence, tmp_path: Path) -> None:
    with Simulation(tmp_path) as other, rejected(fault=Fault.UNTRUSTED_ROOT):
        appraise(
            evidence,
            trust=other.trust,
            reference=simulation.reference,
            expected_qualifying_data=BOUND,
            start=None,
            now=datetime.now(UTC),
        )


@pytest.fixture(scope="module")
def roots(simulation_servers: Simulation) -> Roots:
    return Roots.open(simulation_servers.state / "roots")


@pytest.fixture(scope="module")
def intel(simulation_servers: Simulation) -> Intel:
    return Intel.open(simulation_servers.state / "intel")


def flip(text: str) -> str:
    data = bytearray(base64.b64decode(text))
    data[-1] ^= 1
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ("AikCert", "AikCert is not below"),
        ("AikPub", "AikCert is of another key"),
        ("PcrQuote", "PcrQuote: the signature"),
        ("PcrSignature", "PcrQuote: the signature"),
        ("EncKeyPub", "EncKeyCertifyInfo is of another key"),
        ("EncKeyCertifyInfo", "EncKeyCertifyInfo: the signature"),
        ("EncKeyCertifyInfoSignature", "EncKeyCertifyInfo: the signature"),
    ],
)
def test_maa_refuses_a_flipped_bit(
    simulation: Simulation, evidence: Evidence, roots: Roots, intel: Intel, member: str, message: str
) -> None:
    content = inner(guest_request(evidence, nonce="n", log=b""))
    content["TpmInfo"][member] = flip(content["TpmInfo"][member])
    with pytest.raises(AttestRefused, match=message):
        verify(outer(content), roots, intel)
    with rejected("maa-400", fault=Fault.MAA_REFUSED):
        ask(simulation, outer(content))


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _resigned(content: dict[str, Any], roots: Roots, **fields: Any) -> None:
    """Replace fields of the hardware report and sign it again with the chip's own key."""
    vcek = roots.vcek.key
    assert isinstance(vcek, ec.EllipticCurvePrivateKey)
    shown = content["IsolationInfo"]["Evidence"]
    proof = json.loads(base64.b64decode(shown["Proof"]))
    report = Report.verify(unb64url(proof["SnpReport"]), vcek.public_key())
    proof["SnpReport"] = b64url(dataclasses.replace(report, **fields).sign(vcek))
    shown["Proof"] = _encoded(json.dumps(proof).encode())


def _other_pcr(content: dict[str, Any], roots: Roots) -> None:
    content["TpmInfo"]["PCRs"][4]["Digest"] = _encoded(bytes(32))


def _fewer_pcrs(content: dict[str, Any], roots: Roots) -> None:
    content["TpmInfo"]["PCRs"].pop()
    content["TpmInfo"]["PcrSet"].pop()


def _claims(content: dict[str, Any], old: bytes, new: bytes) -> bytes:
    shown = content["IsolationInfo"]["Evidence"]
    claims = base64.b64decode(shown["RunTimeData"]).replace(old, new)
    shown["RunTimeData"] = _encoded(claims)
    return claims


def _other_claims(content: dict[str, Any], roots: Roots) -> None:
    _claims(content, b'"console-enabled":true', b'"console-enabled":false')


def _no_secure_boot(content: dict[str, Any], roots: Roots) -> None:
    claims = _claims(content, b'"secure-boot":true', b'"secure-boot":false')
    _resigned(content, roots, report_data=report_data(claims))


def _other_ak(content: dict[str, Any], roots: Roots) -> None:
    claims = _claims(content, b'"kid":"HCLAkPub"', b'"kid":"HCLEkPub"')
    _resigned(content, roots, report_data=report_data(claims))


def _other_certificate(content: dict[str, Any], roots: Roots) -> None:
    key = rsa.generate_private_key(65537, 2048).public_key()
    content["TpmInfo"]["AikCert"] = _encoded(roots.ak_certificate(key, uuid.uuid4()))


def _other_report(content: dict[str, Any], roots: Roots) -> None:
    shown = content["IsolationInfo"]["Evidence"]
    proof = json.loads(base64.b64decode(shown["Proof"]))
    report = bytearray(unb64url(proof["SnpReport"]))
    report[0x90] ^= 1  # the launch measurement
    shown["Proof"] = _encoded(json.dumps({**proof, "SnpReport": b64url(bytes(report))}).encode())


def _other_chip(content: dict[str, Any], roots: Roots) -> None:
    _resigned(content, roots, chip_id=bytes(64))


def _other_tcb(content: dict[str, Any], roots: Roots) -> None:
    _resigned(content, roots, tcb=Tcb(microcode=1))


def _chain_of(content: dict[str, Any], *certificates: x509.Certificate | bytes) -> None:
    shown = content["IsolationInfo"]["Evidence"]
    proof = json.loads(base64.b64decode(shown["Proof"]))
    chain = b"".join(one if isinstance(one, bytes) else pem(one) for one in certificates)
    shown["Proof"] = _encoded(json.dumps({**proof, "VcekCertChain": _encoded(chain)}).encode())


def _short_chain(content: dict[str, Any], roots: Roots) -> None:
    _chain_of(content, roots.vcek.certificate)


def _forged_vcek(content: dict[str, Any], roots: Roots) -> None:
    der = bytearray(roots.vcek.certificate.public_bytes(Encoding.DER))
    der[-1] ^= 1
    forged = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"
    _chain_of(content, forged, roots.ask.certificate, roots.ark.certificate)


def _other_root(content: dict[str, Any], roots: Roots) -> None:
    _chain_of(content, roots.vcek.certificate, roots.ask.certificate, roots.tls.certificate)


def _no_evidence(content: dict[str, Any], roots: Roots) -> None:
    del content["IsolationInfo"]["Evidence"]


def _other_protocol(content: dict[str, Any], roots: Roots) -> None:
    content["AttestationProtocolVersion"] = "1.0"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_other_pcr, "PcrQuote does not match PCRs"),
        (_fewer_pcrs, "PcrQuote is of other PCRs"),
        (_other_claims, "RunTimeData does not match"),
        (_no_secure_boot, "secure boot"),
        (_other_ak, "HCLAkPub is not"),
        (_other_certificate, "AikCert is of another key"),
        (_other_report, "SnpReport cannot be decoded"),
        (_other_chip, "different chips"),
        (_other_tcb, "differ in TCB"),
        (_short_chain, "not three certificates"),
        (_forged_vcek, "a signature does not verify"),
        (_other_root, "another root"),
        (_no_evidence, "has no evidence"),
        (_other_protocol, "not 2.0"),
    ],
)
def test_maa_refuses_what_does_not_fit_together(
    evidence: Evidence, roots: Roots, intel: Intel, change: Any, message: str
) -> None:
    content = inner(guest_request(evidence, nonce="n", log=b""))
    verify(outer(content), roots, intel)
    change(content, roots)
    with pytest.raises(AttestRefused, match=message):
        verify(outer(content), roots, intel)


def certified(simulation: Simulation, *, attributes: int, policy: bytes) -> dict[str, str]:
    """Have the AK certify a new decryption key of these attributes and this policy."""
    parameters = TPMS_RSA_PARMS(
        symmetric=TPMT_SYM_DEF_OBJECT(algorithm=TPM2_ALG.NULL),
        scheme=TPMT_RSA_SCHEME(scheme=TPM2_ALG.NULL),
        keyBits=2048,
        exponent=0,
    )
    template = TPMT_PUBLIC(
        type=TPM2_ALG.RSA,
        nameAlg=TPM2_ALG.SHA256,
        objectAttributes=attributes,
        authPolicy=policy,
        parameters=TPMU_PUBLIC_PARMS(rsaDetail=parameters),
    )
    with ESAPI(simulation.trust.tcti) as tpm:
        key, public, *_ = tpm.create_primary(TPM2B_SENSITIVE_CREATE(), TPM2B_PUBLIC(publicArea=template), ESYS_TR.NULL)
        try:
            scheme = TPMT_SIG_SCHEME(scheme=TPM2_ALG.NULL)
            attest, signature = tpm.certify(key, tpm.tr_from_tpmpublic(0x81000003), TPM2B_DATA(b""), scheme)
        finally:
            tpm.flush_context(key)
    return {
        "EncKeyPub": _encoded(bytes(public.marshal())),
        "EncKeyCertifyInfo": _encoded(bytes(attest)),
        "EncKeyCertifyInfoSignature": _encoded(bytes(signature.signature.rsassa.sig)),
    }


def test_maa_refuses_keys_that_others_could_use(
    simulation: Simulation, evidence: Evidence, roots: Roots, intel: Intel
) -> None:
    policy = policy_pcr_digest(evidence.pcrs)
    for attributes, other, message in (
        (0x20432, policy, None),
        (0x20432 | TPMA_OBJECT.USERWITHAUTH, policy, "other attributes"),  # usable without the PCRs
        (0x20432 & ~(TPMA_OBJECT.FIXEDTPM | TPMA_OBJECT.FIXEDPARENT), policy, "other attributes"),  # may be duplicated
        (0x20432, bytes(32), "not bound to the quoted PCRs"),
    ):
        content = inner(guest_request(evidence, nonce="n", log=b""))
        content["TpmInfo"] |= certified(simulation, attributes=attributes, policy=other)
        if message is None:
            verify(outer(content), roots, intel)
        else:
            with pytest.raises(AttestRefused, match=message):
                verify(outer(content), roots, intel)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"AttestationInfo":5}', b'{"AttestationInfo":"e30"}'])
def test_maa_refuses_other_bodies(roots: Roots, intel: Intel, body: bytes) -> None:
    with pytest.raises(AttestRefused):
        verify(body, roots, intel)


@pytest.fixture
def vault(simulation: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyClient]:
    file = tmp_path / "roots.pem"
    file.write_text(simulation.endpoints.tls_roots)
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", simulation.endpoints.imds_url)
    credential = ManagedIdentityCredential(retry_total=0)
    with KeyClient(simulation.vault_url, credential, connection_verify=str(file), retry_total=0) as made:
        yield made


def test_the_vault_checks_the_token_itself(simulation: Simulation, evidence: Evidence, vault: KeyClient) -> None:
    simulation.create_cmk("checked")
    good = token(simulation, evidence)
    statement = vault.release_key("checked", good, nonce="mine").value.split(".")
    assert json.loads(unb64url(statement[1]))["request"]["nonce"] == "mine"
    simulation.fault(Service.MAA, Kind.EXPIRED, times=1)
    expired = token(simulation, evidence)
    simulation.fault(Service.MAA, Kind.FUTURE, times=1)
    future = token(simulation, evidence)
    head, body, signature = good.split(".")
    claims = {**json.loads(unb64url(body)), "jti": "0" * 64}
    changed = f"{head}.{b64url(json.dumps(claims).encode())}.{signature}"
    for bad in (expired, future, changed):
        with pytest.raises(HttpResponseError, match="cannot be verified"):
            vault.release_key("checked", bad)
    vault.release_key("checked", good)
    simulation.rotate_signing_keys()  # the key that `kid` names is gone
    with pytest.raises(HttpResponseError, match="cannot be verified"):
        vault.release_key("checked", good)


def test_the_vault_cannot_verify_while_maa_is_down(
    simulation: Simulation, evidence: Evidence, vault: KeyClient
) -> None:
    simulation.create_cmk("unreachable")
    good = token(simulation, evidence)
    simulation.fault(Service.MAA, Kind.DOWN)
    with pytest.raises(HttpResponseError, match="cannot be verified"):
        vault.release_key("unreachable", good)


@pytest.mark.vectors
def test_claims_have_the_names_of_a_recorded_token(simulation: Simulation, evidence: Evidence, vectors: Path) -> None:
    recorded = json.loads((vectors / "azure/maa-claims/azureguest_snp_milan_2022-09_aks.json").read_text())
    claims = json.loads(unb64url(token(simulation, evidence).split(".")[1]))
    assert list(claims) == sorted(claims)
    assert set(recorded) <= set(claims)
    assert set(claims) - set(recorded) <= {"x-ms-azurevm-attested-pcr-values"}
    tee = "x-ms-isolation-tee"
    assert set(recorded[tee]) <= set(claims[tee])
    for name, value in recorded[tee].items():
        assert type(claims[tee][name]) is type(value), name
    assert claims["exp"] - claims["iat"] == recorded["exp"] - recorded["iat"] == 28800


@pytest.mark.parametrize(
    "kind", [Kind.EXPIRED, Kind.FUTURE, Kind.WRONG_NONCE, Kind.DEBUGGABLE, Kind.TRUSTED_LAUNCH, Kind.UNSIGNED]
)
def test_a_bad_token_is_refused(simulation: Simulation, attester: Attester, kind: Kind) -> None:
    simulation.fault(Service.MAA, kind)
    with rejected() as refused:
        attester.attest(receipt_key=bytes(32))
    assert refused.value.fault in {Fault.TOKEN_INVALID, Fault.NOT_CONFIDENTIAL, Fault.POLICY_MISMATCH}


def test_maa_down_and_up_again(simulation: Simulation, attester: Attester) -> None:
    simulation.fault(Service.MAA, Kind.DOWN)
    with rejected(fault=Fault.MAA_UNAVAILABLE):
        attester.attest(receipt_key=bytes(32))
    simulation.clear_faults()
    attester.attest(receipt_key=bytes(32))


def test_signing_keys_may_turn(simulation: Simulation, attester: Attester) -> None:
    attester.attest(receipt_key=bytes(32))
    simulation.rotate_signing_keys()
    fresh = simulation.attester()
    fresh.attest(receipt_key=bytes(32))


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (Kind.FORBIDDEN, Fault.RELEASE_DENIED),
        (Kind.STATUS, Fault.RELEASE_UNAVAILABLE),
        (Kind.REPLACED_STATEMENT, Fault.RELEASE_INVALID),
    ],
)
def test_release_faults(simulation: Simulation, attester: Attester, kind: Kind, fault: Fault) -> None:
    cmk = simulation.create_cmk("faulty")
    attestation = attester.attest(receipt_key=bytes(32))
    simulation.fault(Service.VAULT, kind)
    with rejected(fault=fault):
        attester.release_into(attestation, cmk.spec, memoryview(bytearray(4096)))


def test_release_throttled(simulation: Simulation, attester: Attester) -> None:
    cmk = simulation.create_cmk("throttled")
    attestation = attester.attest(receipt_key=bytes(32))
    simulation.fault(Service.VAULT, Kind.STATUS, status=429, seconds=3)
    with rejected("vault-429", fault=Fault.RELEASE_THROTTLED) as caught:
        attester.release_into(attestation, cmk.spec, memoryview(bytearray(4096)))
    assert caught.value.retry_after == 3


def test_disabled_version_and_unmet_policy_are_denied(simulation: Simulation, attester: Attester) -> None:
    cmk = simulation.create_cmk("denied")
    attestation = attester.attest(receipt_key=bytes(32))
    simulation.enable_cmk(cmk, enabled=False)
    with rejected("vault-403-KeyDisabled", fault=Fault.RELEASE_DENIED):
        attester.release_into(attestation, cmk.spec, memoryview(bytearray(4096)))
    simulation.enable_cmk(cmk, enabled=True)
    policy = simulation.release_policy()
    policy["anyOf"][0]["allOf"].append({"claim": "x-ms-azurevm-vmid", "equals": "ANOTHER-VM"})
    simulation.set_policy("denied", policy)
    with rejected("vault-403-policy", fault=Fault.RELEASE_DENIED):
        attester.release_into(attestation, cmk.spec, memoryview(bytearray(4096)))


def test_metadata_gone(simulation: Simulation, attester: Attester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cji_attestation.evidence.imds.TOTAL_SECONDS", 0.0)
    simulation.fault(Service.IMDS, Kind.DOWN)
    with rejected(fault=Fault.EVIDENCE_UNAVAILABLE):
        attester.attest(receipt_key=bytes(32))
