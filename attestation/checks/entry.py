"""`CheckInfo`: one entry of the catalogue of checks."""

from dataclasses import dataclass

__all__ = ["CheckInfo", "Group"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckInfo:
    """One numbered check. `remedy` is an imperative sentence that helps when exactly this check fails."""

    id: str
    requires: str
    establishes: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Checks that run together, under a heading of docs/attestation.md."""

    title: str
    checks: tuple[CheckInfo, ...]
