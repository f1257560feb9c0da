"""Real TDX evidence and Intel's real collateral, each verified at its own time, down to Intel's pinned root."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from attestation import AZURE_US, AttestationError
from attestation.appraisal.intel import authentic_root
from attestation.appraisal.tdx import (
    TdEndorsement,
    verify_attributes,
    verify_module,
    verify_same,
    verify_td_quote,
    verify_td_report,
)
from attestation.evidence import TdCollateral, parse_hcl, parse_td_quote
from attestation.jose import b64url_decode

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
    return TdCollateral(**{name: bytes.fromhex(text) if name in binary else text for name, text in data.items()})


def live(vectors: Path) -> tuple[bytes, bytes]:
    """(HCL report, TD quote) of a real machine of 2026."""
    data = json.loads((vectors / "azure/attestation-rs/az_tdx/live-evidence.json").read_text())
    return b64url_decode(data["hcl_report"].rstrip("=")), b64url_decode(data["td_quote"].rstrip("="))


def endorsed(quote: bytes, collateral: TdCollateral, now: datetime) -> TdEndorsement:
    root = authentic_root(collateral, parse_td_quote(quote).pck_chain, roots=AZURE_US.intel_roots, now=now)
    return verify_td_quote(quote, collateral, root=root, now=now)


def test_azure_machine_from_hcl_report_to_intels_root(vectors: Path) -> None:
    hcl, quote = live(vectors)
    report = verify_td_report(parse_hcl(hcl).hardware)
    assert verify_same(report, quote).version == 4
    verify_attributes(report)
    verify_module(report)
    found = endorsed(quote, march(vectors, quote), MARCH)
    assert (found.status, found.advisories, found.fmspc) == ("UpToDate", (), "90C06F000000")
    assert (found.tcb.tdx_module, found.tcb.tdx_module_version, found.tcb.late_microcode) == (13, 1, 4)


def test_quote_of_2025(vectors: Path) -> None:
    folder = vectors / "azure/dcap-qvl"
    found = endorsed((folder / "tdx_quote").read_bytes(), stored(folder / "tdx_quote_collateral.json"), JUNE)
    assert (found.status, found.fmspc) == ("UpToDate", "B0C06F000000")


def test_quote_of_version_5(vectors: Path) -> None:
    quote = (vectors / "azure/go-tdx-guest/quote_v5_sample.dat").read_bytes()
    assert endorsed(quote, march(vectors, quote), MARCH).status == "UpToDate"


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
    with pytest.raises(AttestationError) as caught:
        endorsed(quote, march(vectors, quote, info), MARCH)
    assert caught.value.check == "E28"


def test_outdated_quote_with_its_own_collateral(vectors: Path) -> None:
    folder = vectors / "azure/dcap-qvl"
    quote, collateral = (folder / "tdx_quote_outdated").read_bytes(), folder / "tdx_quote_outdated_collateral.json"
    with pytest.raises(AttestationError) as caught:
        endorsed(quote, stored(collateral), datetime(2026, 3, 1, tzinfo=UTC))
    assert caught.value.check == "E28"


@pytest.mark.parametrize("when", [datetime(2026, 3, 16, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)])
def test_collateral_out_of_its_time(vectors: Path, when: datetime) -> None:
    _, quote = live(vectors)
    with pytest.raises(AttestationError) as caught:
        endorsed(quote, march(vectors, quote), when)
    assert caught.value.check == "E28"


@pytest.mark.parametrize("folder", ["kinvolk/hcl-report-tdx.bin", "trustee/az-tdx-vtpm/hcl-report.bin"])
def test_real_reports_are_whole(vectors: Path, folder: str) -> None:
    report = verify_td_report(parse_hcl((vectors / "azure" / folder).read_bytes()).hardware)
    verify_attributes(report)
    verify_module(report)


def test_report_and_quote_of_one_machine_belong_together(vectors: Path) -> None:
    folder = vectors / "azure/trustee/az-tdx-vtpm"
    own = verify_td_report(parse_hcl((folder / "hcl-report.bin").read_bytes()).hardware)
    quote = (folder / "td-quote.bin").read_bytes()
    for other in (live(vectors)[0], (vectors / "azure/kinvolk/hcl-report-tdx.bin").read_bytes()):
        with pytest.raises(AttestationError) as caught:
            verify_same(verify_td_report(parse_hcl(other).hardware), quote)
        assert caught.value.check == "E25"
    assert own.report_data == parse_hcl((folder / "hcl-report.bin").read_bytes()).report_data


def test_changed_bytes_of_a_real_quote(vectors: Path) -> None:
    hcl, quote = live(vectors)
    report, collateral = verify_td_report(parse_hcl(hcl).hardware), march(vectors, quote)
    accepted = 0
    for at in range(0, 636 + 134 + 450 + 32, 3):
        wrong = bytearray(quote)
        wrong[at] ^= 0x41
        try:
            verify_same(report, bytes(wrong))
            endorsed(bytes(wrong), collateral, MARCH)
            accepted += 1
        except AttestationError:
            continue
    assert accepted == 0
    with pytest.raises(AttestationError):
        endorsed(
            quote,
            msgspec.structs.replace(collateral, tcb_info=collateral.tcb_info.replace("UpToDate", "Revoked")),
            MARCH,
        )
