"""Policy about vTPM and boot: its firmware, configuration, the PCRs of firmware and boot loader, the image."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from cji_attestation.appraisal.boot_image import differences, flavours_of, states_its_line, verity_roots
from cji_attestation.appraisal.boot_state import BootState
from cji_attestation.appraisal.reference import ReferenceValues
from cji_attestation.checks import Failure, Result, Skipped, compared, requirement
from cji_attestation.evidence import HclReport

_REQUIRED_ON: Final = ("secure-boot", "tpm-enabled")


def boot_results(
    report: HclReport,
    pcrs: Sequence[bytes],
    boot: BootState | None,
    reference: ReferenceValues,
    *,
    flavours: Sequence[str],
    now: datetime,
) -> Iterator[Result]:
    """E43, E19, E49, E61, E60 and E54. `pcrs` are 0 to 7; `boot` has all, if there is a second quote."""
    yield _configuration(report)
    yield _pcrs(boot.pcrs if boot else pcrs, reference)
    yield _boot_image(boot, reference)
    yield _flavour(boot, flavours)
    yield _release(boot, reference, flavours, now)
    yield _bundle(boot, reference)


def vtpm_result(firmware: int, reference: ReferenceValues) -> Result:
    """E58. The number is of the maker's own form: it only grows, and no list states its contents."""
    shown, least = f"vTPM firmware {firmware:#018x}", reference.vtpm_firmware
    if least is None:
        return Skipped("E58", f"{shown}, no floor")
    return compared("E58", shown, holds=firmware >= least, found=shown, expected=f"at least {least:#018x}")


def _configuration(report: HclReport) -> Result:
    machine = report.claims["vm-configuration"]
    off = [name for name in _REQUIRED_ON if machine.get(name) is not True]
    return compared("E43", "secure boot and vTPM on", holds=not off, found=f"not on: {', '.join(off)}")


def _pcrs(pcrs: Sequence[bytes], reference: ReferenceValues) -> Result:
    pinned = sorted(reference.pcrs)
    if not pinned:
        return Skipped("E19", "PCRs not pinned")
    shown = {pcr: value.hex() for pcr, value in enumerate(pcrs)}
    wrong = [pcr for pcr in pinned if shown.get(pcr) not in reference.pcrs[pcr]]
    return compared(
        "E19",
        f"PCRs {','.join(map(str, pinned))} pinned",
        holds=not wrong,
        found="; ".join(f"PCR {pcr} is {shown.get(pcr, 'not shown')}" for pcr in wrong),
        expected="; ".join(f"PCR {pcr} is {' or '.join(reference.pcrs[pcr])}" for pcr in wrong),
    )


def _boot_image(boot: BootState | None, reference: ReferenceValues) -> Result:
    """Compared with the allowed image that it differs from least."""
    if reference.boot_images is None:
        return Skipped("E49", "boot image not pinned")
    if boot is None:
        return Failure("E49", "no second quote", requirement("E49"))
    wrong = min((differences(boot, image) for image in reference.boot_images), key=len)
    roots = " ".join(verity_roots(boot.command_line)) or "none"
    return compared(
        "E49",
        f"boot image among the reference values, dm-verity {roots}",
        holds=not wrong,
        found="; ".join(found for found, _ in wrong),
        expected="; ".join(expected for _, expected in wrong),
    )


def _release(boot: BootState | None, reference: ReferenceValues, flavours: Sequence[str], now: datetime) -> Result:
    if reference.releases is None:
        return Skipped("E60", "no log of releases")
    from cji_attestation.appraisal.released import release_result  # noqa: PLC0415 - for those who pin a log

    return release_result(boot, reference, flavours=flavours, now=now)


def _flavour(boot: BootState | None, allowed: Sequence[str]) -> Result:
    """E61. No reference value has a say in it: which flavours are taken for which kind of machine is the trust's."""
    if boot is None:
        return Skipped("E61", "no second quote: the flavour is not shown")
    if not states_its_line(boot):
        return Failure("E61", "another command line than the measured one", requirement("E61"))
    found = flavours_of(boot.command_line)
    shown = " and ".join(found)
    return compared(
        "E61",
        f"flavour {shown}",
        holds=set(found) <= set(allowed),
        found=f"flavour {shown}",
        expected=f"flavour {' or '.join(allowed)}",
    )


def _bundle(boot: BootState | None, reference: ReferenceValues) -> Result:
    """The serial number is the word of the image, which verified a bundle before it measured or took it."""
    if reference.bundles is None and reference.bundle_serial is None:
        return Skipped("E54", "configuration bundle not pinned")
    bundle = None if boot is None else boot.in_force
    allowed, least = reference.bundles, reference.bundle_serial or 0
    holds = bundle is not None and bundle.serial >= least and (allowed is None or bundle.sha384.hex() in allowed)
    named = "" if allowed is None else f" and SHA-384 {' or '.join(allowed)}"
    return compared(
        "E54",
        f"configuration bundle {bundle}",
        holds=holds,
        found="no configuration bundle" if bundle is None else str(bundle),
        expected=f"serial {least} or later{named}",
    )
