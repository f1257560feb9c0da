"""Codes of a machine that has no configuration yet: what its serial console and its probe show. A closed set.

Each has fixed words and a fixed remedy, so nothing of a bundle, a name or an address reaches a log that leaves the
machine. A machine whose bundle was refused asks for another one seldom; any other failure may end by itself.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CODE_FILE: Final = Path("/run/cji-bundle/code")
"""The file of cji-bundle.service with the code of its last failure, in a folder that everybody may read."""


class BootCode(enum.StrEnum):
    """Why no bundle is in force; `BOOT_CODES` explains each."""

    NO_USER_DATA = "bundle-no-user-data"
    AWAY = "bundle-away"
    DENIED = "bundle-denied"
    ABSENT = "bundle-absent"
    USER_DATA = "bundle-user-data"
    SIGNATURE = "bundle-signature"
    DATES = "bundle-dates"
    SERIAL = "bundle-serial"
    POOL = "bundle-pool"
    WITNESSES = "bundle-witnesses"
    UNUSABLE = "bundle-unusable"
    ANOTHER = "bundle-another"
    TPM = "bundle-tpm"
    MACHINE = "bundle-machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class BootCodeInfo:
    """`refused`: asking again soon is of no use, somebody has to change something first."""

    what: str
    remedy: str
    refused: bool = True


BOOT_CODES: Final[Mapping[BootCode, BootCodeInfo]] = {
    BootCode.NO_USER_DATA: BootCodeInfo(
        what="The metadata service returns no user data",
        remedy="Set user data to a signed bundle, or to account, container and blob of one.",
        refused=False,
    ),
    BootCode.AWAY: BootCodeInfo(
        what="Blob Storage does not answer, fails or throttles",
        remedy="Check the account's name in user data, its private endpoint, and the name servers of the network.",
        refused=False,
    ),
    BootCode.DENIED: BootCodeInfo(
        what="Blob Storage refuses the machine's identity",
        remedy="Give the identity the role Storage Blob Data Reader on the container.",
        refused=False,
    ),
    BootCode.ABSENT: BootCodeInfo(
        what="The blob that user data name is not there",
        remedy="Upload the bundle to the container that user data name.",
        refused=False,
    ),
    BootCode.USER_DATA: BootCodeInfo(
        what="User data are neither a bundle nor the name of one",
        remedy="Set user data to a signed bundle, or to account, container and blob of one.",
    ),
    BootCode.SIGNATURE: BootCodeInfo(
        what="The bundle lacks signatures of keys in the image",
        remedy="Sign it with `cji bundle sign`, by a key whose public half is in the image.",
    ),
    BootCode.DATES: BootCodeInfo(
        what="The bundle has expired, or is of the future",
        remedy="Make it again with a higher serial number; check the machine's clock.",
    ),
    BootCode.SERIAL: BootCodeInfo(
        what="The bundle is older than one that this machine or image takes",
        remedy="Deploy the current bundle. To go back, make the earlier one again with a higher serial number.",
    ),
    BootCode.POOL: BootCodeInfo(
        what="The bundle is of another pool",
        remedy="Deploy a bundle of this machine's pool, or redeploy the machine with a new disk.",
    ),
    BootCode.WITNESSES: BootCodeInfo(
        what="The bundle has other witnesses of the log, without the word of the old ones",
        remedy="Add the file of `cji log change-policy` to the bundle; docs/bundle.md has what to do if they are lost.",
    ),
    BootCode.UNUSABLE: BootCodeInfo(
        what="The bundle, or a file in it, cannot be used",
        remedy="Run `cji bundle verify` at a desk: it names the file and the reason.",
    ),
    BootCode.ANOTHER: BootCodeInfo(
        what="Another bundle was applied in this boot",
        remedy="Restart the machine.",
    ),
    BootCode.TPM: BootCodeInfo(
        what="The machine's TPM or its event log cannot be used now",
        remedy="If it lasts for more than a few minutes, restart the machine, then redeploy it.",
        refused=False,
    ),
    BootCode.MACHINE: BootCodeInfo(
        what="The machine cannot measure the bundle or write its files",
        remedy="Redeploy the machine. If that does not help, compare the image's measurements with those predicted.",
    ),
}
