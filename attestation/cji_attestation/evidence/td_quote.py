"""The TDREPORT of a trust domain, 1024 bytes, and the quote that its host makes of it. Little-endian.

TDREPORT (Intel TDX Module ABI, TDREPORT_STRUCT): 0 REPORTMACSTRUCT, 256 {type 0x81 · 16 CPUSVN · 32 hash of TCB info ·
80 hash of TD info · 128 report data · 224 MAC} · 256 TEE_TCB_INFO, 239 {264 TCB SVN · 280 MRSEAM · 328 MRSIGNERSEAM ·
376 SEAM attributes · 384 TCB SVN 2} · 512 TDINFO {attributes 8 · XFAM 8 · MRTD 48 · MRCONFIGID 48 · MROWNER 48 ·
MROWNERCONFIG 48 · RTMR0-3 · hash of service TDs 48}.
Quote (Intel TDX DCAP Quoting Library API, A.3 and A.4): header 48 {version 4 or 5 · key type 2, ECDSA P-256 · TEE 0x81}
· version 5 only: body type 2 or 3 and size · body 584 or 648 · size and signature data · zeros.
The MAC can be checked by the processor that made it only: what it vouches for is what the quote repeats.
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import Final

from cji_attestation.errors import invalid

REPORT_BYTES: Final = 1024
MAX_QUOTE_BYTES: Final = 16 * 1024  # real quotes have about 5 KiB
HEADER_BYTES: Final = 48
TEE_TDX: Final = 0x81
ECDSA_P256: Final = 2
QE_CERTIFICATION: Final = 6  # kind of certification data that holds the quoting enclave's own report
PCK_CHAIN: Final = 5
_BODIES: Final = {2: 584, 3: 648}  # TDX 1.0 and 1.5
_RESERVED: Final = ((4, 16), (192, 224), (400, 512), (960, 1024))


@dataclass(frozen=True, slots=True, kw_only=True)
class TdxTcb:
    """TEE_TCB_SVN by component, 0-255 each, and the PCE's ISVSVN; the names are those of Intel's TCB info."""

    tdx_module: int
    tdx_module_version: int
    late_microcode: int
    pce: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TdReport:
    """A parsed TDREPORT that nobody has verified yet."""

    raw: bytes
    cpu_svn: bytes
    tcb_svn: bytes
    seam_signer: bytes
    seam_attributes: bytes
    attributes: int
    mrtd: bytes
    report_data: bytes

    @property
    def body(self) -> bytes:
        """The body that a quote of this report must have, 648 bytes; for TDX 1.0 the first 584."""
        raw = self.raw
        return raw[264:384] + raw[512:912] + self.report_data + raw[384:400] + raw[912:960]


@dataclass(frozen=True, slots=True, kw_only=True)
class TdQuote:
    """The parts of a quote that are compared here; its signatures are for `cji_attestation.appraisal.tdx`."""

    version: int
    body: bytes  # 584 or 648 bytes
    qe_cpu_svn: bytes  # of the quoting enclave, which runs on the processor of the TD
    qe_svn: int  # ISVSVN of the quoting enclave
    pck_chain: bytes  # PEM


def parse_td_report(data: bytes) -> TdReport:
    """Parse exactly 1024 bytes whose own hashes hold; raises AttestationError(EVIDENCE_INVALID, "td-report")."""
    whole = (
        len(data) == REPORT_BYTES
        and data[0] == TEE_TDX
        and data[1] == data[3] == 0
        and data[2] in {0, 1}
        and not any(any(data[start:end]) for start, end in _RESERVED)
        and data[32:80] == hashlib.sha384(data[256:495]).digest()
        and data[80:128] == hashlib.sha384(data[512:]).digest()
    )
    if not whole:
        raise invalid("td-report")
    return TdReport(
        raw=data,
        cpu_svn=data[16:32],
        tcb_svn=data[264:280],
        seam_signer=data[328:376],
        seam_attributes=data[376:384],
        attributes=int.from_bytes(data[512:520], "little"),
        mrtd=data[528:576],
        report_data=data[128:192],
    )


def parse_td_quote(data: bytes) -> TdQuote:
    """Parse a quote of a trust domain, not of an enclave; raises AttestationError(EVIDENCE_INVALID, "td-quote")."""
    try:
        if len(data) > MAX_QUOTE_BYTES:
            raise ValueError
        version, key_type, tee = struct.unpack_from("<HHI", data, 0)
        at, kind, size = HEADER_BYTES, 2, _BODIES[2]
        if version == 5:
            kind, size = struct.unpack_from("<HI", data, at)
            at += 6
        if version not in {4, 5} or (key_type, tee, size) != (ECDSA_P256, TEE_TDX, _BODIES.get(kind)):
            raise ValueError
        (signature_size,) = struct.unpack_from("<I", data, at + size)
        signature = data[at + size + 4 : at + size + 4 + signature_size]
        certification, certified = struct.unpack_from("<HI", signature, 128)
        report_at = 134
        sound = (
            len(signature) == signature_size == report_at + certified
            and certification == QE_CERTIFICATION
            and not any(data[at + size + 4 + signature_size :])
        )
        (auth_size,) = struct.unpack_from("<H", signature, report_at + 448)
        chain_at = report_at + 450 + auth_size
        chain_kind, chain_size = struct.unpack_from("<HI", signature, chain_at)
        sound = sound and chain_kind == PCK_CHAIN and chain_at + 6 + chain_size == len(signature)
        if not sound:
            raise ValueError
    except (struct.error, ValueError) as error:
        raise invalid("td-quote") from error
    return TdQuote(
        version=version,
        body=data[at : at + size],
        qe_cpu_svn=signature[report_at : report_at + 16],
        qe_svn=int.from_bytes(signature[report_at + 258 : report_at + 260], "little"),  # Intel SDM, REPORT.ISVSVN
        pck_chain=signature[chain_at + 6 :].rstrip(b"\0"),
    )
