"""The floor of a pool, raised: an operator puts every earlier bundle behind it, for all machines and for good."""

from typing import Final

from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.floors import NONE, demanded
from cji_attestation.bundle.head import MAX_HEAD, Head
from cji_attestation.bundle.signatures import Accepted, rank
from cji_core.pool import names
from cji_core.pool.errors import BlobAbsentError, BlobTooLargeError, StoreError
from cji_core.pool.store import Blobs

_AWAY: Final = "Check the address, your sign-in, and that you may create and read blobs in this container."


def raise_floor(floors: Blobs, head: Head, accepted: Accepted) -> int:
    """Add the head as the next entry, unless one demands as much already; the number of the entry that does.

    Raises BundleRefused: status 3 for a head without enough signatures or behind the floor, 4 if storage fails.
    """
    mine, highest, at, number = rank(head, accepted), NONE, 0, 1
    try:
        while (entry := _entry(floors, number)) is not None:
            found = demanded(entry, accepted, pool=head.manifest.pool)
            if found > highest:
                highest, at = found, number
            number += 1
        if highest > mine:
            raise BundleRefused(
                f"The floor has the serial number {highest.serial} of epoch {highest.epoch}, the bundle "
                f"{mine.serial} of {mine.epoch}",
                "Make the bundle again with a higher serial number.",
                status=3,
            )
        if highest == mine:
            return at
        while not floors.create(names.floor(number), head.to_head()):
            number += 1  # taken since; the highest counts, whatever its place
    except StoreError as error:
        raise BundleRefused(f"The container of floors: {error}", _AWAY, status=4) from error
    return number


def _entry(floors: Blobs, number: int) -> bytes | None:
    try:
        return floors.read(names.floor(number), most=MAX_HEAD)
    except BlobTooLargeError:
        return b""
    except BlobAbsentError:
        return None
