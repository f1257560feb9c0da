"""Policy: whether genuine evidence meets the reference values. Every check runs, and all failures are reported at once.

`snp`, `tdx` and `vtpm` have shown before which machine it is; nothing here is about signatures.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TypeAlias

from attestation.appraisal.advisories import BADRAM, Product, all_accepted, open_advisories
from attestation.appraisal.boot_image import differences, verity_roots
from attestation.appraisal.boot_state import BootState
from attestation.appraisal.reference import ReferenceValues, floor_in_force
from attestation.appraisal.snp import AuthenticReport
from attestation.appraisal.tdx import AuthenticDomain
from attestation.checks import Check, Failure, requirement
from attestation.errors import AttestationError, Fault, Record
from attestation.evidence import SnpReport
from attestation.evidence.snp_report import parse_tcb

_Result: TypeAlias = Check | Failure


def check_policy(
    hardware: AuthenticReport | AuthenticDomain,
    pcrs: Sequence[bytes],
    boot: BootState | None,
    *,
    reference: ReferenceValues,
    now: datetime,
    record: Record,
) -> tuple[str, ...]:
    """Ids of the advisories that are open for this machine, all of them accepted.

    POLICY_MISMATCH for anything else: it carries every failure, and its check is the first one.
    """
    failures = []
    for result in _results(hardware, pcrs, boot, reference, now):
        if isinstance(result, Failure):
            failures.append(result)
        else:
            record.add(result)
    if failures:
        raise AttestationError(Fault.POLICY_MISMATCH, check=failures[0].id, failures=tuple(failures))
    return tuple(dict.fromkeys((*_unfixed(hardware, reference), *_unchecked(hardware))))


def _results(
    hardware: AuthenticReport | AuthenticDomain,
    pcrs: Sequence[bytes],
    boot: BootState | None,
    reference: ReferenceValues,
    now: datetime,
) -> Iterator[_Result]:
    yield _list_in_force(reference, now)
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
        yield _floors(report, product, reference)
        yield _accepted("E32", _unfixed(hardware, reference), reference, now, none="none open")
        yield _accepted("E34", _unchecked(hardware), reference, now, none="alias check complete")
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
        yield _accepted("E32", _unfixed(hardware, reference), reference, now, none="none open")
    yield _pcrs(boot.pcrs if boot else pcrs, reference)
    yield _boot_image(boot, reference)


def _result(check: str, finding: str, *, holds: bool, found: str, expected: str = "") -> _Result:
    return Check(check, finding) if holds else Failure(check, found, expected or requirement(check))


def _list_in_force(reference: ReferenceValues, now: datetime) -> _Result:
    known = reference.advisories
    if known is None:
        return Check("E31", "no list of advisories")
    window = f"reviewed {known.reviewed}, until {known.expires}"
    finding = f"{len(known.listed)} advisories, {window}"
    return _result("E31", finding, holds=known.in_time(now), found=window, expected=f"a list in force at {now}")


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


def _floors(report: SnpReport, product: Product, reference: ReferenceValues) -> _Result:
    if product not in reference.floors:  # then E08 fails too: `check_reference` requires one for every allowed product
        return Failure("E12", f"no floor for {product}", requirement("E12"))
    floor = floor_in_force(reference, product)
    levels = {
        name: parse_tcb(getattr(report, f"{name}_tcb"), turin=product == "Turin")
        for name in ("reported", "committed", "launch")
    }
    below = [f"{name} {tcb}" for name, tcb in levels.items() if tcb is None or not tcb.at_least(floor)]
    return _result(
        "E12", "TCB at or above the floor", holds=not below, found="; ".join(below), expected=f"at least {floor}"
    )


def _evaluation(number: int, reference: ReferenceValues) -> _Result:
    least = reference.tcb_evaluation
    pinned = "not pinned" if least is None else f"at least {least}"
    found = f"TCB evaluation {number}"
    return _result("E30", f"{found}, {pinned}", holds=least is None or number >= least, found=found, expected=pinned)


def _unfixed(hardware: AuthenticReport | AuthenticDomain, reference: ReferenceValues) -> tuple[str, ...]:
    """Advisories that nothing fixes on this machine. Intel names its own, which count unless all is up to date."""
    if isinstance(hardware, AuthenticReport):
        return open_advisories(hardware.product, reference.advisories)
    return () if hardware.tcb_status == "UpToDate" else hardware.advisories


def _unchecked(hardware: AuthenticReport | AuthenticDomain) -> tuple[str, ...]:
    """AMD-SB-3015, where AMD's firmware does not report a complete check for memory aliases."""
    if isinstance(hardware, AuthenticDomain) or "alias-check-complete" in hardware.report.platform_flags:
        return ()
    return (BADRAM,)


def _accepted(check: str, ids: tuple[str, ...], reference: ReferenceValues, now: datetime, *, none: str) -> _Result:
    names = " ".join(ids)
    return _result(
        check,
        f"accepted: {names}" if ids else none,
        holds=all_accepted(ids, reference.accepted, now),
        found=f"open: {names}",
        expected=f"each accepted beyond {now}",
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
