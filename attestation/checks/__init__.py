"""The numbered checks: what each requires, what it establishes and what to do when it fails.

This catalogue is the only place for those texts: errors, the CLI and the tables of docs/attestation.md read it.
E checks are ours on the machine's evidence, T ours on Azure Attestation's token, S ours on Key Vault's release
statement. Groups and entries stand in the order in which the code runs them. An id is never used for another check.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from attestation.checks.entry import CheckInfo, Group
from attestation.checks.evidence import EVIDENCE
from attestation.checks.named import REMEDIES
from attestation.checks.statement import STATEMENT
from attestation.checks.token import TOKEN

__all__ = ["CATALOGUE", "GROUPS", "Check", "CheckInfo", "Failure", "Group", "remedy", "requirement"]

GROUPS: Final[tuple[Group, ...]] = (*EVIDENCE, TOKEN, STATEMENT)
CATALOGUE: Final[Mapping[str, CheckInfo]] = MappingProxyType({one.id: one for each in GROUPS for one in each.checks})


class Check(NamedTuple):
    """A check that passed, and what it found."""

    id: str
    finding: str


class Failure(NamedTuple):
    """A check that failed: what it found, and what it expected in its place. `found` may be empty."""

    id: str
    found: str
    expected: str


def requirement(check: str) -> str:
    """What a numbered check requires; empty for any other name."""
    return CATALOGUE[check].requires if check in CATALOGUE else ""


def remedy(check: str) -> str | None:
    """What helps when exactly this check fails; None where its Fault has the only advice."""
    return CATALOGUE[check].remedy if check in CATALOGUE else REMEDIES.get(check)
