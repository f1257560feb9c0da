"""The identity of Azure: the signers of its paravisor, its paravisors on TDX, and the root of its vTPM certificates.

SEV-SNP firmware accepts an ID block only if it names the launch measurement of the guest, and reports the SHA-384 of
the key that signed it (AMD 56860, "SNP_LAUNCH_FINISH"). So the digest of Microsoft's key shows that Microsoft signed
the paravisor, and its guest SVN that it is not an older one. TDX has nothing of the kind: there MRTDs are known one by
one, Microsoft changes them with the platform, and for one that is not known Azure Attestation's token must vouch.

The values are as read from reports, tokens and certificates of Azure machines; each has its source and the day of the
latest one. An operator's own entry for a digest takes the place of the built-in one.
"""

from collections.abc import Iterable
from datetime import date
from typing import Final

import msgspec

from cji_attestation.appraisal.advisories import Product

AZURE_POLICY: Final = 0x3001F
"""The guest policy of every Azure machine seen: ABI 0.31, SMT allowed, reserved bit 17; nothing else."""

_HEX_DIGITS: Final = frozenset("0123456789abcdef")
_IMAGE_ID: Final = "02" + 15 * "00"


class IdKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key that signs paravisors, and what it signs. Lists must not be empty; hexadecimal is lower-case."""

    digest: str  # SHA-384 of the ID key, 96 digits, as reports have it
    least_guest_svn: dict[Product, int]  # 0 to 2^32 - 1; a product that is not named is refused
    family_ids: tuple[str, ...]  # 32 digits each
    image_ids: tuple[str, ...]  # 32 digits each
    policies: tuple[int, ...] = (AZURE_POLICY,)
    source: str
    seen: date


class Mrtd(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The measurement of a paravisor on TDX."""

    digest: str  # 96 digits
    source: str
    seen: date


class VtpmRoot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A root that the certificates of attestation keys must chain to."""

    spki_sha256: str  # of its SubjectPublicKeyInfo, 64 digits
    source: str
    seen: date


_OLD_FAMILY: Final = "01" + 15 * "00"

ID_KEYS: Final = (
    IdKey(
        digest="942fd93ebde6ea7a96efadeafc60f1c6b3d10e703b1dafd7555b92f7f3d32d0e006767648cba5b102af3d65756af4177",
        least_guest_svn={"Milan": 10, "Genoa": 65547},
        family_ids=("02212" + 27 * "0", "01232" + 27 * "0"),
        image_ids=(_IMAGE_ID,),
        source="version 3 reports of Milan and Genoa machines since 2025, and an Azure Attestation token",
        seen=date(2026, 10, 8),
    ),
    IdKey(
        digest="0356215882a825279a85b300b0b742931d113bf7e32dde2e50ffde7ec743ca491ecdd7f336dc28a6e0b2bb57af7a44a3",
        least_guest_svn={"Milan": 4},
        family_ids=(_OLD_FAMILY,),
        image_ids=(_IMAGE_ID,),
        source="reports of Milan machines of 2023 and 2024, and an Azure Attestation token",
        seen=date(2025, 1, 12),
    ),
    IdKey(
        digest="934f68bd8ba01938eec21475c872e3a942b60c59fafc6df9e9a76ee66bc47f2d09c676f61c0315c578da26085fb13a71",
        least_guest_svn={"Milan": 2},
        family_ids=(_OLD_FAMILY,),
        image_ids=(_IMAGE_ID,),
        source="reports of Milan machines of 2022 and 2023",
        seen=date(2023, 3, 12),
    ),
)

MRTDS: Final = (
    Mrtd(
        digest="a2e61f1316e9e367e9c1f7a0adc98c48eb13875c399c85d286cee5ea2b05e57f2df9f61d903b0ae7ac5607d843dfffc1",
        source="Azure Attestation token of a DCes v6 machine",
        seen=date(2026, 10, 8),
    ),
    Mrtd(
        digest="273828c46252fcbdd8ad2dd907130222b03466d52a2911d70c1a5950895d6bd1ae451d382d5a9b1b4c0ed0e5ae9a3dbd",
        source="quote of a DCes v6 machine (attestation-rs), and one of Azure's cvm-attestation-tools",
        seen=date(2026, 3, 16),
    ),
    Mrtd(
        digest="888b31b57a1cad6a358ce8c6a08f40198fa171596e01f70d5f360ee4798150983e55d2f89d804c3bfec06a44220c91b2",
        source="quote in Azure's cvm-attestation-tools",
        seen=date(2025, 6, 1),
    ),
    Mrtd(
        digest="024a32b070383331181619fa387cb4d55d1e38879f989933055ccad5bc2db795d1737b66205949d15469dc8c1ba7ab7b",
        source="quote of a DCes v5 machine (trustee)",
        seen=date(2024, 6, 1),
    ),
    Mrtd(
        digest="75f3acc2e1dfc3acf404d7eaa69a2eefcd0475a0dd6516ef5ba3cb83399c61b4aa1c638e3622bb650a514bfc6e858886",
        source="TDREPORT of a DCes v5 machine (azure-cvm-tooling)",
        seen=date(2024, 1, 1),
    ),
)

VTPM_ROOTS: Final = (
    VtpmRoot(
        spki_sha256="5cbc52672ae101263c2976736044a964c1182ce9412c39937183baddcccb8cdf",
        source='"Azure Virtual TPM Root Certificate Authority 2023" of microsoft.com/pkiops, until June 2048',
        seen=date(2026, 7, 27),
    ),
)


def is_hex(value: str, digits: int) -> bool:
    """Whether it is lower-case hexadecimal of exactly so many digits."""
    return len(value) == digits and not set(value) - _HEX_DIGITS


def names_something(value: str, digits: int) -> bool:
    """The same of a digest or an id. Zeros stand for "none" in reports: as a value they would allow what has none."""
    return is_hex(value, digits) and bool(set(value) - {"0"})


def sound_id_keys(keys: tuple[IdKey, ...]) -> bool:
    """Whether each entry is for another key, and lists what it allows."""
    return _distinct(one.digest for one in keys) and all(
        names_something(one.digest, 96)
        and _names(one.source)
        and one.least_guest_svn
        and all(0 <= svn < 1 << 32 for svn in one.least_guest_svn.values())
        and one.family_ids
        and one.image_ids
        and all(is_hex(value, 32) for value in (*one.family_ids, *one.image_ids))
        and one.policies
        and all(0 <= policy < 1 << 64 for policy in one.policies)
        for one in keys
    )


def sound_mrtds(mrtds: tuple[Mrtd, ...]) -> bool:
    """Whether each entry is for another measurement."""
    return _distinct(one.digest for one in mrtds) and all(
        names_something(one.digest, 96) and _names(one.source) for one in mrtds
    )


def sound_roots(roots: tuple[VtpmRoot, ...]) -> bool:
    """Whether each entry is for another root."""
    return _distinct(one.spki_sha256 for one in roots) and all(
        names_something(one.spki_sha256, 64) and _names(one.source) for one in roots
    )


def _names(source: str) -> bool:
    return bool(source.strip())


def _distinct(values: Iterable[str]) -> bool:
    found = list(values)
    return len(found) == len(set(found))


def id_key(digest: bytes, added: tuple[IdKey, ...]) -> IdKey | None:
    """The entry for this digest of 48 bytes: an operator's before a built-in one."""
    return next((one for one in (*added, *ID_KEYS) if one.digest == digest.hex()), None)


def knows_mrtd(mrtd: bytes, added: tuple[Mrtd, ...]) -> bool:
    """Whether this measurement of 48 bytes is a known paravisor's."""
    return any(one.digest == mrtd.hex() for one in (*added, *MRTDS))


def knows_root(spki_sha256: str, added: tuple[VtpmRoot, ...]) -> bool:
    """Whether a chain of an attestation key may end in this root."""
    return any(one.spki_sha256 == spki_sha256 for one in (*added, *VTPM_ROOTS))
