"""`appraise`: our own verdict on one bundle of evidence. The numbers are those in the body and in every error.

Both kinds
 E01 the HCL report parses and its kind is the kind that the bundle names
 E02 report_data is the hash of the exact runtime claims, the rest of it zero
 E03 the claims hold exactly one HCLAkPub, RSA of at least 2048 bits with exponent 65537
 E11 the launch measurement (MRTD) is not empty and, where pinned, known
SEV-SNP
 E04 the AMD root's key is one of the trust's pins
 E05 exactly VCEK, ASK, ARK, each signed by the next, valid now, of one product
 E06 the VCEK signed the report (ECDSA P-384, SHA-384), and chip_id is not masked
 E07 the VCEK was made for this chip, product and reported TCB
 E08 the product is among the reference values
 E09 debug is off (policy bit 19), migration is off (bit 18)
 E10 the report was made at VMPL 0
 E12 reported, committed and launch TCB reach the product's floor in every component
TDX
 E13 the bundle holds the quote and Intel's collateral for it
 E23 the Intel root's key is one of the trust's pins
 E24 the TDREPORT is whole: its kind, its reserved bytes, its hashes
 E25 the quote repeats the TDREPORT field by field and comes from the same processor
 E26 TD attributes: no debugging, profiling or migration, no unknown bit
 E27 the TDX module is Intel's own
 E28 the quote is signed up to that root, and no certificate, CRL or statement is revoked or out of its time
 E29 Intel's TCB status is one that the reference values accept
 E30 Intel's TCB info and QE identity are of the pinned evaluation data number or a later one
vTPM
 E14 HCLAkPub signed the quote
 E15 it is a quote that a TPM made (magic and type)
 E16 its extra data are the expected qualifying data
 E17 it selects PCRs 0 to 7 of the SHA-256 bank and nothing else
 E18 its digest is that of the PCR values, and no PCR is all zeros or all ones
 E19 pinned PCRs have an allowed value
 E20 HCLAkPub certified the ephemeral key by its name
 E21 the ephemeral key cannot leave the TPM, is not restricted, and is bound to the same PCR values
 E22 the AK's public area and certificate are for HCLAkPub, and it is a restricted signing key
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa

from attestation.appraisal.intel import authentic_root
from attestation.appraisal.quote import verify_ephemeral, verify_quote
from attestation.appraisal.reference import ReferenceValues, check_reference
from attestation.appraisal.snp import verify_chain, verify_chip, verify_report_signature
from attestation.appraisal.tdx import (
    verify_attributes,
    verify_module,
    verify_same,
    verify_td_quote,
    verify_td_report,
)
from attestation.appraisal.verdict import _SEAL, Verdict
from attestation.certs import load_der, spki_sha256
from attestation.errors import AttestationError, Fault
from attestation.evidence import (
    Evidence,
    HclReport,
    SnpReport,
    Tcb,
    TdCollateral,
    TdReport,
    TdxTcb,
    parse_hcl,
    parse_rsa_public,
    parse_snp_report,
)
from attestation.evidence.binding import report_user_data
from attestation.evidence.snp_report import parse_tcb
from attestation.trust import Trust

__all__ = ["appraise"]

AK_ATTRIBUTES: Final = 0x50032  # sign, restricted, sensitiveDataOrigin, fixedParent, fixedTPM


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hardware:
    """What the hardware's own evidence showed."""

    product: str
    measurement: bytes
    tcb: Tcb | TdxTcb
    tcb_status: str = ""
    advisories: tuple[str, ...] = ()
    policy: int
    vmpl: int | None
    chip_id: bytes
    report: SnpReport | TdReport
    checks: tuple[tuple[str, str], ...]


def appraise(
    evidence: Evidence, *, trust: Trust, reference: ReferenceValues, expected_qualifying: bytes, now: datetime
) -> Verdict:
    """Accept the evidence and return the verdict, or raise AttestationError with the id of the check that failed.

    Faults: EVIDENCE_INVALID, UNTRUSTED_ROOT (E04, E23), POLICY_MISMATCH (E08-E12, E19, E26, E27, E29, E30),
    CONFIG_INVALID (reference).
    """
    check_reference(reference)
    report = _hcl(evidence)
    judge = _snp if report.tee == "snp" else _tdx
    hardware = judge(evidence, report, trust=trust, reference=reference, now=now)
    attest = verify_quote(evidence, report.ak, expected_qualifying=expected_qualifying)
    for pcr, allowed in reference.pcrs.items():
        _require(evidence.pcrs[pcr].hex() in allowed, "E19")
    ephemeral = verify_ephemeral(evidence, report.ak)
    _ak_certificate(evidence, report.ak)

    return Verdict(
        tee=report.tee,
        product=hardware.product,
        measurement=hardware.measurement,
        report_data=report.report_data,
        tcb=hardware.tcb,
        tcb_status=hardware.tcb_status,
        advisories=hardware.advisories,
        policy=hardware.policy,
        vmpl=hardware.vmpl,
        chip_id=hardware.chip_id,
        hardware=hardware.report,
        vm_unique_id=report.vm_unique_id,
        ak=report.ak,
        ephemeral=ephemeral,
        pcrs=evidence.pcrs,
        clock=attest.clock,
        evidence_sha384=evidence.sha384,
        checks=(
            *_bound(report, expected_qualifying),
            *hardware.checks,
            *_vtpm(reference),
        ),
        seal=_SEAL,
    )


def _snp(
    evidence: Evidence, report: HclReport, *, trust: Trust, reference: ReferenceValues, now: datetime
) -> _Hardware:
    """E04 to E12."""
    hardware = parse_snp_report(report.hardware)
    endorsement = verify_chain(evidence.certs, roots=trust.amd_roots, now=now)
    verify_report_signature(hardware, endorsement.vcek)
    reported = verify_chip(hardware, endorsement)
    product = endorsement.product
    _require(product in reference.products, "E08")
    _require(not hardware.debug and not hardware.migratable, "E09")
    _require(hardware.vmpl == 0, "E10")
    measured = _measured(hardware.measurement, reference)
    _floors(hardware, reference, product=product)
    return _Hardware(
        product=product,
        measurement=hardware.measurement,
        tcb=reported,
        policy=hardware.policy,
        vmpl=hardware.vmpl,
        chip_id=hardware.chip_id,
        report=hardware,
        checks=(
            ("E04", "AMD root pinned"),
            ("E05", f"VCEK, ASK, ARK of {product}"),
            ("E06", f"report version {hardware.version} signed by VCEK"),
            ("E07", "VCEK is for this chip and TCB"),
            ("E08", f"product {product} allowed"),
            ("E09", "no debug, no migration"),
            ("E10", "VMPL 0"),
            ("E11", measured),
            ("E12", "TCB at or above the floor"),
        ),
    )


def _tdx(
    evidence: Evidence, report: HclReport, *, trust: Trust, reference: ReferenceValues, now: datetime
) -> _Hardware:
    """E13, E23 to E30 and E11."""
    collateral = evidence.collateral
    if not isinstance(collateral, TdCollateral) or not evidence.td_quote:
        raise AttestationError(Fault.EVIDENCE_INVALID, check="E13")
    hardware = verify_td_report(report.hardware)
    quote = verify_same(hardware, evidence.td_quote)
    verify_attributes(hardware)
    verify_module(hardware)
    root = authentic_root(collateral, quote.pck_chain, roots=trust.intel_roots, now=now)
    endorsement = verify_td_quote(evidence.td_quote, collateral, root=root, now=now)
    _require(endorsement.status in reference.tcb_statuses, "E29")
    _require(reference.tcb_evaluation is None or endorsement.evaluation >= reference.tcb_evaluation, "E30")
    measured = _measured(hardware.mrtd, reference)
    pinned = "not pinned" if reference.tcb_evaluation is None else f"at least {reference.tcb_evaluation}"
    return _Hardware(
        product=endorsement.fmspc,
        measurement=hardware.mrtd,
        tcb=endorsement.tcb,
        tcb_status=endorsement.status,
        advisories=endorsement.advisories,
        policy=hardware.attributes,
        vmpl=None,
        chip_id=endorsement.ppid,
        report=hardware,
        checks=(
            ("E13", "TD quote with collateral"),
            ("E24", "TDREPORT whole; its MAC is for its own processor"),
            ("E25", f"quote version {quote.version} repeats the TDREPORT"),
            ("E26", "no debug, no profiling, no migration"),
            ("E27", "Intel's TDX module"),
            ("E23", "Intel root pinned"),
            ("E28", f"quote of FMSPC {endorsement.fmspc} signed up to the root"),
            ("E29", " ".join((f"TCB status {endorsement.status}", *endorsement.advisories))),
            ("E30", f"TCB evaluation {endorsement.evaluation}, {pinned}"),
            ("E11", measured),
        ),
    )


def _measured(measurement: bytes, reference: ReferenceValues) -> str:
    """E11."""
    _require(any(measurement), "E11")
    if reference.measurements is None:
        return "measurement not pinned"
    _require(measurement.hex() in reference.measurements, "E11")
    return "measurement among the reference values"


def _require(condition: bool, check: str) -> None:
    if not condition:
        raise AttestationError(Fault.POLICY_MISMATCH, check=check)


def _hcl(evidence: Evidence) -> HclReport:
    """E01, E02, E03."""
    try:
        report = parse_hcl(evidence.hcl_report)
    except AttestationError as error:
        raise AttestationError(Fault.EVIDENCE_INVALID, check="E03" if error.check == "hcl-ak" else "E01") from error
    if report.tee != evidence.tee:
        raise AttestationError(Fault.EVIDENCE_INVALID, check="E01")
    digest = hashlib.new(report.hash_name, report.claims_bytes).digest()
    if report.report_data != digest.ljust(64, b"\0"):
        raise AttestationError(Fault.EVIDENCE_INVALID, check="E02")
    return report


def _floors(hardware: SnpReport, reference: ReferenceValues, *, product: str) -> None:
    """E12; `check_reference` has seen that every allowed product has a floor."""
    level = next(floor for name, floor in reference.floors.items() if name == product)
    floor = Tcb(bootloader=level.bootloader, tee=level.tee, snp=level.snp, microcode=level.microcode, fmc=level.fmc)
    for raw in (hardware.reported_tcb, hardware.committed_tcb, hardware.launch_tcb):
        tcb = parse_tcb(raw, turin=product == "Turin")
        _require(tcb is not None and tcb.at_least(floor), "E12")


def _ak_certificate(evidence: Evidence, ak: rsa.RSAPublicKey) -> None:
    """E22. Its issuer is for Azure Attestation to judge; the hardware report vouches for the key itself."""
    certificate = load_der(evidence.ak_cert, fault=Fault.EVIDENCE_INVALID, check="E22")
    try:
        public = parse_rsa_public(evidence.ak_public)
    except AttestationError as error:
        raise AttestationError(Fault.EVIDENCE_INVALID, check="E22") from error
    same = (
        spki_sha256(certificate.public_key()) == spki_sha256(ak)
        and int.from_bytes(public.modulus, "big") == ak.public_numbers().n
        and public.signing
        and public.attributes & AK_ATTRIBUTES == AK_ATTRIBUTES
    )
    if not same:
        raise AttestationError(Fault.EVIDENCE_INVALID, check="E22")


def _bound(report: HclReport, qualifying: bytes) -> tuple[tuple[str, str], ...]:
    fresh = report.user_data.lower() == report_user_data(qualifying).hex()
    made = "made for this quote" if fresh else "made at boot"
    return (
        ("E01", f"HCL report of kind {report.tee}"),
        ("E02", f"report data = {report.hash_name} of runtime claims, {made}"),
        ("E03", "one HCLAkPub"),
    )


def _vtpm(reference: ReferenceValues) -> tuple[tuple[str, str], ...]:
    pinned = ",".join(map(str, sorted(reference.pcrs)))
    return (
        ("E14", "quote signed by HCLAkPub"),
        ("E15", "quote made by a TPM"),
        ("E16", "quote fresh"),
        ("E17", "PCRs sha256:0-7"),
        ("E18", "PCR values as quoted"),
        ("E19", f"PCRs {pinned} pinned" if pinned else "PCRs not pinned"),
        ("E20", "ephemeral key certified"),
        ("E21", "ephemeral key bound to TPM and PCRs"),
        ("E22", "AK is restricted and certified"),
    )
