"""Reference values: an operator's requirements for a machine beyond being genuine. Typed, never empty by accident.

A list that may be left out is `None` ("not checked", recorded in the verdict); an empty list is CONFIG_INVALID,
because it would either refuse everything or, worse, be read as "anything".
"""

import re
from collections.abc import Mapping
from typing import Final, Literal, get_args

import msgspec

from cji_attestation.appraisal.advisories import (
    MOST_ACCEPTANCES,
    PRODUCT_OF,
    Product,
    Review,
    Stepping,
    read_review,
    signer_key,
)
from cji_attestation.appraisal.azure import (
    IdKey,
    Mrtd,
    VtpmRoot,
    is_hex,
    names_something,
    sound_id_keys,
    sound_mrtds,
    sound_roots,
)
from cji_attestation.appraisal.boot_image import BootImage, sound_image
from cji_attestation.appraisal.crl import MAX_AGE_DAYS
from cji_attestation.appraisal.timestamp import TimestampRoot, sound_timestamp_roots
from cji_attestation.errors import AttestationError, Fault
from cji_attestation.evidence.event_log import MAX_SERIAL
from cji_attestation.evidence.pck import PCK_FLAGS
from cji_attestation.evidence.snp_report import PLATFORM_FLAGS

TcbStatus = Literal[
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
]
"""Intel's words for a TCB level (PCS API v4). "Revoked" is none that could be accepted."""
MOST_SIGNERS: Final = 8
_POLICY_HASH: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)  # base64url of a SHA-256


class TcbFloor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The minimum patch level of each component, 0-255; compared one by one."""

    bootloader: int
    tee: int
    snp: int
    microcode: int
    fmc: int = 0  # Turin only


# SNP and microcode are the levels that AMD-SB-3019 (CVE-2024-56161) requires of Milan and Genoa by stepping, and
# AMD-SB-3020 and AMD-SB-3027 (CVE-2025-0033, CVE-2025-29943) of Turin; the others come from reports of such machines,
# where there are any.
_TURIN_FLOOR: Final = TcbFloor(bootloader=1, tee=1, snp=4, microcode=81, fmc=1)
FLOORS: Final[Mapping[Stepping, TcbFloor]] = {
    "Milan": TcbFloor(bootloader=4, tee=0, snp=24, microcode=219),
    "Milan-X": TcbFloor(bootloader=4, tee=0, snp=24, microcode=68),
    "Genoa": TcbFloor(bootloader=10, tee=0, snp=23, microcode=84),
    "Genoa-X": TcbFloor(bootloader=10, tee=0, snp=23, microcode=79),
    "Bergamo-A1": TcbFloor(bootloader=10, tee=0, snp=23, microcode=23),
    "Bergamo-Siena": TcbFloor(bootloader=10, tee=0, snp=23, microcode=25),
    "Turin": _TURIN_FLOOR,
    "Turin-Dense": _TURIN_FLOOR,
}


class MaaEnclave(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Allowed values, hex, of the enclave that holds a token's signing key.

    One alone proves nothing: the host chooses HOST_DATA, and the measurement does not cover what the image runs.
    """

    measurements: tuple[str, ...]  # of the utility VM, 96 digits
    host_data: tuple[str, ...]  # hash of the container group's policy, 64 digits; Microsoft names it on request


class ReferenceValues(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Milan is not in the default products: its VCEK can be extracted.

    `id_keys`, `mrtds` and `vtpm_roots` add to what `cji_attestation.appraisal.azure` has, which holds by default.
    """

    products: tuple[Product, ...] = ("Genoa", "Turin")
    id_keys: tuple[IdKey, ...] = ()  # of SNP: keys that sign Azure's paravisor
    mrtds: tuple[Mrtd, ...] = ()  # of TDX: Azure's paravisors
    vtpm_roots: tuple[VtpmRoot, ...] = ()  # roots of the certificates of attestation keys
    ak_certificate: Literal["accepted", "required"] = "accepted"  # whether an attestation key must have one
    chips: bytes | None = None  # a signed list of processors, for dedicated hosts and Azure Local; None: any
    vtpm_firmware: int | None = None  # the least firmwareVersion in quotes of the vTPM
    platform_required: tuple[str, ...] = ()  # names of a host's flags that must be set: PLATFORM_FLAGS, PCK_FLAGS
    platform_forbidden: tuple[str, ...] = ()  # ... and that must not be
    floors: dict[Stepping, TcbFloor] = msgspec.field(default_factory=lambda: dict(FLOORS))
    advisory_signers: tuple[str, ...] = ()  # canonical JWKs, P-384, of those who sign the next two
    advisories: bytes | None = None  # a signed table, with its own expiry; None: the one shipped
    acceptances: tuple[bytes, ...] = ()  # signed risk acceptances, for advisories of both vendors
    crl_max_age_days: int = MAX_AGE_DAYS
    amd_crls: dict[Product, bytes] | None = None  # DER, as kdsintf.amd.com serves at /vcek/v1/{product}/crl
    tcb_statuses: tuple[TcbStatus, ...] = ("UpToDate",)  # of TDX; add others one by one
    tcb: Literal["standard", "early"] = "standard"  # of TDX: which of Intel's statements decide; both are shown
    tcb_evaluation: int | None = None  # of TDX: the least tcbEvaluationDataNumber of Intel's TCB info and QE identity
    measurements: tuple[str, ...] | None = None  # launch measurements, hex; Microsoft advises not to pin them
    pcrs: dict[int, tuple[str, ...]] = msgspec.field(default_factory=dict)  # allowed values, hex, of the PCRs named
    boot_images: tuple[BootImage, ...] | None = None  # unified kernel images, each with its command line
    bundles: tuple[str, ...] | None = None  # SHA-384, hex, of configuration bundles, as `cji bundle show` prints them
    releases: bytes | None = None  # a copy of the log of releases, as `cji release fetch` writes it; None: any boot
    release_policy: bytes | None = None  # whom to believe about it: the policy of that log, TOML
    release_bundle_keys: tuple[str, ...] | None = None  # SHA-384, hex, of the bundle keys of your agency's images
    bundle_serial: int | None = None  # the least serial number of a bundle: an older one was rolled back
    maa_policy_hashes: tuple[str, ...] | None = None  # x-ms-policy-hash values, as `cji policy hash` prints them
    maa_enclave: MaaEnclave | None = None  # None: the signing key is trusted because the provider publishes it
    maa_keys: tuple[str, ...] | None = None  # SHA-256, hex, of signing keys that the provider was seen to publish
    timestamp_roots: tuple[TimestampRoot, ...] | None = None  # of authorities whose timestamps prove a time
    token_max_age: int = 600  # seconds since the token's iat


def _digests(values: tuple[str, ...], size: int) -> bool:
    return bool(values) and all(names_something(value, size) for value in values)


def _hex(values: tuple[str, ...], size: int) -> bool:
    return bool(values) and all(is_hex(value, size) for value in values)


def review_of(reference: ReferenceValues) -> Review:
    """The table of advisories in force and the risk acceptances, of values that `check_reference` passes."""
    return read_review(reference.advisories, reference.acceptances, reference.advisory_signers)


def _signers(reference: ReferenceValues) -> bool:
    """Whether every signer is a key, none twice, and there is one for what must be signed."""
    signers = reference.advisory_signers
    try:
        for jwk in signers:
            signer_key(jwk)
    except ValueError:
        return False
    signed = reference.advisories is not None or bool(reference.acceptances) or reference.chips is not None
    return len(set(signers)) == len(signers) <= MOST_SIGNERS and (bool(signers) or not signed)


def _sound_platform(required: tuple[str, ...], forbidden: tuple[str, ...]) -> bool:
    named = (*required, *forbidden)
    return len(set(named)) == len(named) and set(named) <= {*PLATFORM_FLAGS, *PCK_FLAGS}


def check_reference(reference: ReferenceValues) -> None:
    """Raise CONFIG_INVALID, with the name of the field, for values that are empty, malformed or contradictory."""
    problems = {
        "products": not reference.products or any(product not in reference.floors for product in reference.products),
        "floors": any(
            (floor.fmc and PRODUCT_OF[stepping] != "Turin")
            or any(not 0 <= level <= 255 for level in msgspec.structs.astuple(floor))
            for stepping, floor in reference.floors.items()
        ),
        "id_keys": not sound_id_keys(reference.id_keys),
        "mrtds": not sound_mrtds(reference.mrtds),
        "vtpm_roots": not sound_roots(reference.vtpm_roots),
        "ak_certificate": reference.ak_certificate not in {"accepted", "required"},
        "vtpm_firmware": reference.vtpm_firmware is not None and not 0 < reference.vtpm_firmware < 1 << 63,
        "platform": not _sound_platform(reference.platform_required, reference.platform_forbidden),
        "advisory_signers": not _signers(reference),
        "acceptances": len(reference.acceptances) > MOST_ACCEPTANCES,
        "crl_max_age_days": not 1 <= reference.crl_max_age_days <= MAX_AGE_DAYS,
        "amd_crls": reference.amd_crls is not None and not set(reference.products) <= set(reference.amd_crls),
        "tcb_statuses": not reference.tcb_statuses or bool(set(reference.tcb_statuses) - set(get_args(TcbStatus))),
        "tcb": reference.tcb not in {"standard", "early"},
        "tcb_evaluation": reference.tcb_evaluation is not None and reference.tcb_evaluation < 1,
        "measurements": reference.measurements is not None and not _digests(reference.measurements, 96),
        "pcrs": any(not 0 <= pcr <= 15 or not _hex(values, 64) for pcr, values in reference.pcrs.items()),
        "boot_images": reference.boot_images is not None
        and not (reference.boot_images and all(map(sound_image, reference.boot_images))),
        "bundles": reference.bundles is not None and not _hex(reference.bundles, 96),
        "bundle_serial": reference.bundle_serial is not None and not 0 <= reference.bundle_serial <= MAX_SERIAL,
        "releases": (reference.releases is None) is not (reference.release_policy is None),
        "release_bundle_keys": reference.release_bundle_keys is not None
        and not (reference.releases is not None and _hex(reference.release_bundle_keys, 96)),
        "maa_policy_hashes": reference.maa_policy_hashes is not None
        and not (reference.maa_policy_hashes and all(map(_POLICY_HASH.fullmatch, reference.maa_policy_hashes))),
        "maa_enclave": reference.maa_enclave is not None
        and not (_digests(reference.maa_enclave.measurements, 96) and _hex(reference.maa_enclave.host_data, 64)),
        "maa_keys": reference.maa_keys is not None and not _digests(reference.maa_keys, 64),
        "timestamp_roots": reference.timestamp_roots is not None
        and not sound_timestamp_roots(reference.timestamp_roots),
        "token_max_age": not 0 < reference.token_max_age <= 3600,
    }
    for field, wrong in problems.items():
        if wrong:
            raise AttestationError(Fault.CONFIG_INVALID, check=f"reference-{field}")
