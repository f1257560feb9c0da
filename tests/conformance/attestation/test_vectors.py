"""Real evidence of real machines (folder `azure` of the vectors), each verified at its own time."""

import base64
import hashlib
import json
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_public_key

from cji_attestation import AZURE_US, Fault
from cji_attestation.appraisal.snp import Endorsement, check_signing_key, verify_chain, verify_report_signature
from cji_attestation.appraisal.vcek import verify_chip
from cji_attestation.appraisal.vtpm import ENDORSEMENT_HIERARCHY
from cji_attestation.errors import Record
from cji_attestation.evidence import (
    HclReport,
    SnpReport,
    Tcb,
    parse_attest,
    parse_hcl,
    parse_rsa_public,
    parse_snp_report,
)
from cji_attestation.evidence.collect import _der
from cji_attestation.evidence.hcl import runtime_ak
from cji_attestation.evidence.tpm_structures import TpmAttest, policy_pcr_digest
from cji_attestation.release.statement import verify_chain_and_signature
from cji_attestation.strict import load_der, load_pem_chain
from cji_attestation.trust import endpoint
from cji_core.certs import spki_sha256
from cji_core.strict import b64url_decode
from tests.support.refusals import rejected

pytestmark = pytest.mark.vectors

WHEN = datetime(2026, 6, 1, tzinfo=UTC)
TEE_AV = "azure/tee-attestation-verification"


def pem_of(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def tcb_of(report: SnpReport, chain: Endorsement) -> Tcb:
    """E07: the TCB that the VCEK of this very chip was made for."""
    tcb, check = verify_chip(report, chain.vcek, product=chain.product)
    assert check.id == "E07"
    return tcb


def endorsement(pem: bytes, *, now: datetime = WHEN) -> Endorsement:
    return verify_chain(pem, roots=AZURE_US.amd_roots, now=now, record=Record())


@pytest.mark.parametrize(
    ("path", "tee", "size"),
    [
        ("kinvolk/hcl-report-snp.bin", "snp", 583),
        ("kinvolk/hcl-report-tdx.bin", "tdx", 1202),
        ("trustee/az-snp-vtpm/hcl-report.bin", "snp", 1110),
        ("trustee/az-tdx-vtpm/hcl-report.bin", "tdx", 1201),
        ("cvm-attestation-tools/snp_hcl_report.bin", "tdx", 1182),  # named after the wrong kind at its source
    ],
)
def test_hcl_report(vectors: Path, path: str, tee: str, size: int) -> None:
    report = parse_hcl((vectors / "azure" / path).read_bytes())
    assert (report.tee, len(report.claims_bytes)) == (tee, size)
    assert report.report_data == hashlib.sha256(report.claims_bytes).digest() + bytes(32)
    assert parse_hcl(report.raw) == report


def test_hcl_claims_are_the_exact_bytes(vectors: Path) -> None:
    assert json.loads((vectors / "azure/kinvolk/var-data.bin").read_bytes())["keys"]


CHAINS = [
    ("milan", "Milan", Tcb(bootloader=4, tee=0, snp=24, microcode=219)),
    ("genoa", "Genoa", Tcb(bootloader=10, tee=0, snp=23, microcode=84)),
]


@pytest.mark.parametrize(("name", "product", "tcb"), CHAINS)
def test_report_to_amd_root(vectors: Path, name: str, product: str, tcb: Tcb) -> None:
    folder = vectors / TEE_AV
    chain = endorsement(b"".join((folder / f"{name}_{part}.pem").read_bytes() for part in ("vcek", "ask", "ark")))
    report = parse_snp_report((folder / f"{name}_attestation_report.bin").read_bytes())
    verify_report_signature(report, chain.vcek)
    assert (chain.product, tcb_of(report, chain)) == (product, tcb)
    assert (report.version, report.debug, report.migratable) == (3, False, False)


def test_turin_chain(vectors: Path) -> None:
    folder = vectors / TEE_AV
    chain = endorsement(b"".join((folder / f"turin_{part}.pem").read_bytes() for part in ("vcek", "ask", "ark")))
    assert chain.product == "Turin"


def test_pinned_roots_are_amds(vectors: Path) -> None:
    roots = set()
    for name in ("milan", "genoa", "turin"):
        (ark,) = load_pem_chain(
            (vectors / TEE_AV / f"{name}_ark.pem").read_bytes(), fault=Fault.EVIDENCE_INVALID, check="ark"
        )
        roots.add(spki_sha256(ark.public_key()))
        published = (vectors / f"azure/trustee/amd-roots/{name}_ask_ark_asvk.pem").read_bytes()
        found = load_pem_chain(published, fault=Fault.EVIDENCE_INVALID, check="ark")
        assert spki_sha256(ark.public_key()) in {spki_sha256(one.public_key()) for one in found}
    assert roots == set(AZURE_US.amd_roots)


def test_azure_milan_report_of_an_hcl_report(vectors: Path) -> None:
    folder = vectors / "azure/trustee/az-snp-vtpm"
    report = parse_snp_report(parse_hcl((folder / "hcl-report.bin").read_bytes()).hardware)
    chain = endorsement((folder / "vcek.pem").read_bytes())
    verify_report_signature(report, chain.vcek)
    assert tcb_of(report, chain) == Tcb(bootloader=3, tee=0, snp=8, microcode=115)


def test_report_version_5(vectors: Path) -> None:
    folder = vectors / "azure/attestation-rs/snp"
    genoa = [(vectors / TEE_AV / f"genoa_{part}.pem").read_bytes() for part in ("ask", "ark")]
    vcek = load_der((folder / "live-vcek-genoa.der").read_bytes(), fault=Fault.EVIDENCE_INVALID, check="vcek")
    chain = endorsement(pem_of(vcek) + b"".join(genoa))
    report = parse_snp_report((folder / "live-report-v5-genoa.bin").read_bytes())
    verify_report_signature(report, chain.vcek)
    assert (report.version, tcb_of(report, chain)) == (5, Tcb(bootloader=10, tee=0, snp=27, microcode=27))


@pytest.mark.parametrize(
    ("report", "vcek"),
    [
        ("go-sev-guest/attestation.bin", "go-sev-guest/vcek.testcer"),
        ("trustee/snp/test-report.bin", "trustee/snp/test-vcek.der"),
    ],
)
def test_report_version_2(vectors: Path, report: str, vcek: str) -> None:
    milan = [(vectors / TEE_AV / f"milan_{part}.pem").read_bytes() for part in ("ask", "ark")]
    found = load_der((vectors / "azure" / vcek).read_bytes(), fault=Fault.EVIDENCE_INVALID, check="vcek")
    chain = endorsement(pem_of(found) + b"".join(milan), now=datetime(2025, 6, 1, tzinfo=UTC))
    parsed = parse_snp_report((vectors / "azure" / report).read_bytes())
    verify_report_signature(parsed, chain.vcek)
    tcb_of(parsed, chain)


def test_report_and_certificates_of_two_chips(vectors: Path) -> None:
    report = parse_snp_report(parse_hcl((vectors / "azure/kinvolk/hcl-report-snp.bin").read_bytes()).hardware)
    chain = endorsement((vectors / "azure/kinvolk/certs.pem").read_bytes(), now=datetime(2025, 6, 1, tzinfo=UTC))
    with rejected("E06"):
        verify_report_signature(report, chain.vcek)


@pytest.mark.parametrize("name", ["test-vcek-invalid-legacy.der", "test-vcek-invalid-new.der"])
def test_tampered_vcek(vectors: Path, name: str) -> None:
    milan = [(vectors / TEE_AV / f"milan_{part}.pem").read_bytes() for part in ("ask", "ark")]
    data = (vectors / "azure/trustee/snp" / name).read_bytes()
    report = parse_snp_report((vectors / "azure/trustee/snp/test-report.bin").read_bytes())

    def verify() -> None:
        vcek = load_der(data, fault=Fault.EVIDENCE_INVALID, check="E05")
        chain = endorsement(pem_of(vcek) + b"".join(milan), now=datetime(2025, 6, 1, tzinfo=UTC))
        tcb_of(report, chain)

    with rejected("E05", "E07"):
        verify()


def test_vlek_signed_report_is_refused(vectors: Path) -> None:
    folder = vectors / "azure/trustee/snp"
    report = parse_snp_report((folder / "test-vlek-report.bin").read_bytes())
    vlek = load_der((folder / "test-vlek.der").read_bytes(), fault=Fault.EVIDENCE_INVALID, check="vlek")
    verify_report_signature(report, vlek)  # its signature is sound: the kind of key is why it is refused
    with rejected("E37") as caught:
        check_signing_key(report)
    assert caught.value.failures == (("E37", "signed by VLEK", "signed by VCEK"),)


def _quoted(evidence: dict[str, Any]) -> tuple[HclReport, TpmAttest]:
    """Check the quote of a bundle against the AK of its own report."""
    report = parse_hcl(b64url_decode(evidence["hcl_report"].rstrip("=")))
    quote = evidence["tpm_quote"]
    message, signature = bytes.fromhex(quote["message"]), bytes.fromhex(quote["signature"])
    report.ak.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    attest = parse_attest(message)
    values = b"".join(bytes.fromhex(value) for value in quote["pcrs"])
    assert attest.kind == "quote"
    assert attest.digest == hashlib.sha256(values).digest()
    return report, attest


@pytest.mark.parametrize(
    ("path", "tee", "extra"),
    [
        ("attestation-rs/az_snp/milan-v3-attestation.json", "snp", b""),
        ("trustee/az-snp-vtpm/evidence-v1.json", "snp", b"challenge"),
        ("attestation-rs/az_tdx/live-evidence.json", "tdx", b"attestation-test-fixture"),
    ],
)
def test_quote_by_the_ak_of_the_report(vectors: Path, path: str, tee: str, extra: bytes) -> None:
    data = json.loads((vectors / "azure" / path).read_text())
    report, attest = _quoted(data.get("evidence", data))
    assert (report.tee, attest.extra_data) == (tee, extra)


AK_OF_AZURE = 0x50472  # attributes: as below, and userWithAuth and noDA


def _ak_area(modulus: int) -> bytes:
    """The public area of Azure's AK: RSASSA with SHA-256, restricted, without a policy."""
    head = struct.pack(">HHIH", 0x0001, 0x000B, AK_OF_AZURE, 0) + bytes.fromhex("0010 0014 000b")
    return head + struct.pack(">HIH", 2048, 0, 256) + modulus.to_bytes(256, "big")


@pytest.mark.parametrize(
    "path",
    [
        "attestation-rs/az_snp/milan-v3-attestation.json",
        "trustee/az-snp-vtpm/evidence-v1.json",
        "attestation-rs/az_tdx/live-evidence.json",
    ],
)
def test_quote_names_an_ak_of_the_endorsement_hierarchy(vectors: Path, path: str) -> None:
    """What E22 relies upon: the signer's Qualified Name, on SEV-SNP and on TDX."""
    data = json.loads((vectors / "azure" / path).read_text())
    report, attest = _quoted(data.get("evidence", data))
    area = _ak_area(report.ak.public_numbers().n)
    public = parse_rsa_public(struct.pack(">H", len(area)) + area)
    hierarchy = ENDORSEMENT_HIERARCHY.to_bytes(4, "big")
    assert attest.signer == b"\x00\x0b" + hashlib.sha256(hierarchy + public.name).digest()


@pytest.mark.parametrize(
    ("path", "version", "checked"),
    [
        (f"{TEE_AV}/milan_attestation_report.bin", 3, True),
        (f"{TEE_AV}/genoa_attestation_report.bin", 3, True),
        ("azure/attestation-rs/snp/live-report-v5-genoa.bin", 5, True),
        ("azure/trustee/snp/test-vlek-report.bin", 3, True),
        ("azure/trustee/snp/test-report.bin", 2, False),
        ("azure/go-sev-guest/attestation.bin", 2, False),
        ("azure/sidecar/snp_report.bin", 2, False),
    ],
)
def test_reserved_bits_and_alias_check_of_real_reports(vectors: Path, path: str, version: int, checked: bool) -> None:
    report = parse_snp_report((vectors / path).read_bytes())
    assert (report.version, "alias-check-complete" in report.platform_flags) == (version, checked)
    assert bool(report.current_mitigations) == (version == 5)


def test_quote_of_another_machine(vectors: Path) -> None:
    folder = vectors / "azure/trustee/az-snp-vtpm"
    report = parse_hcl((folder / "hcl-report.bin").read_bytes())
    message, signature = (folder / "tpm-quote.msg").read_bytes(), (folder / "tpm-quote.sig").read_bytes()
    assert parse_attest(message).kind == "quote"
    with pytest.raises(InvalidSignature):
        report.ak.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())


def test_quote_of_2026(vectors: Path) -> None:
    folder = vectors / "azure/cmcp/azure-vtpm-2026-07-27"
    key = load_pem_public_key((folder / "ak.pub").read_bytes())
    assert isinstance(key, rsa.RSAPublicKey)
    message = (folder / "quote.msg").read_bytes()
    key.verify((folder / "quote.sig").read_bytes(), message, padding.PKCS1v15(), hashes.SHA256())
    attest = parse_attest(message)
    assert (attest.kind, attest.extra_data.hex()) == ("quote", (folder / "nonce.hex").read_text().strip())


def test_ak_certificate_of_2026(vectors: Path) -> None:
    der = (vectors / "azure/cmcp/azure-vtpm-2026-07-27/akcert_0x01C101D0.der").read_bytes()
    assert _der(der + bytes(4096 - len(der))) == der
    certificate = load_der(der, fault=Fault.EVIDENCE_INVALID, check="ak")
    (issuer,) = x509.load_pem_x509_certificates((vectors / "azure/vtpm-ca/global-virtual-tpm-ca-03.pem").read_bytes())
    certificate.verify_directly_issued_by(issuer)


def test_ephemeral_key_of_the_published_request(vectors: Path) -> None:
    path = vectors / "azure/azureguest/azureguest_tpminfo_trustedlaunch_windows.json"
    info = json.loads(path.read_text())["TpmInfo"]
    blobs = {name: base64.b64decode(value) for name, value in info.items() if isinstance(value, str)}
    ak, key = parse_rsa_public(blobs["AikPub"]), parse_rsa_public(blobs["EncKeyPub"])
    quote, certify = parse_attest(blobs["PcrQuote"]), parse_attest(blobs["EncKeyCertifyInfo"])
    hierarchy = ENDORSEMENT_HIERARCHY.to_bytes(4, "big")
    assert quote.signer == certify.signer == b"\x00\x0b" + hashlib.sha256(hierarchy + ak.name).digest()
    assert ak.attributes == AK_OF_AZURE
    assert certify.name == key.name
    assert (ak.signing, key.signing, key.attributes) == (True, False, 0x20432)
    values = b"".join(base64.b64decode(pcr["Digest"]) for pcr in info["PCRs"])
    assert quote.digest == hashlib.sha256(values).digest()
    start = bytes(32) + bytes.fromhex("0000017f") + quote.selection + quote.digest
    assert key.policy == hashlib.sha256(start).digest()
    assert len(policy_pcr_digest(tuple(bytes(32) for _ in range(8)))) == len(key.policy)


@pytest.mark.parametrize("name", ["azureguest_snp_milan_2022-05_windows", "azureguest_snp_milan_2022-09_aks"])
def test_recorded_claims_have_the_shape_that_token_checks_read(vectors: Path, name: str) -> None:
    claims = json.loads((vectors / f"azure/maa-claims/{name}.json").read_text())
    tee = claims["x-ms-isolation-tee"]
    ak = runtime_ak(tee["x-ms-runtime"], fault=Fault.TOKEN_INVALID, check="T14")
    runtime = (vectors / f"azure/maa-claims/{name}.runtime.json").read_bytes()
    assert tee["x-ms-sevsnpvm-reportdata"] == hashlib.sha256(runtime).hexdigest() + "00" * 32
    assert runtime_ak(json.loads(runtime), fault=Fault.TOKEN_INVALID, check="T14") == ak
    assert (claims["x-ms-attestation-type"], tee["x-ms-attestation-type"]) == ("azurevm", "sevsnpvm")
    assert tee["x-ms-compliance-status"] == "azure-compliant-cvm"
    for flag in ("bootdebug", "kerneldebug", "hypervisordebug", "testsigning", "flightsigning"):
        assert claims[f"x-ms-azurevm-{flag}-enabled"] is False
    assert claims["nbf"] == claims["iat"] == claims["exp"] - 28800


def test_recorded_release_statement(vectors: Path) -> None:
    recording = json.loads((vectors / "azure/skr/akv_release_recorded_ec-hsm_2022-05b.json").read_text())
    (raw,) = (
        json.loads(call["Response"]["BODY"])["value"]
        for call in recording["networkCallRecords"]
        if "/release" in call["Url"]
    )
    x5c = json.loads(b64url_decode(raw.split(".")[0]))["x5c"]
    root = x509.load_der_x509_certificate(base64.b64decode(x5c[-1]))
    trust = msgspec.structs.replace(AZURE_US, release_roots=pem_of(root).decode())
    host, then = "gearamakv1.vault.azure.net", datetime(2022, 5, 5, tzinfo=UTC).timestamp()
    payload = json.loads(verify_chain_and_signature(raw, host=host, trust=trust, now=then, record=Record()))
    assert payload["request"]["enc"] == "RSA_AES_KEY_WRAP_256"
    for wrong in ({"host": "other.example"}, {"now": then + 10 * 31536000}):
        given: dict[str, Any] = {"host": host, "trust": trust, "now": then}
        with rejected("S02"):
            verify_chain_and_signature(raw, record=Record(), **(given | wrong))


def test_shared_providers_are_within_the_pins(vectors: Path) -> None:
    table = json.loads((vectors / "azure/cvm-attestation-tools/attestation_uri_table.json").read_text())
    for region in (
        "eastus",
        "eastus2",
        "centralus",
        "northcentralus",
        "southcentralus",
        "westus",
        "westus2",
        "westus3",
    ):
        assert endpoint(table[region], AZURE_US.maa_hosts, resource="", check="maa").base == table[region].rstrip("/")


def test_thim_reply(vectors: Path) -> None:
    reply = json.loads((vectors / "azure/sidecar/uvm_host_amd_certificate.json").read_text())
    chain = endorsement((reply["vcekCert"] + reply["certificateChain"]).encode(), now=datetime(2024, 1, 1, tzinfo=UTC))
    report: SnpReport = parse_snp_report((vectors / "azure/sidecar/snp_report.bin").read_bytes())
    assert chain.product == "Milan"
    assert len(bytes.fromhex(reply["tcbm"])) == len(report.reported_tcb)
