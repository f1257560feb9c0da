"""The release policy: grammar, strength, and whether the deployment embeds what was reviewed.

Grammar: Key Vault "Secure Key Release policy grammar" version 1.0.0. A policy is `{"version", "anyOf": [authority]}`,
an authority is `{"authority", "allOf" | "anyOf": [condition]}`, a condition is `{"claim", "equals"}` or a nested
`allOf`/`anyOf`. `equals` is the only operator that the service implements.

Strength: a policy is a boolean formula, so a strong conjunction beside a weak alternative is weak. Every way to
satisfy the policy is written out, and each one must pin the claims of `REQUIRED` and the debug claim of its own
hardware. Without that a debuggable, or not even confidential, VM gets the key.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final
from urllib.parse import urlsplit

from tree_sitter import Node

from deploy.check.bicep import Template
from deploy.check.outcome import DeployError
from deploy.check.values import literal_text, text

__all__ = ["AUTHORITY_PLACEHOLDER", "REQUIRED", "ReleasePolicy", "embedding_problems", "parse_policy", "weaknesses"]

AUTHORITY_PLACEHOLDER: Final = "__ATTESTATION_AUTHORITY__"
MAX_POLICY_BYTES: Final = 16 << 10
MAX_WAYS: Final = 256  # alternatives of one authority; a person has to be able to review them
MAX_DEPTH: Final = 8
_TEE: Final = "x-ms-isolation-tee."
# Stand-ins for the authority. Their lengths meet each case of base64 padding, and "?" and ">" at every offset
# make the two characters in which base64url differs from base64.
_SAMPLE_AUTHORITIES: Final = tuple(f"https://sample.xx.attest.azure.net/?>??>>???>>>{'x' * more}" for more in range(3))

Scalar = str | int | float | bool
Way = dict[str, set[Scalar]]

# claim -> value, in every way to satisfy the policy; claims of Azure Attestation's AzureGuest tokens
REQUIRED: Final[Mapping[str, Scalar]] = {
    "x-ms-attestation-type": "azurevm",
    "secureboot": True,
    "x-ms-azurevm-bootdebug-enabled": False,
    "x-ms-azurevm-kerneldebug-enabled": False,
    "x-ms-azurevm-hypervisordebug-enabled": False,
    "x-ms-azurevm-testsigning-enabled": False,
    _TEE + "x-ms-compliance-status": "azure-compliant-cvm",
}
# hardware -> its own claims that rule out a debuggable guest
_PER_TEE: Final[Mapping[str, Mapping[str, Scalar]]] = {
    "sevsnpvm": {
        _TEE + "x-ms-sevsnpvm-is-debuggable": False,
        _TEE + "x-ms-sevsnpvm-migration-allowed": False,
        _TEE + "x-ms-sevsnpvm-vmpl": 0,
    },
    "tdxvm": {
        _TEE + "tdx_td_attributes_debug": False,
        _TEE + "tdx_td_attributes_migratable": False,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePolicy:
    """A policy that follows the grammar; `ways` has, per authority, each set of claims that satisfies it."""

    document: dict[str, Any]
    ways: tuple[tuple[str, tuple[Way, ...]], ...]


def parse_policy(source: bytes) -> ReleasePolicy:
    """Policy from its JSON text (UTF-8). Raises DeployError when it leaves the grammar."""
    if len(source) > MAX_POLICY_BYTES:
        raise DeployError(f"longer than {MAX_POLICY_BYTES} bytes")
    try:
        document = json.loads(source.decode(), object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise DeployError(f"not JSON: {type(error).__name__}") from error
    _keys(document, {"version", "anyOf"}, "policy")
    if document["version"] != "1.0.0":
        raise DeployError('version must be "1.0.0"')
    return ReleasePolicy(document=document, ways=tuple(_authority(item) for item in _items(document["anyOf"], "anyOf")))


def weaknesses(policy: ReleasePolicy) -> Iterator[str]:
    """One text for each claim that some way to satisfy the policy does not pin, and for each foreign authority."""
    for authority, ways in policy.ways:
        host = urlsplit(authority).hostname or ""
        if authority != AUTHORITY_PLACEHOLDER:
            if not re.fullmatch(r"https://[a-z0-9-]+(\.[a-z0-9-]+)+", authority):
                yield f"authority {authority!r} is not the address of a provider (https, no path, no trailing slash)"
            if host.startswith("shared"):
                yield f"authority {authority!r} is a shared provider: its policy is not the agency's"
        for number, way in enumerate(ways, start=1):
            yield from (f"way {number} of {authority}: {problem}" for problem in _way_weaknesses(way))


def embedding_problems(templates: Mapping[str, Template], policy_path: str, source: bytes) -> Iterator[str]:
    """Compute what each key resource embeds and compare it with the reviewed file.

    `policy_path` is the file's path as the templates write it, relative to them. The one value that the
    deployment may put in is the authority.
    """
    found = 0
    for template in templates.values():
        for data in _release_policy_data(template):
            found += 1
            problems = {
                problem
                for authority in _SAMPLE_AUTHORITIES
                for problem in _embedded(data, template, policy_path, source, authority)
            }
            yield from (f"{template.name}: release_policy.data {problem}" for problem in sorted(problems))
    if not found:
        yield "no key resource with release_policy.data in any template"


def _embedded(data: Node, template: Template, path: str, source: bytes, authority: str) -> Iterator[str]:
    try:
        encoded = _evaluate(data, template, {path: source}, authority)
        embedded = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_")
    except (DeployError, ValueError) as error:
        yield f"cannot be computed: {error}"
        return
    if not re.fullmatch(r"[A-Za-z0-9_-]+", encoded):
        yield "is not base64url without padding"
    elif embedded != source.replace(AUTHORITY_PLACEHOLDER.encode(), authority.encode()):
        yield f"is not {path} with the authority put in"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise DeployError("an object has the same key twice")
    return fields


def _keys(value: object, names: set[str], where: str) -> None:
    if not isinstance(value, dict) or set(value) != names:
        raise DeployError(f"{where} must be an object with exactly {sorted(names)}")


def _items(value: object, where: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise DeployError(f"{where} must be an array with at least one item")
    return value


def _authority(item: object) -> tuple[str, tuple[Way, ...]]:
    operator = "allOf" if isinstance(item, dict) and "allOf" in item else "anyOf"
    _keys(item, {"authority", operator}, "authority")
    assert isinstance(item, dict)  # noqa: S101 - narrowed by _keys, for the type checker
    if not isinstance(item["authority"], str):
        raise DeployError("authority must be a string")
    return item["authority"], tuple(_combine(operator, item[operator], depth=0))


def _combine(operator: str, conditions: object, *, depth: int) -> list[Way]:
    """Disjunctive normal form of one allOf/anyOf."""
    if depth > MAX_DEPTH:
        raise DeployError(f"nested deeper than {MAX_DEPTH}")
    parts = [_condition(condition, depth=depth) for condition in _items(conditions, operator)]
    if operator == "anyOf":
        ways = [way for part in parts for way in part]
    else:
        ways = [{}]
        for part in parts:
            if len(ways) * len(part) > MAX_WAYS:
                break
            ways = [_both(left, right) for left, right in product(ways, part)]
        else:
            return ways
        raise DeployError(f"more than {MAX_WAYS} alternatives")
    if len(ways) > MAX_WAYS:
        raise DeployError(f"more than {MAX_WAYS} alternatives")
    return ways


def _condition(condition: object, *, depth: int) -> list[Way]:
    if isinstance(condition, dict) and "claim" in condition:
        _keys(condition, {"claim", "equals"}, "condition")
        claim, value = condition["claim"], condition["equals"]
        if not isinstance(claim, str) or not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", claim):
            raise DeployError("claim must be names joined by dots")
        if not isinstance(value, str | int | float | bool):
            raise DeployError(f"equals of {claim} must be a string, a number or a boolean")
        return [{claim: {_plain(value)}}]
    operator = "allOf" if isinstance(condition, dict) and "allOf" in condition else "anyOf"
    _keys(condition, {operator}, "condition")
    assert isinstance(condition, dict)  # noqa: S101 - narrowed by _keys, for the type checker
    return _combine(operator, condition[operator], depth=depth + 1)


def _both(left: Way, right: Way) -> Way:
    return {claim: left.get(claim, set()) | right.get(claim, set()) for claim in left.keys() | right.keys()}


def _plain(value: Scalar) -> Scalar:
    """The service compares the strings "true" and "false" with booleans as equal. Keeps True apart from 1."""
    return str(value).lower() if isinstance(value, bool) else value


def _way_weaknesses(way: Way) -> Iterator[str]:
    hardware = way.get(_TEE + "x-ms-attestation-type", set())
    required = dict(REQUIRED)
    known = [name for name in hardware if isinstance(name, str) and name in _PER_TEE]
    if len(hardware) != 1 or not known:
        yield f"{_TEE}x-ms-attestation-type must be pinned to one of {sorted(_PER_TEE)}"
    for name in known:
        required |= _PER_TEE[name]
    for claim, value in required.items():
        if way.get(claim) != {_plain(value)}:
            yield f"{claim} must equal {json.dumps(value)}"


def _release_policy_data(template: Template) -> Iterator[Node]:
    stack = [template.root]
    while stack:
        node = stack.pop()
        stack.extend(node.named_children)
        if node.type == "object_property" and text(node.named_children[0]) == "release_policy":
            body = node.named_children[-1]
            for field in body.named_children:
                if field.type == "object_property" and text(field.named_children[0]) == "data":
                    yield field.named_children[-1]


def _evaluate(node: Node, template: Template, files: Mapping[str, bytes], authority: str) -> str:
    """String value of the few functions that a policy embedding needs. Raises DeployError for anything else."""
    if node.type == "string" and (literal := literal_text(node)) is not None:
        return literal
    if node.type == "identifier":
        name = text(node)
        if name in template.variables:
            return _evaluate(template.variables[name], template, files, authority)
        if name in template.parameters:
            return authority
    if node.type == "call_expression":
        arguments = [_evaluate(child, template, files, authority) for child in node.named_children[1].named_children]
        match text(node.named_children[0]), arguments:
            case "loadTextContent", [path] if path in files:
                return files[path].decode()
            case "replace", [subject, old, new]:
                return subject.replace(old, new)
            case "base64", [subject]:
                return base64.b64encode(subject.encode()).decode()
    raise DeployError(f"{text(node)[:60]!r} is not text that is known before deployment")
