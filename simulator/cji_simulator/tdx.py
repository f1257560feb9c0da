"""Intel TDX on the host: TDREPORTs as the TDX module makes them, quotes of version 4 and 5, and their verification.

TDREPORT_STRUCT: Intel TDX Module ABI. Quotes: Intel TDX DCAP Quoting Library API, A.3 and A.4. All little-endian.
"""

import hashlib
import hmac
import os
import struct
from dataclasses import dataclass
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cji_simulator.intel import CPU_SVN, QE_SIGNER, Intel, ec_key, raw_signature
from cji_simulator.snp import MEASUREMENT

__all__ = ["REPORT_LENGTH", "SEPT_VE_DISABLE", "TdReport", "TdxHost", "quote", "quoted_body", "verify_quote"]

REPORT_LENGTH: Final = 1024
SEPT_VE_DISABLE: Final = 1 << 28
_DEBUG, _MIGRATABLE = 1 << 0, 1 << 29
_TDX: Final = 0x81
_QE_VENDOR: Final = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
_BODIES: Final = {2: 584, 3: 648}  # TDX 1.0 and 1.5
_MAC_AT: Final = 224
_ZERO: Final = bytes(48)


@dataclass(frozen=True, slots=True, kw_only=True)
class TdReport:
    """The variable fields of a trust domain. Except for digests, the defaults are those of Azure's machines."""

    report_data: bytes  # 64 bytes
    attributes: int = SEPT_VE_DISABLE
    xfam: bytes = bytes.fromhex("e718060000000000")
    mrtd: bytes = MEASUREMENT
    tcb_svn: bytes = bytes([13, 1, 4]).ljust(16, b"\0")
    seam: bytes = hashlib.sha384(b"cji-simulator TDX module").digest()
    seam_signer: bytes = _ZERO
    seam_attributes: bytes = bytes(8)
    configuration: bytes = 3 * _ZERO  # MRCONFIGID, MROWNER, MROWNERCONFIG
    registers: bytes = 4 * _ZERO  # RTMR0 to RTMR3; OpenHCL leaves them

    def encode(self, mac_key: bytes | None = None) -> bytes:
        """Return a TDREPORT whose hashes hold; its MAC is the processor's where `mac_key` is given."""
        out = bytearray(REPORT_LENGTH)
        out[0], out[16:32], out[128:192] = _TDX, CPU_SVN, self.report_data
        out[256:264], out[264:280], out[280:328] = bytes.fromhex("ff01030000000000"), self.tcb_svn, self.seam
        out[328:376], out[376:384], out[384:400] = self.seam_signer, self.seam_attributes, self.tcb_svn
        out[512:520], out[520:528], out[528:576] = self.attributes.to_bytes(8, "little"), self.xfam, self.mrtd
        out[576:720], out[720:912] = self.configuration, self.registers
        out[32:128] = _hashes(out)
        out[_MAC_AT : _MAC_AT + 32] = _mac(mac_key, bytes(out)) if mac_key else b"m" * 32
        return bytes(out)

    @classmethod
    def of_body(cls, body: bytes) -> Self:
        """Read the body of a quote."""
        return cls(
            tcb_svn=body[:16],
            seam=body[16:64],
            seam_signer=body[64:112],
            seam_attributes=body[112:120],
            attributes=int.from_bytes(body[120:128], "little"),
            xfam=body[128:136],
            mrtd=body[136:184],
            configuration=body[184:328],
            registers=body[328:520],
            report_data=body[520:584],
        )

    @property
    def debuggable(self) -> bool:
        """Whether the host may debug the domain."""
        return bool(self.attributes & _DEBUG)

    @property
    def migratable(self) -> bool:
        """Whether a migration TD may move the domain."""
        return bool(self.attributes & _MIGRATABLE)


def _hashes(report: bytes | bytearray) -> bytes:
    """Return what stands for TEE_TCB_INFO and TDINFO in the part that the MAC covers."""
    return hashlib.sha384(report[256:495]).digest() + hashlib.sha384(report[512:]).digest()


def _mac(key: bytes, report: bytes) -> bytes:
    return hmac.digest(key, report[:_MAC_AT], "sha256")


def quoted_body(report: bytes, size: int) -> bytes:
    """Return the `size` bytes, 584 or 648, that a quote of this TDREPORT says."""
    whole = report[264:384] + report[512:912] + report[128:192] + report[384:400] + report[912:960]
    return whole[:size]


def quote(report: bytes, intel: Intel, *, version: int = 4, kind: int = 3, qe_cpu_svn: bytes = CPU_SVN) -> bytes:
    """Return a quote of a TDREPORT, whose MAC is not looked at here. `kind` is the body's in version 5."""
    head = (struct.pack("<HHI4x", version, 2, _TDX) + _QE_VENDOR).ljust(48, b"\0")
    body = quoted_body(report, _BODIES[2])
    if version == 5:
        body = quoted_body(report, _BODIES[kind])
        head += struct.pack("<HI", kind, len(body))
    authentication = b"a" * 32
    enclave = bytearray(384)
    enclave[:16], enclave[48:64] = qe_cpu_svn, bytes.fromhex("1500000000000000e700000000000000")
    enclave[128:160], enclave[256:260] = QE_SIGNER, struct.pack("<HH", 2, 8)
    enclave[320:352] = hashlib.sha256(_point(intel.ak.public_key()) + authentication).digest()
    certified = bytes(enclave) + raw_signature(ec_key(intel.pck), bytes(enclave))
    certified += struct.pack("<H", len(authentication)) + authentication
    certified += struct.pack("<HI", 5, len(intel.pck_chain)) + intel.pck_chain
    signature = raw_signature(intel.ak, head + body) + _point(intel.ak.public_key())
    signature += struct.pack("<HI", 6, len(certified)) + certified
    return head + body + struct.pack("<I", len(signature)) + signature


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]


def _check(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> None:
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:64]))
    key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))


def verify_quote(data: bytes, intel: Intel) -> TdReport:
    """Check a quote down to this Intel's PCK; raises ValueError. A verifier of its own: no code of the worker's."""
    try:
        version, key_kind, tee = struct.unpack_from("<HHI", data)
        kind, at = (struct.unpack_from("<H", data, 48)[0], 54) if version == 5 else (2, 48)
        if (key_kind, tee) != (2, _TDX) or version not in {4, 5} or kind not in _BODIES:
            raise ValueError("not a quote of a trust domain")
        end = at + _BODIES[kind]
        signature = data[end + 4 :]
        enclave, by_pck = signature[134:518], signature[518:582]
        (size,) = struct.unpack_from("<H", signature, 582)
        authentication, chain = signature[584 : 584 + size], signature[590 + size :]
        if x509.load_pem_x509_certificates(chain) != list(intel.pck.chain):
            raise ValueError("not of this Intel")
        _check(ec_key(intel.pck).public_key(), by_pck, enclave)
        point = signature[64:128]
        if enclave[320:352] != hashlib.sha256(point + authentication).digest():
            raise ValueError("the quoting enclave vouches for another key")
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + point)
        _check(key, signature[:64], data[:end])
    except (struct.error, InvalidSignature) as error:
        raise ValueError("the quote's signature does not verify") from error
    return TdReport.of_body(data[at:end])


class TdxHost:
    """The processor under the VM: it makes reports for its guest and quotes of what it made itself."""

    def __init__(self, intel: Intel) -> None:
        self._intel = intel
        self._mac_key = os.urandom(32)

    def report(self, report_data: bytes) -> bytes:
        """Return a TDREPORT for the guest's 64 bytes."""
        return TdReport(report_data=report_data).encode(self._mac_key)

    def quote(self, report: bytes) -> bytes:
        """Return the quote of a TDREPORT of 1024 bytes that this processor made; raises ValueError."""
        whole = (
            len(report) == REPORT_LENGTH
            and hmac.compare_digest(report[_MAC_AT : _MAC_AT + 32], _mac(self._mac_key, report))
            and report[32:128] == _hashes(report)
        )
        if not whole:
            raise ValueError("not a TDREPORT of this processor")
        return quote(report, self._intel)
