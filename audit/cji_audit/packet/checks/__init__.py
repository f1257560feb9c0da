"""Checks: each computes from the material whether one thing held in the period, and names the evidence.

    holds    the evidence was given, and shows it
    fails    the evidence was given, and shows the contrary
    missing  the evidence was not given: a gap

A check that has nothing to look at is missing, never holds. `CHECKS` has them by the names that `controls.toml` uses.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from cji_audit.packet.checks import files, machines, receipts, reviews, trail
from cji_audit.packet.checks.result import Evidence, Result
from cji_audit.packet.material import Material

__all__ = ["CHECKS", "Check", "Evidence", "Result"]

Check = Callable[[Material], Result]

CHECKS: Final[Mapping[str, Check]] = MappingProxyType(
    {**trail.CHECKS, **receipts.CHECKS, **machines.CHECKS, **files.CHECKS, **reviews.CHECKS}
)
