"""Checks of receipts: their sequence, what they claim about every job, and those that submitters kept."""

import shlex
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from cji_audit.packet.checks.result import Evidence, Result, fails, holds, missing, of_field, of_lines
from cji_audit.packet.checks.trail import watched
from cji_audit.packet.material import Material, Trail
from cji_audit.packet.signed import NO_KEY

# Azure's regions in the United States and Canada, by the names of the metadata service (learn.microsoft.com, "Azure
# regions list"). CJISSECPOL SC-28: storage inside the boundaries of APB-member countries.
REGIONS: Final = frozenset(
    (
        "eastus",
        "eastus2",
        "centralus",
        "northcentralus",
        "southcentralus",
        "westcentralus",
        "westus",
        "westus2",
        "westus3",
        "usgovvirginia",
        "usgovarizona",
        "usgovtexas",
        "usdodcentral",
        "usdodeast",
        "canadacentral",
        "canadaeast",
    )
)
MIN_BITS: Final = 256
PROTOCOLS: Final = frozenset({"TLSv1.3"})
_BY_REFERENCE: Final = "reference"
"""The ciphertext lay in Blob Storage; the fleet process has no key."""


def every(material: Material, fields: Mapping[str, Callable[[str], bool]], why: str, wrong: str) -> Result:
    """Holds if all values of these fields in the period satisfy; names the first line with one that does not."""
    shown: list[Evidence] = []
    for trail in material.trails:
        for field, accept in fields.items():
            for value, seen in trail.seen.get(field, {}).items():
                if not accept(value):
                    what = wrong.format(value=value, field=field)
                    return fails(f"Line {seen.first} of {trail.file}: {what}.", *of_lines(trail, [seen.first]))
            if trail.unlisted.get(field):
                return fails(f"{trail.file} has more values of {field} than can be checked.")
            if trail.seen.get(field):
                shown.append(of_field(material, trail, field))
                shown.extend(_first(trail, field))
    if not shown:
        return missing(f"The period has no line with {' or '.join(fields)}.")
    return holds(why, *shown)


def _first(trail: Trail, field: str) -> tuple[Evidence, ...]:
    return of_lines(trail, [seen.first for seen in list(trail.seen[field].values())[:1]])


def fips(material: Material) -> Result:
    """Every receipt names a validated module in its approved mode."""
    return every(
        material,
        {"receipt.fips.certificate": lambda v: v != "none", "receipt.fips.mode": lambda v: v == "approved"},
        "Every receipt names a validated module whose approved mode was enforced.",
        "the receipt's module has {field} {value}",
    )


def transport(material: Material) -> Result:
    """Every job came by TLS 1.3 with 256-bit keys, or by reference: then no connection carried it to the worker."""
    return every(
        material,
        {
            "receipt.transport.protocol": lambda v: v in PROTOCOLS or v == _BY_REFERENCE,
            "receipt.transport.bits": lambda v: v == "0" or (v.isdecimal() and int(v) >= MIN_BITS),
        },
        "Every job came by TLS 1.3 with a suite of 256 bits, or by reference, sealed.",
        "the job came with {field} {value}",
    )


def location(material: Material) -> Result:
    """Every receipt and every attestation names a region in the United States or Canada."""
    return every(
        material,
        {"receipt.region": REGIONS.__contains__, "attested.region": REGIONS.__contains__},
        "Every receipt and attestation names a region in the United States or Canada.",
        "the region is {value}",
    )


def production(material: Material) -> Result:
    """Nothing of the period was simulated."""
    return every(
        material,
        {"in_force.simulated": lambda v: v == "false", "receipt.simulated": lambda v: v == "false"},
        "No start and no receipt is simulated.",
        "{field} is {value}",
    )


def held(material: Material) -> Result:
    """Every receipt that a submitter kept verifies, is in the trail, and has the counts of those who confirmed it."""
    if not material.receipts:
        return missing("No receipt that a submitter kept was given (--receipts).")
    shown: list[Evidence] = []
    for each in material.receipts:
        evidence = Evidence(
            kind="receipt",
            what=f"receipt {each.sequence} of {each.worker} in {each.file.name}, counts {each.counts}",
            sha256=each.file.sha256,
            recheck=f"tr -d '\\n' < {shlex.quote(each.file.name)} | sha256sum",
        )
        if each.fault == NO_KEY:
            return missing(f"The key of receipt {each.sequence} in {each.file.name} was not given (--evidence).")
        if each.fault:
            return fails(f"Receipt {each.sequence} in {each.file.name}: {each.fault}.", evidence)
        if not each.line:
            return fails(f"Receipt {each.sequence} in {each.file.name} is in no trail that was given.", evidence)
        if each.counted:
            return fails(f"The counts of receipt {each.sequence} in {each.file.name}: {each.counted}.", evidence)
        shown.append(evidence)
    confirmed = sum(each.counts != "stated by the cell" for each in material.receipts)
    counts = f"counts of {confirmed} are confirmed by a recipient, the others are stated by the cells"
    return holds(f"All {len(shown)} receipts that submitters kept verify and are in the trail; {counts}.", *shown[:20])


CHECKS: Final[Mapping[str, Callable[[Material], Result]]] = MappingProxyType(
    {
        "receipt-chain": watched(
            "receipt-chain", "Receipts continue each other, without a gap or a repeat.", "receipt.suite"
        ),
        "fips": fips,
        "transport": transport,
        "location": location,
        "production": production,
        "receipts-held": held,
    }
)
