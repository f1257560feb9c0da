"""E40 to E44 on real machines: Azure's pass under the built-in values, those of other clouds are not Azure's."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509

from cji_attestation import Fault
from cji_attestation.appraisal import ReferenceValues, appraise
from cji_attestation.appraisal.ak_certificate import check_ak_issuer
from cji_attestation.appraisal.appraise import check_origin
from cji_attestation.appraisal.azure import ID_KEYS, MRTDS, VTPM_ROOTS
from cji_attestation.appraisal.boot_policy import _configuration
from cji_attestation.appraisal.policy import _launch
from cji_attestation.checks import Check, Failure, Skipped
from cji_attestation.evidence import HclReport, parse_hcl, parse_snp_report, parse_td_quote
from cji_attestation.evidence.ak_chain import with_issuers
from cji_core.certs import spki_sha256
from tests.support.forge import QUALIFYING, machine
from tests.support.refusals import rejected

pytestmark = pytest.mark.vectors
DEFAULT = ReferenceValues()


def hcl_of(vectors: Path, name: str) -> HclReport:
    """The HCL report in a file, by itself or in a member of a JSON bundle."""
    data = (vectors / "azure" / name).read_bytes()
    if data.lstrip().startswith(b"{"):
        found = json.loads(data)
        member = (found.get("evidence") or found).get("hcl_report") or found["report"]
        data = (
            bytes(member)
            if isinstance(member, list)
            else base64.b64decode(f"{member.replace('-', '+').replace('_', '/')}==")
        )
    at = data.index(b"HCLA")
    return parse_hcl(data[at : at + int.from_bytes(data[at + 8 : at + 12], "little")])


SNP = {
    "kinvolk/hcl-report-snp.bin": 2,
    "trustee/az-snp-vtpm/hcl-report.bin": 5,
    "trustee/az-snp-vtpm/evidence-v1.json": 10,
    "attestation-rs/az_snp/milan-v3-attestation.json": 10,
}


@pytest.mark.parametrize("name", SNP)
def test_azure_machines_with_snp_pass(vectors: Path, name: str) -> None:
    hcl = hcl_of(vectors, name)
    signer, check = check_origin(hcl, DEFAULT)
    assert signer in ID_KEYS
    assert not isinstance(check, Skipped)
    report = parse_snp_report(hcl.hardware)
    assert report.guest_svn == SNP[name]
    assert all(isinstance(result, Check) for result in _launch(report, "Milan", signer))
    assert isinstance(_configuration(hcl), Check)


def test_the_report_without_its_header_passes_by_its_values(vectors: Path) -> None:
    """A bundle of cmcp keeps the bare report of an Azure machine, guest SVN 12."""
    found = json.loads((vectors / "azure/cmcp/cmcp_evidence.bin").read_bytes())
    report = parse_snp_report(base64.b64decode(found["snp_report"]))
    signer = next(one for one in ID_KEYS if one.digest == report.id_key_digest.hex())
    assert [result.id for result in _launch(report, "Milan", signer) if isinstance(result, Check)] == ["E41", "E42"]


def test_the_keys_of_2022_before_those_are_not_built_in(vectors: Path) -> None:
    """Their paravisors are as old, and an operator who meets one adds it."""
    for name in ("azureguest_snp_milan_2022-05_windows", "azureguest_snp_milan_2022-09_aks"):
        tee = json.loads((vectors / f"azure/maa-claims/{name}.json").read_bytes())["x-ms-isolation-tee"]
        assert tee["x-ms-sevsnpvm-idkeydigest"] not in {one.digest for one in ID_KEYS}


TDX = ("kinvolk/hcl-report-tdx.bin", "trustee/az-tdx-vtpm/hcl-report.bin", "attestation-rs/az_tdx/live-evidence.json")


@pytest.mark.parametrize("name", TDX)
def test_azure_machines_with_tdx_are_known(vectors: Path, name: str) -> None:
    signer, check = check_origin(hcl_of(vectors, name), DEFAULT)
    assert signer is None
    assert not isinstance(check, Skipped)


def test_mrtds_of_azures_quotes_are_known(vectors: Path) -> None:
    known = {one.digest for one in MRTDS}
    for name in ("td_quote_v4.dat", "td_quote_v5.dat"):
        quote = parse_td_quote((vectors / "azure/cvm-attestation-tools" / name).read_bytes())
        assert quote.body[136:184].hex() in known


@pytest.mark.parametrize("name", ["kinvolk/hcl-report-tdx.bin", "cvm-attestation-tools/snp_hcl_report.bin"])
def test_machines_without_secure_boot_are_refused(vectors: Path, name: str) -> None:
    assert isinstance(_configuration(hcl_of(vectors, name)), Failure)


FOREIGN = (
    "attestation-rs/snp/live-report-v5-genoa.bin",
    "go-sev-guest/attestation.bin",
    "trustee/snp/test-vlek-report.bin",
    "sidecar/snp_report.bin",  # Azure's own containers, whose utility VM has another ID key
    "tee-attestation-verification/genoa_attestation_report.bin",
    "tee-attestation-verification/milan_attestation_report.bin",
)


@pytest.mark.parametrize("name", FOREIGN)
def test_other_clouds_and_containers_are_not_azures_vms(vectors: Path, name: str) -> None:
    """Bare, as their machines show it, and inside a header like Azure's."""
    raw = (vectors / "azure" / name).read_bytes()
    sound = machine().evidence()
    inside = sound.hcl_report[:32] + raw + sound.hcl_report[32 + 1184 :]
    for data in (raw, inside):
        with rejected("E40", fault=Fault.POLICY_MISMATCH) as caught:
            appraise(
                msgspec.structs.replace(sound, hcl_report=data),
                trust=machine().trust,
                reference=DEFAULT,
                expected_qualifying_data=QUALIFYING,
                start=None,
                now=machine().now,
            )
        assert caught.value.failures[0].found.startswith("not Azure: ")


@pytest.mark.parametrize("name", ["trustee/tdx/tdx_quote_4.dat", "attestation-rs/tdx_quote_live.dat"])
def test_bare_quotes_of_trust_domains_are_not_azures(vectors: Path, name: str) -> None:
    data = (vectors / "azure" / name).read_bytes()
    with rejected("E40", fault=Fault.POLICY_MISMATCH):
        machine().appraise(msgspec.structs.replace(machine().evidence(), hcl_report=data))


def pool(vectors: Path) -> tuple[x509.Certificate, ...]:
    folder = vectors / "azure/vtpm-ca"
    names = ("azure-vtpm-root-2023.pem", "global-virtual-tpm-ca-03.pem")
    return tuple(x509.load_pem_x509_certificate((folder / name).read_bytes()) for name in names)


def test_a_real_ak_certificate_leads_to_the_built_in_root(vectors: Path) -> None:
    """Its issuing authority is not in the vTPM: an operator's file has it."""
    own = (vectors / "azure/cmcp/azure-vtpm-2026-07-27/akcert_0x01C101D0.der").read_bytes()
    given: dict[str, Any] = {"added": (), "now": datetime(2026, 7, 28, tzinfo=UTC)}
    chain = with_issuers(own, pool(vectors))
    assert check_ak_issuer(chain, **given) == ("E44", f"AK certified below root key {VTPM_ROOTS[0].spki_sha256}")
    with rejected("E44"):
        check_ak_issuer(own, **given)
    with rejected("E44"):
        check_ak_issuer(chain, added=(), now=datetime(2027, 4, 22, tzinfo=UTC))
    at = len(own) - 3
    with rejected("E44"):
        check_ak_issuer(chain[:at] + bytes([chain[at] ^ 1]) + chain[at + 1 :], **given)


def test_the_built_in_root_is_microsofts(vectors: Path) -> None:
    root = pool(vectors)[0]
    assert spki_sha256(root.public_key()) == VTPM_ROOTS[0].spki_sha256
    assert "Azure Virtual TPM Root Certificate Authority 2023" in root.subject.rfc4514_string()
