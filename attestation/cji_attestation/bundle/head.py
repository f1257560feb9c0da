r"""The head of a bundle: its manifest and its signatures. It names a bundle, and is what the pool's floors are made of.

    "cji-bundle/1\n"
    u32be(n) ‖ manifest, n bytes of JSON
    u8(n)    ‖ n signatures, each the thumbprint of its key (32 bytes, RFC 7638) ‖ r ‖ s (96 bytes, ES384)

    manifest   {"version":1,"pool":"…","serial":7,"created":"2026-11-27T07:00:00Z","expires":"…",
                "files":[{"name":"policy.toml","bytes":812,"sha384":"…"},…]}

The manifest has exactly these members in this order, without space, and its files are in the order of their names. So
one set of files, pool, serial and dates is one sequence of bytes. The digest that names a bundle is

    SHA-384("cji-bundle/1\0" ‖ manifest)

which covers every file and no signature. A signature is ES384 of RFC 7518 §3.4 over "cji-bundle-sig/1\0" ‖ digest.

Contract and invariants
* Everything that is not the one encoding is refused. No signature is verified here: `signatures.verify` does.
* A manifest has at most 64 KiB and 128 files, a head 8 signatures.
"""

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal, Self

import msgspec
from msgspec import Meta

from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.names import LISTED, access_of
from cji_attestation.evidence.event_log import AppliedBundle
from cji_core.digests import Hex96
from cji_core.documents import OneForm
from cji_core.jose import ES384_BYTES

MAGIC: Final = b"cji-bundle/1\n"
MAX_BYTES: Final = 4 << 20
"""Of a bundle."""
MAX_FILES: Final = 128
MAX_MANIFEST: Final = 64 << 10
MAX_SIGNATURES: Final = 8
MAX_LIFETIME: Final = timedelta(days=366)
MAX_SERIAL: Final = 2**53 - 1  # JSON readers of every kind have such integers
THUMBPRINT_BYTES: Final = 32
MAX_HEAD: Final = len(MAGIC) + 4 + MAX_MANIFEST + 1 + MAX_SIGNATURES * (THUMBPRINT_BYTES + ES384_BYTES)
DAMAGED: Final = "Use a file that `cji bundle make` wrote, as it is."
"""The remedy for other bytes."""
_DIGEST: Final = b"cji-bundle/1\0"
_SIGNED: Final = b"cji-bundle-sig/1\0"
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_Time = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")]


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file: its name, its length, and its SHA-384 in hexadecimal."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    bytes: Annotated[int, Meta(ge=0, le=MAX_BYTES)]
    sha384: Hex96


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Purpose and files of a bundle. Dates are UTC."""

    version: Literal[1] = 1
    pool: Annotated[str, Meta(min_length=1, max_length=1024)]
    """`worker.audience` of worker.toml."""
    serial: Annotated[int, Meta(ge=1, le=MAX_SERIAL)]
    """Grows with each bundle of the pool: a machine takes none with a lower number than the last."""
    created: _Time
    expires: _Time
    """A machine takes the bundle from `created` until then."""
    files: Annotated[tuple[Entry, ...], Meta(min_length=1, max_length=MAX_FILES)]


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature and the key that it names; not verified."""

    thumbprint: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """A well-formed head. `manifest_bytes` are exactly what is signed."""

    manifest: Manifest
    manifest_bytes: bytes
    signatures: tuple[Signature, ...] = ()

    @property
    def sha384(self) -> bytes:
        """The digest that names the bundle: of the manifest, which has the digests of all files."""
        return hashlib.sha384(_DIGEST + self.manifest_bytes).digest()

    @property
    def name(self) -> AppliedBundle:
        """The serial number and the digest, as evidence has them."""
        return AppliedBundle(self.manifest.serial, self.sha384)

    @property
    def message(self) -> bytes:
        """The bytes that are signed."""
        return _SIGNED + self.sha384

    @property
    def created(self) -> datetime:
        """The first moment at which a machine takes it."""
        return parsed(self.manifest.created)

    @property
    def expires(self) -> datetime:
        """The last."""
        return parsed(self.manifest.expires)

    def signed(self, signature: Signature) -> Self:
        """With one signature more, in the place of an earlier one of the same key. Raises BundleRefused."""
        others = [each for each in self.signatures if each.thumbprint != signature.thumbprint]
        if len(others) == MAX_SIGNATURES:
            raise BundleRefused(
                f"The bundle has {MAX_SIGNATURES} signatures", "Make it again, and sign it by fewer keys."
            )
        return replace(self, signatures=tuple(sorted((*others, signature), key=lambda each: each.thumbprint)))

    def to_head(self) -> bytes:
        """The one encoding of the head."""
        return b"".join(
            [
                MAGIC,
                struct.pack(">I", len(self.manifest_bytes)),
                self.manifest_bytes,
                struct.pack(">B", len(self.signatures)),
                *(each.thumbprint + each.value for each in self.signatures),
            ]
        )


def read_head(data: bytes) -> Head:
    """A well-formed head, no signature verified. Raises BundleRefused."""
    head, at = parse_head(data)
    if at != len(data):
        raise BundleRefused("Something follows the head of the bundle", DAMAGED)
    return head


def parse_head(data: bytes) -> tuple[Head, int]:
    """The head at the beginning of these bytes, and its length. Raises BundleRefused."""
    if not data.startswith(MAGIC):
        raise BundleRefused("This is not a bundle", DAMAGED)
    at = len(MAGIC)
    try:
        (size,) = struct.unpack_from(">I", data, at)
        raw, at = data[at + 4 : at + 4 + size], at + 4 + size
        (count,) = struct.unpack_from(">B", data, at)
        at += 1
    except struct.error as error:
        raise BundleRefused("The bundle was cut off", DAMAGED) from error
    if size > MAX_MANIFEST or count > MAX_SIGNATURES:
        raise BundleRefused("The bundle's manifest or its list of signatures is too long", DAMAGED)
    manifest = _manifest(raw)
    signatures, at = _signatures(data, at, count)
    return Head(manifest, raw, signatures), at


def written(moment: datetime) -> str:
    """A time as a manifest has it, cut to seconds."""
    return f"{moment.astimezone(UTC):{_TIME}}"


def parsed(text: str) -> datetime:
    """A time of a manifest."""
    return datetime.strptime(text, _TIME).replace(tzinfo=UTC)


def _signatures(data: bytes, at: int, count: int) -> tuple[tuple[Signature, ...], int]:
    size = THUMBPRINT_BYTES + ES384_BYTES
    if len(data) < at + count * size:
        raise BundleRefused("The bundle was cut off", DAMAGED)
    parts = [data[start : start + size] for start in range(at, at + count * size, size)]
    found = tuple(Signature(part[:THUMBPRINT_BYTES], part[THUMBPRINT_BYTES:]) for part in parts)
    thumbprints = [each.thumbprint for each in found]
    if thumbprints != sorted(set(thumbprints)):
        raise BundleRefused("The bundle's signatures are out of order, or one key signed twice", DAMAGED)
    return found, at + count * size


def _manifest(raw: bytes) -> Manifest:
    try:
        manifest = OneForm(Manifest, limit=len(raw)).decode(raw)
        created, expires = parsed(manifest.created), parsed(manifest.expires)
    except ValueError as error:
        raise BundleRefused(f"The bundle's manifest is not valid: {error}", DAMAGED) from error
    if not created < expires <= created + MAX_LIFETIME:
        days = MAX_LIFETIME.days
        raise BundleRefused("The bundle does not expire after it was created, or too late", f"Use 1 to {days} days.")
    names = [entry.name for entry in manifest.files]
    if names != sorted(set(names)):
        raise BundleRefused("The bundle's files are out of order, or one name stands twice", DAMAGED)
    _refuse_names(names)
    return manifest


def _refuse_names(names: Iterable[str]) -> None:
    if others := [name for name in names if access_of(name) is None]:
        raise BundleRefused(f"{others[0]!a} is not a file of a bundle", f"A bundle can have these alone: {LISTED}.")
