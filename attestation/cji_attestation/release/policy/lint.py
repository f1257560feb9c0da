"""Weaknesses of a release policy, in every conjunction of claims that satisfies it.

A strong conjunction beside a weak alternative is weak, so each conjunction must pin what `claims` requires. A finding
that many conjunctions share is one finding with many places.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

from cji_attestation.errors import AttestationError
from cji_attestation.findings import Finding, Hit, grouped
from cji_attestation.release.policy.claims import (
    HARDWARE,
    OPEN,
    PER_HARDWARE,
    REQUIRED,
    TEE,
    TEE_CLAIMS,
    TOP_CLAIMS,
    WORKLOAD,
)
from cji_attestation.release.policy.grammar import Authority, Condition, Conjunction, ReleasePolicy, Scalar, normalize
from cji_attestation.release.policy.rules import RULES
from cji_attestation.trust import Trust, endpoint

# Microsoft names a region's shared provider after the region: https://sharedeus.eus.attest.azure.net
_SHARED: Final = re.compile(r"https://shared([a-z0-9]+)\.\1(\.[a-z]+)?\.attest\.azure\.[a-z]+/?", re.ASCII)
_PROVIDER: Final = re.compile(r"https://[a-z0-9-]+\.[a-z0-9-]+\.attest\.azure\.[a-z]+/?", re.ASCII)
_COMPLIANCE: Final = frozenset({"x-ms-attestation-type", HARDWARE, TEE + "x-ms-compliance-status"})


def lint(
    policy: ReleasePolicy, *, trust: Trust, authority: str | None = None, immutable: bool | None = None
) -> tuple[Finding, ...]:
    """Every finding, errors first, then by rule.

    `trust` has the providers that may speak at all, `authority` is the one that the workers use, where that is known,
    and `immutable` is what the vault states about the key's policy, None if there is only the document.
    """
    return grouped(_hits(policy, trust, authority, immutable), RULES)


def _hits(policy: ReleasePolicy, trust: Trust, expected: str | None, immutable: bool | None) -> Iterator[Hit]:
    if immutable is False:
        yield "RP30", "the vault states that it is not immutable", "release_policy.immutable"
    for authority in policy.authorities:
        yield from _authority(authority, trust, expected)
        for condition in authority.group.conditions():
            yield from _condition(condition)
        for number, conjunction in enumerate(authority.conjunctions, start=1):
            place = authority.where if len(authority.conjunctions) == 1 else f"{authority.where} conjunction {number}"
            for rule, detail in _conjunction(conjunction):
                yield rule, detail, place


def _authority(authority: Authority, trust: Trust, expected: str | None) -> Iterator[Hit]:
    url, where = authority.url, f"{authority.where}.authority"
    if _SHARED.fullmatch(url):
        yield "RP01", f"{url} is a shared provider", where
    try:
        known = url in {base := endpoint(url, trust.maa_hosts, resource="", check="RP02").base, f"{base}/"}
    except AttestationError:
        known = False
    if not known and _PROVIDER.fullmatch(url):
        yield "RP03", f"{url} is not in a region of {trust.name}", where
    elif not known:
        yield "RP02", f"{json.dumps(url)} is not the address of a provider of {trust.name}", where
    if expected is not None and url.removesuffix("/") != expected.removesuffix("/"):
        yield "RP04", f"{json.dumps(url)} is not {expected}", where
    if known and url.endswith("/"):
        yield "RP05", url, where


def _condition(condition: Condition) -> Iterator[Hit]:
    claim, value = condition.claim, condition.equals
    inner = claim.removeprefix(TEE)
    below, above = inner in TEE_CLAIMS, inner in TOP_CLAIMS
    if inner == "x-ms-attestation-type":  # is at both levels, with values of its own at each
        below, above = value in PER_HARDWARE, value not in PER_HARDWARE
    if inner == claim and below:
        yield "RP20", f"{claim} of {json.dumps(value)} belongs under x-ms-isolation-tee", condition.where
    elif inner != claim and above:
        yield "RP20", f"{inner} of {json.dumps(value)} belongs at the top of the token", condition.where
    elif not claim.startswith(OPEN) and claim not in TOP_CLAIMS and inner not in TEE_CLAIMS:
        yield "RP21", claim, condition.where
    kind = TOP_CLAIMS.get(inner) or TEE_CLAIMS.get(inner)
    if kind is not None and not _has_type(value, kind):
        yield "RP22", f"{claim} has values of type {_TYPES[kind]}", condition.where


_TYPES: Final[dict[type[Scalar], str]] = {bool: "boolean", int: "number", str: "text"}


def _has_type(value: Scalar, kind: type[Scalar]) -> bool:
    return normalize(value) in {"true", "false"} if kind is bool else type(value) is kind


def _conjunction(conjunction: Conjunction) -> Iterator[tuple[str, str]]:
    if conjunction.keys() <= _COMPLIANCE:
        yield "RP10", "nothing but type and compliance is pinned"
    hardware = conjunction.get(HARDWARE, frozenset())
    named = [name for name in sorted(PER_HARDWARE) if name in hardware]
    if len(hardware) != 1 or not named:
        yield "RP11", f"{HARDWARE} must be pinned to one of {', '.join(sorted(PER_HARDWARE))}"
    required = dict(REQUIRED)
    for name in named:
        required |= PER_HARDWARE[name]
    for claim, (value, rule) in required.items():
        if conjunction.get(claim) != frozenset({normalize(value)}):
            yield rule, f"{claim} must equal {json.dumps(value)}"
    if not any(claim.startswith(WORKLOAD) for claim in conjunction):
        yield "RP17", "neither PCR values nor a machine are pinned"
    for claim, values in conjunction.items():
        if len(values) > 1:
            yield "RP23", f"{claim} must have {len(values)} values at once"
