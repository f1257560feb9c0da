"""The measurements of a machine that boots this image, computed from the image alone. SHA-256 bank.

| PCR | measured by | from |
|---|---|---|
| 4 | firmware | its call of the boot option, and the unified kernel image, kernel included |
| 7 | firmware | the Secure Boot variables, and the entry of db that verified the image |
| 9 | the kernel's EFI stub | command line and initrd as systemd-stub passes them |
| 11 | systemd-stub, systemd | the sections of the image; the phases of the boot |
| 12, 13, 14 | nothing | no command line, credential, extension or shim from outside |
| 15 | nothing before the worker starts | systemd-pcrmachine is masked |

Sources: TCG PC Client Platform Firmware Profile 1.06; EDK2, SecurityPkg; systemd, docs/TPM2_PCR_MEASUREMENTS.md and
src/boot; Linux, drivers/firmware/efi/libstub.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from cji_attestation.appraisal import BootImage
from cji_attestation.appraisal.boot_image import SECTIONS
from cji_attestation.evidence.event_log import extended
from cji_deploy.image.pe import PeImage
from cji_deploy.image.secure_boot import SecureBoot
from cji_deploy.image.stub_initrd import passed_initrd

__all__ = ["PHASES", "PREDICTED", "BootPrediction", "Measured", "predict"]

PHASES: Final = ("sysinit", "ready")
"""Until the worker starts, after systemd-pcrphase.service. The initrd has no TPM library, so it measures none."""
PREDICTED: Final = (4, 7, 9, 11, 12, 13, 14)
"""PCRs with one value per image (and Secure Boot variables) when a worker starts. PCR 15 is zero before that."""
_BOOT_OPTION: Final = b"Calling EFI Application from Boot Option"
_SEPARATOR: Final = bytes(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One extension: what is measured, as a reader of an event log would name it."""

    pcr: int
    name: str
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BootPrediction:
    """The events in the order of the boot, and the image as reference values name it."""

    events: tuple[Measured, ...]
    image: BootImage

    def pcrs(self) -> dict[int, bytes]:
        """Values of `PREDICTED`, without PCR 7 if no Secure Boot variables are known."""
        known = {one.pcr for one in self.events}
        return {pcr: value for pcr in PREDICTED if pcr != 7 or pcr in known for value in [_value(self.events, pcr)]}


def predict(uki: bytes, secure_boot: SecureBoot | None) -> BootPrediction:
    """The measurements of a boot of this signed unified kernel image; raises PeError."""
    image = PeImage.parse(uki)
    line = image.section(".cmdline").rstrip(b"\n\0").decode()
    initrd = passed_initrd(image)
    events = [
        *(_secure_boot(secure_boot) if secure_boot else ()),
        _text(4, _BOOT_OPTION),
        Measured(pcr=4, name="separator", digest=_sha256(_SEPARATOR)),
        Measured(pcr=4, name="unified kernel image", digest=image.digest),
        *_sections(image),
        Measured(pcr=9, name="command line", digest=_sha256(line.encode("utf-16-le") + b"\0\0")),
        Measured(pcr=9, name="initrd", digest=_sha256(initrd)),
        *(_text(11, phase.encode()) for phase in PHASES),
    ]
    parts = {one.name: _sha256(one.data).hex() for one in image.sections if one.name in SECTIONS}
    own = () if _sha256(initrd).hex() == parts.get(".initrd") else (_sha256(initrd).hex(),)
    return BootPrediction(events=tuple(events), image=BootImage(parts=parts, command_line=line, initrds=own))


def _sections(image: PeImage) -> Iterator[Measured]:
    """Each section's name, then its contents, in the stub's own order (systemd, src/fundamental/uki.h)."""
    found = {one.name: one.data for one in image.sections}
    for name in SECTIONS:
        if name in found:
            yield Measured(pcr=11, name=f"name {name}", digest=_sha256(name.encode() + b"\0"))
            yield Measured(pcr=11, name=f"section {name}", digest=_sha256(found[name]))


def _text(pcr: int, text: bytes) -> Measured:
    return Measured(pcr=pcr, name=text.decode(), digest=_sha256(text))


def _value(events: Iterable[Measured], pcr: int) -> bytes:
    value = bytes(32)
    for one in events:
        if one.pcr == pcr:
            value = extended(value, one.digest)
    return value


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _secure_boot(machine: SecureBoot) -> Iterator[Measured]:
    yield from (Measured(pcr=7, name=name, digest=digest) for name, digest in machine.digests())
