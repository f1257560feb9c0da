"""A measured boot: what firmware and boot loader log, as bytes, and what a verifier finds when it replays them.

The log is the TCG's crypto-agile one (PC Client Platform Firmware Profile, section "Event Logging"), little-endian: a
TCG_PCR_EVENT that names the banks {PCR u32 · type u32 · SHA-1 · size u32 · "Spec ID Event03"…}, then TCG_PCR_EVENT2
{PCR u32 · type u32 · count u32 · per bank: algorithm u16, digest · size u32 · event}. The only bank here is SHA-256.
"""

import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["BOOT", "Measurement", "encode", "replay"]

_SHA256: Final = 0x000B
_NO_ACTION, _SEPARATOR, _CRTM_VERSION, _IPL = 0x3, 0x4, 0x8, 0xD
_VARIABLE, _BOOT_VARIABLE, _APPLICATION, _GPT, _TABLES = 0x80000001, 0x80000002, 0x80000003, 0x80000006, 0x80000009
_SPEC_ID: Final = b"Spec ID Event03\0" + struct.pack("<IBBBBIHHB", 0, 0, 2, 0, 2, 1, _SHA256, 32, 0)
_MAX_EVENT: Final = 1 << 16  # bytes
_GLOBAL: Final = bytes.fromhex("61dfe48bca93d211aa0d00e098032b8c")  # EFI_GLOBAL_VARIABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One extension of one PCR; `digest` is of `data`, unless that describes something larger, as a loaded image."""

    pcr: int
    kind: int
    data: bytes
    digest: bytes


def _of_data(pcr: int, kind: int, data: bytes) -> Measurement:
    return Measurement(pcr=pcr, kind=kind, data=data, digest=hashlib.sha256(data).digest())


def _of_image(pcr: int, kind: int, name: str) -> Measurement:
    digest = hashlib.sha256(f"cji-simulator image of {name}".encode()).digest()
    return Measurement(pcr=pcr, kind=kind, data=name.encode("utf-16-le"), digest=digest)


def _variable(name: str, value: bytes, *, kind: int = _VARIABLE, pcr: int = 7) -> Measurement:
    head = _GLOBAL + struct.pack("<QQ", len(name), len(value))
    return _of_data(pcr, kind, head + name.encode("utf-16-le") + value)


BOOT: Final = (
    _of_data(0, _CRTM_VERSION, "cji-simulator firmware 1".encode("utf-16-le")),
    *(_variable(name, b"\1" if name == "SecureBoot" else name.encode()) for name in ("SecureBoot", "PK", "KEK")),
    _variable("BootOrder", b"\0\0", kind=_BOOT_VARIABLE, pcr=1),
    _of_data(1, _TABLES, b"SMBIOS"),
    *(_of_data(pcr, _SEPARATOR, bytes(4)) for pcr in range(8)),
    _of_data(5, _GPT, b"EFI PART"),
    _of_image(4, _APPLICATION, "shimx64.efi"),
    _of_image(4, _APPLICATION, "grubx64.efi"),
    _of_image(4, _APPLICATION, "vmlinuz"),
    _of_data(5, _IPL, b"ExitBootServices"),
)
"""A Linux machine with secure boot on; PCRs 2, 3 and 6 hold the separator alone, as most machines' do."""


def encode(measurements: Sequence[Measurement]) -> bytes:
    """Return the log, as the kernel shows it in binary_bios_measurements."""
    log = [struct.pack("<II20xI", 0, _NO_ACTION, len(_SPEC_ID)), _SPEC_ID]
    for one in measurements:
        log += [struct.pack("<IIIH", one.pcr, one.kind, 1, _SHA256), one.digest]
        log += [struct.pack("<I", len(one.data)), one.data]
    return b"".join(log)


def _read(log: bytes) -> Iterator[Measurement]:
    at = 32 + len(_SPEC_ID)
    if log[:at] != struct.pack("<II20xI", 0, _NO_ACTION, len(_SPEC_ID)) + _SPEC_ID:
        raise ValueError("not a log of the SHA-256 bank")
    while at < len(log):
        try:
            pcr, kind, count, algorithm, digest, size = struct.unpack_from("<IIIH32sI", log, at)
        except struct.error as error:
            raise ValueError("the log ends within an event") from error
        at += 50 + size
        if (count, algorithm) != (1, _SHA256) or pcr > 23 or size > _MAX_EVENT or at > len(log):
            raise ValueError("an event of this log cannot be read")
        yield Measurement(pcr=pcr, kind=kind, data=log[at - size : at], digest=digest)


def replay(log: bytes) -> dict[int, bytes]:
    """Return the SHA-256 PCRs that a log leads to, those that it extends; raises ValueError.

    What an event measures from its own data must be the digest of them: separators and firmware variables.
    """
    pcrs: dict[int, bytes] = {}
    for one in _read(log):
        if one.kind == _NO_ACTION:
            continue
        if one.kind in {_SEPARATOR, _VARIABLE, _BOOT_VARIABLE} and hashlib.sha256(one.data).digest() != one.digest:
            raise ValueError("an event's digest is not of its data")
        pcrs[one.pcr] = hashlib.sha256(pcrs.get(one.pcr, bytes(32)) + one.digest).digest()
    return pcrs
