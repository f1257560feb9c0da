"""Reference values: an operator's requirements for a machine beyond being genuine. Typed, never empty by accident.

A list that may be left out is `None` ("not checked", recorded in the verdict); an empty list is CONFIG_INVALID,
because it would either refuse everything or, worse, be read as "anything".
"""

import re
from typing import Final, Literal, get_args

import msgspec

from attestation.appraisal.advisories import (
    MILAN_SEED,
    Acceptance,
    AdvisoryList,
    Component,
    Product,
    sound_acceptances,
    sound_list,
)
from attestation.appraisal.boot_image import BootImage, sound_image
from attestation.errors import AttestationError, Fault
from attestation.evidence import Tcb

TcbStatus = Literal[
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
]
"""Intel's words for a TCB level (PCS API v4). "Revoked" is none that could be accepted."""
_HEX_DIGITS: Final = frozenset("0123456789abcdef")
_POLICY_HASH: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)  # base64url of a SHA-256


class TcbFloor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The minimum patch level of each component, 0-255; compared one by one."""

    bootloader: int
    tee: int
    snp: int
    microcode: int
    fmc: int = 0  # Turin only


# SNP and microcode are the levels that AMD-SB-3019 (CVE-2024-56161) requires of Milan and Genoa, and AMD-SB-3020 and
# AMD-SB-3027 (CVE-2025-0033, CVE-2025-29943) of Turin; the others come from reports of such machines. Advisories raise
# them.
MILAN_FLOOR: Final = TcbFloor(bootloader=4, tee=0, snp=24, microcode=219)
GENOA_FLOOR: Final = TcbFloor(bootloader=10, tee=0, snp=23, microcode=84)
TURIN_FLOOR: Final = TcbFloor(bootloader=1, tee=1, snp=4, microcode=81, fmc=1)


def _floors() -> dict[Product, TcbFloor]:
    return {"Milan": MILAN_FLOOR, "Genoa": GENOA_FLOOR, "Turin": TURIN_FLOOR}


class MaaEnclave(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Allowed values, hex, of the enclave that holds a token's signing key.

    One alone proves nothing: the host chooses HOST_DATA, and the measurement does not cover what the image runs.
    """

    measurements: tuple[str, ...]  # of the utility VM, 96 digits
    host_data: tuple[str, ...]  # hash of the container group's policy, 64 digits; Microsoft names it on request


class ReferenceValues(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Milan is not in the default products: its VCEK can be extracted. Adding it requires `MILAN_SEED` accepted."""

    products: tuple[Product, ...] = ("Genoa", "Turin")
    floors: dict[Product, TcbFloor] = msgspec.field(default_factory=_floors)
    advisories: AdvisoryList | None = None  # with its own expiry
    accepted: tuple[Acceptance, ...] = ()  # open advisories, of both vendors
    amd_crls: dict[Product, bytes] | None = None  # DER, as kdsintf.amd.com serves at /vcek/v1/{product}/crl
    tcb_statuses: tuple[TcbStatus, ...] = ("UpToDate",)  # of TDX; add others one by one
    tcb_evaluation: int | None = None  # of TDX: the least tcbEvaluationDataNumber of Intel's TCB info and QE identity
    measurements: tuple[str, ...] | None = None  # launch measurements, hex; Microsoft advises not to pin them
    pcrs: dict[int, tuple[str, ...]] = msgspec.field(default_factory=dict)  # allowed values, hex, of the PCRs named
    boot_images: tuple[BootImage, ...] | None = None  # unified kernel images, each with its command line
    maa_policy_hashes: tuple[str, ...] | None = None  # x-ms-policy-hash values, as `cji policy hash` prints them
    maa_enclave: MaaEnclave | None = None  # None: the signing key is trusted because the provider publishes it
    token_max_age: int = 600  # seconds since the token's iat


def _hex(values: tuple[str, ...], size: int) -> bool:
    return bool(values) and all(len(value) == size and not set(value) - _HEX_DIGITS for value in values)


def floor_in_force(reference: ReferenceValues, product: Product) -> Tcb:
    """Component by component the higher of the product's floor and the advisories' levels."""
    floor, advisories = reference.floors[product], reference.advisories
    return Tcb(
        **{
            component: max(getattr(floor, component), advisories.level(product, component) if advisories else 0)
            for component in get_args(Component)
        }
    )


def check_reference(reference: ReferenceValues) -> None:
    """Raise CONFIG_INVALID, with the name of the field, for values that are empty, malformed or contradictory."""
    problems = {
        "products": not reference.products or any(product not in reference.floors for product in reference.products),
        "floors": any(
            (floor.fmc and product != "Turin") or any(not 0 <= level <= 255 for level in msgspec.structs.astuple(floor))
            for product, floor in reference.floors.items()
        ),
        "advisories": reference.advisories is not None and not sound_list(reference.advisories),
        "accepted": not sound_acceptances(reference.accepted)
        or ("Milan" in reference.products and MILAN_SEED not in {one.id for one in reference.accepted}),
        "amd_crls": reference.amd_crls is not None and not set(reference.products) <= set(reference.amd_crls),
        "tcb_statuses": not reference.tcb_statuses or bool(set(reference.tcb_statuses) - set(get_args(TcbStatus))),
        "tcb_evaluation": reference.tcb_evaluation is not None and reference.tcb_evaluation < 1,
        "measurements": reference.measurements is not None and not _hex(reference.measurements, 96),
        "pcrs": any(not 0 <= pcr <= 15 or not _hex(values, 64) for pcr, values in reference.pcrs.items()),
        "boot_images": reference.boot_images is not None
        and not (reference.boot_images and all(map(sound_image, reference.boot_images))),
        "maa_policy_hashes": reference.maa_policy_hashes is not None
        and not (reference.maa_policy_hashes and all(map(_POLICY_HASH.fullmatch, reference.maa_policy_hashes))),
        "maa_enclave": reference.maa_enclave is not None
        and not (_hex(reference.maa_enclave.measurements, 96) and _hex(reference.maa_enclave.host_data, 64)),
        "token_max_age": not 0 < reference.token_max_age <= 3600,
    }
    for field, wrong in problems.items():
        if wrong:
            raise AttestationError(Fault.CONFIG_INVALID, check=f"reference-{field}")
