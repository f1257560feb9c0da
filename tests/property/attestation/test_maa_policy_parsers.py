"""Any text into the attestation-policy parser and linter; and a slow, obvious engine that says what a policy does."""

import contextlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cji_attestation.provider_policy import MaaPolicyError, build, lint, parse_policy
from cji_attestation.provider_policy.build import REQUIRED

TEXT = """; { } [ ] ( ) => == != < && ! , : . = // 1 true c c: "a" "type" "x-ms-ver" JmesPath version=1.0; type
value issuer valueType claim permit deny add issue issueproperty authorizationrules issuancerules configurationrules"""
WORDS = st.sampled_from([*TEXT.split(), "\n"])
NAMES = st.sampled_from([*REQUIRED, "other"])
CONDITION = st.builds(
    lambda claim, value, issuer: f'[type=="{claim}", value=={value}{issuer}]',
    NAMES,
    st.sampled_from(["true", "false"]),
    st.sampled_from(["", ', issuer=="AttestationService"', ', issuer=="CustomClaim"']),
)
RULE = st.builds(
    lambda conditions, verb: f"{' && '.join(conditions)} => {verb}();",
    st.lists(CONDITION, max_size=8),
    st.sampled_from(["permit", "deny"]),
)
STRONG = " && ".join(f'[type=="{claim}", value==true, issuer=="AttestationService"]' for claim in REQUIRED)


@given(st.binary(max_size=300) | st.lists(WORDS, max_size=60).map(lambda words: " ".join(words).encode()))
def test_any_bytes(data: bytes) -> None:
    with contextlib.suppress(MaaPolicyError):
        lint(parse_policy(data))


@settings(max_examples=300)
@given(st.integers(0, len(build()) - 1), st.integers(0, 255))
def test_one_byte_changed(at: int, byte: int) -> None:
    """A changed policy is refused, found weak, or demands the same still."""
    data = bytearray(build())
    data[at] = byte
    with contextlib.suppress(MaaPolicyError):
        policy = parse_policy(bytes(data))
        if not lint(policy):
            assert permits(policy, dict.fromkeys(REQUIRED, True))
            assert not any(permits(policy, {one: one != claim for one in REQUIRED}) for claim in REQUIRED)


def permits(policy: Any, machine: dict[str, bool]) -> bool:
    """Whether, for claims that the service read, some rule permits. Denials are left out: they can only take away."""
    return any(
        rule.action.verb == "permit"
        and all(any(passes(one, claim) for claim in machine.items()) for one in rule.conditions)
        for rule in policy.authorization
    )


def passes(condition: Any, claim: tuple[str, bool]) -> bool:
    found = {"type": claim[0], "value": claim[1], "issuer": "AttestationService"}
    return all((found[test.property] == test.operand) is (test.operator == "==") for test in condition.tests)


@settings(max_examples=300)
@given(st.lists(RULE | st.just(f"{STRONG} => permit();"), max_size=4), st.sets(NAMES), st.sets(NAMES))
def test_a_policy_without_errors_permits_only_required_facts(rules: list[str], true: set[str], false: set[str]) -> None:
    policy = parse_policy(f"version=1.0; authorizationrules {{ {' '.join(rules)} }};".encode())
    machine = dict.fromkeys(false, False) | dict.fromkeys(true, True)
    if not any(finding.rule.severity == "error" for finding in lint(policy)) and permits(policy, machine):
        assert set(REQUIRED) <= true
