"""`appraise`: our own verdict on one bundle of evidence. The numbers are those in the body and in every error.

Both kinds
 E31 the operator's list of advisories, where there is one, is in its time
 E01 the HCL report parses, and it and the rest of the bundle are of the kind that the bundle names
 E02 report_data is the hash of the exact runtime claims, the rest of it zero
 E03 the claims hold exactly one HCLAkPub, RSA of at least 2048 bits with exponent 65537
 E11 the launch measurement (MRTD) is not empty and, where pinned, known
 E32 no advisory is open for this machine, save those that are accepted by name until a day
SEV-SNP
 E36 the report is of a known version, and its reserved bits are as AMD says
 E04 the AMD root's key is one of the trust's pins
 E05 exactly VCEK, ASK, ARK, each signed by the next, valid now, of one product
 E06 the VCEK signed the report (ECDSA P-384, SHA-384), and chip_id is not masked
 E07 the VCEK was made for this chip, product and reported TCB
 E08 the product is among the reference values
 E33 AMD's CRL of the product, where given, is authentic and in its time and revokes neither ASK nor VCEK
 E09 debug is off (policy bit 19), migration is off (bit 18)
 E10 the report was made at VMPL 0
 E12 reported, committed and launch TCB reach floor and advisories of the product in every component
 E34 the firmware's memory alias check is complete, or AMD-SB-3015 is accepted
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
 E22 certificate and public area of the AK are HCLAkPub's, restricted to signing, and name the quote's signer
 E35 the TPM's clock went on since the earlier quote, without reset or restart
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from attestation.appraisal.advisories import BADRAM, Product, all_accepted, open_advisories
from attestation.appraisal.intel import authentic_root
from attestation.appraisal.quote import verify_ak, verify_clock, verify_ephemeral, verify_quote
from attestation.appraisal.reference import ReferenceValues, check_reference, floor_in_force
from attestation.appraisal.snp import (
    Endorsement,
    verify_chain,
    verify_chip,
    verify_not_revoked,
    verify_report_signature,
)
from attestation.appraisal.tdx import (
    verify_attributes,
    verify_module,
    verify_same,
    verify_td_quote,
    verify_td_report,
)
from attestation.appraisal.verdict import _SEAL, Verdict
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
    parse_snp_report,
)
from attestation.evidence.binding import report_user_data
from attestation.evidence.snp_report import parse_tcb
from attestation.trust import Trust

__all__ = ["appraise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hardware:
    """What the hardware's own evidence showed."""

    product: str
    measurement: bytes
    tcb: Tcb | TdxTcb
    tcb_status: str = ""
    advisories: tuple[str, ...] = ()
    accepted: tuple[str, ...]
    policy: int
    vmpl: int | None
    chip_id: bytes
    report: SnpReport | TdReport
    checks: tuple[tuple[str, str], ...]


def appraise(
    evidence: Evidence,
    *,
    trust: Trust,
    reference: ReferenceValues,
    expected_qualifying: bytes,
    now: datetime,
    earlier: Verdict | None = None,
) -> Verdict:
    """Accept the evidence and return the verdict, or raise AttestationError with the id of the check that failed.

    `earlier` is the last verdict on the same machine in the same boot, where there is one.
    Faults: EVIDENCE_INVALID, UNTRUSTED_ROOT (E04, E23), POLICY_MISMATCH (E08-E12, E19, E26, E27, E29-E34),
    CONFIG_INVALID (reference).
    """
    check_reference(reference)
    listed = _listed(reference, now=now)
    report = _hcl(evidence)
    judge = _snp if report.tee == "snp" else _tdx
    hardware = judge(evidence, report, trust=trust, reference=reference, now=now)
    attest = verify_quote(evidence, report.ak, expected_qualifying=expected_qualifying)
    for pcr, allowed in reference.pcrs.items():
        _require(evidence.pcrs[pcr].hex() in allowed, "E19")
    ephemeral = verify_ephemeral(evidence, report.ak)
    verify_ak(evidence, report.ak, signer=attest.signer)
    moved = verify_clock(attest.clock, report.ak, earlier)

    return Verdict(
        tee=report.tee,
        product=hardware.product,
        measurement=hardware.measurement,
        report_data=report.report_data,
        tcb=hardware.tcb,
        tcb_status=hardware.tcb_status,
        advisories=hardware.advisories,
        accepted=hardware.accepted,
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
            ("E31", listed),
            *_bound(report, expected_qualifying),
            *hardware.checks,
            *_vtpm(reference),
            ("E35", moved),
        ),
        seal=_SEAL,
    )


def _snp(
    evidence: Evidence, report: HclReport, *, trust: Trust, reference: ReferenceValues, now: datetime
) -> _Hardware:
    """E04 to E12, E32 to E34 and E36."""
    try:
        hardware = parse_snp_report(report.hardware)
    except AttestationError as error:
        raise AttestationError(Fault.EVIDENCE_INVALID, check="E36") from error
    endorsement = verify_chain(evidence.certs, roots=trust.amd_roots, now=now)
    verify_report_signature(hardware, endorsement.vcek)
    reported = verify_chip(hardware, endorsement)
    product = endorsement.product
    _require(product in reference.products, "E08")
    revocation = _revocation(endorsement, reference, now=now)
    _require(not hardware.debug and not hardware.migratable, "E09")
    _require(hardware.vmpl == 0, "E10")
    measured = _measured(hardware.measurement, reference)
    _floors(hardware, reference, product=product)
    unfixed = open_advisories(product, reference.advisories)
    _accepted(unfixed, reference, now=now, check="E32")
    checked = "alias-check-complete" in hardware.platform_flags
    unchecked = () if checked else (BADRAM,)
    _accepted(unchecked, reference, now=now, check="E34")
    return _Hardware(
        product=product,
        measurement=hardware.measurement,
        tcb=reported,
        accepted=tuple(dict.fromkeys((*unfixed, *unchecked))),
        policy=hardware.policy,
        vmpl=hardware.vmpl,
        chip_id=hardware.chip_id,
        report=hardware,
        checks=(
            ("E36", f"report version {hardware.version}"),
            ("E04", "AMD root pinned"),
            ("E05", f"VCEK, ASK, ARK of {product}"),
            ("E06", "report signed by VCEK"),
            ("E07", "VCEK is for this chip and TCB"),
            ("E08", f"product {product} allowed"),
            ("E33", revocation),
            ("E09", "no debug, no migration"),
            ("E10", "VMPL 0"),
            ("E11", measured),
            ("E12", "TCB at or above the floor"),
            ("E32", _told(unfixed)),
            ("E34", "alias check complete" if checked else _told(unchecked)),
        ),
    )


def _tdx(
    evidence: Evidence, report: HclReport, *, trust: Trust, reference: ReferenceValues, now: datetime
) -> _Hardware:
    """E13, E23 to E30, E32 and E11."""
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
    unfixed = () if endorsement.status == "UpToDate" else endorsement.advisories
    _accepted(unfixed, reference, now=now, check="E32")
    measured = _measured(hardware.mrtd, reference)
    pinned = "not pinned" if reference.tcb_evaluation is None else f"at least {reference.tcb_evaluation}"
    return _Hardware(
        product=endorsement.fmspc,
        measurement=hardware.mrtd,
        tcb=endorsement.tcb,
        tcb_status=endorsement.status,
        advisories=endorsement.advisories,
        accepted=unfixed,
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
            ("E32", _told(unfixed)),
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
    foreign = evidence.td_quote if report.tee == "snp" else evidence.certs
    if report.tee != evidence.tee or report.raw != evidence.hcl_report or foreign:
        raise AttestationError(Fault.EVIDENCE_INVALID, check="E01")
    digest = hashlib.new(report.hash_name, report.claims_bytes).digest()
    if report.report_data != digest.ljust(64, b"\0"):
        raise AttestationError(Fault.EVIDENCE_INVALID, check="E02")
    return report


def _floors(hardware: SnpReport, reference: ReferenceValues, *, product: Product) -> None:
    """E12; `check_reference` has seen that every allowed product has a floor."""
    floor = floor_in_force(reference, product)
    for raw in (hardware.reported_tcb, hardware.committed_tcb, hardware.launch_tcb):
        tcb = parse_tcb(raw, turin=product == "Turin")
        _require(tcb is not None and tcb.at_least(floor), "E12")


def _revocation(endorsement: Endorsement, reference: ReferenceValues, *, now: datetime) -> str:
    """E33; `check_reference` has seen that there is a CRL for every allowed product or for none."""
    if reference.amd_crls is None:
        return "revocation not checked"
    verify_not_revoked(endorsement, reference.amd_crls[endorsement.product], now=now)
    return "not revoked"


def _listed(reference: ReferenceValues, *, now: datetime) -> str:
    """E31."""
    known = reference.advisories
    if known is None:
        return "no list of advisories"
    _require(known.in_time(now), "E31")
    return f"{len(known.listed)} advisories, reviewed {known.reviewed}, until {known.expires}"


def _accepted(ids: tuple[str, ...], reference: ReferenceValues, *, now: datetime, check: str) -> None:
    _require(all_accepted(ids, reference.accepted, now), check)


def _told(accepted: tuple[str, ...]) -> str:
    return f"accepted: {' '.join(accepted)}" if accepted else "none open"


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
