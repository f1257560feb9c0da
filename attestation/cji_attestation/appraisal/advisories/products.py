"""AMD's products and their steppings: what a VCEK names, and what the CPUID of a report adds to it.

A VCEK names one of three products, and calls Bergamo and Siena Genoa. Levels are published by stepping, and each
stepping counts its microcode on its own: 0x4F on Genoa-X is newer than 0x53 on Genoa.
"""

from collections.abc import Mapping
from typing import Final, Literal

Product = Literal["Milan", "Genoa", "Turin"]
Target = Literal[Product, "TDX"]
"""Whom an advisory can affect: a product of AMD's, or Intel's trust domains."""
Stepping = Literal["Milan", "Milan-X", "Genoa", "Genoa-X", "Bergamo-A1", "Bergamo-Siena", "Turin", "Turin-Dense"]
Component = Literal["bootloader", "tee", "snp", "microcode", "fmc"]
Cpuid = tuple[int, int, int]  # family, model, stepping; zeros in a report of version 2

# CPUID 1, EAX, by the names in AMD's releases of microcode: GN-B1 00A00F11, GN-B2 00A00F12, RS-B1 00A10F11,
# RS-B2 00A10F12, RSDN-A1 00AA0F01, RSDN-A2 00AA0F02; Turin 00B00F21, Turin Dense 00B10F10. Siena and the Bergamo on
# sale are both RSDN-A2, with the same microcode: no report can distinguish them.
_STEPPINGS: Final[Mapping[Cpuid, Stepping]] = {
    (0x19, 0x01, 1): "Milan",
    (0x19, 0x01, 2): "Milan-X",
    (0x19, 0x11, 1): "Genoa",
    (0x19, 0x11, 2): "Genoa-X",
    (0x19, 0xA0, 1): "Bergamo-A1",
    (0x19, 0xA0, 2): "Bergamo-Siena",
    (0x1A, 0x02, 1): "Turin",
    (0x1A, 0x11, 0): "Turin-Dense",
}
PRODUCT_OF: Final[Mapping[Stepping, Product]] = {
    "Milan": "Milan",
    "Milan-X": "Milan",
    "Genoa": "Genoa",
    "Genoa-X": "Genoa",
    "Bergamo-A1": "Genoa",
    "Bergamo-Siena": "Genoa",
    "Turin": "Turin",
    "Turin-Dense": "Turin",
}


def stepping_of(cpuid: Cpuid) -> Stepping | None:
    """The stepping that a CPUID names; None for one that is not known, and for a report of version 2."""
    return _STEPPINGS.get(cpuid)


def kind_of(cpuid: Cpuid, product: Product) -> Stepping | None:
    """Whose floor and acceptances apply: the stepping's; the product's own where a report of version 2 shows none.

    None for a stepping that is not known: nothing was decided about it.
    """
    return stepping_of(cpuid) if any(cpuid) else product


def product_of_cpuid(family: int, model: int) -> Product | None:
    """The product of a CPUID family and model; None for another processor."""
    if family == 0x19 and model <= 0x0F:
        return "Milan"
    if family == 0x19 and (0x10 <= model <= 0x1F or 0xA0 <= model <= 0xAF):
        return "Genoa"
    return "Turin" if family == 0x1A and model <= 0x11 else None
