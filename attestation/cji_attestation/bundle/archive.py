r"""The bytes of a bundle. One reading only: every length is stated once, and nothing may follow.

    "cji-bundle/1\n"
    u32be(n) ‖ manifest, n bytes of JSON
    u8(n)    ‖ n signatures, each the thumbprint of its key (32 bytes, RFC 7638) ‖ r ‖ s (96 bytes, ES384)
    the files, one after another, in the order of the manifest

    manifest   {"version":1,"pool":"…","serial":7,"created":"2026-11-27T07:00:00Z","expires":"…",
                "files":[{"name":"policy.toml","bytes":812,"sha384":"…"},…]}

The manifest has exactly these members in this order, without space, and its files are in the order of their names. So
one set of files, pool, serial and dates is one sequence of bytes. The digest that names a bundle is

    SHA-384("cji-bundle/1\0" ‖ manifest)

which covers every file and no signature. A signature is ES384 of RFC 7518 §3.4 over "cji-bundle-sig/1\0" ‖ digest.

Contract and invariants
* `read` compares length and digest of every file, refuses a name outside of `names`, a private key, and everything that
  is not the one encoding. It verifies no signature: `signatures.verify` does.
* A bundle has at most 4 MiB, 128 files and 8 signatures; a manifest 64 KiB.
"""

import hashlib
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal, Self

import msgspec
from msgspec import Meta

from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.names import LISTED, WORKER, access_of
from cji_attestation.bundle.private_keys import private_key_in
from cji_core.digests import Hex96
from cji_core.documents import OneForm
from cji_core.jose import ES384_BYTES

MAGIC: Final = b"cji-bundle/1\n"
MAX_BYTES: Final = 4 << 20
MAX_FILES: Final = 128
MAX_MANIFEST: Final = 64 << 10
MAX_SIGNATURES: Final = 8
MAX_LIFETIME: Final = timedelta(days=366)
MAX_SERIAL: Final = 2**53 - 1  # JSON readers of every kind have such integers
THUMBPRINT_BYTES: Final = 32
_DIGEST: Final = b"cji-bundle/1\0"
_SIGNED: Final = b"cji-bundle-sig/1\0"
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_Time = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")]
_REMEDY: Final = "Use a file that `cji bundle make` wrote, as it is."


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
class Bundle:
    """A well-formed bundle. `manifest_bytes` are exactly what is signed."""

    manifest: Manifest
    manifest_bytes: bytes
    files: Mapping[str, bytes]
    signatures: tuple[Signature, ...] = ()

    @property
    def sha384(self) -> bytes:
        """The digest that names it: of the manifest, which has the digests of all files."""
        return hashlib.sha384(_DIGEST + self.manifest_bytes).digest()

    @property
    def message(self) -> bytes:
        """The bytes that are signed."""
        return _SIGNED + self.sha384

    @property
    def created(self) -> datetime:
        """The first moment at which a machine takes it."""
        return _parsed(self.manifest.created)

    @property
    def expires(self) -> datetime:
        """The last."""
        return _parsed(self.manifest.expires)

    def signed(self, signature: Signature) -> Self:
        """With one signature more, in the place of an earlier one of the same key. Raises BundleRefused."""
        others = [each for each in self.signatures if each.thumbprint != signature.thumbprint]
        if len(others) == MAX_SIGNATURES:
            raise BundleRefused(
                f"The bundle has {MAX_SIGNATURES} signatures", "Make it again, and sign it by fewer keys."
            )
        return replace(self, signatures=tuple(sorted((*others, signature), key=lambda each: each.thumbprint)))

    def to_bytes(self) -> bytes:
        """The one encoding."""
        return b"".join(
            [
                MAGIC,
                struct.pack(">I", len(self.manifest_bytes)),
                self.manifest_bytes,
                struct.pack(">B", len(self.signatures)),
                *(each.thumbprint + each.value for each in self.signatures),
                *(self.files[entry.name] for entry in self.manifest.files),
            ]
        )


def make(files: Mapping[str, bytes], *, pool: str, serial: int, created: datetime, expires: datetime) -> Bundle:
    """The unsigned bundle of these files. Dates are cut to seconds. Raises BundleRefused."""
    entries = tuple(
        Entry(name=name, bytes=len(data), sha384=hashlib.sha384(data).hexdigest())
        for name, data in sorted(files.items())
    )
    times = [f"{each.astimezone(UTC):{_TIME}}" for each in (created, expires)]
    manifest = Manifest(pool=pool, serial=serial, created=times[0], expires=times[1], files=entries)
    made = Bundle(manifest, msgspec.json.encode(manifest), dict(files))
    return read(made.to_bytes())


def read(data: bytes) -> Bundle:
    """A well-formed bundle with sound files, no signature verified. Raises BundleRefused."""
    if len(data) > MAX_BYTES:
        raise BundleRefused(
            f"The bundle has more than {MAX_BYTES >> 20} MiB", "Leave out what the worker does not need."
        )
    if not data.startswith(MAGIC):
        raise BundleRefused("This is not a bundle", _REMEDY)
    at = len(MAGIC)
    try:
        (size,) = struct.unpack_from(">I", data, at)
        raw, at = data[at + 4 : at + 4 + size], at + 4 + size
        (count,) = struct.unpack_from(">B", data, at)
        at += 1
    except struct.error as error:
        raise BundleRefused("The bundle was cut off", _REMEDY) from error
    if size > MAX_MANIFEST or count > MAX_SIGNATURES:
        raise BundleRefused("The bundle's manifest or its list of signatures is too long", _REMEDY)
    manifest = _manifest(raw)
    signatures, at = _signatures(data, at, count)
    return Bundle(manifest, raw, _files(manifest, data, at), signatures)


def _signatures(data: bytes, at: int, count: int) -> tuple[tuple[Signature, ...], int]:
    size = THUMBPRINT_BYTES + ES384_BYTES
    parts = [data[start : start + size] for start in range(at, at + count * size, size)]
    found = tuple(Signature(part[:THUMBPRINT_BYTES], part[THUMBPRINT_BYTES:]) for part in parts)
    thumbprints = [each.thumbprint for each in found]
    if thumbprints != sorted(set(thumbprints)):
        raise BundleRefused("The bundle's signatures are out of order, or one key signed twice", _REMEDY)
    return found, at + count * size


def _manifest(raw: bytes) -> Manifest:
    try:
        manifest = OneForm(Manifest, limit=len(raw)).decode(raw)
        created, expires = _parsed(manifest.created), _parsed(manifest.expires)
    except ValueError as error:
        raise BundleRefused(f"The bundle's manifest is not valid: {error}", _REMEDY) from error
    if not created < expires <= created + MAX_LIFETIME:
        days = MAX_LIFETIME.days
        raise BundleRefused("The bundle does not expire after it was created, or too late", f"Use 1 to {days} days.")
    names = [entry.name for entry in manifest.files]
    if names != sorted(set(names)):
        raise BundleRefused("The bundle's files are out of order, or one name stands twice", _REMEDY)
    _refuse_names(names)
    return manifest


def _refuse_names(names: Iterable[str]) -> None:
    if others := [name for name in names if access_of(name) is None]:
        raise BundleRefused(f"{others[0]!a} is not a file of a bundle", f"A bundle can have these alone: {LISTED}.")


def _files(manifest: Manifest, data: bytes, at: int) -> dict[str, bytes]:
    if sum(entry.bytes for entry in manifest.files) != len(data) - at:
        raise BundleRefused("The bundle was cut off, or something follows it", _REMEDY)
    files = {}
    for entry in manifest.files:
        found, at = data[at : at + entry.bytes], at + entry.bytes
        if hashlib.sha384(found).hexdigest() != entry.sha384:
            raise BundleRefused(f"{entry.name} is not the file that the manifest names", _REMEDY, status=3)
        if kind := private_key_in(found):
            raise BundleRefused(
                f"{entry.name} contains {kind}",
                "Remove it: a bundle is readable for everybody who can read the VM. The machine makes its own TLS key.",
            )
        files[entry.name] = found
    if WORKER not in files:
        raise BundleRefused(f"The bundle has no {WORKER}", "Put it into the folder, then make the bundle again.")
    return files


def _parsed(text: str) -> datetime:
    return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
