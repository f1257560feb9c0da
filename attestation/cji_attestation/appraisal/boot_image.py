"""Which unified kernel image (UAPI.5) runs, with which command line, as systemd-stub and the kernel measured it.

systemd-stub measures into PCR 11, for each section of the image, its name and then its contents; into PCR 12 what
replaces or extends the image from outside; into PCR 13 system extensions. The kernel's EFI stub measures command line
and initrd into PCR 9. In the same PCRs systemd measures the phases of the boot. GRUB measures into PCR 8, which such
an image does not use. All of it is recognised by digests; PCRs 8, 9 and 11 to 13 must hold nothing else.
Source: systemd, docs/TPM2_PCR_MEASUREMENTS.md; Linux, drivers/firmware/efi/libstub (efi_measure_tagged_event).
"""

import hashlib
from collections.abc import Iterator
from typing import Final

import msgspec

from cji_attestation.appraisal.boot_state import BootState
from cji_attestation.evidence import Event
from cji_core.strict import hex_decode

SECTIONS: Final = (
    *(".linux", ".osrel", ".cmdline", ".initrd", ".efifw", ".ucode", ".splash", ".dtb", ".dtbauto", ".hwids"),
    *(".uname", ".sbat", ".pcrpkey", ".profile"),
)
"""The sections that systemd-stub measures; it leaves out .pcrsig, which signs the result."""
FLAVOUR: Final = "cji.flavour"
"""On the command line of an image that is not for production: its value is the flavour's name."""
PRODUCTION: Final = "production"
ENGINE: Final = "engine"
"""That of machines which run the engine of jobs in parts, and get no key."""
_WORDS: Final = ("os-separator", "enter-initrd", "leave-initrd", "sysinit", "ready", "shutdown", "final")
_NV_INDEX: Final = b"nvpcr-init:"  # systemd's own NV indices; nothing here depends on them
_BESIDE: Final = (8, 9, 12, 13)
_STUB, _KERNEL, _OVERRIDES = 11, 9, 12


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


_NAMES: Final = {_sha256(name.encode() + b"\0"): name for name in SECTIONS}
_PHASES: Final = frozenset(_sha256(word.encode()) for word in _WORDS)


class BootImage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One unified kernel image that may run, and its command line. `cji evidence pcrs` prints one."""

    parts: dict[str, str]  # SHA-256, hex, of each section that is measured
    command_line: str  # of the kernel, whole; it names the root of dm-verity
    initrds: tuple[str, ...] = ()  # SHA-256, hex, of initrds as the kernel loads them, where other than .initrd


def verity_roots(command_line: str) -> tuple[str, ...]:
    """The root hashes of dm-verity that a command line names (systemd-veritysetup-generator)."""
    words = (word.partition("=") for word in command_line.split())
    return tuple(value for name, _, value in words if value and name in {"roothash", "usrhash"})


def flavours_of(command_line: str) -> tuple[str, ...]:
    """The flavours that a command line names. One that names none is of production, as that of any other system."""
    words = (word.partition("=") for word in command_line.split())
    return tuple(value for name, _, value in words if name == FLAVOUR) or (PRODUCTION,)


def sound_image(image: BootImage) -> bool:
    """Whether some machine could boot this."""
    digests = (*image.parts.values(), *image.initrds)
    known = ".linux" in image.parts and set(image.parts) <= set(SECTIONS)
    return known and bool(image.command_line) and all(len(one) == 64 and _is_hex(one) for one in digests)


def _is_hex(text: str) -> bool:
    return not set(text) - set("0123456789abcdef")


def image_of(boot: BootState) -> BootImage | None:
    """The image that this machine booted, if it is one and everything beside it is explained."""
    parts, _ = _parts(boot)
    loaded = {event.digest.hex() for event in boot.events if event.pcr == _KERNEL}
    explained = {one.hex() for one in _command_lines(boot.command_line) | _PHASES} | {parts.get(".initrd", "")}
    named = {e.digest.hex() for e in boot.events if (e.measured or b"").startswith(_NV_INDEX)}
    image = BootImage(parts=parts, command_line=boot.command_line, initrds=tuple(sorted(loaded - explained - named)))
    return image if sound_image(image) and not differences(boot, image) else None


def states_its_line(boot: BootState) -> bool:
    """Whether a machine states the command line of its unified kernel image, if it booted one with a line.

    PCR 12 does not count: under Secure Boot no line replaces an embedded one, and root can extend it after the boot.
    """
    parts, _ = _parts(boot)
    return ".cmdline" not in parts or hex_decode(parts[".cmdline"]) in _embedded(boot.command_line)


def differences(boot: BootState, image: BootImage) -> tuple[tuple[str, str], ...]:
    """(found, expected) for everything in which a boot is another one than of this image."""
    return tuple(_differences(boot, image))


def _differences(boot: BootState, image: BootImage) -> Iterator[tuple[str, str]]:
    parts, unpaired = _parts(boot)
    for name in SECTIONS:
        found, expected = (known.get(name, "none") for known in (parts, image.parts))
        if found != expected:
            yield f"{name} {found}", f"{name} {expected}"
    lines = _command_lines(image.command_line)
    allowed = {
        _KERNEL: lines | {hex_decode(one) for one in (*image.initrds, image.parts.get(".initrd", ""))},
        _OVERRIDES: lines,
    }
    events = [(event.pcr, event) for event in boot.events if event.pcr in _BESIDE]
    for pcr, event in (*events, *((_STUB, event) for event in unpaired)):
        ours = event.digest in _PHASES | allowed.get(pcr, set())
        index = pcr == _KERNEL and (event.measured or b"").startswith(_NV_INDEX)
        if not ours and not index:
            yield f"PCR {pcr} extended by {event.digest.hex()}", f"nothing else in PCR {pcr}"
    if not _measured_line(boot, parts, image.command_line):
        yield "another command line", f"command line {image.command_line}"


def _measured_line(boot: BootState, parts: dict[str, str], line: str) -> bool:
    overrides = {event.digest for event in boot.events if event.pcr == _OVERRIDES} - _PHASES
    return bool(overrides & _command_lines(line)) or hex_decode(parts.get(".cmdline", "")) in _embedded(line)


def _parts(boot: BootState) -> tuple[dict[str, str], tuple[Event, ...]]:
    """({section: digest of its contents}, other events of PCR 11). A name that stands twice counts as another event."""
    parts: dict[str, str] = {}
    others: list[Event] = []
    events = iter([event for event in boot.events if event.pcr == _STUB])
    for event in events:
        name = _NAMES.get(event.digest, "")
        if not name or name in parts or (contents := next(events, None)) is None:
            others.append(event)
        else:
            parts[name] = contents.digest.hex()
    return parts, tuple(others)


def _embedded(line: str) -> set[bytes]:
    """Digests of the section that holds this line, as its builders end it."""
    return {_sha256(line.encode() + end) for end in (b"", b"\0", b"\n", b"\n\0")}


def _command_lines(line: str) -> set[bytes]:
    """Digests of this line as UEFI holds it."""
    return {_sha256(line.encode("utf-16-le") + end) for end in (b"", b"\0\0")}
