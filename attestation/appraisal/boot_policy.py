"""Policy about the boot: configuration, the PCRs of firmware and boot loader, the image that was started."""

from collections.abc import Iterator, Sequence
from typing import Final

from attestation.appraisal.boot_image import differences, verity_roots
from attestation.appraisal.boot_state import BootState
from attestation.appraisal.reference import ReferenceValues
from attestation.checks import Failure, Result, Skipped, compared, requirement
from attestation.evidence import HclReport

_REQUIRED_ON: Final = ("secure-boot", "tpm-enabled")


def boot_results(
    report: HclReport, pcrs: Sequence[bytes], boot: BootState | None, reference: ReferenceValues
) -> Iterator[Result]:
    """E43, E19 and E49. `pcrs` are 0 to 7; `boot` has all, if there is a second quote."""
    yield _configuration(report)
    yield _pcrs(boot.pcrs if boot else pcrs, reference)
    yield _boot_image(boot, reference)


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
