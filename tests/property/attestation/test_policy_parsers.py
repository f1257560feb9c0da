"""Any bytes into the release-policy parser, linter and judge: findings, a verdict or a PolicyError.

And what they mean: the ways are the formula, and what passes gives the key to no machine that it must not have.
"""

import contextlib
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cji_attestation import AZURE_US
from cji_attestation.release.policy import ACCEPTABLE, PolicyError, build, check_release_policy, lint, parse_policy
from cji_attestation.release.policy.grammar import normalize
from cji_simulator.release_policy import ReleasePolicy as VaultPolicy

OWN = "https://agency.eus.attest.azure.net"

NAMES = st.sampled_from(["version", "anyOf", "allOf", "authority", "claim", "equals", "less"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["1.0.0", "a", "secureboot", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=16,
)
LEAF = st.builds(lambda c, v: {"claim": c, "equals": v}, st.sampled_from("abcd"), st.sampled_from([0, 1]))
FORMULA = st.recursive(
    LEAF,
    lambda inner: st.builds(
        lambda op, members: {op: members}, st.sampled_from(["allOf", "anyOf"]), st.lists(inner, min_size=1, max_size=3)
    ),
    max_leaves=9,
)


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes(data: bytes) -> None:
    with contextlib.suppress(PolicyError):
        lint(parse_policy(data), trust=AZURE_US)


def holds(condition: Any, claims: dict[str, int]) -> bool:
    if "allOf" in condition:
        return all(holds(one, claims) for one in condition["allOf"])
    if "anyOf" in condition:
        return any(holds(one, claims) for one in condition["anyOf"])
    return bool(claims.get(condition["claim"]) == condition["equals"])


@settings(max_examples=200)
@given(FORMULA, st.dictionaries(st.sampled_from("abcd"), st.sampled_from([0, 1])))
def test_the_ways_are_satisfied_exactly_where_the_formula_is(formula: Any, claims: dict[str, int]) -> None:
    document = {"version": "1.0.0", "anyOf": [{"authority": "https://x", "allOf": [formula]}]}
    ways = parse_policy(json.dumps(document).encode()).authorities[0].conjunctions
    met = any(all(values == {claims.get(claim)} for claim, values in way.items()) for way in ways)
    assert met is holds(formula, claims)


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_judged_or_refused(data: bytes) -> None:
    with contextlib.suppress(PolicyError):
        check_release_policy(data, immutable=True, trust=AZURE_US, authority=OWN, accept=ACCEPTABLE)


STRONG: list[Any] = json.loads(build(OWN))["anyOf"][0]["allOf"]
SOUND = {one["claim"]: one["equals"] for one in STRONG}
VALUES = st.sampled_from([True, False, "true", "false", 0, 1, "0", "azurevm", "sevsnpvm", "tdxvm"])


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """Claims as a token of the provider has them."""
    claims: dict[str, Any] = {"iss": OWN}
    for claim, value in flat.items():
        outer, dot, inner = claim.partition(".")
        (claims.setdefault(outer, {}) if dot else claims)[inner or outer] = value
    return claims


@st.composite
def weakened(draw: st.DrawFn, claim: str) -> list[Any]:
    """A strong conjunction after a few edits, mostly of one claim: dropped, changed, or put beside an alternative."""
    conditions: list[Any] = [dict(one) for one in STRONG]
    for _ in range(draw(st.integers(0, 2))):
        wanted = draw(st.sampled_from([claim, claim, *sorted(SOUND)]))
        index = next((at for at, one in enumerate(conditions) if one.get("claim") == wanted), 0)
        match draw(st.sampled_from(["drop", "change", "either", "group"])):
            case "drop":
                del conditions[index]
            case "change":
                conditions[index] = {"claim": wanted, "equals": draw(VALUES)}
            case "either":
                conditions[index] = {"anyOf": [conditions[index], draw(st.sampled_from(STRONG))]}
            case _:
                conditions = [{"anyOf": [{"allOf": conditions}, {"allOf": [dict(one) for one in STRONG]}]}]
    return conditions


@settings(max_examples=500)
@given(st.data(), st.sampled_from(sorted(SOUND)), VALUES | st.none())
def test_a_policy_that_passes_releases_only_with_every_claim(drawn: st.DataObject, claim: str, value: Any) -> None:
    """By the simulated vault's own evaluation, which shares no code with the linter."""
    conditions = drawn.draw(weakened(claim))
    data = json.dumps({"version": "1.0.0", "anyOf": [{"authority": OWN, "allOf": conditions}]}).encode()
    try:
        check_release_policy(data, immutable=True, trust=AZURE_US, authority=OWN, accept=frozenset())
    except PolicyError:
        return
    machine = {name: one for name, one in (SOUND | {claim: value}).items() if one is not None}
    if VaultPolicy.parse(data).allows(nested(machine)):
        assert value is not None
        assert normalize(value) == normalize(SOUND[claim])


def test_a_strong_policy_gives_the_key_to_a_sound_machine() -> None:
    data = build(OWN)
    check_release_policy(data, immutable=True, trust=AZURE_US, authority=OWN, accept=frozenset())
    assert VaultPolicy.parse(data).allows(nested(SOUND))
