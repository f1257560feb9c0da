"""A measured boot: what firmware, boot loader and systemd log, as bytes, and what a verifier finds when it replays it.

The log is the TCG's crypto-agile one (PC Client Platform Firmware Profile, section "Event Logging"), little-endian: a
TCG_PCR_EVENT that names the banks {PCR u32 · type u32 · SHA-1 · size u32 · "Spec ID Event03"…}, then TCG_PCR_EVENT2
{PCR u32 · type u32 · count u32 · per bank: algorithm u16, digest · size u32 · event}. The only bank here is SHA-256.
systemd's log has JSON objects, each behind an RS.
"""

import hashlib
import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = [
    "BOOT",
    "COMMAND_LINE",
    "SECTIONS",
    "USERSPACE",
    "Measurement",
    "boot_of",
    "encode",
    "record",
    "replay",
    "said",
]

_SHA256: Final = 0x000B
_PREBOOT, _NO_ACTION, _SEPARATOR, _TAGGED, _CRTM_VERSION, _IPL = 0x0, 0x3, 0x4, 0x6, 0x8, 0xD
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


COMMAND_LINE: Final = Path("/proc/cmdline").read_bytes().removesuffix(b"\n").decode()
"""Of the machine that runs the simulation: the worker's evidence has the kernel's own report of it."""

SECTIONS: Final = {
    ".linux": b"cji-simulator kernel",
    ".osrel": b"ID=cji-simulator\n",
    ".cmdline": COMMAND_LINE.encode(),
    ".initrd": b"cji-simulator initrd",
    ".uname": b"6.17.0-azure-fde",
}
"""A unified kernel image, in the order in which systemd-stub measures it."""


def _section(name: str, contents: bytes) -> tuple[Measurement, Measurement]:
    label = name.encode("utf-16-le") + b"\0\0"
    digests = (hashlib.sha256(part).digest() for part in (name.encode() + b"\0", contents))
    first, second = (Measurement(pcr=11, kind=_IPL, data=label, digest=digest) for digest in digests)
    return first, second


def _tagged(tag: int, label: bytes, contents: bytes) -> Measurement:
    data = struct.pack("<II", tag, len(label)) + label
    return Measurement(pcr=9, kind=_TAGGED, data=data, digest=hashlib.sha256(contents).digest())


def said(pcr: int, text: str) -> Measurement:
    """A measurement by a program of the system, which hashes the text itself."""
    return _of_data(pcr, _PREBOOT, text.encode())


def boot_of(image: str) -> tuple[Measurement, ...]:
    """The boot of the image of this name: another image is another boot application, and another PCR 4."""
    application = _of_image(4, _APPLICATION, f"{_UKI}{image}")
    return tuple(application if one.kind == _APPLICATION else one for one in BOOT)


_UKI: Final = "uki.efi"
BOOT: Final = (
    _of_data(0, _CRTM_VERSION, "cji-simulator firmware 1".encode("utf-16-le")),
    *(_variable(name, b"\1" if name == "SecureBoot" else name.encode()) for name in ("SecureBoot", "PK", "KEK")),
    _variable("BootOrder", b"\0\0", kind=_BOOT_VARIABLE, pcr=1),
    _of_data(1, _TABLES, b"SMBIOS"),
    *(_of_data(pcr, _SEPARATOR, bytes(4)) for pcr in range(8)),
    _of_data(5, _GPT, b"EFI PART"),
    _of_image(4, _APPLICATION, _UKI),
    *(one for name, contents in SECTIONS.items() for one in _section(name, contents)),
    _tagged(0x8F3B22ED, b"LOADED_IMAGE::LoadOptions", COMMAND_LINE.encode("utf-16-le") + b"\0\0"),
    _tagged(0x8F3B22EC, b"Linux initrd", SECTIONS[".initrd"]),
    _of_data(5, _IPL, b"ExitBootServices"),
)
"""A Linux machine with secure boot on; PCRs 2, 3 and 6 hold the separator alone, as most machines' do."""

USERSPACE: Final = (
    said(11, "enter-initrd"),
    said(11, "leave-initrd"),
    said(15, "machine-id:5d3e0d5f0f5b4b5c9f0e6c1d2a3b4c5d"),
    said(11, "sysinit"),
    said(11, "ready"),
)


def record(one: Measurement) -> bytes:
    """Return the record of a measurement in systemd's log."""
    content = {"eventType": "phase", "string": one.data.decode(), "timestamp": 1}
    said = {
        "pcr": one.pcr,
        "digests": [
            {"hashAlg": name, "digest": hashlib.new(name, one.data).hexdigest()} for name in ("sha1", "sha256")
        ],
        "content_type": "systemd",
        "content": content,
    }
    return b"\x1e" + json.dumps(said).encode() + b"\n"


def encode(measurements: Sequence[Measurement]) -> bytes:
    """Return the log, as the kernel shows it in binary_bios_measurements."""
    log = [struct.pack("<II20xI", 0, _NO_ACTION, len(_SPEC_ID)), _SPEC_ID]
    for one in measurements:
        log += [struct.pack("<IIIH", one.pcr, one.kind, 1, _SHA256), one.digest]
        log += [struct.pack("<I", len(one.data)), one.data]
    return b"".join(log)


def _banks(log: bytes) -> tuple[dict[int, int], int]:
    """({algorithm: bytes of its digests}, where the events begin)."""
    size, name, count = struct.unpack_from("<28xI16s8xI", log)
    banks = [struct.unpack_from("<HH", log, 60 + 4 * number) for number in range(min(count, 8))]
    if (
        log[:28] != struct.pack("<II20x", 0, _NO_ACTION)
        or name != _SPEC_ID[:16]
        or (_SHA256, 32) not in banks
        or 32 + size > len(log)
    ):
        raise ValueError("not a log with the SHA-256 bank")
    return dict(banks), 32 + size


def _read(log: bytes) -> Iterator[Measurement]:
    try:
        banks, at = _banks(log)
        while at < len(log):
            pcr, kind, count = struct.unpack_from("<III", log, at)
            at, digests = at + 12, {}
            for _ in range(min(count, len(banks))):
                (algorithm,) = struct.unpack_from("<H", log, at)
                digests[algorithm] = log[at + 2 : at + 2 + banks[algorithm]]
                at += 2 + banks[algorithm]
            (size,) = struct.unpack_from("<I", log, at)
            at += 4 + size
            if digests.keys() != banks.keys() or count != len(banks) or (pcr > 23 and kind != _NO_ACTION):
                raise ValueError("an event of this log cannot be read")
            if size > _MAX_EVENT or at > len(log):
                raise ValueError("the log ends within an event")
            yield Measurement(pcr=pcr, kind=kind, data=log[at - size : at], digest=digests[_SHA256])
    except (struct.error, KeyError) as error:
        raise ValueError("an event of this log cannot be read") from error


def _is_of_its_data(one: Measurement) -> bool:
    parts = [one.data, _value(one.data)] if one.kind == _BOOT_VARIABLE else [one.data]
    return one.digest in {hashlib.sha256(part).digest() for part in parts}


def _value(variable: bytes) -> bytes:
    """The value in a UEFI_VARIABLE_DATA: a GUID, the lengths of name and value, both. TCG PC Client Profile, 10.2.6."""
    if len(variable) < 32:
        raise ValueError("an event of this log cannot be read")
    (name,) = struct.unpack_from("<Q", variable, 16)
    return variable[32 + 2 * name :]


def replay(log: bytes) -> dict[int, bytes]:
    """Return the SHA-256 PCRs that a log leads to, those that it extends; raises ValueError.

    What an event measures from its own data must be the digest of them: separators and firmware variables. Of a boot
    variable some firmware measures the value alone.
    """
    pcrs: dict[int, bytes] = {}
    for one in _read(log):
        if one.kind == _NO_ACTION:
            continue
        if one.kind in {_SEPARATOR, _VARIABLE, _BOOT_VARIABLE} and not _is_of_its_data(one):
            raise ValueError("an event's digest is not of its data")
        pcrs[one.pcr] = hashlib.sha256(pcrs.get(one.pcr, bytes(32)) + one.digest).digest()
    return pcrs
