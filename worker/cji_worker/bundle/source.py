"""The source of a machine's bundle: its user data, or the blob that they name. Neither is trusted for anything.

Anyone who may write to the VM in Azure can replace user data, so they hold the bundle itself or an account, a container
and a blob: no address, no key, no digest. What was fetched counts for its signatures alone.

    {"version":1,"account":"cjiconfig","container":"bundles","blob":"pool-7.bundle"}

`client_id` (of the managed identity, if the machine has several) and `cloud` are optional. The token of the identity
goes to hosts of Azure Storage alone (`Trust.blob`), over TLS, whatever account is named.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec
from azure.core.credentials import TokenCredential
from msgspec import Meta

from cji_attestation import Trust
from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.head import MAGIC, MAX_BYTES
from cji_attestation.errors import AttestationError, Fault
from cji_attestation.evidence.imds import MAX_USER_DATA, user_data
from cji_attestation.strict import parse_object
from cji_core.boot_codes import BootCode
from cji_core.documents import convert
from cji_core.format.configuration.fleet import ClientId, Container
from cji_core.pool.errors import BlobAbsentError, StoreError
from cji_core.pool.store import Blobs

_PART: Final = 1 << 20  # bytes of one exchange
_DENIED: Final = frozenset({401, 403})
_REMEDY: Final = "Set user data to a signed bundle, or to account, container and blob of one; see docs/bundle.md."


class Pointer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """User data that name a blob."""

    version: Literal[1]
    account: Annotated[str, Meta(pattern=r"^[a-z0-9]{3,24}\Z")]
    container: Container
    blob: Annotated[str, Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]|/(?=[A-Za-z0-9])){0,254}\Z")]
    client_id: ClientId | None = None
    cloud: Annotated[str, Meta(max_length=32)] | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """The bytes of a bundle, and whether they were the user data themselves, which every reader of the VM can read."""

    data: bytes
    in_user_data: bool


def read_pointer(data: bytes) -> Pointer:
    """The blob that user data name. Raises BundleRefused."""
    try:
        found = parse_object(data, limit=MAX_USER_DATA, fault=Fault.CONFIG_INVALID, check="user-data")
        return convert(found, Pointer)
    except (AttestationError, ValueError) as error:
        raise BundleRefused(
            "The user data are neither a bundle nor the name of one", _REMEDY, boot_code=BootCode.USER_DATA
        ) from error


def fetch(trust: Trust, clouds: Mapping[str, Trust], *, identity: Callable[[str | None], TokenCredential]) -> Fetched:
    """The bundle of this machine. `identity` makes the credential of its managed identity.

    Raises BundleRefused, with status 4 if a service did not answer, and AttestationError "user-data".
    """
    data = user_data(trust)
    if data.startswith(MAGIC):
        return Fetched(data, in_user_data=True)
    pointer = read_pointer(data)
    if pointer.cloud is not None and pointer.cloud not in clouds:
        raise BundleRefused(
            "The user data name an unknown cloud", f"Use one of {', '.join(clouds)}.", boot_code=BootCode.USER_DATA
        )
    chosen = trust if pointer.cloud is None else clouds[pointer.cloud]
    with _roots(chosen) as ca_file:
        blobs = Blobs(
            chosen.blob.format(account=pointer.account),
            pointer.container,
            credential=identity(pointer.client_id),
            ca_file=ca_file,
        )
        with contextlib.closing(blobs):
            return Fetched(_whole(blobs, pointer.blob), in_user_data=False)


def _whole(blobs: Blobs, name: str) -> bytes:
    try:
        version = blobs.version(name)
        if version.size > MAX_BYTES:
            raise BundleRefused(f"The blob has more than {MAX_BYTES >> 20} MiB", "Name the blob of a bundle.")
        starts = range(0, version.size, _PART)
        parts = [blobs.read_range(name, version, offset=at, length=min(_PART, version.size - at)) for at in starts]
        return b"".join(parts)
    except BlobAbsentError as error:
        raise BundleRefused(
            "There is no such blob",
            "Upload the bundle to the container that the user data name.",
            boot_code=BootCode.ABSENT,
        ) from error
    except StoreError as error:
        raise BundleRefused(
            "Blob Storage did not return the bundle",
            "Give its identity the role Storage Blob Data Reader on the container; check the private endpoint.",
            status=4,
            boot_code=BootCode.DENIED if error.status in _DENIED else BootCode.AWAY,
        ) from error


@contextlib.contextmanager
def _roots(trust: Trust) -> Iterator[str | None]:
    """The authorities of the trust as a file; None for the system's."""
    if trust.tls_roots is None:
        yield None
        return
    fd, path = tempfile.mkstemp(prefix="cji-", suffix=".pem")
    try:
        with open(fd, "w", encoding="ascii") as file:
            file.write(trust.tls_roots)
        yield path
    finally:
        os.unlink(path)
