"""The SEV-SNP ATTESTATION_REPORT, 1184 bytes, little-endian (AMD 56860, "SEV Secure Nested Paging Firmware ABI").

Versions 2, 3 and 5 are known; another version may mean other offsets and is refused.
"""

import struct
from dataclasses import dataclass
from typing import Final

from attestation.errors import AttestationError, Fault

__all__ = ["REPORT_BYTES", "SIGNED_BYTES", "SnpReport", "Tcb", "parse_snp_report", "parse_tcb"]

REPORT_BYTES: Final = 1184
SIGNED_BYTES: Final = 0x2A0
VERSIONS: Final = frozenset({2, 3, 5})
_CHECK: Final = "snp-report"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tcb:
    """Security patch levels, 0-255 each. Never compared as one number: each component has its own floor."""

    bootloader: int
    tee: int
    snp: int
    microcode: int
    fmc: int = 0  # Turin only

    def at_least(self, floor: "Tcb") -> bool:
        """Whether no component is below its floor."""
        mine = (self.bootloader, self.tee, self.snp, self.microcode, self.fmc)
        return all(
            a >= b
            for a, b in zip(mine, (floor.bootloader, floor.tee, floor.snp, floor.microcode, floor.fmc), strict=True)
        )


def parse_tcb(raw: bytes, *, turin: bool) -> Tcb | None:
    """Eight bytes as Milan and Genoa (bl, tee, 4 reserved, snp, ucode) or Turin (fmc, bl, tee, snp, 3 reserved, ucode).

    None where a reserved byte is not zero.
    """
    if turin:
        return None if any(raw[4:7]) else Tcb(fmc=raw[0], bootloader=raw[1], tee=raw[2], snp=raw[3], microcode=raw[7])
    return None if any(raw[2:6]) else Tcb(bootloader=raw[0], tee=raw[1], snp=raw[6], microcode=raw[7])


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpReport:
    """A parsed report that nobody has verified yet. TCBs stay raw bytes until the product is known."""

    version: int
    guest_svn: int
    policy: int
    vmpl: int
    signature_algorithm: int
    key_information: int
    report_data: bytes
    measurement: bytes
    host_data: bytes
    report_id: bytes
    current_tcb: bytes
    reported_tcb: bytes
    committed_tcb: bytes
    launch_tcb: bytes
    cpuid: tuple[int, int]  # family, model; (0, 0) in version 2
    chip_id: bytes
    signed: bytes
    signature_r: int
    signature_s: int

    @property
    def debug(self) -> bool:
        """Policy bit 19: the host may read and write the guest's memory."""
        return bool(self.policy >> 19 & 1)

    @property
    def migratable(self) -> bool:
        """Policy bit 18: a migration agent may be associated with the guest."""
        return bool(self.policy >> 18 & 1)

    @property
    def masked_chip(self) -> bool:
        """Bit 1 of the key information: chip_id is zeros."""
        return bool(self.key_information >> 1 & 1)

    @property
    def signing_key(self) -> int:
        """Bits 2-4 of the key information: 0 VCEK, 1 VLEK, 7 none."""
        return self.key_information >> 2 & 7


def parse_snp_report(data: bytes) -> SnpReport:
    """Parse exactly 1184 bytes; raises AttestationError(EVIDENCE_INVALID, "snp-report")."""
    if len(data) != REPORT_BYTES or struct.unpack_from("<I", data, 0)[0] not in VERSIONS:
        raise AttestationError(Fault.EVIDENCE_INVALID, check=_CHECK)
    version, guest_svn, policy = struct.unpack_from("<IIQ", data, 0)
    vmpl, algorithm = struct.unpack_from("<II", data, 0x30)
    (key_information,) = struct.unpack_from("<I", data, 0x48)
    # R and S are 72-byte little-endian numbers of which P-384 uses 48; the rest of the report is reserved
    if any(data[0x2A0 + 48 : 0x2E8]) or any(data[0x2E8 + 48 :]):
        raise AttestationError(Fault.EVIDENCE_INVALID, check=_CHECK)
    return SnpReport(
        version=version,
        guest_svn=guest_svn,
        policy=policy,
        vmpl=vmpl,
        signature_algorithm=algorithm,
        key_information=key_information,
        report_data=data[0x50:0x90],
        measurement=data[0x90:0xC0],
        host_data=data[0xC0:0xE0],
        report_id=data[0x140:0x160],
        current_tcb=data[0x38:0x40],
        reported_tcb=data[0x180:0x188],
        committed_tcb=data[0x1E0:0x1E8],
        launch_tcb=data[0x1F0:0x1F8],
        cpuid=(data[0x188], data[0x189]),
        chip_id=data[0x1A0:0x1E0],
        signed=data[:SIGNED_BYTES],
        signature_r=int.from_bytes(data[0x2A0 : 0x2A0 + 48], "little"),
        signature_s=int.from_bytes(data[0x2E8 : 0x2E8 + 48], "little"),
    )
