"""The release policy: grammar, strength, embedding, and what it says to tokens of real machines."""

import base64
import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_attestation import AZURE_US
from cji_attestation.release.policy import AUTHORITY_PLACEHOLDER, Hardware, build, check_release_policy
from cji_attestation.release.policy.claims import REQUIRED
from cji_deploy.check.bicep import Template, parse
from cji_deploy.check.outcome import DeployError
from cji_deploy.check.release_policy import (
    FILES,
    HARDWARE,
    embedded,
    embedding_problems,
    origin_problems,
    parse_policy,
    weaknesses,
)
from cji_simulator.release_policy import ReleasePolicy
from tests.support.paths import ROOT

DEPLOY = ROOT / "deploy"
SOURCE = (DEPLOY / "policy" / "release-policy.json").read_bytes()
TEE = "x-ms-isolation-tee."
VECTORS = os.environ.get("CJI_VECTORS")
OWN = "https://agency.eus.attest.azure.net"


def conditions() -> list[Any]:
    found: list[Any] = json.loads(SOURCE)["anyOf"][0]["allOf"]
    return found


def policy(all_of: list[Any], authority: str = AUTHORITY_PLACEHOLDER) -> bytes:
    return json.dumps({"version": "1.0.0", "anyOf": [{"authority": authority, "allOf": all_of}]}).encode()


def weak(source: bytes) -> str:
    return "\n".join(weaknesses(parse_policy(source)))


def test_the_shipped_policy_is_strong_and_written_by_build() -> None:
    assert weak(SOURCE) == ""
    assert not list(origin_problems(SOURCE, "snp"))
    assert list(origin_problems(SOURCE.replace(b"\n", b"\r\n"), "snp"))
    assert list(origin_problems(SOURCE, "tdx"))


@pytest.mark.parametrize("index", range(len(conditions())))
def test_without_any_one_of_its_conditions_it_is_weak(index: int) -> None:
    rest = conditions()
    dropped = rest.pop(index)["claim"]
    assert dropped in weak(policy(rest))


@pytest.mark.parametrize("index", range(len(conditions())))
def test_with_any_one_value_turned_it_is_weak(index: int) -> None:
    changed = conditions()
    value = changed[index]["equals"]
    changed[index]["equals"] = (not value) if isinstance(value, bool) else f"{value}x"
    assert changed[index]["claim"] in weak(policy(changed))


def test_booleans_as_strings_are_the_same_to_the_service() -> None:
    changed = conditions()
    for item in changed:
        if isinstance(item["equals"], bool):
            item["equals"] = str(item["equals"]).lower()
    assert weak(policy(changed)) == ""


def test_a_weak_alternative_beside_a_strong_one_is_weak() -> None:
    assert weak(policy([{"anyOf": [{"allOf": conditions()}, {"claim": "secureboot", "equals": True}]}])) != ""


def test_either_hardware_is_strong_with_its_own_debug_claim() -> None:
    common = [item for item in conditions() if "sevsnp" not in f"{item}"]
    snp = {"allOf": [item for item in conditions() if "sevsnp" in f"{item}"]}
    tdx_claims = {"x-ms-attestation-type": "tdxvm", "tdx_td_attributes_debug": False}
    tdx = [{"claim": TEE + claim, "equals": value} for claim, value in tdx_claims.items()]
    migratable = {"claim": TEE + "tdx_td_attributes_migratable", "equals": False}
    assert weak(policy([*common, {"anyOf": [snp, {"allOf": [*tdx, migratable]}]}])) == ""
    assert "tdx_td_attributes_migratable" in weak(policy([*common, {"anyOf": [snp, {"allOf": tdx}]}]))


@pytest.mark.parametrize(
    "authority",
    [
        "https://sharedeus.eus.attest.azure.net",
        "http://agency.eus.attest.azure.net",
        OWN + "/",
        OWN + ":443",
        "https://user@agency.eus.attest.azure.net",
        "agency.eus.attest.azure.net",
        "",
    ],
)
def test_authorities_that_are_not_the_agencys_own(authority: str) -> None:
    assert "authority" in weak(policy(conditions(), authority))


def test_own_authority_is_accepted() -> None:
    assert weak(policy(conditions(), OWN)) == ""


CLAIM = {"claim": "a", "equals": 1}


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"version": "1.0.0"},
        {"version": "1.0.0", "anyOf": []},
        {"version": "1.0.0", "anyOf": {}},
        {"version": "2.0.0", "anyOf": [{"authority": "x", "allOf": [CLAIM]}]},
        {"version": "1.0.0", "allOf": [{"authority": "x", "allOf": [CLAIM]}]},
        {"version": "1.0.0", "anyOf": [{"authority": "x", "allOf": []}]},
        {"version": "1.0.0", "anyOf": [{"authority": "x", "allof": [CLAIM]}]},
        {"version": "1.0.0", "anyOf": [{"authority": "x", "allOf": [CLAIM], "anyOf": [CLAIM]}]},
        {"version": "1.0.0", "anyOf": [{"authority": 1, "allOf": [CLAIM]}]},
        {"version": "1.0.0", "anyOf": [{"allOf": [CLAIM]}]},
        {"version": "1.0.0", "anyOf": [{"authority": "x", "allOf": [CLAIM], "comment": ""}]},
        {"version": "1.0.0", "anyOf": [{"authority": "x", "allOf": [{"claim": "a", "notEquals": 1}]}]},
        {"version": "1.0.0", "anyOf": [{"authority": "x", "allOf": [{"claim": "a"}]}]},
        {"version": "1.0.0", "anyOf": [{"authority": "x", "allOf": [{"claim": "a[0]", "equals": 1}]}]},
        {"version": "1.0.0", "anyOf": [{"authority": "x", "allOf": [{"claim": "a", "equals": {}}]}]},
        {"version": "1.0.0", "anyOf": [{"authority": "x", "allOf": [{"claim": "a", "equals": None}]}]},
        {"version": "1.0.0", "anyOf": [{"authority": "x", "allOf": [{"not": [CLAIM]}]}]},
        {"version": "1.0.0", "anyOf": [{"authority": "x", "allOf": [{"anyOf": []}]}]},
        {"version": "1.0.0", "anyOf": [{"authority": "x", "allOf": [{"anyOf": [CLAIM, CLAIM]}] * 20}]},
    ],
)
def test_documents_outside_the_grammar(document: Any) -> None:
    with pytest.raises(DeployError):
        parse_policy(json.dumps(document).encode())


def test_repeated_keys_and_deep_nesting_are_outside_the_grammar() -> None:
    with pytest.raises(DeployError, match="RP41"):
        parse_policy(SOURCE.replace(b'"equals": true', b'"equals": true, "equals": false'))
    nested: Any = CLAIM
    for _ in range(50):
        nested = {"allOf": [nested]}
    with pytest.raises(DeployError, match="RP40"):
        parse_policy(policy([nested]))
    with pytest.raises(DeployError):
        parse_policy(b"[" * 10_000)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["version", "anyOf", "allOf", "authority", "claim", "equals"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.one_of(st.binary(max_size=200), JSON.map(lambda value: json.dumps(value).encode())))
def test_any_bytes_give_a_policy_or_our_error(source: bytes) -> None:
    with contextlib.suppress(DeployError):
        list(weaknesses(parse_policy(source)))


BICEP = DEPLOY / "bicep"


def templates() -> dict[str, Template]:
    return {name: parse(name, (BICEP / name).read_bytes()) for name in ("key.bicep", "hsmKey.bicep", "diskKey.bicep")}


def embedding(file: str, old: str, new: str) -> str:
    source = (BICEP / file).read_text()
    assert old in source
    return "\n".join(embedding_problems(BICEP, {**templates(), file: parse(file, source.replace(old, new).encode())}))


def test_the_templates_embed_the_reviewed_files() -> None:
    assert embedding("key.bicep", "", "") == ""


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("key.bicep", "'__ATTESTATION_AUTHORITY__'", "'__AUTHORITY__'", "is not release-policy.json"),
        (
            "key.bicep",
            "'../policy/release-policy-tdx.json'",
            "'../policy/release-policy.json'",
            "is not release-policy-tdx",
        ),
        ("key.bicep", "'../policy/release-policy.json'", "'../policy/other.json'", "cannot be computed"),
        ("hsmKey.bicep", "loadTextContent('../policy/release-policy.json')", "'{}'", "is not release-policy.json"),
        ("key.bicep", ", '=', '')", ", '!', '')", "base64url without padding"),
        ("key.bicep", "'+', '-'", "'!', '-'", "base64url without padding"),
        ("hsmKey.bicep", "'/', '_'", "'!', '_'", "base64url without padding"),
        ("key.bicep", "data: releasePolicyData", "data: releasePolicy", "cannot be computed"),
        ("key.bicep", "data: releasePolicyData", "datum: releasePolicyData", "has no release_policy.data"),
        ("key.bicep", "base64(releasePolicy)", "base64(toLower(releasePolicy))", "is not release-policy.json"),
        (
            "diskKey.bicep",
            "exportable: false\n    }",
            "exportable: false\n    }\n    release_policy: {}",
            "no review covers",
        ),
    ],
)
def test_an_embedding_that_differs_is_seen(file: str, old: str, new: str, problem: str) -> None:
    found = embedding(file, old, new)
    assert problem in found
    assert f"{file}:" in found


def test_a_key_that_is_gone_is_seen() -> None:
    assert "key.bicep:1: no key 'key'" in "\n".join(embedding_problems(BICEP, {}))


@pytest.mark.parametrize("kind", HARDWARE)
@pytest.mark.parametrize("file", ["key.bicep", "hsmKey.bicep"])
def test_template_vault_and_worker_have_the_same_policy(file: str, kind: Hardware) -> None:
    data = embedded(BICEP, templates(), file, kind, OWN)
    deployed = base64.urlsafe_b64decode(data + "=" * (-len(data) % 4))
    assert deployed == build(OWN, hardware=(kind,))  # what `cji policy build` writes
    reviewed = (DEPLOY / "policy" / FILES[kind]).read_bytes()
    assert deployed == reviewed.replace(AUTHORITY_PLACEHOLDER.encode(), OWN.encode())
    # the vault writes what it was given in its own way, the same for both, and the worker accepts what it then reads
    kept = ReleasePolicy.parse(deployed).encoded
    assert kept == ReleasePolicy.parse(build(OWN, hardware=(kind,))).encoded
    assert json.loads(kept) == json.loads(reviewed.replace(AUTHORITY_PLACEHOLDER.encode(), OWN.encode()))
    verdict = check_release_policy(kept, immutable=True, trust=AZURE_US, authority=OWN, accept=frozenset())
    assert verdict.accepted == ()


def satisfied(condition: Any, claims: Any) -> bool:
    """Key Vault's evaluation, slow and obvious: dots walk through objects, a missing claim is false."""
    if "allOf" in condition:
        return all(satisfied(item, claims) for item in condition["allOf"])
    if "anyOf" in condition:
        return any(satisfied(item, claims) for item in condition["anyOf"])
    value = claims
    for step in condition["claim"].split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value is not None and str(value).lower() == str(condition["equals"]).lower()


def real_claims(name: str) -> dict[str, Any]:
    if VECTORS is None:
        pytest.skip("CJI_VECTORS is not set: no tokens of real machines")
    found: dict[str, Any] = json.loads(Path(VECTORS, "azure", "maa-claims", name).read_bytes())
    return found


@pytest.mark.vectors
def test_a_token_of_a_real_confidential_vm_satisfies_it() -> None:
    assert satisfied({"allOf": conditions()}, real_claims("azureguest_snp_milan_2022-09_aks.json"))


@pytest.mark.vectors
@pytest.mark.parametrize("index", range(len(conditions())))
def test_the_same_token_with_one_claim_worse_or_missing_does_not(index: int) -> None:
    for worse in (None, "other"):
        claims = real_claims("azureguest_snp_milan_2022-09_aks.json")
        holder = claims
        *path, last = conditions()[index]["claim"].split(".")
        for step in path:
            holder = holder[step]
        holder[last] = worse
        assert not satisfied({"allOf": conditions()}, claims)


@pytest.mark.vectors
def test_the_public_sample_policy_is_grammatical_and_weak() -> None:
    if VECTORS is None:
        pytest.skip("CJI_VECTORS is not set: no sample policy")
    sample = Path(VECTORS, "azure", "skr", "public_SKR_policy-datadisk.json").read_bytes()
    found = weak(sample)
    assert "shared provider" in found
    assert all(claim in found for claim in REQUIRED if claim != TEE + "x-ms-compliance-status")
