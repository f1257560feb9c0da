"""The numbered checks, each with its requirement, what it establishes, and a remedy.

The catalogue, `checks.toml`, is the only place for those texts: errors, the CLI and the tables of docs/attestation.md
read it. E checks are ours on the machine's evidence, T ours on Azure Attestation's token, S ours on Key Vault's release
statement, H ours on a Managed HSM's attestation of a key. A check that runs returns a `Check`, or raises an error with
a `Failure`; one that had nothing to compare with returns `Skipped`.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

import msgspec

from cji_core.documents import toml

__all__ = [
    "CATALOGUE",
    "GROUPS",
    "NAMED",
    "Check",
    "CheckInfo",
    "Failure",
    "Group",
    "Result",
    "Skipped",
    "compared",
    "remedy",
    "requirement",
]


class Check(NamedTuple):
    """A check that passed, and what it found."""

    id: str
    finding: str


class Skipped(Check):
    """A check that had nothing to compare with. Its finding states what it leaves open."""

    __slots__ = ()


class Failure(NamedTuple):
    """A check that failed: what it found, and what it expected in its place. `found` may be empty."""

    id: str
    found: str
    expected: str


Result: TypeAlias = Check | Failure


class CheckInfo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One numbered check. `remedy` is an imperative sentence that helps when exactly this check fails."""

    id: str
    requires: str
    establishes: str
    remedy: str


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Checks that run together, in their order, under a heading of docs/attestation.md."""

    title: str
    checks: tuple[CheckInfo, ...]


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    named: dict[str, str]
    groups: tuple[Group, ...]


_FILE: Final = toml(Path(__file__).with_name("checks.toml").read_bytes(), _File)
GROUPS: Final = _FILE.groups
CATALOGUE: Final[Mapping[str, CheckInfo]] = MappingProxyType({one.id: one for each in GROUPS for one in each.checks})
NAMED: Final[Mapping[str, str]] = MappingProxyType(_FILE.named)
"""Remedies for conditions that have a name in place of a number."""


def requirement(check: str) -> str:
    """The requirement of a numbered check; empty for any other name."""
    return CATALOGUE[check].requires if check in CATALOGUE else ""


def compared(check: str, finding: str, *, holds: bool, found: str, expected: str = "") -> Result:
    """One comparison with a reference value; a failure expects what the check requires, unless it is given."""
    return Check(check, finding) if holds else Failure(check, found, expected or requirement(check))


def remedy(check: str) -> str | None:
    """The remedy if exactly this check fails; None if only its Fault has one."""
    return CATALOGUE[check].remedy if check in CATALOGUE else NAMED.get(check)
