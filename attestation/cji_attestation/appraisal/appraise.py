"""`appraise`: our own verdict on one bundle of evidence, in two steps.

Authenticity is about chains, signatures and bindings: whether a machine of the named kind made all of this for the
expected question. The first failure ends it. Policy is about the reference values: all failures are reported together.
`cji_attestation.checks` has the text of every check; the ids below are in the order in which they run.
"""

import hashlib
from datetime import datetime
from typing import Final

from cji_attestation.appraisal.ak_certificate import check_ak_issuer
from cji_attestation.appraisal.azure import IdKey, id_key, knows_mrtd
from cji_attestation.appraisal.boot import authenticate_boot
from cji_attestation.appraisal.boot_state import BootState
from cji_attestation.appraisal.policy import Decided, check_policy
from cji_attestation.appraisal.reference import ReferenceValues, check_reference
from cji_attestation.appraisal.snp import AuthenticReport, authenticate_report, check_not_revoked
from cji_attestation.appraisal.tdx import AuthenticDomain, authenticate_domain
from cji_attestation.appraisal.verdict import Verdict
from cji_attestation.appraisal.vtpm import AuthenticVtpm, authenticate_vtpm
from cji_attestation.checks import Check, Skipped
from cji_attestation.errors import AttestationError, Fault, Record, invalid
from cji_attestation.evidence import Evidence, HclReport, parse_hcl
from cji_attestation.evidence.binding import report_user_data
from cji_attestation.evidence.event_log import AppliedBundle
from cji_attestation.evidence.foreign import bare_report, looks_like
from cji_attestation.evidence.tpm_structures import PCRS
from cji_attestation.trust import Trust
from cji_core.verified import _CONSTRUCTOR_KEY

_ID_KEY_DIGEST: Final = slice(0xE0, 0x110)  # AMD 56860, ATTESTATION_REPORT
_MRTD: Final = slice(528, 576)  # Intel TDX Module ABI, TDREPORT_STRUCT


def appraise(
    evidence: Evidence,
    *,
    trust: Trust,
    reference: ReferenceValues,
    expected_qualifying_data: bytes,
    start: tuple[bytes, ...] | None,
    update: AppliedBundle | None = None,
    now: datetime,
    earlier: Verdict | None = None,
    crl: bytes | None = None,
) -> Verdict:
    """Accept the evidence and return the verdict, or raise AttestationError with the checks that failed and passed.

    `start` is the receipt key, by its thumbprint, of the worker whose evidence this is: it must be the only one that
    started in this boot. An empty one stands for no start; of several, one must be so. None: whatever runs there.
    `update` is the hot update of the configuration that `expected_qualifying_data` commits to, where it does.
    `earlier` is the last verdict on the same machine in the same boot, where there is one.
    `crl` is AMD's list that came with the evidence, DER: it counts where the reference values have none.
    CONFIG_INVALID, UNTRUSTED_ROOT (E04, E23, E44), POLICY_MISMATCH (E26, E27, E33, E40 and policy), EVIDENCE_INVALID.
    """
    check_reference(reference)
    with Record() as record:
        report = record.take(_read_hcl(evidence))  # E01
        signer = record.take(check_origin(report, reference))  # E40
        record.add(_check_binding(report, expected_qualifying_data))  # E02
        record.add(Check("E03", "one HCLAkPub"))  # or `parse_hcl` would have refused the claims
        hardware = _hardware(evidence, report, crl, trust=trust, reference=reference, now=now, record=record)
        vtpm = authenticate_vtpm(  # E14 to E18, E20 to E22, E35
            evidence, report.ak, expected=expected_qualifying_data, earlier=earlier, record=record
        )
        required = reference.ak_certificate == "required"
        record.add(check_ak_issuer(evidence.ak_cert, added=reference.vtpm_roots, now=now, required=required))  # E44
        # E46, E47, E50, E48, E53, E59
        boot = authenticate_boot(evidence, vtpm.quote, report.ak, start=start, update=update, record=record)
        # E45, E31; E08 to E10, E41, E42, E11, E12, E32, E34 or E29, E30, E55, E11, E32; E57, E56; E58, E43, E19, E49,
        # E61, E60, E54
        decided = check_policy(
            hardware,
            report,
            evidence.pcrs[: len(PCRS)],
            boot,
            signer,
            vtpm_firmware=vtpm.quote.firmware,
            flavours=trust.flavours,
            reference=reference,
            now=now,
            record=record,
        )
    return _verdict(evidence, report, hardware, vtpm, boot, decided=decided, checks=record.checks)


def _verdict(
    evidence: Evidence,
    report: HclReport,
    hardware: AuthenticReport | AuthenticDomain,
    vtpm: AuthenticVtpm,
    boot: BootState | None,
    *,
    decided: Decided,
    checks: tuple[Check, ...],
) -> Verdict:
    return Verdict(
        tee=report.tee,
        product=hardware.product,
        measurement=hardware.measurement,
        report_data=report.report_data,
        tcb=hardware.tcb,
        tcb_status=hardware.tcb_status,
        advisories=hardware.advisories,
        findings=decided.findings,
        above_floor=decided.above_floor,
        policy=hardware.policy,
        vmpl=hardware.vmpl,
        chip_id=hardware.chip_id,
        hardware=hardware.report,
        vm_unique_id=report.vm_unique_id,
        ak=report.ak,
        ephemeral=vtpm.ephemeral,
        pcrs=evidence.pcrs[: len(PCRS)],
        boot=boot,
        clock=vtpm.quote.clock,
        vtpm_firmware=vtpm.quote.firmware,
        evidence_sha384=evidence.sha384,
        checks=checks,
        constructor_key=_CONSTRUCTOR_KEY,
    )


def _hardware(
    evidence: Evidence,
    report: HclReport,
    carried: bytes | None,
    *,
    trust: Trust,
    reference: ReferenceValues,
    now: datetime,
    record: Record,
) -> AuthenticReport | AuthenticDomain:
    """The processor's own evidence, under its vendor's pinned root."""
    if report.tee == "tdx":  # E13, E24 to E27, E23, E28
        return authenticate_domain(evidence, report.hardware, roots=trust.intel_roots, now=now, record=record)
    found = authenticate_report(  # E36, E37, E39, E04, E05, E38, E06, E07
        report.hardware, evidence.certs, roots=trust.amd_roots, now=now, record=record
    )
    crl = (carried or None) if reference.amd_crls is None else reference.amd_crls.get(found.product)
    record.add(check_not_revoked(found.endorsement, crl, now=now, max_age_days=reference.crl_max_age_days))  # E33
    return found


def _read_hcl(evidence: Evidence) -> tuple[HclReport, Check]:
    try:
        report = parse_hcl(evidence.hcl_report)
    except AttestationError as error:
        raise _unreadable(evidence.hcl_report, "E03" if error.check == "hcl-ak" else "E01") from error
    if report.tee != evidence.tee or report.raw != evidence.hcl_report:
        raise invalid("E01", found=f"{len(report.raw)} bytes of kind {report.tee}", expected=f"kind {evidence.tee}")
    return report, Check("E01", f"HCL report of kind {report.tee}")


def _check_binding(report: HclReport, qualifying_data: bytes) -> Check:
    digest = hashlib.new(report.hash_name, report.claims_bytes).digest().ljust(64, b"\0")
    if report.report_data != digest:
        raise invalid("E02", found=f"report data {report.report_data.hex()}", expected=digest.hex())
    fresh = report.user_data.lower() == report_user_data(qualifying_data).hex()
    made = "made for this quote" if fresh else "made at boot"
    return Check("E02", f"report data = {report.hash_name} of runtime claims, {made}")


def _unreadable(data: bytes, check: str) -> AttestationError:
    """E40 for a hardware report without Azure's HCL report around it, as machines of other clouds have it.

    E01 for anything else, with the name of what it looks like.
    """
    if bare := bare_report(data):
        return _not_azure(f"{bare} without an HCL report")
    return invalid(check, found=looks_like(data) if check == "E01" else "")


def check_origin(report: HclReport, reference: ReferenceValues) -> tuple[IdKey | None, Check]:
    """E40, and the key that signed the paravisor, which TDX has not: whether the evidence is Azure's at all.

    It runs first: what another cloud shows is not broken, it is not Azure's. The report is authentic only after E02 and
    E06, or E28; until then this is a comparison of unverified bytes, which can refuse and cannot accept.
    """
    if report.tee == "tdx":
        mrtd = report.hardware[_MRTD]
        if knows_mrtd(mrtd, reference.mrtds):
            return None, Check("E40", f"paravisor with MRTD {mrtd.hex()}")
        return None, Skipped("E40", f"MRTD {mrtd.hex()} is not a known paravisor's: only Microsoft's token can vouch")
    digest = report.hardware[_ID_KEY_DIGEST]
    known = id_key(digest, reference.id_keys)
    if known is None:
        raise _not_azure(f"ID key {digest.hex()}" if any(digest) else "firmware that no ID key signed")
    return known, Check("E40", f"paravisor under ID key {digest.hex()}")


def _not_azure(found: str) -> AttestationError:
    return AttestationError(Fault.POLICY_MISMATCH, check="E40", found=f"not Azure: {found}")
