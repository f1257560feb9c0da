"""Real TDX evidence and Intel's real collateral, each verified at its own time, down to Intel's pinned root."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from cji_attestation import AZURE_US, AttestationError
from cji_attestation.appraisal.intel import authentic_root
from cji_attestation.appraisal.tdx import (
    AuthenticDomain,
    check_attributes,
    check_module,
    read_quote,
    read_report,
    verify_quote,
)
from cji_attestation.evidence import TdCollateral, TdReport, parse_hcl, parse_td_quote
from cji_attestation.evidence.pck import PckSubject, pck_subject
from cji_attestation.evidence.pcs import _ends, _signed
from cji_core.certs import spki_sha256
from cji_core.strict import b64url_decode
from tests.support.refusals import rejected
from tests.support.tdx_forge import td_report

pytestmark = pytest.mark.vectors

MARCH = datetime(2026, 3, 17, tzinfo=UTC)  # the statements were issued on the evening of the 16th
JUNE = datetime(2025, 6, 19, 12, tzinfo=UTC)


def embedded(text: str, name: str) -> tuple[str, bytes]:
    """The exact text of a statement inside the object that Intel serves, and its signature."""
    start = text.index(f'"{name}":') + len(name) + 3
    return text[start : text.rindex(',"signature"')], bytes.fromhex(json.loads(text)["signature"])


def march(vectors: Path, quote: bytes, info: str = "tcb_info_90c06f000000.json") -> TdCollateral:
    folder = vectors / "azure/attestation-rs/collateral"
    tcb, tcb_signature = embedded((folder / info).read_text(), "tcbInfo")
    qe, qe_signature = embedded((folder / "td_qe_identity.json").read_text(), "enclaveIdentity")
    _, *above = x509.load_pem_x509_certificates(parse_td_quote(quote).pck_chain)
    return TdCollateral(
        pck_crl_issuer_chain=b"".join(one.public_bytes(Encoding.PEM) for one in above).decode(),
        root_ca_crl=(folder / "root_ca_crl.der").read_bytes(),
        pck_crl=(folder / "pck_crl_platform.der").read_bytes(),
        tcb_info_issuer_chain=(folder / "tcb_signing_chain.pem").read_text(),
        tcb_info=tcb,
        tcb_info_signature=tcb_signature,
        qe_identity_issuer_chain=(folder / "qe_identity_signing_chain.pem").read_text(),
        qe_identity=qe,
        qe_identity_signature=qe_signature,
    )


def stored(path: Path) -> TdCollateral:
    data: dict[str, Any] = json.loads(path.read_text())
    binary = {"root_ca_crl", "pck_crl", "tcb_info_signature", "qe_identity_signature"}
    values: dict[str, Any] = {name: bytes.fromhex(text) if name in binary else text for name, text in data.items()}
    return TdCollateral(**values)


def live(vectors: Path) -> tuple[bytes, bytes]:
    """(HCL report, TD quote) of a real machine of 2026."""
    data = json.loads((vectors / "azure/attestation-rs/az_tdx/live-evidence.json").read_text())
    return b64url_decode(data["hcl_report"].rstrip("=")), b64url_decode(data["td_quote"].rstrip("="))


def endorsed(quote: bytes, collateral: TdCollateral, now: datetime) -> AuthenticDomain:
    """E23 and E28. E25 compares the TDREPORT; here it is only copied, so any will do."""
    root, _ = authentic_root(collateral, parse_td_quote(quote).pck_chain, roots=AZURE_US.intel_roots, now=now)
    return verify_quote(report_in(td_report(bytes(64))), quote, collateral, root=root, now=now)[0]


def report_in(raw: bytes) -> TdReport:
    return read_report(raw)[0]


def test_azure_machine_from_hcl_report_to_intels_root(vectors: Path) -> None:
    hcl, quote = live(vectors)
    report = report_in(parse_hcl(hcl).hardware)
    assert read_quote(report, quote)[0].version == 4
    check_attributes(report)
    check_module(report)
    found = endorsed(quote, march(vectors, quote), MARCH)
    assert (found.tcb_status, found.advisories, found.product) == ("UpToDate", (), "90C06F000000")
    assert (found.tcb.tdx_module, found.tcb.tdx_module_version, found.tcb.late_microcode) == (13, 1, 4)


def test_quote_of_2025(vectors: Path) -> None:
    folder = vectors / "azure/dcap-qvl"
    found = endorsed((folder / "tdx_quote").read_bytes(), stored(folder / "tdx_quote_collateral.json"), JUNE)
    assert (found.tcb_status, found.product) == ("UpToDate", "B0C06F000000")


def test_quote_of_version_5(vectors: Path) -> None:
    quote = (vectors / "azure/go-tdx-guest/quote_v5_sample.dat").read_bytes()
    assert endorsed(quote, march(vectors, quote), MARCH).tcb_status == "UpToDate"


@pytest.mark.parametrize(
    ("path", "info"),
    [
        ("dcap-qvl/tdx_quote_outdated", "tcb_info_90c06f000000.json"),  # below every level that Intel lists
        ("trustee/az-tdx-vtpm/td-quote.bin", "tcb_info_90c06f000000.json"),  # another FMSPC
        ("trustee/tdx/tdx_quote_4.dat", "tcb_info_50806f000000.json"),  # debugging is on
    ],
)
def test_real_quotes_that_are_refused(vectors: Path, path: str, info: str) -> None:
    quote = (vectors / "azure" / path).read_bytes()
    with rejected("E28"):
        endorsed(quote, march(vectors, quote, info), MARCH)


def test_outdated_quote_with_its_own_collateral(vectors: Path) -> None:
    folder = vectors / "azure/dcap-qvl"
    quote, collateral = (folder / "tdx_quote_outdated").read_bytes(), folder / "tdx_quote_outdated_collateral.json"
    with rejected("E28"):
        endorsed(quote, stored(collateral), datetime(2026, 3, 1, tzinfo=UTC))


@pytest.mark.parametrize("when", [datetime(2026, 3, 16, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)])
def test_collateral_out_of_its_time(vectors: Path, when: datetime) -> None:
    _, quote = live(vectors)
    with rejected("E28"):
        endorsed(quote, march(vectors, quote), when)


@pytest.mark.parametrize("folder", ["kinvolk/hcl-report-tdx.bin", "trustee/az-tdx-vtpm/hcl-report.bin"])
def test_real_reports_are_whole(vectors: Path, folder: str) -> None:
    report = report_in(parse_hcl((vectors / "azure" / folder).read_bytes()).hardware)
    check_attributes(report)
    check_module(report)


def test_report_and_quote_of_one_machine_belong_together(vectors: Path) -> None:
    folder = vectors / "azure/trustee/az-tdx-vtpm"
    own = report_in(parse_hcl((folder / "hcl-report.bin").read_bytes()).hardware)
    quote = (folder / "td-quote.bin").read_bytes()
    for other in (live(vectors)[0], (vectors / "azure/kinvolk/hcl-report-tdx.bin").read_bytes()):
        with rejected("E25"):
            read_quote(report_in(parse_hcl(other).hardware), quote)
    assert own.report_data == parse_hcl((folder / "hcl-report.bin").read_bytes()).report_data


def test_changed_bytes_of_a_real_quote(vectors: Path) -> None:
    hcl, quote = live(vectors)
    report, collateral = report_in(parse_hcl(hcl).hardware), march(vectors, quote)
    accepted = 0
    for at in range(0, 636 + 134 + 450 + 32, 3):
        wrong = bytearray(quote)
        wrong[at] ^= 0x41
        try:
            read_quote(report, bytes(wrong))
            endorsed(bytes(wrong), collateral, MARCH)
            accepted += 1
        except AttestationError:
            continue
    assert accepted == 0
    with rejected("E28"):
        endorsed(
            quote,
            msgspec.structs.replace(collateral, tcb_info=collateral.tcb_info.replace("UpToDate", "Revoked")),
            MARCH,
        )


QUOTES = {
    "attestation-rs/tdx_quote_live.dat": (4, "B0C06F000000"),
    "cvm-attestation-tools/td_quote_v4.dat": (4, "90C06F000000"),
    "cvm-attestation-tools/td_quote_v5.dat": (5, "90C06F000000"),
    "dcap-qvl/tdx_quote": (4, "B0C06F000000"),
    "dcap-qvl/tdx_quote_outdated": (5, "90C06F000000"),
    "go-tdx-guest/quote_v5_sample.dat": (5, "90C06F000000"),
    "trustee/az-tdx-vtpm/td-quote.bin": (4, "00806F050000"),
    "trustee/tdx/tdx_quote_4.dat": (4, "50806F000000"),
    "trustee/tdx/tdx_quote_5.dat": (5, "90C06F000000"),
    "trustee/tdx/tdx_quote_6.dat": (4, "00A06D080000"),
}


@pytest.mark.parametrize("path", QUOTES)
def test_a25_every_real_quote_names_its_processor(vectors: Path, path: str) -> None:
    """And the addresses that Intel's own certificates name for their CRLs are the pinned ones."""
    quote = parse_td_quote((vectors / "azure" / path).read_bytes())
    version, fmspc = QUOTES[path]
    assert (quote.version, len(quote.body)) == (version, 584 if version == 4 else 648)
    assert pck_subject(quote.pck_chain) == PckSubject(fmspc, "platform")
    pck, ca, root = x509.load_pem_x509_certificates(quote.pck_chain)
    assert spki_sha256(root.public_key()) in AZURE_US.intel_roots
    older = points(pck)[0].replace("/v3/", "/v4/")  # of certificates made for version 3 of the service
    assert older == f"{AZURE_US.intel_pcs}/sgx/certification/v4/pckcrl?ca=platform&encoding=der"
    assert points(ca) == points(root) == [AZURE_US.intel_root_crl]


def points(certificate: x509.Certificate) -> list[str]:
    found = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    return [name.value for point in found for name in point.full_name or ()]


@pytest.mark.parametrize(
    "path",
    [
        "dcap-qvl/sgx_quote",  # an enclave's
        "go-tdx-guest/tdx_prod_quote_SPR_E4.dat",  # bytes behind it
        "trustee/az-tdx-vtpm/quote.bin",  # the TPM's
    ],
)
def test_what_is_no_quote_of_a_trust_domain(vectors: Path, path: str) -> None:
    with rejected("td-quote"):
        parse_td_quote((vectors / "azure" / path).read_bytes())


@pytest.mark.parametrize(
    "path",
    ["cvm-attestation-tools/td_quote_v4.dat", "cvm-attestation-tools/td_quote_v5.dat", "trustee/tdx/tdx_quote_5.dat"],
)
def test_processors_below_every_level_that_intel_lists(vectors: Path, path: str) -> None:
    quote = (vectors / "azure" / path).read_bytes()
    with rejected("E28") as caught:
        endorsed(quote, march(vectors, quote), MARCH)
    assert (caught.value.check, "No matching TCB level" in str(caught.value.__cause__)) == ("E28", True)


def test_quote_of_one_day_and_collateral_of_another(vectors: Path) -> None:
    """The PCK certificate of March 2026 was not valid when the collateral of June 2025 was."""
    quote = (vectors / "azure/attestation-rs/tdx_quote_live.dat").read_bytes()
    collateral = stored(vectors / "azure/dcap-qvl/tdx_quote_collateral.json")
    for when in (JUNE, datetime(2026, 4, 1, tzinfo=UTC)):
        with rejected("E28"):
            endorsed(quote, collateral, when)


def test_reports_and_quotes(vectors: Path) -> None:
    """One machine's belong together; a report under the name of another kind of hardware is known by its type."""
    azure = vectors / "azure"
    data = json.loads((azure / "trustee/az-tdx-vtpm/evidence-v0.json").read_bytes())
    pairs = [
        (bytes(data["hcl_report"]), bytes(data["td_quote"])),
        (
            (azure / "trustee/az-tdx-vtpm/hcl-report.bin").read_bytes(),
            (azure / "trustee/az-tdx-vtpm/td-quote.bin").read_bytes(),
        ),
    ]
    for hcl, quote in pairs:
        assert read_quote(report_in(parse_hcl(hcl).hardware), quote)[0].version == 4
    misnamed = parse_hcl((azure / "cvm-attestation-tools/snp_hcl_report.bin").read_bytes())
    assert (misnamed.tee, report_in(misnamed.hardware).attributes) == ("tdx", 0)
    other = report_in((azure / "attestation-rs/tdx_tdreport_live.bin").read_bytes())
    with rejected("E25"):
        read_quote(other, (azure / "attestation-rs/tdx_quote_live.dat").read_bytes())  # another launch
    with rejected("E24"):
        report_in((azure / "go-tdx-guest/report.dat").read_bytes())  # 1024 bytes of something else


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("attestation-rs/collateral/tcb_info_50806f000000.json", "tcbInfo"),
        ("attestation-rs/collateral/tcb_info_90c06f000000.json", "tcbInfo"),
        ("attestation-rs/collateral/td_qe_identity.json", "enclaveIdentity"),
        ("go-tdx-guest/sample_qeIdentity_response", "enclaveIdentity"),
        ("go-tdx-guest/sample_tcbInfo_response", "tcbInfo"),
        ("go-tdx-guest/sample_tcbinfo_response_v5", "tcbInfo"),
        ("trustee/tdx/enclaveIdentity.json", "enclaveIdentity"),
        ("trustee/tdx/tcbInfo.json", "tcbInfo"),
    ],
)
def test_intels_answers_are_split_where_intel_signed(vectors: Path, path: str, name: str) -> None:
    """The text that is kept verifies under Intel's TCB signing key, byte for byte."""
    body = (vectors / "azure" / path).read_bytes()
    text, signature = _signed(body, name, "pcs")
    signer = (vectors / "azure/attestation-rs/collateral/tcb_signing_chain.pem").read_bytes()
    key = x509.load_pem_x509_certificates(signer)[0].public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    key.verify(encode_dss_signature(r, s), text.encode(), ec.ECDSA(hashes.SHA256()))


def test_evaluation_number_and_end_of_real_collateral(vectors: Path) -> None:
    _, quote = live(vectors)
    collateral = march(vectors, quote)
    assert endorsed(quote, collateral, MARCH).evaluation == 18
    assert datetime.fromtimestamp(_ends(collateral), UTC).date() == date(2026, 4, 15)
