"""`parse_policy`: reads any bytes as a release policy, or raises PolicyError with the id of a rule.

    policy    = {"version": "1.0.0", "anyOf": [authority, ...]}
    authority = {"authority": text, "allOf" | "anyOf": [condition, ...]}
    condition = {"claim": "a.b.c", "equals": text | number | boolean} | {"allOf" | "anyOf": [condition, ...]}

Source: learn.microsoft.com, "Azure Key Vault secure key release policy grammar". Of its operators the service takes
`equals` alone. A policy is a boolean formula, so it is kept in disjunctive normal form too: as the conjunctions of
claims that satisfy it, each on its own.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal, TypeAlias, cast

from cji_attestation.errors import AttestationError, Fault
from cji_attestation.release.policy.rules import PolicyError
from cji_attestation.strict import parse_object
from cji_core.strict import JsonObject, RepeatedMember

MAX_POLICY_BYTES: Final = 16 << 10
MAX_CONJUNCTIONS: Final = 256  # of one authority
_VERSIONS: Final = frozenset({"1.0.0", "1.0"})  # the service takes both
_CLAIM: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", re.ASCII)

Scalar: TypeAlias = str | int | float | bool
Operator: TypeAlias = Literal["allOf", "anyOf"]
Conjunction: TypeAlias = Mapping[str, frozenset[Scalar]]  # claim -> the values that it must have, by `normalize`


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A claim of the token, found by dots through objects, equals a value."""

    claim: str
    equals: Scalar
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """All or any of at least one condition."""

    operator: Operator
    members: tuple["Condition | Group", ...]

    def conditions(self) -> Iterator[Condition]:
        """Every condition, at any depth."""
        for one in self.members:
            if isinstance(one, Condition):
                yield one
            else:
                yield from one.conditions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """An issuer of tokens and the claims its tokens must have, also as `conjunctions`: any one of them is enough."""

    url: str
    group: Group
    conjunctions: tuple[Conjunction, ...]
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePolicy:
    """A policy that follows the grammar. Any one of its authorities is enough."""

    version: str
    authorities: tuple[Authority, ...]


def normalize(value: Scalar) -> Scalar:
    """A value as the service compares it: booleans and their names are one; this also keeps true apart from 1."""
    return str(value).lower() if isinstance(value, bool) else value


def parse_policy(data: bytes) -> ReleasePolicy:
    """Policy from its JSON text; PolicyError RP40 to RP47."""
    try:
        document = parse_object(data, limit=MAX_POLICY_BYTES, fault=Fault.RELEASE_INVALID, check="RP40")
    except AttestationError as error:
        raise PolicyError("RP41" if isinstance(error.__cause__, RepeatedMember) else "RP40") from error
    _members(document, {"version", "anyOf"}, "policy")
    version = document["version"]
    if not isinstance(version, str) or version not in _VERSIONS:
        raise PolicyError("RP46", where="version")
    items = _items(document["anyOf"], "anyOf")
    return ReleasePolicy(
        version=version,
        authorities=tuple(_authority(item, f"anyOf[{index}]") for index, item in enumerate(items)),
    )


def _members(value: object, names: set[str], where: str) -> JsonObject:
    if not isinstance(value, dict):
        raise PolicyError("RP45", where=where)
    if set(value) != names:
        raise PolicyError("RP42", where=where)
    return cast("JsonObject", value)


def _items(value: object, where: str) -> list[object]:
    if not isinstance(value, list):
        raise PolicyError("RP45", where=where)
    if not value:
        raise PolicyError("RP44", where=where)
    return value


def _authority(item: object, where: str) -> Authority:
    operator: Operator = "allOf" if isinstance(item, dict) and "allOf" in item else "anyOf"
    found = _members(item, {"authority", operator}, where)
    if not isinstance(found["authority"], str):
        raise PolicyError("RP45", where=f"{where}.authority")
    group = _group(operator, found[operator], where)
    return Authority(url=found["authority"], group=group, conjunctions=tuple(_normal_form(group, where)), where=where)


def _group(operator: Operator, members: object, where: str) -> Group:
    place = f"{where}.{operator}"
    items = _items(members, place)
    return Group(
        operator=operator, members=tuple(_member(item, f"{place}[{index}]") for index, item in enumerate(items))
    )


def _member(item: object, where: str) -> Condition | Group:
    if isinstance(item, dict) and "claim" in item:
        if "equals" not in item and len(item) == 2:
            raise PolicyError("RP43", where=where)
        _members(item, {"claim", "equals"}, where)
        claim, value = item["claim"], item["equals"]
        if not isinstance(claim, str) or not _CLAIM.fullmatch(claim) or not isinstance(value, str | int | float):
            raise PolicyError("RP45", where=where)
        return Condition(claim=claim, equals=value, where=where)
    operator: Operator = "allOf" if isinstance(item, dict) and "allOf" in item else "anyOf"
    return _group(operator, _members(item, {operator}, where)[operator], where)


def _normal_form(group: Group, where: str) -> list[Conjunction]:
    """Parts with a single conjunction are joined first, which keeps the product small."""
    parts = [
        [{one.claim: frozenset({normalize(one.equals)})}] if isinstance(one, Condition) else _normal_form(one, where)
        for one in group.members
    ]
    if group.operator == "anyOf":
        conjunctions = [conjunction for part in parts for conjunction in part]
        if len(conjunctions) > MAX_CONJUNCTIONS:
            raise PolicyError("RP47", where=where)
        return conjunctions
    conjunctions = [_joined([part[0] for part in parts if len(part) == 1])]
    for part in parts:
        if len(conjunctions) * len(part) > MAX_CONJUNCTIONS:
            raise PolicyError("RP47", where=where)
        if len(part) > 1:
            conjunctions = [_joined([left, right]) for left, right in product(conjunctions, part)]
    return conjunctions


def _joined(conjunctions: list[Conjunction]) -> Conjunction:
    out: dict[str, frozenset[Scalar]] = {}
    for conjunction in conjunctions:
        for claim, values in conjunction.items():
            out[claim] = out.get(claim, frozenset()) | values
    return out
