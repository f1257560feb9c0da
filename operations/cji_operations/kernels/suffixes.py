"""Suffixes of names: JR, SR, and numbers; V is a middle initial more often than a suffix at the end of a name."""

from collections.abc import Mapping
from typing import Final

SUFFIXES: Final[Mapping[str, int]] = {"JR": 1, "SR": 2, "II": 3, "2ND": 3, "III": 4, "3RD": 4, "IV": 5, "4TH": 5}
"""Suffixes at the end of a name, and the number that equal ones have."""

AT_END: Final = "(?:" + "|".join(SUFFIXES) + ")"
"""An expression for one of them."""

GENERATIONS: Final[Mapping[str, str]] = {
    "SR": "1",
    "SENIOR": "1",
    "I": "1",
    "1ST": "1",
    "1": "1",
    "JR": "2",
    "JUNIOR": "2",
    "II": "2",
    "2ND": "2",
    "2": "2",
    "III": "3",
    "3RD": "3",
    "3": "3",
    "IV": "4",
    "4TH": "4",
    "4": "4",
    "V": "5",
    "5TH": "5",
    "5": "5",
}
"""Suffixes by themselves, and their generation: JR and II may be one person."""
