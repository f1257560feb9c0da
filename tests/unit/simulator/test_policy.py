"""The simulated vault's policy engine: grammar, canonical form, and what `equals` means."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_simulator.release_policy import PolicyError, ReleasePolicy

ISSUER = "https://maa.example"


def policy(*conditions: dict[str, Any], authority: str = ISSUER) -> ReleasePolicy:
    return ReleasePolicy.parse(
        json.dumps({"version": "1.0.0", "anyOf": [{"allOf": list(conditions), "authority": authority}]}).encode()
    )


@pytest.mark.parametrize(
    ("claims", "equals", "holds"),
    [
        ({"a": True}, "true", True),
        ({"a": "false"}, False, True),
        ({"a": True}, "false", False),
        ({"a": "x"}, "X", False),
        ({"a": 5}, 5, True),
        ({"a": 5}, "5", False),
        ({}, "false", False),
        ({"a": {"b": 1}}, "b", False),
        ({"a": ["x"]}, "x", False),
        ({"a": None}, "null", False),
    ],
)
def test_equals(claims: dict[str, Any], equals: Any, holds: bool) -> None:
    assert policy({"claim": "a", "equals": equals}).allows({"iss": ISSUER, **claims}) is holds


def test_claims_are_found_through_objects() -> None:
    nested = policy({"claim": "x-ms-isolation-tee.x-ms-runtime.vm.id", "equals": "A"})
    assert nested.allows({"iss": ISSUER, "x-ms-isolation-tee": {"x-ms-runtime": {"vm": {"id": "A"}}}})
    assert not nested.allows({"iss": ISSUER, "x-ms-isolation-tee.x-ms-runtime.vm.id": "A"})


def test_nested_any_of_within_all_of() -> None:
    either = policy({"anyOf": [{"claim": "t", "equals": "snp"}, {"claim": "t", "equals": "tdx"}]})
    assert either.allows({"iss": ISSUER, "t": "tdx"})
    assert not either.allows({"iss": ISSUER, "t": "sgx"})


def test_authority_ignores_a_trailing_slash_and_nothing_else() -> None:
    slashed = policy({"claim": "a", "equals": 1}, authority=f"{ISSUER}/")
    assert slashed.names(ISSUER)
    assert slashed.allows({"iss": ISSUER, "a": 1})
    assert not slashed.names("https://maa.example.evil")


def test_conditions_of_one_authority_do_not_serve_another() -> None:
    both = ReleasePolicy.parse(
        json.dumps(
            {
                "version": "1.0.0",
                "anyOf": [
                    {"authority": ISSUER, "allOf": [{"claim": "a", "equals": 1}]},
                    {"authority": "https://other.example", "allOf": [{"claim": "b", "equals": 1}]},
                ],
            }
        ).encode()
    )
    assert both.allows({"iss": ISSUER, "a": 1})
    assert not both.allows({"iss": ISSUER, "b": 1})


def test_canonical_form_puts_version_and_authority_first() -> None:
    given_text = (
        b'{"anyOf":[{"allOf":[{"claim":"claim","equals":"0123456789"}],"authority":"https://sharedeus.eus.test"}],'
        b'"version":"1.0.0"}'
    )
    assert ReleasePolicy.parse(given_text).encoded == (
        b'{"version":"1.0.0","anyOf":[{"authority":"https://sharedeus.eus.test","allOf":'
        b'[{"claim":"claim","equals":"0123456789"}]}]}'
    )


@pytest.mark.parametrize(
    "bad",
    [
        {"version": "2.0", "anyOf": [{"authority": ISSUER, "allOf": [{"claim": "a", "equals": 1}]}]},
        {"version": "1.0.0", "anyOf": []},
        {"version": "1.0.0", "anyOf": [{"authority": ISSUER, "allOf": []}]},
        {"version": "1.0.0", "anyOf": [{"authority": ISSUER}]},
        {"version": "1.0.0", "anyOf": [{"allOf": [{"claim": "a", "equals": 1}]}]},
        {"version": "1.0.0", "anyOf": [{"authority": ISSUER, "allOf": [{"claim": "a", "notEquals": 1}]}]},
        {"version": "1.0.0", "anyOf": [{"authority": ISSUER, "allOf": [{"claim": "a", "equals": {}}]}]},
        {"version": "1.0.0", "anyOf": [{"authority": ISSUER, "claim": "a", "equals": 1}]},
        {"version": "1.0.0", "anyOf": [{"authority": ISSUER, "allOf": [{"claim": "a", "equals": 1}]}], "extra": 1},
    ],
)
def test_bad_policies(bad: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        ReleasePolicy.parse(json.dumps(bad).encode())


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    with contextlib.suppress(PolicyError):
        ReleasePolicy.parse(data)
