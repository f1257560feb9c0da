"""The two logs of a measured boot, and the values of PCRs 0 to 15 that they lead to. SHA-256 bank only.

The firmware's log has what ran before the kernel: firmware, boot loader, systemd-stub, the kernel's EFI stub (TCG PC
Client Platform Firmware Profile 1.06, "Event Logging"; little-endian). A TCG_PCR_EVENT names the banks, then follow
TCG_PCR_EVENT2 {PCR u32 · type u32 · count u32 · per bank: algorithm u16, digest · size u32 · event}.
The userspace log is systemd's (docs/TPM2_PCR_MEASUREMENTS.md there): RS, then an object like those of TCG's CEL-JSON.

A log proves nothing by itself. Its digests are authentic when they lead to quoted values; its words only where their
hash is such a digest, which is what `Event.measured` returns. Which PCR means what: UAPI.7, Linux TPM PCR Registry.
"""

import hashlib
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from cji_attestation.errors import AttestationError, Fault, invalid
from cji_attestation.strict import parse_object
from cji_core.documents import convert
from cji_core.strict import hex_decode

MAX_FIRMWARE_LOG: Final = 128 * 1024  # bytes; virtual machines have 20 to 60 KiB, most of it the keys of secure boot
MAX_USERSPACE_LOG: Final = 64 * 1024  # bytes; a boot has some ten records of 0.7 KiB
MAX_EVENTS: Final = 2048  # in each log
REPLAYED: Final = tuple(range(16))
IMA_PCR: Final = 10  # the kernel's own measurements, which have a log of their own
START_PCR: Final = 15  # UAPI.7 "system-identity"; no locality resets it before the next boot
START: Final = b"cji-worker-start:"
BUNDLE: Final = b"cji-bundle:"
MAX_SERIAL: Final = 2**53 - 1  # of a bundle; every JSON reader has such integers
NO_ACTION: Final = 0x3
_SHA256: Final = 0x000B
_USERSPACE: Final = 0x0  # these events have no number of a type
_PCRS: Final = 24
_MAX_BANKS: Final = 16
_SPEC_ID: Final = b"Spec ID Event03\0"
_LOCALITY: Final = b"StartupLocality\0"
_LOCALITIES: Final = (0, 3, 4)  # from which firmware may start a TPM
_CHECK: Final = "event-log"


@dataclass(frozen=True, slots=True)
class Event:
    """One extension of a PCR. `data` is what the log says about it, nothing more."""

    pcr: int
    kind: int
    digest: bytes
    data: bytes
    source: Literal["firmware", "userspace"]

    @property
    def measured(self) -> bytes | None:
        """`data` if exactly they were measured, else None."""
        return self.data if hashlib.sha256(self.data).digest() == self.digest else None


def extended(value: bytes, digest: bytes) -> bytes:
    """The value of a SHA-256 PCR after one extension (TPM 2.0 Library, Part 1, "Extend of a PCR")."""
    return hashlib.sha256(value + digest).digest()


def replay(events: Iterable[Event]) -> tuple[bytes, ...]:
    """The values of PCRs 0 to 15 after these events, which start at zero; PCR 0 at the locality of the firmware."""
    values, started = [bytes(32) for _ in REPLAYED], False
    for event in events:
        if event.kind == NO_ACTION:
            if event.pcr == 0 and not started and event.data.startswith(_LOCALITY):
                values[0] = bytes(31) + _locality(event.data)
        elif event.pcr in REPLAYED:
            values[event.pcr] = extended(values[event.pcr], event.digest)
            started = started or event.pcr == 0
    return tuple(values)


def _locality(data: bytes) -> bytes:
    number = data[len(_LOCALITY) :]
    if len(number) != 1 or number[0] not in _LOCALITIES:
        raise invalid(_CHECK, found="a startup locality that does not exist")
    return number


def read_logs(firmware: bytes, userspace: bytes) -> tuple[Event, ...]:
    """The events of both logs in their order; an empty log has none. EVIDENCE_INVALID "event-log"."""
    return (*_bounded(_firmware(firmware)), *_bounded(_userspace(userspace)))


def _bounded(events: Iterator[Event]) -> Iterator[Event]:
    for number, event in enumerate(events):
        if number == MAX_EVENTS:
            raise invalid(_CHECK, found=f"more than {MAX_EVENTS} events")
        yield event


# ---- the firmware's log ----


def _firmware(log: bytes) -> Iterator[Event]:
    if len(log) > MAX_FIRMWARE_LOG:
        raise invalid(_CHECK, found=f"a log of {len(log)} bytes")
    try:
        sizes, at = _banks(log) if log else ({}, 0)
        while at < len(log):
            event, at = _event(log, at, sizes)
            yield event
    except (struct.error, KeyError) as error:
        raise invalid(_CHECK) from error


def _banks(log: bytes) -> tuple[dict[int, int], int]:
    """({algorithm: bytes of its digest}, where the events begin), from TCG_EfiSpecIDEvent."""
    pcr, kind, digest, size = struct.unpack_from("<II20sI", log)
    name, count = struct.unpack_from("<16s8xI", log, 32)
    if (pcr, kind, digest, name) != (0, NO_ACTION, bytes(20), _SPEC_ID) or not 0 < count <= _MAX_BANKS:
        raise invalid(_CHECK, found="no TCG_EfiSpecIDEvent at its beginning")
    sizes = dict(struct.unpack_from("<HH", log, 60 + 4 * number) for number in range(count))
    (vendor,) = struct.unpack_from("<B", log, 60 + 4 * count)
    if len(sizes) != count or sizes.get(_SHA256) != 32 or size != 29 + 4 * count + vendor:
        raise invalid(_CHECK, found="a TCG_EfiSpecIDEvent without the SHA-256 bank")
    return sizes, _end(log, 32 + size)


def _event(log: bytes, at: int, sizes: dict[int, int]) -> tuple[Event, int]:
    pcr, kind, count = struct.unpack_from("<III", log, at)
    at += 12
    digests: dict[int, bytes] = {}
    for _ in range(min(count, _MAX_BANKS + 1)):  # in any order, as Hyper-V's firmware writes them
        (algorithm,) = struct.unpack_from("<H", log, at)
        end = _end(log, at + 2 + sizes[algorithm])
        digests[algorithm], at = log[at + 2 : end], end
    if len(digests) != count or (pcr >= _PCRS and kind != NO_ACTION):
        raise invalid(_CHECK, found=f"an event of PCR {pcr} with {count} digests")
    (size,) = struct.unpack_from("<I", log, at)
    end = _end(log, at + 4 + size)
    return Event(pcr, kind, digests[_SHA256], log[at + 4 : end], "firmware"), end


def _end(log: bytes, at: int) -> int:
    if at > len(log):
        raise invalid(_CHECK, found="an event that the log does not hold")
    return at


# ---- the userspace log ----


class _Digest(msgspec.Struct, frozen=True, rename={"algorithm": "hashAlg"}):
    algorithm: str
    digest: str


class _Content(msgspec.Struct, frozen=True):
    string: str = ""


class _Record(msgspec.Struct, frozen=True):
    """The members of a record that are read. One without a PCR extends an NV index."""

    pcr: int | None = None
    digests: tuple[_Digest, ...] = ()
    content: _Content = _Content()


def _userspace(log: bytes) -> Iterator[Event]:
    if len(log) > MAX_USERSPACE_LOG:
        raise invalid(_CHECK, found=f"a log of {len(log)} bytes")
    before, *records = log.split(b"\x1e")
    if before.strip():
        raise invalid(_CHECK, found="a userspace log that does not begin with a record")
    for text in records:
        found = parse_object(text, limit=MAX_USERSPACE_LOG, fault=Fault.EVIDENCE_INVALID, check=_CHECK)
        try:
            record = convert(found, _Record)
            digests = [hex_decode(one.digest, size=32) for one in record.digests if one.algorithm == "sha256"]
            data = record.content.string.encode()
        except ValueError as error:  # msgspec's errors are ValueErrors, and so are those of a lone surrogate
            raise invalid(_CHECK, found=f"a record that is not systemd's: {error}") from error
        if record.pcr is None:
            continue
        if not 0 <= record.pcr < _PCRS or len(digests) != 1:
            raise invalid(_CHECK, found=f"a record of PCR {record.pcr} with {len(digests)} digests of SHA-256")
        yield Event(record.pcr, _USERSPACE, digests[0], data, "userspace")


def start_event(receipt_key: bytes) -> bytes:
    """The text that a worker measures into PCR 15 right after its first release: it names its receipt key."""
    if len(receipt_key) != 32:
        raise AttestationError(Fault.CONFIG_INVALID, check="receipt-key-length")
    return START + receipt_key.hex().encode()


def after_start(value: bytes, receipt_key: bytes) -> bytes:
    """PCR 15 after a worker's start, from its value before."""
    return extended(value, hashlib.sha256(start_event(receipt_key)).digest())


def start_record(receipt_key: bytes) -> bytes:
    """The same as a record of the userspace log."""
    return _record(start_event(receipt_key))


@dataclass(frozen=True, slots=True)
class AppliedBundle:
    """The configuration bundle that a machine applied: its serial number, and the SHA-384 that names it."""

    serial: int
    sha384: bytes

    def __str__(self) -> str:
        return f"serial {self.serial}, SHA-384 {self.sha384.hex()}"


_BUNDLE_TEXT: Final = re.compile(re.escape(BUNDLE) + rb"(0|[1-9][0-9]{0,15}):([0-9a-f]{96})")


def bundle_event(bundle: AppliedBundle) -> bytes:
    """The text that `cji bundle apply` measures into PCR 15 before it hands out the files of a bundle."""
    return BUNDLE + b"%d:%s" % (bundle.serial, bundle.sha384.hex().encode())


def read_bundle_event(text: bytes) -> AppliedBundle:
    """The bundle that such a text names; ValueError for any other text."""
    found = _BUNDLE_TEXT.fullmatch(text)
    if found is None or int(found[1]) > MAX_SERIAL:
        raise ValueError("not the event of a bundle")
    return AppliedBundle(int(found[1]), hex_decode(found[2].decode()))


def bundle_record(bundle: AppliedBundle) -> bytes:
    """The same as a record of the userspace log."""
    return _record(bundle_event(bundle))


def _record(said: bytes) -> bytes:
    record = {
        "pcr": START_PCR,
        "digests": [{"hashAlg": "sha256", "digest": hashlib.sha256(said).hexdigest()}],
        "content_type": "cji-worker",
        "content": {"string": said.decode()},
    }
    return b"\x1e" + msgspec.json.encode(record) + b"\n"
