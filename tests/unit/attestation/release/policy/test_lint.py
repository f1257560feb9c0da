"""Release policies: grammar, build, and every rule of the linter with a policy that breaks it and nothing else."""

import json
from typing import Any

import pytest

from cji_attestation import AZURE_US, AZURE_USGOV, Fault
from cji_attestation.release.policy import (
    AUTHORITY_PLACEHOLDER,
    RULES,
    PolicyError,
    Severity,
    build,
    filled,
    lint,
    parse_policy,
)
from cji_attestation.release.policy.claims import TEE_CLAIMS, TOP_CLAIMS
from tests.support.paths import ROOT
from tests.support.refusals import rejected

OWN = "https://agency.eus.attest.azure.net"
TEE = "x-ms-isolation-tee."
PCR4 = {"x-ms-azurevm-attested-pcr-values.pcr4": "AAAA"}
Policy = dict[str, Any]


def strong() -> Policy:
    found: Policy = json.loads(build(OWN, pins=PCR4))
    return found


def ids(policy: Policy | bytes, **kw: Any) -> set[str]:
    data = policy if isinstance(policy, bytes) else json.dumps(policy).encode()
    return {finding.rule.id for finding in lint(parse_policy(data), **({"trust": AZURE_US} | kw))}


def conditions(policy: Policy) -> list[Any]:
    found: list[Any] = policy["anyOf"][0]["allOf"]
    return found


def without(claim: str) -> Policy:
    policy = strong()
    policy["anyOf"][0]["allOf"] = [one for one in conditions(policy) if one["claim"] != claim]
    return policy


def plus(claim: str, value: object) -> Policy:
    policy = strong()
    conditions(policy).append({"claim": claim, "equals": value})
    return policy


def by(authority: str) -> Policy:
    policy = strong()
    policy["anyOf"][0]["authority"] = authority
    return policy


def only(*claims: tuple[str, object]) -> Policy:
    policy = strong()
    policy["anyOf"][0]["allOf"] = [{"claim": claim, "equals": value} for claim, value in claims]
    return policy


def test_deploy_ships_what_build_writes() -> None:
    assert build(AUTHORITY_PLACEHOLDER) == (ROOT / "deploy" / "policy" / "release-policy.json").read_bytes()


@pytest.mark.parametrize("hardware", [("snp",), ("tdx",), ("snp", "tdx")])
def test_what_build_writes_has_no_finding(hardware: Any) -> None:
    assert ids(build(OWN, hardware=hardware, pins=PCR4), authority=OWN, immutable=True) == set()
    assert ids(build(OWN, hardware=hardware)) == {"RP17"}


@pytest.mark.parametrize("claim", [TEE + "x-ms-attestation-type", "secureboot", "a b", ""])
def test_build_pins_nothing_twice_and_leaves_the_grammar_alone(claim: str) -> None:
    with rejected():
        build(OWN, pins={claim: "true"})


@pytest.mark.parametrize("value", [0, 1])
def test_build_pins_nothing_twice_of_one_hardware(value: int) -> None:
    pins = {TEE + "x-ms-sevsnpvm-vmpl": value}
    with rejected("pins", fault=Fault.CONFIG_INVALID):
        build(OWN, hardware=("tdx", "snp"), pins=pins)


def test_build_is_for_some_hardware() -> None:
    with rejected("hardware", fault=Fault.CONFIG_INVALID):
        build(OWN, hardware=())


def test_build_writes_any_authority() -> None:
    authority = "https://claim.eus.attest.azure.net"
    assert json.loads(build(authority))["anyOf"][0]["authority"] == authority


@pytest.mark.parametrize(
    "claim",
    [
        "x-ms-azurevm-attested-pcr-values.pcr11",
        "x-ms-azurevm-vmid",
        TEE + "x-ms-runtime.vm-configuration.vmUniqueId",
        "x-ms-policy.image",
    ],
)
def test_what_ties_a_key_to_an_image_or_a_machine(claim: str) -> None:
    assert ids(build(OWN, pins={claim: "AAAA"})) == set()


@pytest.mark.parametrize("parent", ["x-ms-policy", "x-ms-runtime", TEE + "x-ms-runtime"])
def test_claims_that_may_have_any_name_and_type(parent: str) -> None:
    for value in ("x", 7, True):
        assert ids(plus(f"{parent}.anything", value)) == set()
    assert ids(plus(f"{parent}-anything", "x")) == {"RP21"}


def test_a_template_is_filled_and_nothing_else_is() -> None:
    template = parse_policy(build(AUTHORITY_PLACEHOLDER, pins=PCR4))
    assert {finding.rule.id for finding in lint(template, trust=AZURE_US)} == {"RP02"}
    assert lint(filled(template, OWN), trust=AZURE_US) == ()
    other = parse_policy(build(OWN))
    assert filled(other, "https://other.eus.attest.azure.net") == other


@pytest.mark.parametrize(
    ("rule", "policy"),
    [
        ("RP01", by("https://sharedeus.eus.attest.azure.net")),
        ("RP02", by(OWN + ":443")),
        ("RP02", by(OWN + "/x")),
        ("RP02", by(OWN + "/x/")),
        ("RP02", by("http://agency.eus.attest.azure.net")),
        ("RP02", by("https://user@agency.eus.attest.azure.net")),
        ("RP02", by("https://agency.eus.attest.azure.net.evil.example")),
        ("RP02", by("")),
        ("RP03", by("https://agency.weu.attest.azure.net")),
        ("RP03", by("https://agency.ugv.attest.azure.us")),
        ("RP05", by(OWN + "/")),
        ("RP11", without("x-ms-attestation-type")),
        ("RP11", without(TEE + "x-ms-compliance-status")),
        ("RP12", without(TEE + "x-ms-sevsnpvm-is-debuggable")),
        ("RP13", without(TEE + "x-ms-sevsnpvm-migration-allowed")),
        ("RP14", without(TEE + "x-ms-sevsnpvm-vmpl")),
        ("RP15", without("secureboot")),
        ("RP16", without("x-ms-azurevm-bootdebug-enabled")),
        ("RP16", without("x-ms-azurevm-kerneldebug-enabled")),
        ("RP16", without("x-ms-azurevm-hypervisordebug-enabled")),
        ("RP16", without("x-ms-azurevm-testsigning-enabled")),
        ("RP17", without("x-ms-azurevm-attested-pcr-values.pcr4")),
        ("RP20", plus("x-ms-compliance-status", "azure-compliant-cvm")),
        ("RP20", plus("x-ms-sevsnpvm-vmpl", 0)),
        ("RP20", plus(TEE + "secureboot", True)),
        ("RP21", plus(TEE + "x-ms-sevsnpvm-is-debugable", False)),
        ("RP21", plus("x-ms-azurevm-vm", "x")),
        ("RP22", plus(TEE + "x-ms-sevsnpvm-guestsvn", "1")),
        ("RP22", plus("x-ms-azurevm-flightsigning-enabled", 0)),
        ("RP22", plus(TEE + "x-ms-sevsnpvm-hostdata", False)),
        ("RP23", {**plus("x-ms-azurevm-attested-pcr-values.pcr4", "BBBB")}),
    ],
)
def test_k01_each_weakness_is_found_by_its_own_rule_alone(rule: str, policy: Policy) -> None:
    assert ids(policy) == {rule}


def test_k01_compliance_only_on_a_shared_provider() -> None:
    sample = only((TEE + "x-ms-attestation-type", "sevsnpvm"), (TEE + "x-ms-compliance-status", "azure-compliant-cvm"))
    sample["anyOf"][0]["authority"] = "https://sharedeus.eus.attest.azure.net"
    assert {"RP01", "RP10", "RP11", "RP12", "RP15"} <= ids(sample)


def test_hardware_has_to_be_named_and_its_own_claims_pinned() -> None:
    assert "RP11" in ids(without(TEE + "x-ms-attestation-type"))
    policy = strong()
    for one in conditions(policy):
        if one["claim"] == TEE + "x-ms-attestation-type":
            one["equals"] = "tdxvm"
    assert {"RP12", "RP13"} <= ids(policy)


@pytest.mark.parametrize("hardware", ["", "sgx", "azurevm"])
def test_hardware_that_is_no_confidential_vm(hardware: str) -> None:
    policy = strong()
    for one in conditions(policy):
        if one["claim"] == TEE + "x-ms-attestation-type":
            one["equals"] = hardware
    assert ids(policy) == {"RP11", "RP20"}


def test_two_kinds_of_hardware_at_once() -> None:
    policy = strong()
    conditions(policy).extend(json.loads(build(OWN, hardware=("tdx",)))["anyOf"][0]["allOf"])
    assert ids(policy) == {"RP11", "RP23"}


def test_no_claim_but_the_type_is_at_both_levels() -> None:
    assert TOP_CLAIMS.keys() & TEE_CLAIMS.keys() == {"x-ms-attestation-type"}


def test_type_at_the_wrong_level() -> None:
    assert "RP20" in ids(plus("x-ms-attestation-type", "sevsnpvm"))
    assert "RP20" in ids(plus(TEE + "x-ms-attestation-type", "azurevm"))


@pytest.mark.parametrize(("claim", "worse"), [(TEE + "x-ms-sevsnpvm-is-debuggable", True), ("secureboot", "false")])
def test_a_claim_pinned_to_the_wrong_value_is_not_pinned(claim: str, worse: object) -> None:
    policy = strong()
    for one in conditions(policy):
        if one["claim"] == claim:
            one["equals"] = worse
    assert ids(policy) <= {"RP12", "RP15"}
    assert ids(policy)


def test_one_weak_branch_or_authority_is_enough() -> None:
    policy = strong()
    weak = [one for one in conditions(policy) if "debuggable" not in one["claim"]]
    policy["anyOf"][0]["allOf"] = [{"anyOf": [{"allOf": conditions(policy)}, {"allOf": weak}]}]
    found = lint(parse_policy(json.dumps(policy).encode()), trust=AZURE_US)
    assert [(one.rule.id, one.where) for one in found] == [("RP12", ("anyOf[0] conjunction 2",))]
    policy = strong()
    policy["anyOf"].append(by(OWN)["anyOf"][0] | {"allOf": weak})
    assert ids(policy) == {"RP12"}


def test_foreign_authorities_and_answers_of_the_vault() -> None:
    assert ids(strong(), authority=OWN) == set()
    assert ids(strong(), authority="https://other.eus.attest.azure.net") == {"RP04"}
    assert ids(strong(), immutable=False) == {"RP30"}
    assert ids(strong(), immutable=True) == set()


def test_clouds_do_not_know_each_other() -> None:
    assert ids(strong(), trust=AZURE_USGOV) == {"RP03"}
    assert ids(by("https://agency.ugv.attest.azure.us"), trust=AZURE_USGOV) == set()
    assert "RP01" in ids(by("https://sharedugv.ugv.attest.azure.us"), trust=AZURE_USGOV)


def test_errors_come_first_and_findings_are_grouped() -> None:
    policy = only(("secureboot", True))
    policy["anyOf"] *= 3
    found = lint(parse_policy(json.dumps(policy).encode()), trust=AZURE_US)
    levels = [finding.rule.severity for finding in found]
    assert levels == sorted(levels)
    assert all(len(finding.where) == 3 for finding in found)


def claim(**kw: object) -> bytes:
    return json.dumps({"version": "1.0.0", "anyOf": [{"authority": "x", "allOf": [kw]}]}).encode()


ONE = {"claim": "a", "equals": 1}


@pytest.mark.parametrize(
    ("rule", "data"),
    [
        ("RP40", b""),
        ("RP40", b"[]"),
        ("RP40", b"{" * 99),
        ("RP40", b'{"a":NaN}'),
        ("RP40", b'{"a":"\xff"}'),
        ("RP40", b" " * (17 << 10) + b"{}"),
        ("RP41", b'{"version":"1.0.0","version":"1.0.0"}'),
        ("RP42", b"{}"),
        ("RP42", claim(claim="a", equals=1, comment="")),
        ("RP42", claim(claim="a")),
        ("RP42", b'{"version":"1.0.0","anyOf":[{"allOf":[]}]}'),
        ("RP43", claim(claim="a", notEquals=1)),
        ("RP44", b'{"version":"1.0.0","anyOf":[]}'),
        ("RP44", b'{"version":"1.0.0","anyOf":[{"authority":"x","allOf":[]}]}'),
        ("RP44", claim(anyOf=[])),
        ("RP45", b'{"version":"1.0.0","anyOf":{}}'),
        ("RP45", b'{"version":"1.0.0","anyOf":[1]}'),
        ("RP45", b'{"version":"1.0.0","anyOf":[{"authority":1,"allOf":[{"claim":"a","equals":1}]}]}'),
        ("RP45", b'{"version":"1.0.0","anyOf":[{"authority":"x","allOf":[1]}]}'),
        ("RP45", b'{"version":"1.0.0","anyOf":[{"authority":"x","allOf":["claim"]}]}'),
        ("RP45", b'{"version":"1.0.0","anyOf":[{"authority":"x","allOf":[["claim","a"]]}]}'),
        ("RP45", claim(claim=1, equals=1)),
        ("RP45", claim(claim="a[0]", equals=1)),
        ("RP45", claim(claim="a", equals=None)),
        ("RP45", claim(claim="a", equals={})),
        ("RP46", b'{"version":"2.0.0","anyOf":[]}'),
        ("RP46", b'{"version":["1.0.0"],"anyOf":[]}'),
        ("RP47", claim(anyOf=[ONE] * 257)),
        ("RP47", json.dumps({"version": "1.0.0", "anyOf": [{"authority": "x", "anyOf": [ONE] * 257}]}).encode()),
        ("RP47", claim(allOf=[{"anyOf": [ONE, ONE]}] * 9)),
    ],
)
def test_outside_the_grammar(rule: str, data: bytes) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(data)
    assert (caught.value.fault, caught.value.check) == (Fault.RELEASE_INVALID, rule)
    assert RULES[rule].remedy in caught.value.remedy


def test_both_versions_and_booleans_by_name() -> None:
    policy = strong() | {"version": "1.0"}
    for one in conditions(policy):
        if isinstance(one["equals"], bool):
            one["equals"] = str(one["equals"]).lower()
    assert ids(policy) == set()


def test_many_conditions_beside_many_ways_stay_cheap_and_exact() -> None:
    wide = claim(allOf=[{"anyOf": [{"claim": f"a{n}", "equals": 1} for n in range(200)]}, *([ONE] * 100)])
    ways = parse_policy(wide).authorities[0].conjunctions
    assert len(ways) == 200
    assert ways[7] == {"a": frozenset({1}), "a7": frozenset({1})}


def test_every_rule_is_documented_with_its_severity() -> None:
    page = (ROOT / "docs" / "release-policy.md").read_text()
    for rule in RULES.values():
        assert f"| {rule.id} | {rule.severity} | {rule.title} |" in page
    assert {rule.severity for rule in RULES.values()} == set(Severity)
