"""Any bytes into the release-policy parser and linter: findings or a PolicyError; and the ways are the formula."""

import contextlib
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from attestation import AZURE_US
from attestation.release.policy import PolicyError, lint, parse_policy

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
    return claims.get(condition["claim"]) == condition["equals"]


@settings(max_examples=200)
@given(FORMULA, st.dictionaries(st.sampled_from("abcd"), st.sampled_from([0, 1])))
def test_the_ways_are_satisfied_exactly_where_the_formula_is(formula: Any, claims: dict[str, int]) -> None:
    document = {"version": "1.0.0", "anyOf": [{"authority": "https://x", "allOf": [formula]}]}
    ways = parse_policy(json.dumps(document).encode()).authorities[0].ways
    met = any(all(values == {claims.get(claim)} for claim, values in way.items()) for way in ways)
    assert met is holds(formula, claims)
