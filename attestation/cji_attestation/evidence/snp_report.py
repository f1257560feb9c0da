"""The SEV-SNP ATTESTATION_REPORT, 1184 bytes, little-endian (AMD 56860, "SEV Secure Nested Paging Firmware ABI").

Versions 2 to 5 are known; another version may mean other offsets and is refused. AMD has not published version 4,
which firmware 1.55.31 writes: every verifier reads it as version 3 (virtee/sev pull request 307, Microsoft's
TEE-Attestation-Verification), and what is reserved there is reserved here.
"""

import struct
from dataclasses import asdict, dataclass
from typing import Final

from cji_attestation.errors import invalid

REPORT_BYTES: Final = 1184
SIGNED_BYTES: Final = 0x2A0
VERSIONS: Final = frozenset({2, 3, 4, 5})
_CHECK: Final = "snp-report"

# Names of the bits of POLICY and PLATFORM_INFO (AMD 56860, "Guest Policy", "PLATFORM_INFO Field"). Bit 6 of the latter
# is of firmware 1.58, as other verifiers read it (AMD-SB-3016); the document was not at hand.
_POLICY_BITS: Final = {
    16: "smt",
    18: "migrate-ma",
    19: "debug",
    20: "single-socket",
    21: "cxl",
    22: "aes-256-xts",
    23: "rapl-disabled",
    24: "ciphertext-hiding",
    25: "page-swap-disabled",
}
_PLATFORM_BITS: Final = {
    0: "smt",
    1: "tsme",
    2: "ecc",
    3: "rapl-disabled",
    4: "ciphertext-hiding",
    5: "alias-check-complete",
    6: "iommu-write-safe",
    7: "tio",
}
PLATFORM_FLAGS: Final = tuple(_PLATFORM_BITS.values())
_PLATFORM_ZERO: Final = ~sum(1 << bit for bit in _PLATFORM_BITS)  # no meaning is known
_POLICY_ONE: Final = 1 << 17  # reserved, must be one
_POLICY_ZERO: Final = ~((1 << 26) - 1)  # reserved, must be zero
_RESERVED: Final = ((0x4C, 0x50), (0x18B, 0x1A0), (0x1EB, 0x1EC), (0x1EF, 0x1F0), (0x208, 0x2A0))
_SIGNATURE_UNUSED: Final = ((0x2A0 + 48, 0x2E8), (0x2E8 + 48, REPORT_BYTES))  # R and S have 72 bytes, P-384 uses 48
_CPUID: Final = (0x188, 0x18B)  # version 3 and later
_MITIGATIONS: Final = (0x1F8, 0x208)  # version 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Tcb:
    """Security patch levels, 0-255 each. Never compared as one number: each component has its own floor."""

    bootloader: int
    tee: int
    snp: int
    microcode: int
    fmc: int = 0  # Turin only

    def __str__(self) -> str:
        return ", ".join(f"{name} {level}" for name, level in asdict(self).items())

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
    family_id: bytes
    image_id: bytes
    vmpl: int
    signature_algorithm: int
    platform_info: int
    key_information: int
    report_data: bytes
    measurement: bytes
    host_data: bytes
    id_key_digest: bytes
    author_key_digest: bytes
    report_id: bytes
    report_id_ma: bytes
    current_tcb: bytes
    reported_tcb: bytes
    committed_tcb: bytes
    launch_tcb: bytes
    cpuid: tuple[int, int, int]  # family, model, stepping; zeros in version 2
    chip_id: bytes
    launch_mitigations: int  # bit vector, 0 before version 5
    current_mitigations: int
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
    def policy_flags(self) -> tuple[str, ...]:
        """Names of the policy bits that are set: what the guest's owner allows or demands."""
        return tuple(name for bit, name in _POLICY_BITS.items() if self.policy >> bit & 1)

    @property
    def platform_flags(self) -> tuple[str, ...]:
        """Names of the PLATFORM_INFO bits that are set: how the machine is configured."""
        return tuple(name for bit, name in _PLATFORM_BITS.items() if self.platform_info >> bit & 1)

    @property
    def masked_chip(self) -> bool:
        """Bit 1 of the key information: chip_id is zeros."""
        return bool(self.key_information >> 1 & 1)

    @property
    def signing_key(self) -> int:
        """Bits 2-4 of the key information: 0 VCEK, 1 VLEK, 7 none."""
        return self.key_information >> 2 & 7


def parse_snp_report(data: bytes) -> SnpReport:
    """Parse exactly 1184 bytes; raises AttestationError(EVIDENCE_INVALID, "snp-report").

    Reserved bits must have their specified values: others would mean something unknown to this reader.
    """
    if len(data) != REPORT_BYTES or struct.unpack_from("<I", data, 0)[0] not in VERSIONS:
        raise invalid(_CHECK)
    _check_reserved(data)
    version, guest_svn, policy = struct.unpack_from("<IIQ", data, 0)
    vmpl, algorithm = struct.unpack_from("<II", data, 0x30)
    platform_info, key_information = struct.unpack_from("<QI", data, 0x40)
    launch_mitigations, current_mitigations = struct.unpack_from("<QQ", data, _MITIGATIONS[0])
    return SnpReport(
        version=version,
        guest_svn=guest_svn,
        policy=policy,
        family_id=data[0x10:0x20],
        image_id=data[0x20:0x30],
        vmpl=vmpl,
        signature_algorithm=algorithm,
        platform_info=platform_info,
        key_information=key_information,
        report_data=data[0x50:0x90],
        measurement=data[0x90:0xC0],
        host_data=data[0xC0:0xE0],
        id_key_digest=data[0xE0:0x110],
        author_key_digest=data[0x110:0x140],
        report_id=data[0x140:0x160],
        report_id_ma=data[0x160:0x180],
        current_tcb=data[0x38:0x40],
        reported_tcb=data[0x180:0x188],
        committed_tcb=data[0x1E0:0x1E8],
        launch_tcb=data[0x1F0:0x1F8],
        cpuid=(data[0x188], data[0x189], data[0x18A]),
        chip_id=data[0x1A0:0x1E0],
        launch_mitigations=launch_mitigations,
        current_mitigations=current_mitigations,
        signed=data[:SIGNED_BYTES],
        signature_r=int.from_bytes(data[0x2A0 : 0x2A0 + 48], "little"),
        signature_s=int.from_bytes(data[0x2E8 : 0x2E8 + 48], "little"),
    )


def _check_reserved(data: bytes) -> None:
    (version,) = struct.unpack_from("<I", data, 0)
    (policy,) = struct.unpack_from("<Q", data, 8)
    platform_info, key_information = struct.unpack_from("<QI", data, 0x40)
    zero = (
        *_RESERVED,
        *_SIGNATURE_UNUSED,
        *((_CPUID,) if version < 3 else ()),
        *((_MITIGATIONS,) if version < 5 else ()),
    )
    sound = (
        not any(any(data[start:end]) for start, end in zero)
        and policy & _POLICY_ONE
        and not policy & _POLICY_ZERO
        and not platform_info & _PLATFORM_ZERO
        and not key_information >> 5
        and bool(key_information & 1) == any(data[0x110:0x140])  # AUTHOR_KEY_EN
    )
    if not sound:
        raise invalid(_CHECK)
