"""E60: whether a machine boots one release of the pinned log, as a reader of all its entries finds.

Each release states every digest of its image at once, so values of two releases never count together, and one that was
withdrawn does not count. This module and the library of logs are loaded where reference values name a log.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from cji_attestation.appraisal.boot_state import BootState
from cji_attestation.appraisal.reference import ReferenceValues
from cji_attestation.checks import Failure, Result, compared, requirement
from cji_core.errors import CoreError
from cji_core.tlog.leaves import Image
from cji_core.tlog.releases import Released, known_releases

_ID: Final = "E60"


def release_result(
    boot: BootState | None, reference: ReferenceValues, *, flavours: Sequence[str], now: datetime
) -> Result:
    """E60, at the time of the appraisal, of reference values that name a log."""
    if boot is None:
        return Failure(_ID, "no second quote", requirement(_ID))
    try:
        known = known_releases(reference.releases or b"", reference.release_policy or b"", now=int(now.timestamp()))
    except (CoreError, ValueError) as error:
        return Failure(_ID, f"the log of releases does not count: {error}", requirement(_ID))
    found = known.booted(boot.pcrs)
    if not found:
        parts = (f"PCR {pcr} of {_names(of)}" for pcr, of in known.partly(boot.pcrs))
        return Failure(_ID, "; ".join(parts) or "a log without an image", "all of them of one release")
    wrong = [fault for one, image in found if (fault := _fault(one, image, reference, flavours))]
    return compared(
        _ID,
        f"release {_names(one for one, _ in found)}, in a log of {known.note.size} entries",
        holds=not wrong,
        found="; ".join(wrong),
    )


def _fault(one: Released, image: Image, reference: ReferenceValues, flavours: Sequence[str]) -> str:
    allowed, keys = reference.release_bundle_keys, image.bundle_keys_sha384
    if one.withdrawn is not None or image.flavour not in flavours:
        return f"release {one}"
    return "" if allowed is None or keys in allowed else f"release {one}, of bundle keys {keys}"


def _names(found: Iterable[Released]) -> str:
    return " and ".join(each.release.name for each in found) or "none"
