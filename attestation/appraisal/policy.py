"""Policy: whether genuine evidence meets the reference values. Every check runs, and all failures are reported at once.

`snp`, `tdx` and `vtpm` have shown before which machine it is; nothing here is about signatures.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TypeAlias

import msgspec

from attestation.appraisal.advisories import (
    ALIASES,
    SETTLED,
    AdvisoryFinding,
    Product,
    Review,
    Scope,
    Shown,
    accepted,
    evaluate,
    kind_of,
    product_of_cpuid,
    why_not,
)
from attestation.appraisal.boot_image import differences, verity_roots
from attestation.appraisal.boot_state import BootState
from attestation.appraisal.reference import ReferenceValues, TcbFloor, review_of
from attestation.appraisal.snp import AuthenticReport
from attestation.appraisal.tdx import AuthenticDomain
from attestation.checks import Check, Failure, requirement
from attestation.errors import AttestationError, Fault, Record
from attestation.evidence import SnpReport, Tcb
from attestation.evidence.snp_report import parse_tcb

_Result: TypeAlias = Check | Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """Findings of policy beside its checks: the state of every advisory, and components above the floor."""

    findings: tuple[AdvisoryFinding, ...]
    above_floor: tuple[str, ...]


def check_policy(
    hardware: AuthenticReport | AuthenticDomain,
    pcrs: Sequence[bytes],
    boot: BootState | None,
    *,
    reference: ReferenceValues,
    now: datetime,
    record: Record,
) -> Decided:
    """The state of every advisory, those that need an acceptance with one.

    POLICY_MISMATCH for anything else: it carries every failure, and its check is the first one.
    """
    failures = []
    review, machine = review_of(reference), _machine(hardware)
    findings = accepted(_findings(hardware, review), review.acceptances, machine, now)
    advised = _Advised(review=review, machine=machine, findings=findings, now=now)
    for result in _results(hardware, pcrs, boot, reference, advised):
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
    hardware: AuthenticReport | AuthenticDomain,
    pcrs: Sequence[bytes],
    boot: BootState | None,
    reference: ReferenceValues,
    advised: _Advised,
) -> Iterator[_Result]:
    yield _signed(advised.review)
    yield _table_in_force(advised.review, advised.now)
    if isinstance(hardware, AuthenticReport):
        report, product = hardware.report, hardware.product
        yield _result(
            "E08",
            f"product {product} allowed",
            holds=product in reference.products,
            found=f"product {product}",
            expected=" or ".join(reference.products),
        )
        weak = [name for name in report.policy_flags if name in {"debug", "migrate-ma"}]
        yield _result("E09", "no debug, no migration", holds=not weak, found=f"policy bits {', '.join(weak)}")
        yield _result("E10", "VMPL 0", holds=report.vmpl == 0, found=f"VMPL {report.vmpl}", expected="VMPL 0")
        yield _measured(report.measurement, reference)
        yield _floors(hardware, reference)
        yield _all_accepted("E32", advised, [one for one in advised.findings if one.id != ALIASES])
        yield _all_accepted("E34", advised, [one for one in advised.findings if one.id == ALIASES])
    else:
        status = " ".join((f"TCB status {hardware.tcb_status}", *hardware.advisories))
        yield _result(
            "E29",
            status,
            holds=hardware.tcb_status in reference.tcb_statuses,
            found=status,
            expected=" or ".join(reference.tcb_statuses),
        )
        yield _evaluation(hardware.evaluation, reference)
        yield _measured(hardware.report.mrtd, reference)
        yield _all_accepted("E32", advised, advised.findings)
    yield _pcrs(boot.pcrs if boot else pcrs, reference)
    yield _boot_image(boot, reference)


def _result(check: str, finding: str, *, holds: bool, found: str, expected: str = "") -> _Result:
    return Check(check, finding) if holds else Failure(check, found, expected or requirement(check))


def _signed(review: Review) -> _Result:
    names = ", ".join(one.id for one in review.acceptances)
    return _result(
        "E40",
        f"acceptances: {names}" if names else "no acceptance given",
        holds=not review.defects,
        found="; ".join(review.defects),
    )


def _table_in_force(review: Review, now: datetime) -> _Result:
    window = f"reviewed {review.reviewed}, until {review.expires}"
    origin = "the operator's" if review.own else "shipped"
    return _result(
        "E31",
        f"{len(review.rows)} advisories, {origin} table {window}",
        holds=review.in_time(now),
        found=f"{origin} table {window}",
        expected=f"a table in force at {now}",
    )


def _measured(measurement: bytes, reference: ReferenceValues) -> _Result:
    allowed = reference.measurements
    if not any(measurement):
        return Failure("E11", "an empty measurement", requirement("E11"))
    if allowed is None:
        return Check("E11", "measurement not pinned")
    return _result(
        "E11",
        "measurement among the reference values",
        holds=measurement.hex() in allowed,
        found=measurement.hex(),
        expected=" or ".join(allowed),
    )


def _floor(report: SnpReport, product: Product, reference: ReferenceValues) -> TcbFloor | None:
    kind = kind_of(report.cpuid, product)
    return None if kind is None else reference.floors.get(kind)


def _floors(hardware: AuthenticReport, reference: ReferenceValues) -> _Result:
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
    return _result(
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


def _evaluation(number: int, reference: ReferenceValues) -> _Result:
    least = reference.tcb_evaluation
    pinned = "not pinned" if least is None else f"at least {least}"
    found = f"TCB evaluation {number}"
    return _result("E30", f"{found}, {pinned}", holds=least is None or number >= least, found=found, expected=pinned)


def _machine(hardware: AuthenticReport | AuthenticDomain) -> Scope | None:
    """Whom an acceptance must be for."""
    return kind_of(hardware.report.cpuid, hardware.product) if isinstance(hardware, AuthenticReport) else "TDX"


def _findings(hardware: AuthenticReport | AuthenticDomain, review: Review) -> tuple[AdvisoryFinding, ...]:
    """AMD's advisories by the table. Intel names its own, which are open unless all is up to date."""
    if isinstance(hardware, AuthenticReport):
        return evaluate(review.rows, Shown.of(hardware.report, hardware.product))
    state = f"TCB status {hardware.tcb_status}"
    ids = () if hardware.tcb_status == "UpToDate" else hardware.advisories
    return tuple(AdvisoryFinding(one, "open", state) for one in ids)


def _all_accepted(check: str, advised: _Advised, findings: Sequence[AdvisoryFinding]) -> _Result:
    unsettled = [one for one in findings if one.state not in SETTLED]
    refused = [
        f"{one.id} {one.state} ({one.detail}): {why_not(one, advised.review.acceptances, advised.machine, advised.now)}"
        for one in unsettled
        if not one.accepted_by
    ]
    named = "; ".join(f"{one.id} {one.state}, by {one.accepted_by}" for one in unsettled)
    return _result(
        check,
        f"accepted: {named}" if unsettled else "none open",
        holds=not refused,
        found="; ".join(refused),
        expected=f"each fixed, or accepted for {advised.machine} at {advised.now}",
    )


def _pcrs(pcrs: Sequence[bytes], reference: ReferenceValues) -> _Result:
    pinned = sorted(reference.pcrs)
    shown = {pcr: value.hex() for pcr, value in enumerate(pcrs)}
    wrong = [pcr for pcr in pinned if shown.get(pcr) not in reference.pcrs[pcr]]
    return _result(
        "E19",
        f"PCRs {','.join(map(str, pinned))} pinned" if pinned else "PCRs not pinned",
        holds=not wrong,
        found="; ".join(f"PCR {pcr} is {shown.get(pcr, 'not shown')}" for pcr in wrong),
        expected="; ".join(f"PCR {pcr} is {' or '.join(reference.pcrs[pcr])}" for pcr in wrong),
    )


def _boot_image(boot: BootState | None, reference: ReferenceValues) -> _Result:
    """Compared with the allowed image that it differs from least."""
    if reference.boot_images is None:
        return Check("E49", "boot image not pinned")
    if boot is None:
        return Failure("E49", "no second quote", requirement("E49"))
    wrong = min((differences(boot, image) for image in reference.boot_images), key=len)
    roots = " ".join(verity_roots(boot.command_line)) or "none"
    return _result(
        "E49",
        f"boot image among the reference values, dm-verity {roots}",
        holds=not wrong,
        found="; ".join(found for found, _ in wrong),
        expected="; ".join(expected for _, expected in wrong),
    )
