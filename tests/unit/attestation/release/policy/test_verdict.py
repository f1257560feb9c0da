"""What a worker makes of its own key's release policy: errors refuse, two of them can be accepted by name."""

import json
import typing
from typing import Any

import msgspec
import pytest

from cji_attestation import AZURE_US, Fault
from cji_attestation.release.policy import (
    ACCEPTABLE,
    RULES,
    PolicyError,
    PolicyVerdict,
    Severity,
    build,
    check_release_policy,
)
from cji_core.format.configuration.worker import KeySection

OWN, SHARED = "https://agency.eus.attest.azure.net", "https://sharedeus.eus.attest.azure.net"
OTHER_REGION = "https://agency.wus.attest.azure.net"
TEE = "x-ms-isolation-tee."
STRONG = build(OWN, pins={"x-ms-azurevm-attested-pcr-values.pcr4": "AAAA"})


def verdict(data: bytes, *, accept: frozenset[str] = frozenset(), **kw: Any) -> PolicyVerdict:
    given: dict[str, Any] = {"immutable": True, "trust": AZURE_US, "authority": OWN}
    return check_release_policy(data, accept=accept, **(given | kw))


def refused(data: bytes, rule: str, *, accept: frozenset[str] = frozenset(RULES), **kw: Any) -> None:
    with pytest.raises(PolicyError) as caught:
        verdict(data, accept=accept, **kw)
    assert (caught.value.fault, caught.value.check) == (Fault.RELEASE_INVALID, rule)


def edited(change: typing.Callable[[list[Any]], object]) -> bytes:
    policy = json.loads(STRONG)
    change(policy["anyOf"][0]["allOf"])
    return json.dumps(policy).encode()


def without(claim: str) -> bytes:
    return edited(lambda conditions: conditions.remove(next(one for one in conditions if one["claim"] == claim)))


def test_a_strong_policy_and_its_warnings() -> None:
    found = verdict(STRONG)
    assert (found.immutable, found.accepted, found.warnings) == (True, (), ())
    assert len(found.sha256) == 64
    weaker = verdict(build(OWN), immutable=False)
    assert (weaker.immutable, weaker.accepted, weaker.warnings) == (False, (), ("RP17", "RP30"))
    assert weaker.sha256 != found.sha256


@pytest.mark.parametrize(
    ("rule", "data"),
    [
        ("RP02", build("https://evil.example")),
        ("RP03", build("https://agency.weu.attest.azure.net")),
        ("RP11", without(TEE + "x-ms-compliance-status")),
        ("RP12", without(TEE + "x-ms-sevsnpvm-is-debuggable")),
        ("RP13", without(TEE + "x-ms-sevsnpvm-migration-allowed")),
        ("RP14", without(TEE + "x-ms-sevsnpvm-vmpl")),
        ("RP15", without("secureboot")),
        ("RP16", without("x-ms-azurevm-testsigning-enabled")),
        ("RP20", edited(lambda conditions: conditions.append({"claim": TEE + "secureboot", "equals": True}))),
        (
            "RP22",
            edited(lambda conditions: conditions.append({"claim": TEE + "x-ms-sevsnpvm-guestsvn", "equals": "1"})),
        ),
        ("RP40", b""),
        ("RP41", b'{"version":"1.0.0","version":"1.0.0"}'),
        ("RP42", b"{}"),
        ("RP44", b'{"version":"1.0.0","anyOf":[]}'),
        ("RP46", b'{"version":"2","anyOf":[]}'),
    ],
)
def test_k01_a_weak_policy_is_refused_whatever_is_accepted(rule: str, data: bytes) -> None:
    refused(data, rule)


def test_k01_compliance_only_is_refused() -> None:
    sample = {
        "version": "1.0.0",
        "anyOf": [
            {
                "authority": OWN,
                "allOf": [
                    {"claim": TEE + "x-ms-attestation-type", "equals": "sevsnpvm"},
                    {"claim": TEE + "x-ms-compliance-status", "equals": "azure-compliant-cvm"},
                ],
            }
        ],
    }
    refused(json.dumps(sample).encode(), "RP10")


def test_k01_a_shared_provider_is_refused_unless_accepted() -> None:
    refused(build(SHARED), "RP01", accept=frozenset(), authority=SHARED)
    refused(build(SHARED), "RP01", accept=frozenset({"RP04"}), authority=SHARED)
    found = verdict(build(SHARED), authority=SHARED, accept=frozenset({"RP01"}))
    assert (found.accepted, found.warnings) == (("RP01",), ("RP17",))


def test_k01_a_second_authority_is_refused_unless_accepted() -> None:
    policy = json.loads(STRONG)
    policy["anyOf"].append(policy["anyOf"][0] | {"authority": OTHER_REGION})
    data = json.dumps(policy).encode()
    refused(data, "RP04", accept=frozenset({"RP01"}))
    found = verdict(data, accept=frozenset({"RP04"}))
    assert (found.accepted, found.warnings) == (("RP04",), ())
    policy["anyOf"].append(policy["anyOf"][0] | {"authority": "https://agency.wus2.attest.azure.net"})
    assert verdict(json.dumps(policy).encode(), accept=ACCEPTABLE).accepted == ("RP04",)  # once, however many
    del policy["anyOf"][2]["allOf"][:2]
    refused(json.dumps(policy).encode(), "RP11")  # what is accepted is who may speak, not what is said


def test_only_the_rules_on_authorities_can_be_accepted() -> None:
    assert {rule[:3] for rule in ACCEPTABLE} == {"RP0"}
    assert all(RULES[rule].severity is Severity.ERROR for rule in ACCEPTABLE)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_configuration_takes_the_acceptable_ones_only(rule: str) -> None:
    text = f'kek_id = "x"\npublic_thumbprint = "x"\naccept_findings = ["{rule}"]'
    if rule in ACCEPTABLE:
        assert msgspec.toml.decode(text, type=KeySection).accept_findings == (rule,)
    else:
        with pytest.raises(msgspec.ValidationError):
            msgspec.toml.decode(text, type=KeySection)
