"""Rules of the policy linters, each with an id that never changes its meaning, and findings that name them."""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import msgspec

from cji_core.documents import toml

Hit = tuple[str, str, str]
"""Rule id, detail, place."""


class Severity(enum.StrEnum):
    """An error gives the key to machines that must not have it, or to none; a warning needs a person to decide."""

    ERROR = "error"
    WARNING = "warning"


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule: what is wrong, why it matters, what to do."""

    id: str
    severity: Severity
    title: str
    why: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A rule that a policy breaks: `detail` has the particulars, `where` every place."""

    rule: Rule
    detail: str
    where: tuple[str, ...] = ()


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rules: tuple[Rule, ...]


def load_rules(path: Path) -> Mapping[str, Rule]:
    """The rules of a TOML file, by their ids."""
    rules = toml(path.read_bytes(), _File).rules
    return MappingProxyType({rule.id: rule for rule in rules})


def grouped(hits: Iterable[Hit], rules: Mapping[str, Rule]) -> tuple[Finding, ...]:
    """One finding for hits that differ in their place only; errors first, then by rule."""
    places: dict[tuple[str, str], dict[str, None]] = {}
    for rule, detail, where in hits:
        places.setdefault((rule, detail), {})[where] = None
    findings = (Finding(rule=rules[rule], detail=detail, where=tuple(at)) for (rule, detail), at in places.items())
    return tuple(sorted(findings, key=lambda one: (one.rule.severity, one.rule.id)))
