"""The three TPM 2.0 structures that evidence is made of, big-endian (TCG TPM 2.0 Library, Part 2).

TPMS_ATTEST of a quote or a certify, TPM2B_PUBLIC of an RSA key, and the digests that bind them: an object's Name and
the PolicyPCR digest. Parsers read to the last byte; anything else is EVIDENCE_INVALID.
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import Final, Literal

from cji_attestation.errors import invalid

MAGIC: Final = 0xFF544347  # TPM_GENERATED_VALUE: a restricted key signs nothing from outside that begins so
_KINDS: Final[dict[int, Literal["quote", "certify"]]] = {0x8018: "quote", 0x8017: "certify"}
SHA256: Final = 0x000B
RSA: Final = 0x0001
NULL: Final = 0x0010
RSASSA: Final = 0x0014
POLICY_PCR: Final = 0x0000017F
PCRS: Final = tuple(range(8))  # what Azure Attestation expects of Linux; it refuses a quote of all 24
SYSTEM_PCRS: Final = tuple(range(8, 16))  # of the second quote; no locality resets them before the next boot
PCR_SELECTION: Final = struct.pack(">IHB3s", 1, SHA256, 3, b"\xff\x00\x00")  # TPML_PCR_SELECTION sha256:0-7
SYSTEM_SELECTION: Final = struct.pack(">IHB3s", 1, SHA256, 3, b"\x00\xff\x00")  # sha256:8-15
_CHECK: Final = "tpm-structure"


class _Reader:
    """A cursor that raises EVIDENCE_INVALID instead of reading past the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise invalid(_CHECK)
        out, self._at = self._data[self._at : end], end
        return out

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def sized(self) -> bytes:
        return self.take(self.number(2))

    def end(self) -> None:
        if self._at != len(self._data):
            raise invalid(_CHECK)


@dataclass(frozen=True, slots=True, kw_only=True)
class TpmClock:
    """TPMS_CLOCK_INFO: milliseconds while powered, count of resets, count of restarts, whether never set back."""

    clock: int
    reset_count: int
    restart_count: int
    safe: bool

    def precedes(self, later: "TpmClock") -> bool:
        """Whether `later` may be read from the same TPM, in the same boot, at the same time or later."""
        same_boot = (self.reset_count, self.restart_count) == (later.reset_count, later.restart_count)
        return same_boot and self.clock <= later.clock


@dataclass(frozen=True, slots=True, kw_only=True)
class TpmAttest:
    """A TPMS_ATTEST. For a quote `selection` and `digest` are set, for a certify `name`; the others are empty.

    `firmware` is the TPM's firmwareVersion, 64 bits of its maker's own form; a key of the endorsement hierarchy, as
    Azure's AK, states it as it is (Part 1, "Obfuscation of TPMS_ATTEST").
    """

    kind: Literal["quote", "certify"]
    signer: bytes
    extra_data: bytes
    clock: TpmClock
    firmware: int
    selection: bytes
    digest: bytes
    name: bytes


def parse_attest(data: bytes) -> TpmAttest:
    """Parse a quote or certify; wrong magic, another type or trailing bytes raise EVIDENCE_INVALID."""
    reader = _Reader(data)
    magic, kind = reader.number(4), _KINDS.get(reader.number(2))
    if magic != MAGIC or kind is None:
        raise invalid(_CHECK)
    signer, extra = reader.sized(), reader.sized()
    clock, resets, restarts, safe = struct.unpack(">QIIB", reader.take(17))
    firmware = reader.number(8)
    selection = digest = name = b""
    if kind == "quote":
        count = reader.number(4)
        selection = count.to_bytes(4, "big")
        for _ in range(min(count, 16)):
            bank, size = reader.take(2), reader.take(1)
            selection += bank + size + reader.take(size[0])
        digest = reader.sized()
    else:
        name = reader.sized()
        reader.sized()  # qualified name
    reader.end()
    return TpmAttest(
        kind=kind,
        signer=signer,
        extra_data=extra,
        clock=TpmClock(clock=clock, reset_count=resets, restart_count=restarts, safe=bool(safe)),
        firmware=firmware,
        selection=selection,
        digest=digest,
        name=name,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TpmRsaPublic:
    """The public area of an RSA key; `signing` where its scheme is RSASSA with SHA-256 instead of none."""

    attributes: int
    signing: bool
    policy: bytes
    bits: int
    exponent: int
    modulus: bytes
    name: bytes


def parse_rsa_public(data: bytes) -> TpmRsaPublic:
    """Parse a TPM2B_PUBLIC of type RSA, nameAlg SHA-256, symmetric NULL, scheme NULL or RSASSA with SHA-256."""
    outer = _Reader(data)
    area = outer.sized()
    outer.end()
    reader = _Reader(area)
    kind, name_algorithm, attributes, policy = reader.number(2), reader.number(2), reader.number(4), reader.sized()
    symmetric, scheme = reader.number(2), reader.number(2)
    scheme_hash = reader.number(2) if scheme == RSASSA else SHA256
    bits, exponent, modulus = reader.number(2), reader.number(4), reader.sized()
    reader.end()
    known = scheme in {NULL, RSASSA} and scheme_hash == SHA256
    if (kind, name_algorithm, symmetric) != (RSA, SHA256, NULL) or not known:
        raise invalid(_CHECK)
    return TpmRsaPublic(
        attributes=attributes,
        signing=scheme == RSASSA,
        policy=policy,
        bits=bits,
        exponent=exponent or 65537,  # zero means the default in a public area
        modulus=modulus,
        name=SHA256.to_bytes(2, "big") + hashlib.sha256(area).digest(),
    )


def selected_pcrs(selection: bytes) -> tuple[int, ...]:
    """The PCRs of a TPML_PCR_SELECTION, in ascending order; none unless the SHA-256 bank is the only one."""
    if len(selection) != len(PCR_SELECTION) or not selection.startswith(PCR_SELECTION[:-3]):
        return ()
    bits = int.from_bytes(selection[-3:], "little")
    return tuple(pcr for pcr in range(24) if bits >> pcr & 1)


def pcr_digest(values: tuple[bytes, ...]) -> bytes:
    """The digest in a quote of these PCRs: SHA-256 of their concatenation in ascending order."""
    return hashlib.sha256(b"".join(values)).digest()


def policy_pcr_digest(values: tuple[bytes, ...]) -> bytes:
    """The authPolicy of an object that may be used only while PCRs 0-7 hold these values (Part 3, TPM2_PolicyPCR)."""
    start = bytes(32) + POLICY_PCR.to_bytes(4, "big") + PCR_SELECTION
    return hashlib.sha256(start + pcr_digest(values)).digest()
