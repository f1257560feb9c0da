"""`appraise`: our own verdict on one bundle of evidence. The numbers are those in the code and in every error.

Both kinds
 E31 the operator's list of advisories, where there is one, is in its time
 E01 the HCL report parses, has nothing behind it and is of the kind that the bundle names
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
from datetime import datetime

from attestation.appraisal.hardware import judge_snp, judge_tdx, require
from attestation.appraisal.quote import verify_ak, verify_clock, verify_ephemeral, verify_quote
from attestation.appraisal.reference import ReferenceValues, check_reference
from attestation.appraisal.verdict import _SEAL, Verdict
from attestation.errors import AttestationError, Fault
from attestation.evidence import Evidence, HclReport, parse_hcl
from attestation.evidence.binding import report_user_data
from attestation.trust import Trust

__all__ = ["appraise"]


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
    judge = judge_snp if report.tee == "snp" else judge_tdx
    hardware = judge(evidence, report, trust=trust, reference=reference, now=now)
    attest = verify_quote(evidence, report.ak, expected_qualifying=expected_qualifying)
    for pcr, allowed in reference.pcrs.items():
        require(evidence.pcrs[pcr].hex() in allowed, "E19")
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


def _hcl(evidence: Evidence) -> HclReport:
    """E01, E02, E03."""
    try:
        report = parse_hcl(evidence.hcl_report)
    except AttestationError as error:
        raise AttestationError(Fault.EVIDENCE_INVALID, check="E03" if error.check == "hcl-ak" else "E01") from error
    if report.tee != evidence.tee or report.raw != evidence.hcl_report:
        raise AttestationError(Fault.EVIDENCE_INVALID, check="E01")
    digest = hashlib.new(report.hash_name, report.claims_bytes).digest()
    if report.report_data != digest.ljust(64, b"\0"):
        raise AttestationError(Fault.EVIDENCE_INVALID, check="E02")
    return report


def _listed(reference: ReferenceValues, *, now: datetime) -> str:
    """E31."""
    known = reference.advisories
    if known is None:
        return "no list of advisories"
    require(known.in_time(now), "E31")
    return f"{len(known.listed)} advisories, reviewed {known.reviewed}, until {known.expires}"


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
