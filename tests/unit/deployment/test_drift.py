"""Drift of a deployment: what is as described is ok, and each planted deviation is found with a remedy."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from click.testing import Result as ClickResult
from hypothesis import given
from hypothesis import strategies as st

from cji_attestation import AZURE_US
from cji_core.command import build
from cji_core.deployment import ExportError, Result, compare, expected, read_export
from tests.support.deployed import (
    AUTHORITY,
    GROUP,
    KEY,
    WORKSPACE,
    Export,
    _assignment,
    as_file,
    changed,
    encoded_policy,
    good,
    named,
)

SCALE_SET = "Microsoft.Compute/virtualMachineScaleSets"
VAULT = "Microsoft.KeyVault/vaults"
STORAGE = "Microsoft.Storage/storageAccounts"
LEDGER = f"{STORAGE}/blobServices/containers/immutabilityPolicies"
SETTINGS = "Microsoft.Insights/diagnosticSettings"
RELEASE = "08bbd89e-9f13-488c-ac41-acfcb10c90ab"
DISK = "properties.virtualMachineProfile.storageProfile.osDisk.managedDisk.diskEncryptionSet.id"

ENCRYPTION = "properties.virtualMachineProfile.storageProfile.osDisk.managedDisk.securityProfile.securityEncryptionType"


def results(data: bytes) -> list[Result]:
    return compare(read_export([("export.json", data)]))


def put(kind: str, path: str, value: Any) -> Callable[[Export], None]:
    def change(export: Export) -> None:
        here = named(export, kind)
        *steps, last = path.split(".")
        for step in steps:
            here = here[step]
        here[last] = value

    return change


def remove(kind: str) -> Callable[[Export], None]:
    def change(export: Export) -> None:
        export["resources"].remove(named(export, kind))

    return change


def grant(role: str, scope: str) -> Callable[[Export], None]:
    return lambda export: export["resources"].append(_assignment(role, scope, "somebody"))


def other_policy(export: Export) -> None:
    key = next(each for each in export["resources"] if each["id"] == KEY)
    policy = json.loads(json.dumps(expected().release_policies[0]).replace("__ATTESTATION_AUTHORITY__", AUTHORITY))
    policy["anyOf"][0]["allOf"].pop()
    key["properties"]["release_policy"]["data"] = encoded_policy(policy)


def second_authority(export: Export) -> None:
    key = next(each for each in export["resources"] if each["id"] == KEY)
    policy = json.loads(json.dumps(expected().release_policies[0]).replace("__ATTESTATION_AUTHORITY__", AUTHORITY))
    policy["anyOf"].append({**policy["anyOf"][0], "authority": "https://evil.eus.attest.azure.net"})
    key["properties"]["release_policy"]["data"] = encoded_policy(policy)


def not_exportable(export: Export) -> None:
    key = next(each for each in export["resources"] if each["id"] == KEY)
    key["properties"]["attributes"]["exportable"] = False


def public_address(export: Export) -> None:
    address = {"type": "Microsoft.Network/publicIPAddresses", "name": "p", "id": f"{GROUP}/p", "location": "eastus"}
    export["resources"].append(address)


PLANTED = {
    "public access on": (put(VAULT, "properties.publicNetworkAccess", "Enabled"), "publicNetworkAccess"),
    "storage public": (put(STORAGE, "properties.publicNetworkAccess", "Enabled"), "publicNetworkAccess"),
    "purge protection off": (put(VAULT, "properties.enablePurgeProtection", False), "enablePurgeProtection"),
    "purge protection absent": (put(VAULT, "properties.enablePurgeProtection", None), "enablePurgeProtection"),
    "disk key of the platform": (put(SCALE_SET, DISK, None), "diskEncryptionSet"),
    "disk encrypted anew": (put(SCALE_SET, ENCRYPTION, "DiskWithVMGuestState"), "securityEncryptionType"),
    "storage key of the platform": (put(STORAGE, "properties.encryption.keySource", "Microsoft.Storage"), "keySource"),
    "region not US": (put(SCALE_SET, "location", "West Europe"), "location"),
    "size not confidential": (put(SCALE_SET, "sku.name", "Standard_D4s_v5"), "sku.name"),
    "retention short": (
        put("Microsoft.OperationalInsights/workspaces", "properties.retentionInDays", 90),
        "retentionInDays",
    ),
    "immutability off": (remove(LEDGER), "immutabilityPolicies exists"),
    "immutability not locked": (put(LEDGER, "properties.state", "Unlocked"), "properties.state"),
    "a second identity may release": (grant(RELEASE, KEY), "roles"),
    "release over the whole vault": (grant(RELEASE, KEY.partition("/keys/")[0]), "roles"),
    "crypto officer over the group": (grant("14b46e9e-c2b7-41b4-b07b-48a6ebf60603", GROUP), "roles"),
    "another role on the key": (grant("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", KEY), "roles"),
    "diagnostic setting absent": (remove(SETTINGS), "diagnostic setting"),
    "diagnostic setting disabled": (put(SETTINGS, "properties.logs", [{"enabled": False}]), "diagnostic setting"),
    "release policy changed": (other_policy, "release policy"),
    "another authority in the policy": (second_authority, "release policy"),
    "master key not exportable": (not_exportable, "keys"),
    "public address": (public_address, "publicIPAddresses absent"),
    "boot diagnostics off": (
        put(SCALE_SET, "properties.virtualMachineProfile.diagnosticsProfile.bootDiagnostics.enabled", False),
        "bootDiagnostics",
    ),
}


def test_a_deployment_as_described_is_ok() -> None:
    assert [each for each in results(as_file(good())) if each.state != "ok"] == []


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_deviation_is_found_with_its_remedy(name: str) -> None:
    change, part = PLANTED[name]
    found = [each for each in results(changed(change)) if each.state != "ok"]
    assert found, name
    assert any(part in each.id for each in found), found
    assert all(each.state == "failed" and each.remedy.endswith(".") for each in found)


def test_every_rule_of_every_subject_is_compared() -> None:
    """Each value of the good export, one at a time, made wrong: a rule that nothing reads would stay unnoticed."""
    wanted = expected()
    for subject in wanted.subjects:
        for rule in subject.rules:
            export = copy.deepcopy(good())
            for each in export["resources"]:
                if each["type"] == subject.type:
                    *steps, last = rule.path.split(".")
                    here = each
                    for step in steps:
                        here = here.get(step, {})
                    here[last] = [] if not rule.allowed and rule.least is None else "wrong"
            failed = {each.id for each in results(as_file(export)) if each.state == "failed"}
            assert failed, (subject.name, rule.path)


def test_an_export_without_extension_resources_proves_nothing() -> None:
    export = good()
    export["covers"] = []
    hidden = {SETTINGS, "Microsoft.Authorization/roleAssignments", "Microsoft.Authorization/roleDefinitions"}
    export["resources"] = [each for each in export["resources"] if each["type"] not in hidden]
    found = results(as_file(export))
    assert {each.state for each in found if each.id == "roles" or each.id.endswith("diagnostic setting")} == {"not run"}


def test_a_template_of_a_group_is_read() -> None:
    template = {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "parameters": {"vaults_cji_name": {"defaultValue": "cji-kv", "type": "String"}},
        "resources": [
            {"type": VAULT, "name": "[parameters('vaults_cji_name')]", "location": "westeurope", "properties": {}},
            {"type": f"{VAULT}/keys", "name": "[concat(parameters('vaults_cji_name'), '/cji-cmk')]", "properties": {}},
        ],
    }
    found = read_export([("template.json", json.dumps(template).encode())])
    assert [each.name for each in found.resources] == ["cji-kv", "cji-kv/cji-cmk"]
    assert any(each.id == "vaults location" and each.resource == "cji-kv" for each in compare(found))


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"{}", b'{"resources": 1}', b'[{"type": "a"}]', b"[1]", b'{"format": "x", "resources": []}'],
)
def test_another_file_is_refused(data: bytes) -> None:
    with pytest.raises(ExportError) as caught:
        read_export([("x.json", data)])
    assert caught.value.remedy


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


resource = st.fixed_dictionaries(
    {"type": st.sampled_from([VAULT, f"{VAULT}/keys", SETTINGS, SCALE_SET]), "name": st.text(max_size=9)},
    optional={"id": st.text(max_size=9), "location": json_values, "properties": json_values, "scope": json_values},
)


@given(st.lists(resource, max_size=4))
def test_any_resources_give_results_or_a_refusal(items: list[Any]) -> None:
    try:
        found = results(json.dumps({"resources": items}).encode())
    except ExportError:
        return
    assert any(each.state != "ok" for each in found)


def test_doctor_prints_drift_and_exits_with_1(tmp_path: Any) -> None:
    path = tmp_path / "export.json"

    def run(*words: str) -> ClickResult:
        return CliRunner().invoke(build(AZURE_US), ["doctor", "--azure", *words])

    path.write_bytes(as_file(good()))
    assert run("--export", str(path)).exit_code == 0
    path.write_bytes(changed(put(VAULT, "properties.enablePurgeProtection", False)))
    refused = run("--export", str(path), "--json")
    assert refused.exit_code == 1
    first = json.loads(refused.output)[0]
    assert first["state"] == "failed"
    assert "enablePurgeProtection" in first["name"]
    assert first["remedy"]
    assert run("--export", str(path), "--report-only").exit_code == 0
    assert run().exit_code == 2
    assert WORKSPACE not in refused.output
