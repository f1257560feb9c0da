"""SEV-SNP attestation reports of version 3: built and signed for the vTPM, parsed and verified for the MAA.

Layout: AMD 56860, table "ATTESTATION_REPORT Structure"; 1184 bytes, little-endian, ECDSA P-384 with SHA-384 over
the first 0x2A0 bytes, R and S little-endian in 72 bytes each.
"""

import hashlib
import os
import struct
from dataclasses import dataclass, field
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

__all__ = [
    "FAMILY_ID",
    "GUEST_SVN",
    "ID_KEY_DIGEST",
    "IMAGE_ID",
    "MEASUREMENT",
    "REPORT_LENGTH",
    "Report",
    "Tcb",
]

REPORT_LENGTH: Final = 1184
ID_KEY_DIGEST: Final = hashlib.sha384(b"cji-simulator id key").digest()
MEASUREMENT: Final = hashlib.sha384(b"cji-simulator paravisor").digest()
GUEST_SVN: Final = 0x1000D
FAMILY_ID: Final = bytes.fromhex("01232000000000000000000000000000")
IMAGE_ID: Final = bytes.fromhex("02000000000000000000000000000000")
_SIGNED: Final = 0x2A0
_POLICY_DEBUG: Final = 1 << 19
_POLICY_MIGRATE: Final = 1 << 18
_POLICY_SMT: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Tcb:
    """Security version numbers of a Genoa chip."""

    bootloader: int = 10
    tee: int = 0
    snp: int = 27
    microcode: int = 88

    def encode(self) -> bytes:
        """Return TCB_VERSION as it stands in a report."""
        return bytes([self.bootloader, self.tee, 0, 0, 0, 0, self.snp, self.microcode])

    @property
    def tcbm(self) -> str:
        """The same number as the certificate service spells it: hex, most significant byte first."""
        return self.encode()[::-1].hex().upper()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read eight bytes of a report."""
        return cls(bootloader=data[0], tee=data[1], snp=data[6], microcode=data[7])


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The variable fields of a report. Except for digests, the defaults are those of Azure's Genoa machines."""

    report_data: bytes  # 64 bytes
    chip_id: bytes  # 64 bytes
    measurement: bytes  # 48 bytes
    id_key_digest: bytes  # 48 bytes
    tcb: Tcb = field(default_factory=Tcb)
    policy: int = 0x3001F
    guest_svn: int = GUEST_SVN
    family_id: bytes = FAMILY_ID
    image_id: bytes = IMAGE_ID
    report_id: bytes = field(default_factory=lambda: os.urandom(32))
    host_data: bytes = bytes(32)
    author_key_digest: bytes = bytes(48)
    vmpl: int = 0

    @property
    def debuggable(self) -> bool:
        """Whether the host may debug the guest."""
        return bool(self.policy & _POLICY_DEBUG)

    @property
    def migratable(self) -> bool:
        """Whether a migration agent may move the guest."""
        return bool(self.policy & _POLICY_MIGRATE)

    @property
    def smt(self) -> bool:
        """Whether the host may run with simultaneous multithreading."""
        return bool(self.policy & _POLICY_SMT)

    def sign(self, vcek: ec.EllipticCurvePrivateKey) -> bytes:
        """Return the whole report, signed."""
        out = bytearray(REPORT_LENGTH)
        tcb = self.tcb.encode()
        struct.pack_into("<IIQ16s16sII", out, 0, 3, self.guest_svn, self.policy, self.family_id, self.image_id, 0, 1)
        struct.pack_into("<I", out, 0x30, self.vmpl)
        struct.pack_into("<8sQI", out, 0x38, tcb, 0x25, 0)
        struct.pack_into("<64s48s32s48s48s", out, 0x50, *self._digests())
        struct.pack_into("<32s32s", out, 0x140, self.report_id, b"\xff" * 32)
        struct.pack_into("<8sBBB", out, 0x180, tcb, 0x19, 0x11, 0x01)
        struct.pack_into("<64s8s", out, 0x1A0, self.chip_id, tcb)
        struct.pack_into("<BBBxBBBx8s", out, 0x1E8, 0x31, 0x37, 1, 0x31, 0x37, 1, tcb)
        r, s = decode_dss_signature(vcek.sign(bytes(out[:_SIGNED]), ec.ECDSA(hashes.SHA384())))
        struct.pack_into("<72s72s", out, _SIGNED, r.to_bytes(72, "little"), s.to_bytes(72, "little"))
        return bytes(out)

    def _digests(self) -> tuple[bytes, ...]:
        return self.report_data, self.measurement, self.host_data, self.id_key_digest, self.author_key_digest

    @classmethod
    def verify(cls, data: bytes, vcek: ec.EllipticCurvePublicKey) -> Self:
        """Check length, version and signature; raises ValueError."""
        if len(data) != REPORT_LENGTH or data[:4] != b"\3\0\0\0":
            raise ValueError("not a report of version 3")
        r, s = (int.from_bytes(data[at : at + 72], "little") for at in (_SIGNED, _SIGNED + 72))
        try:
            vcek.verify(encode_dss_signature(r, s), data[:_SIGNED], ec.ECDSA(hashes.SHA384()))
        except InvalidSignature as error:
            raise ValueError("the report's signature is not the VCEK's") from error
        return cls(
            guest_svn=int.from_bytes(data[4:8], "little"),
            policy=int.from_bytes(data[8:16], "little"),
            family_id=data[0x10:0x20],
            image_id=data[0x20:0x30],
            vmpl=int.from_bytes(data[0x30:0x34], "little"),
            report_data=data[0x50:0x90],
            measurement=data[0x90:0xC0],
            host_data=data[0xC0:0xE0],
            id_key_digest=data[0xE0:0x110],
            author_key_digest=data[0x110:0x140],
            report_id=data[0x140:0x160],
            tcb=Tcb.decode(data[0x180:0x188]),
            chip_id=data[0x1A0:0x1E0],
        )
