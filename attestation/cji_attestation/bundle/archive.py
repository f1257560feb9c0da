r"""The bytes of a bundle. One reading only: every length is stated once, and nothing may follow.

    the head, see `cji_attestation.bundle.head`
    the files, one after another, in the order of the manifest

Contract and invariants
* `read` compares length and digest of every file, refuses a name outside of `names`, a private key, and everything that
  is not the one encoding. It verifies no signature: `signatures.verify` does.
* A bundle has at most 4 MiB.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.head import DAMAGED, MAX_BYTES, Entry, Head, Manifest, parse_head, written
from cji_attestation.bundle.names import WORKER
from cji_attestation.bundle.private_keys import private_key_in


@dataclass(frozen=True, slots=True)
class Bundle(Head):
    """A well-formed bundle: a head, and the files of its manifest."""

    files: Mapping[str, bytes] = field(kw_only=True)

    def to_bytes(self) -> bytes:
        """The one encoding."""
        return b"".join([self.to_head(), *(self.files[entry.name] for entry in self.manifest.files)])


def make(files: Mapping[str, bytes], *, pool: str, serial: int, created: datetime, expires: datetime) -> Bundle:
    """The unsigned bundle of these files. Dates are cut to seconds. Raises BundleRefused."""
    entries = tuple(
        Entry(name=name, bytes=len(data), sha384=hashlib.sha384(data).hexdigest())
        for name, data in sorted(files.items())
    )
    manifest = Manifest(pool=pool, serial=serial, created=written(created), expires=written(expires), files=entries)
    return read(Bundle(manifest, msgspec.json.encode(manifest), files=dict(files)).to_bytes())


def read(data: bytes) -> Bundle:
    """A well-formed bundle with sound files, no signature verified. Raises BundleRefused."""
    if len(data) > MAX_BYTES:
        raise BundleRefused(
            f"The bundle has more than {MAX_BYTES >> 20} MiB", "Leave out what the worker does not need."
        )
    head, at = parse_head(data)
    return Bundle(head.manifest, head.manifest_bytes, head.signatures, files=_files(head.manifest, data, at))


def _files(manifest: Manifest, data: bytes, at: int) -> dict[str, bytes]:
    if sum(entry.bytes for entry in manifest.files) != len(data) - at:
        raise BundleRefused("The bundle was cut off, or something follows it", DAMAGED)
    files = {}
    for entry in manifest.files:
        found, at = data[at : at + entry.bytes], at + entry.bytes
        if hashlib.sha384(found).hexdigest() != entry.sha384:
            raise BundleRefused(f"{entry.name} is not the file that the manifest names", DAMAGED, status=3)
        if kind := private_key_in(found):
            raise BundleRefused(
                f"{entry.name} contains {kind}",
                "Remove it: a bundle is readable for everybody who can read the VM. The machine makes its own TLS key.",
            )
        files[entry.name] = found
    if WORKER not in files:
        raise BundleRefused(f"The bundle has no {WORKER}", "Put it into the folder, then make the bundle again.")
    return files
