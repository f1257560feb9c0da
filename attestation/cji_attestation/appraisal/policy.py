"""Policy: whether genuine evidence meets the reference values. Every check runs, and all failures are reported at once.

`snp`, `tdx` and `vtpm` have shown before which machine it is; nothing here is about signatures.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final, cast

import msgspec

from cji_attestation.appraisal.advisories import (
    ALIASES,
    SETTLED,
    AdvisoryFinding,
    Product,
    Review,
    Scope,
    Shown,
    State,
    accepted,
    evaluate,
    evaluate_domain,
    kind_of,
    product_of_cpuid,
    why_not,
)
from cji_attestation.appraisal.azure import IdKey
from cji_attestation.appraisal.boot_policy import boot_results, vtpm_result
from cji_attestation.appraisal.boot_state import BootState
from cji_attestation.appraisal.chips import check_chip
from cji_attestation.appraisal.reference import ReferenceValues, TcbFloor, review_of
from cji_attestation.appraisal.snp import AuthenticReport
from cji_attestation.appraisal.tdx import AuthenticDomain, EarlyView
from cji_attestation.checks import Failure, Result, Skipped, compared, requirement
from cji_attestation.errors import AttestationError, Fault, Record
from cji_attestation.evidence import HclReport, SnpReport, Tcb
from cji_attestation.evidence.pck import PCK_FLAGS
from cji_attestation.evidence.snp_report import PLATFORM_FLAGS, parse_tcb

_SECURITY_ADVISORY: Final = "INTEL-SA-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """Findings of policy beside its checks: the state of every advisory, and components above the floor."""

    findings: tuple[AdvisoryFinding, ...]
    above_floor: tuple[str, ...]


def check_policy(
    hardware: AuthenticReport | AuthenticDomain,
    report: HclReport,
    pcrs: Sequence[bytes],
    boot: BootState | None,
    signer: IdKey | None,
    *,
    vtpm_firmware: int,
    flavours: Sequence[str],
    reference: ReferenceValues,
    now: datetime,
    record: Record,
) -> Decided:
    """The state of every advisory, those that need an acceptance with one.

    `signer` is the key that signed the paravisor of a machine with SEV-SNP (E40).
    POLICY_MISMATCH for anything else: it carries every failure, and its check is the first one.
    """
    failures = []
    review, machine = review_of(reference), _machine(hardware)
    findings = accepted(_findings(hardware, review, reference), review.acceptances, machine, now)
    advised = _Advised(review=review, machine=machine, findings=findings, now=now)
    started = boot_results(report, pcrs, boot, reference, flavours=flavours, now=now)
    vtpm = vtpm_result(vtpm_firmware, reference)
    for result in (*_results(hardware, signer, reference, advised), vtpm, *started):
        if isinstance(result, Failure):
            failures.append(result)
        else:
            record.add(result)
    if failures:
        raise AttestationError(Fault.POLICY_MISMATCH, check=failures[0].id, failures=tuple(failures))
    above = levels_above(hardware.report, reference) if isinstance(hardware, AuthenticReport) else ()
    return Decided(findings=findings, above_floor=above)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Advised:
    """One machine under one review."""

    review: Review
    machine: Scope | None
    findings: tuple[AdvisoryFinding, ...]
    now: datetime


def _results(
    hardware: AuthenticReport | AuthenticDomain, signer: IdKey | None, reference: ReferenceValues, advised: _Advised
) -> Iterator[Result]:
    yield _signed(advised.review)
    yield _table_in_force(advised.review, advised.now)
    if isinstance(hardware, AuthenticReport):
        report, product = hardware.report, hardware.product
        yield compared(
            "E08",
            f"product {product} allowed",
            holds=product in reference.products,
            found=f"product {product}",
            expected=" or ".join(reference.products),
        )
        weak = [name for name in report.policy_flags if name in {"debug", "migrate-ma"}]
        yield compared("E09", "no debug, no migration", holds=not weak, found=f"policy bits {', '.join(weak)}")
        yield compared("E10", "VMPL 0", holds=report.vmpl == 0, found=f"VMPL {report.vmpl}", expected="VMPL 0")
        yield from _launch(report, product, cast("IdKey", signer))
        yield _measured(report.measurement, reference)
        yield _floors(hardware, reference)
        yield _all_accepted("E32", advised, [one for one in advised.findings if one.id != ALIASES])
        yield _all_accepted("E34", advised, [one for one in advised.findings if one.id == ALIASES])
        yield _platform({name: name in report.platform_flags for name in PLATFORM_FLAGS}, PLATFORM_FLAGS, reference)
    else:
        status = " ".join((f"TCB status {hardware.tcb_status}", *hardware.advisories))
        yield compared(
            "E29",
            status,
            holds=hardware.tcb_status in reference.tcb_statuses,
            found=status,
            expected=" or ".join(reference.tcb_statuses),
        )
        yield _evaluation(hardware.evaluation, reference)
        yield _early(hardware, reference)
        yield _measured(hardware.report.mrtd, reference)
        yield _all_accepted("E32", advised, advised.findings)
        yield _platform(hardware.platform, PCK_FLAGS, reference)
    yield check_chip(hardware.chip_id, reference.chips, reference.advisory_signers, now=advised.now)


def _platform(stated: Mapping[str, bool], known: Iterable[str], reference: ReferenceValues) -> Result:
    """E57. `known` are the names of this kind of machine; a bit without a known meaning was refused before, by E36."""
    wanted = [(name, True) for name in reference.platform_required if name in known]
    wanted += [(name, False) for name in reference.platform_forbidden if name in known]
    shown = f"platform {' '.join(name for name in known if stated.get(name)) or 'without a bit'}"
    if not wanted:
        return Skipped("E57", f"{shown}, not compared")
    states = {True: "set", False: "not set", None: "not stated"}
    return compared(
        "E57",
        shown,
        holds=all(stated.get(name) is value for name, value in wanted),
        found="; ".join(f"{n} {states[stated.get(n)]}" for n, value in wanted if stated.get(n) is not value),
        expected=" and ".join(name if value else f"not {name}" for name, value in wanted),
    )


def _signed(review: Review) -> Result:
    names = ", ".join(one.id for one in review.acceptances)
    return compared(
        "E45",
        f"acceptances: {names}" if names else "no acceptance given",
        holds=not review.defects,
        found="; ".join(review.defects),
    )


def _table_in_force(review: Review, now: datetime) -> Result:
    window = f"reviewed {review.reviewed}, until {review.expires}"
    origin = "the operator's" if review.own else "shipped"
    return compared(
        "E31",
        f"{len(review.rows)} advisories, {origin} table {window}",
        holds=review.in_time(now),
        found=f"{origin} table {window}",
        expected=f"a table in force at {now}",
    )


def _launch(report: SnpReport, product: Product, signer: IdKey) -> Iterator[Result]:
    """E41 and E42: what the ID block says, which the processor had verified under the signer's key."""
    least = signer.least_guest_svn.get(product)
    yield compared(
        "E41",
        f"guest SVN {report.guest_svn}",
        holds=least is not None and report.guest_svn >= least,
        found=f"guest SVN {report.guest_svn}",
        expected=f"none known for {product}" if least is None else f"at least {least} on {product}",
    )
    shown = {
        "family id": (report.family_id.hex(), signer.family_ids),
        "image id": (report.image_id.hex(), signer.image_ids),
        "policy": (report.policy, signer.policies),
        "author key": (report.author_key_digest.hex(), (bytes(48).hex(),)),
        "host data": (report.host_data.hex(), (bytes(32).hex(),)),
    }
    other = {name: pair for name, pair in shown.items() if pair[0] not in pair[1]}
    yield compared(
        "E42",
        f"family {report.family_id.hex()}, policy {report.policy:#x}",
        holds=not other,
        found="; ".join(f"{name} {value}" for name, (value, _) in other.items()),
        expected="; ".join(f"{name} {' or '.join(map(str, allowed))}" for name, (_, allowed) in other.items()),
    )


def _measured(measurement: bytes, reference: ReferenceValues) -> Result:
    allowed = reference.measurements
    if not any(measurement):
        return Failure("E11", "an empty measurement", requirement("E11"))
    if allowed is None:
        return Skipped("E11", "measurement not pinned")
    return compared(
        "E11",
        "measurement among the reference values",
        holds=measurement.hex() in allowed,
        found=measurement.hex(),
        expected=" or ".join(allowed),
    )


def _floor(report: SnpReport, product: Product, reference: ReferenceValues) -> TcbFloor | None:
    kind = kind_of(report.cpuid, product)
    return None if kind is None else reference.floors.get(kind)


def _floors(hardware: AuthenticReport, reference: ReferenceValues) -> Result:
    report = hardware.report
    floor = _floor(report, hardware.product, reference)
    name = kind_of(report.cpuid, hardware.product) or f"CPUID {report.cpuid}"
    if floor is None:
        return Failure("E12", f"no floor for {name}", requirement("E12"))
    least = _tcb(floor)
    levels = {
        which: parse_tcb(getattr(report, f"{which}_tcb"), turin=hardware.product == "Turin")
        for which in ("reported", "committed", "launch")
    }
    below = [f"{which} {tcb}" for which, tcb in levels.items() if tcb is None or not tcb.at_least(least)]
    return compared(
        "E12",
        f"TCB at or above the floor of {name}",
        holds=not below,
        found="; ".join(below),
        expected=f"at least {least}",
    )


def _tcb(floor: TcbFloor) -> Tcb:
    return Tcb(**msgspec.structs.asdict(floor))


def levels_above(report: SnpReport, reference: ReferenceValues) -> tuple[str, ...]:
    """Components of a report's TCB that the floor does not require yet; none for a processor without a floor."""
    product = product_of_cpuid(*report.cpuid[:2])
    floor = None if product is None else _floor(report, product, reference)
    tcb = parse_tcb(report.reported_tcb, turin=product == "Turin")
    if floor is None or tcb is None:
        return ()
    least = msgspec.structs.asdict(floor)
    return tuple(f"{name} {had} > {least[name]}" for name, had in asdict(tcb).items() if had > least[name])


def _evaluation(number: int, reference: ReferenceValues) -> Result:
    least = reference.tcb_evaluation
    pinned = "not pinned" if least is None else f"at least {least}"
    found = f"TCB evaluation {number}"
    if least is None:
        return Skipped("E30", f"{found}, {pinned}")
    return compared("E30", f"{found}, {pinned}", holds=number >= least, found=found, expected=pinned)


def _early(domain: AuthenticDomain, reference: ReferenceValues) -> Result:
    """E55: shown always, and required where the reference values require it."""
    required, early = reference.tcb == "early", domain.early
    if early is None:
        left_out = "the evidence has no early statements of Intel's"
        return Failure("E55", left_out, requirement("E55")) if required else Skipped("E55", left_out)
    found = early_text(early)
    return compared(
        "E55",
        found,
        holds=not required or early.status in reference.tcb_statuses,
        found=found,
        expected=" or ".join(reference.tcb_statuses),
    )


def early_text(early: EarlyView) -> str:
    """A machine by Intel's early statements, and the SVNs that are short of them."""
    status = " ".join((early.status or "below every level", *early.advisories))
    short = f"; short: {', '.join(early.short)}" if early.short else ""
    return f"early TCB status {status} at evaluation {early.evaluation}{short}"


def _machine(hardware: AuthenticReport | AuthenticDomain) -> Scope | None:
    """Whom an acceptance must be for."""
    return kind_of(hardware.report.cpuid, hardware.product) if isinstance(hardware, AuthenticReport) else "TDX"


def _findings(
    hardware: AuthenticReport | AuthenticDomain, review: Review, reference: ReferenceValues
) -> tuple[AdvisoryFinding, ...]:
    """Advisories by the table; those of trust domains that have a level are named by Intel's signed statements."""
    if isinstance(hardware, AuthenticReport):
        return evaluate(review.rows, Shown.of(hardware.report, hardware.product))
    named = tuple(AdvisoryFinding(one, *_named_by_intel(one, hardware.tcb_status)) for one in hardware.advisories)
    known = {one.id for one in named}
    early = tuple(one for one in _early_findings(hardware, reference) if one.id not in known)
    listed = known | {one.id for one in early}
    return (*named, *early, *(one for one in evaluate_domain(review.rows) if one.id not in listed))


def _named_by_intel(advisory: str, status: str) -> tuple[State, str]:
    """An advisory in Intel's standard statements. Beside UpToDate, only a security advisory is a finding."""
    if status == "UpToDate" and not advisory.startswith(_SECURITY_ADVISORY):
        return "informational", "a notice of Intel's beside TCB status UpToDate"
    return "open", f"named by Intel beside TCB status {status}"


def _early_findings(domain: AuthenticDomain, reference: ReferenceValues) -> Iterator[AdvisoryFinding]:
    """Advisories that only Intel's early statements name: warnings, unless the reference values require them."""
    early = domain.early
    if early is None or early.status == "UpToDate":
        return
    state: State = "open" if reference.tcb == "early" else "early"
    for one in early.advisories or (f"INTEL-TCB-{early.evaluation}",):
        yield AdvisoryFinding(one, state, early_text(early))


def _all_accepted(check: str, advised: _Advised, findings: Sequence[AdvisoryFinding]) -> Result:
    unsettled = [one for one in findings if one.state not in SETTLED]
    refused = [
        f"{one.id} {one.state} ({one.detail}): {why_not(one, advised.review.acceptances, advised.machine, advised.now)}"
        for one in unsettled
        if not one.accepted_by
    ]
    named = "; ".join(f"{one.id} {one.state}, by {one.accepted_by}" for one in unsettled)
    return compared(
        check,
        f"accepted: {named}" if unsettled else "none open",
        holds=not refused,
        found="; ".join(refused),
        expected=f"each fixed, or accepted for {advised.machine} at {advised.now}",
    )
