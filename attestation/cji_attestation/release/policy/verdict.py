"""`check_release_policy`: whether a key under this release policy may be used, by the same rules as `lint`.

An error refuses, unless the operator accepted it by name. Only further attestation providers can be accepted
(ACCEPTABLE); every other error gives the key to machines that must not have it, or to none.
"""

import hashlib
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from cji_attestation.findings import Severity
from cji_attestation.release.policy.grammar import parse_policy
from cji_attestation.release.policy.lint import lint
from cji_attestation.release.policy.rules import PolicyError
from cji_attestation.trust import Trust

ACCEPTABLE: Final = frozenset({"RP01", "RP04"})
"""A shared provider whose policy digest is pinned as a reference value; providers of one's own in several regions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyVerdict:
    """The record of a policy under which a key was released; rules by id."""

    sha256: str  # hex, of the policy's bytes as the vault keeps them
    immutable: bool
    accepted: tuple[str, ...]  # errors that the operator accepts
    warnings: tuple[str, ...]


def check_release_policy(
    data: bytes, *, immutable: bool, trust: Trust, authority: str, accept: AbstractSet[str]
) -> PolicyVerdict:
    """Check a policy's bytes; PolicyError with the rule's id for the first error that is not in `accept`.

    `authority` is the provider that attests this machine, `immutable` is what the vault states about the policy.
    """
    accepted: list[str] = []
    warnings: list[str] = []
    for finding in lint(parse_policy(data), trust=trust, authority=authority, immutable=immutable):
        rule = finding.rule
        if rule.severity is Severity.WARNING:
            warnings.append(rule.id)
        elif rule.id in accept & ACCEPTABLE:
            accepted.append(rule.id)
        else:
            raise PolicyError(rule.id, where=finding.where[0])
    return PolicyVerdict(
        sha256=hashlib.sha256(data).hexdigest(),
        immutable=immutable,
        accepted=tuple(dict.fromkeys(accepted)),
        warnings=tuple(dict.fromkeys(warnings)),
    )
