"""`judge_snp`, `judge_tdx`: the processor's own evidence, up to its vendor and against the reference values.

Which check is which, and in which order, is in `attestation.appraisal.appraise`.
"""

from dataclasses import dataclass
from datetime import datetime

from attestation.appraisal.advisories import BADRAM, Product, all_accepted, open_advisories
from attestation.appraisal.intel import authentic_root
from attestation.appraisal.reference import ReferenceValues, floor_in_force
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
from attestation.errors import AttestationError, Fault
from attestation.evidence import (
    Evidence,
    HclReport,
    SnpReport,
    Tcb,
    TdCollateral,
    TdReport,
    TdxTcb,
    parse_snp_report,
)
from attestation.evidence.snp_report import parse_tcb
from attestation.trust import Trust

__all__ = ["Hardware", "judge_snp", "judge_tdx", "require"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
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


def judge_snp(
    evidence: Evidence, report: HclReport, *, trust: Trust, reference: ReferenceValues, now: datetime
) -> Hardware:
    """E04 to E12, E32 to E34 and E36."""
    try:
        hardware = parse_snp_report(report.hardware)
    except AttestationError as error:
        raise AttestationError(Fault.EVIDENCE_INVALID, check="E36") from error
    endorsement = verify_chain(evidence.certs, roots=trust.amd_roots, now=now)
    verify_report_signature(hardware, endorsement.vcek)
    reported = verify_chip(hardware, endorsement)
    product = endorsement.product
    require(product in reference.products, "E08")
    revocation = _revocation(endorsement, reference, now=now)
    require(not hardware.debug and not hardware.migratable, "E09")
    require(hardware.vmpl == 0, "E10")
    measured = _measured(hardware.measurement, reference)
    _floors(hardware, reference, product=product)
    unfixed = open_advisories(product, reference.advisories)
    _accepted(unfixed, reference, now=now, check="E32")
    checked = "alias-check-complete" in hardware.platform_flags
    unchecked = () if checked else (BADRAM,)
    _accepted(unchecked, reference, now=now, check="E34")
    return Hardware(
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


def judge_tdx(
    evidence: Evidence, report: HclReport, *, trust: Trust, reference: ReferenceValues, now: datetime
) -> Hardware:
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
    require(endorsement.status in reference.tcb_statuses, "E29")
    require(reference.tcb_evaluation is None or endorsement.evaluation >= reference.tcb_evaluation, "E30")
    unfixed = () if endorsement.status == "UpToDate" else endorsement.advisories
    _accepted(unfixed, reference, now=now, check="E32")
    measured = _measured(hardware.mrtd, reference)
    pinned = "not pinned" if reference.tcb_evaluation is None else f"at least {reference.tcb_evaluation}"
    return Hardware(
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
    require(any(measurement), "E11")
    if reference.measurements is None:
        return "measurement not pinned"
    require(measurement.hex() in reference.measurements, "E11")
    return "measurement among the reference values"


def _floors(hardware: SnpReport, reference: ReferenceValues, *, product: Product) -> None:
    """E12; `check_reference` has seen that every allowed product has a floor."""
    floor = floor_in_force(reference, product)
    for raw in (hardware.reported_tcb, hardware.committed_tcb, hardware.launch_tcb):
        tcb = parse_tcb(raw, turin=product == "Turin")
        require(tcb is not None and tcb.at_least(floor), "E12")


def _revocation(endorsement: Endorsement, reference: ReferenceValues, *, now: datetime) -> str:
    """E33; `check_reference` has seen that there is a CRL for every allowed product or for none."""
    if reference.amd_crls is None:
        return "revocation not checked"
    verify_not_revoked(endorsement, reference.amd_crls[endorsement.product], now=now)
    return "not revoked"


def _accepted(ids: tuple[str, ...], reference: ReferenceValues, *, now: datetime, check: str) -> None:
    require(all_accepted(ids, reference.accepted, now), check)


def _told(accepted: tuple[str, ...]) -> str:
    return f"accepted: {' '.join(accepted)}" if accepted else "none open"


def require(condition: bool, check: str) -> None:
    """POLICY_MISMATCH at `check`, unless the condition holds."""
    if not condition:
        raise AttestationError(Fault.POLICY_MISMATCH, check=check)
