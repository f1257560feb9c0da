"""Weaknesses of an attestation policy, over every rule that permits and every claim that it makes.

Rules that permit are alternatives: each alone gives a token, so each has to demand what `REQUIRED` names. Rules that
deny are not counted on, whatever their order.
"""

from collections.abc import Iterator
from typing import Final

from cji_attestation.findings import Finding, Hit, grouped
from cji_attestation.provider_policy.build import REQUIRED, SERVICE
from cji_attestation.provider_policy.grammar import Action, Call, ClaimRule, Condition, MaaPolicy, Operand, Reference
from cji_attestation.provider_policy.rules import RULES

_CUSTOM: Final = "CustomClaim"
_POLICY: Final = "AttestationPolicy"
_PCRS: Final = 0xFF  # bits of PCRs 0 to 7
_MAX_MINUTES: Final = 480
# what tokens have from the service: names of RFC 7519 and 7800, of the claim sets and the EAT profile, and beginnings
_JWT: Final = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "nonce", "cnf"})
_MAA: Final = frozenset(
    {"secureboot", "rp_data", "ver", "tee", "attester_tcb_status", "dbgstat", "eat_profile", "intuse"}
)
_PREFIXES: Final = ("x-ms-", "tdx_", "maa-", "aas-", "policy_", "$")
_CALLER: Final = ("client-payload", "clientpayload", "x-ms-runtime", "x-ms-inittime")


def lint(policy: MaaPolicy) -> tuple[Finding, ...]:
    """Every finding, errors first, then by rule."""
    return grouped(_hits(policy), RULES)


def _hits(policy: MaaPolicy) -> Iterator[Hit]:
    permits = [rule for rule in policy.authorization if rule.action.verb == "permit"]
    if not permits:
        yield "MP16", "no rule permits", "authorizationrules"
    for rule in permits:
        for number, detail in _permission(rule):
            yield number, detail, rule.where
    for rule in (*policy.configuration, *policy.authorization, *policy.issuance):
        for condition in rule.conditions:
            if not _issuer(condition):
                yield "MP15", f"{_type(condition)} is taken from any issuer", rule.where
        hits = _property(rule.action) if rule.action.verb == "issueproperty" else _claim(rule)
        for number, detail in hits:
            yield number, detail, rule.where


def _permission(rule: ClaimRule) -> Iterator[tuple[str, str]]:
    if not rule.conditions:
        yield "MP10", "=> permit()"
        return
    demanded = {
        condition.equals("type")
        for condition in rule.conditions
        if not condition.absent and condition.equals("value") is True and _of_service(condition)
    }
    for claim, number in REQUIRED.items():
        if claim not in demanded:
            yield number, f"{claim} must be true"


def _claim(rule: ClaimRule) -> Iterator[tuple[str, str]]:
    """The claims that `add` and `issue` make; permit and deny make none."""
    action = rule.action
    if action.verb not in {"add", "issue"}:
        return
    if action.claim is None:
        name = action.assigned["type"]
        if not isinstance(name, str):
            yield "MP20", "a claim whose name is computed"
        elif name.lower() in _JWT | _MAA or name.lower().startswith(_PREFIXES):
            yield "MP20", name
    sources = {one.name: one for one in rule.conditions if one.name is not None}
    used = {action.claim} if action.claim else set().union(*map(_names, action.assigned.values()))
    for source in (sources[name] for name in sorted(used)):
        if source.equals("issuer") == _CUSTOM or _of_caller(_type(source)):
            yield "MP21", _type(source)
    for text in (text for operand in action.assigned.values() for text in _texts(operand)):
        if _of_caller(text):
            yield "MP21", text


def _property(action: Action) -> Iterator[tuple[str, str]]:
    name, value = action.assigned.get("type"), action.assigned.get("value")
    number = value if type(value) is int else None
    if name == "require_valid_aik_cert":
        if value is not True:
            yield "MP22", "require_valid_aik_cert is not true"
    elif name == "required_pcr_mask":
        if number is None or number & _PCRS != _PCRS:
            yield "MP22", "required_pcr_mask leaves out some of PCRs 0 to 7"
    elif name == "report_validity_in_minutes":
        if number is None or number > _MAX_MINUTES:
            yield "MP23", "report_validity_in_minutes is more than 480"
    else:
        yield "MP24", str(name) if isinstance(name, str) else "a property whose name is not written"


def _of_service(condition: Condition) -> bool:
    """Whether the service's claim can be what passes: the issuer is not tested at all, or must be the service."""
    return condition.equals("issuer") == SERVICE or all(test.property != "issuer" for test in condition.tests)


def _issuer(condition: Condition) -> bool:
    """Whether the condition names the issuer of its claim: the service, or the policy itself."""
    return condition.equals("issuer") in {SERVICE, _POLICY, _CUSTOM}


def _type(condition: Condition) -> str:
    said = condition.equals("type")
    return said if isinstance(said, str) else "a claim of no written type"


def _of_caller(text: str) -> bool:
    return any(mark in text.lower() for mark in _CALLER)


def _names(operand: Operand) -> set[str]:
    if isinstance(operand, Call):
        return set().union(*map(_names, operand.arguments))
    return {operand.name} if isinstance(operand, Reference) else set()


def _texts(operand: Operand) -> Iterator[str]:
    if isinstance(operand, Call):
        for one in operand.arguments:
            yield from _texts(one)
    elif isinstance(operand, str):
        yield operand
