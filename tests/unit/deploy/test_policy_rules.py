"""Azure Policy: the rule language on small rules, and every shipped definition on a good resource and on bad ones."""

import contextlib
import copy
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_deploy.check.bicep import parse
from cji_deploy.check.deployment import EXAMPLES, planned
from cji_deploy.check.initiative import as_resource, assigned, compliance_problems
from cji_deploy.check.outcome import DeployError
from cji_deploy.check.policy_rules import Definition, fields, matches, parse_definition, path_of, violated
from tests.support.paths import ROOT

DEPLOY = ROOT / "deploy"
INITIATIVE = DEPLOY / "policy-initiative"
SHIPPED = {path.stem: path for path in sorted((INITIATIVE / "definitions").glob("*.json"))}
T = "Microsoft.Test/things"
Resource = dict[str, Any]


def document(condition: Any, **properties: Any) -> dict[str, Any]:
    effect = {"type": "String", "allowedValues": ["Deny"], "defaultValue": "Deny"}
    listed = {"type": "Array"}
    return {
        "name": "t",
        "properties": {
            "displayName": "t",
            "policyType": "Custom",
            "mode": "All",
            "parameters": {"effect": effect, "listed": listed},
            "policyRule": {"if": condition, "then": {"effect": "[parameters('effect')]"}},
            **properties,
        },
    }


def rule(condition: Any) -> Definition:
    return parse_definition("t.json", json.dumps(document(condition), indent=1).encode())


THING: Resource = {
    "type": T,
    "name": "one",
    "id": "/t/one",
    "location": "eastus",
    "tags": {"owner": "o"},
    "sku": {"name": "Big"},
    "properties": {"on": True, "days": 30, "word": "Some", "empty": [], "items": [{"a": 1, "k": "x"}, {"k": "y"}]},
}


def field(path: str, **comparison: Any) -> Any:
    return {"field": path if "/" not in path else path.replace("T/", f"{T}/"), **comparison}


def count(where: Any = None, **comparison: Any) -> Any:
    counted = {"field": f"{T}/items[*]", **({} if where is None else {"where": where})}
    return {"count": counted, **comparison}


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        (field("type", equals=T.upper()), True),
        (field("location", notEquals="global"), True),
        (field("location", **{"in": ["EASTUS"]}), True),
        (field("location", notIn="[parameters('listed')]"), True),
        (field("T/word", like="so*"), True),
        (field("T/word", notLike="so*"), False),
        (field("T/gone", notLike="so*"), True),
        (field("T/on", equals="true"), True),
        (field("T/on", equals=True), True),
        (field("T/on", notEquals="true"), False),
        (field("T/gone", equals="true"), False),
        (field("T/gone", notEquals="true"), True),
        (field("T/gone", notIn=["a"]), True),
        (field("T/gone", exists="false"), True),
        (field("T/word", exists=True), True),
        (field("T/sku.name", equals="big"), True),
        (field("T/days", less=31), True),
        (field("T/days", greaterOrEquals=31), False),
        (field("T/word", greaterOrEquals=1), False),
        (field("T/gone", greaterOrEquals=0), False),
        (field("T/on", greater=0), False),
        (field("tags['owner']", exists="true"), True),
        (field("tags['other']", exists="true"), False),
        (field("T/items[*].k", **{"in": ["x", "y"]}), True),
        (field("T/items[*].a", equals=1), False),
        (field("T/empty[*]", equals=1), True),
        (count(equals=2), True),
        (count(field("T/items[*].a", exists="true"), equals=1), True),
        (count({"not": field("T/items[*].k", equals="x")}, greater=0), True),
        (count({"allOf": [field("T/items[*].a", equals=1), field("T/items[*].k", equals="y")]}, greater=0), False),
        (field("Microsoft.Other/things/on", equals="true"), False),
        ({"not": field("T/on", equals="true")}, False),
        ({"allOf": [field("T/on", equals="true"), field("T/days", equals=30)]}, True),
        ({"anyOf": [field("T/on", equals="false"), field("T/days", equals=31)]}, False),
    ],
)
def test_the_rule_language(condition: Any, wanted: bool) -> None:
    assert matches(rule(condition), THING, {"listed": ["westus"]}) is wanted


LEAF = st.sampled_from([field("T/on", equals="true"), field("T/days", less=3), field("T/gone", exists="false")])
RULES = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda each: {"allOf": each})
        | st.lists(inner, min_size=1, max_size=3).map(lambda each: {"anyOf": each})
        | inner.map(lambda each: {"not": each})
    ),
    max_leaves=8,
)


def twin(condition: Any) -> bool:
    """The same decision from a table of the leaves."""
    match condition:
        case {"allOf": parts}:
            return all(map(twin, parts))
        case {"anyOf": parts}:
            return any(map(twin, parts))
        case {"not": part}:
            return not twin(part)
        case leaf:
            return {"on": True, "days": False, "gone": True}[leaf["field"].rpartition("/")[2]]


@given(RULES)
def test_nested_rules_decide_as_their_twin(condition: Any) -> None:
    assert matches(rule(condition), THING, {}) is twin(condition)
    assert matches(rule({"not": condition}), THING, {}) is not twin(condition)


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        (field("T/on", equal="true"), "t.json:"),
        (field("T/on", equals="[parameters('other')]"), "is not a parameter"),
        (field("T/on", **{"in": "x"}), "needs a list"),
        (field("properties.on", equals="true"), "is not a field"),
        ({"allof": [field("T/on", equals="true")]}, "without a field or count"),
        ({"allOf": []}, "is empty"),
        ({"not": field("T/on", equals="true"), "or": 1}, "'or' is not a key"),
        ({"count": {"field": f"{T}/on"}, "equals": 1}, "is not an array"),
        ({"count": {"field": f"{T}/items[*]", "were": {}}, "equals": 1}, "'were' is not a key"),
        ({"field": "type"}, "not a policy definition"),
        ([], "without a field or count"),
    ],
)
def test_what_azure_would_refuse_is_refused_with_its_line(condition: Any, problem: str) -> None:
    with pytest.raises(DeployError, match=r"t.json:\d+: ") as caught:
        rule(condition)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("mode", "Index", "is not a mode"),
        ("policyType", "BuiltIn", "is not the type"),
        ("extra", 1, "'extra' is not a key"),
        ("policyRule", {"if": field("type", equals="x"), "then": {"effect": "deny"}}, "must be the parameter effect"),
        ("parameters", {"effect": {"allowedValues": ["Remove"]}}, "is not an effect"),
        ("parameters", {"effect": {"allowedValues": ["AuditIfNotExists"]}}, "do not fit each other"),
    ],
)
def test_a_definition_has_known_parts_only(name: str, value: Any, problem: str) -> None:
    source = json.dumps(document(field("type", equals="x"), **{name: value}), indent=1).encode()
    with pytest.raises(DeployError) as caught:
        parse_definition("t.json", source)
    assert problem in str(caught.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_definition_or_our_error(source: bytes) -> None:
    with contextlib.suppress(DeployError):
        parse_definition("t.json", source)


def test_aliases_name_a_type_and_a_path() -> None:
    assert path_of("Microsoft.A/b/c/d.e[*].f") == ("Microsoft.A/b/c", "properties.d.e[*].f")
    assert path_of("Microsoft.A/b/sku.name") == ("Microsoft.A/b", "sku.name")
    assert list(fields(rule(count(field("T/items[*].a", exists="true"), equals=1)))) == [
        f"{T}/items[*]",
        f"{T}/items[*].a",
    ]


@functools.cache
def shipped() -> dict[str, Definition]:
    return {name: parse_definition(path.name, path.read_bytes()) for name, path in SHIPPED.items()}


@functools.cache
def ours() -> tuple[dict[str, Any], ...]:
    folder = DEPLOY / "bicep"
    templates = {path.name: parse(path.name, path.read_bytes()) for path in folder.glob("*.bicep")}
    return tuple(as_resource(each) for example in EXAMPLES for each in planned(folder, templates, example))


@functools.cache
def values() -> dict[str, Any]:
    return assigned(INITIATIVE, parse("main.bicep", (INITIATIVE / "main.bicep").read_bytes()))


def changed(kind: str, **changes: Any) -> Resource:
    """One of our resources, with values at dotted paths set, or removed where the value is None."""
    resource: Resource = copy.deepcopy(next(each for each in ours() if each["type"] == kind))
    for path, value in changes.items():
        *steps, last = path.split("__")
        here: Any = resource
        for step in steps:
            here = here[int(step)] if step.isdigit() else here[step]
        if value is None:
            del here[last]
        else:
            here[last] = value
    return resource


SS = "Microsoft.Compute/virtualMachineScaleSets"
VAULT, HSM = "Microsoft.KeyVault/vaults", "Microsoft.KeyVault/managedHSMs"
STORAGE = "Microsoft.Storage/storageAccounts"
LOGS = "Microsoft.OperationalInsights/workspaces"
VM = "properties__virtualMachineProfile"
DISK = f"{VM}__storageProfile__osDisk__managedDisk"
PLAIN_VM = {
    "type": "Microsoft.Compute/virtualMachines",
    "name": "vm",
    "id": "/vm",
    "location": "eastus",
    "tags": {},
    "properties": {"hardwareProfile": {"vmSize": "Standard_D2s_v5"}},
}
PLAIN_DISK = {"type": "Microsoft.Compute/disks", "name": "d", "id": "/d", "location": "eastus", "properties": {}}
ABROAD = {"type": "Microsoft.Resources/subscriptions/resourceGroups", "name": "g", "id": "/g", "location": "westeurope"}
BAD: list[tuple[str, Callable[[], Resource]]] = [
    ("cji-allowed-locations", lambda: changed(SS, location="westeurope")),
    ("cji-allowed-group-locations", lambda: dict(ABROAD)),
    ("cji-storage-customer-key", lambda: changed(STORAGE, properties__encryption__keySource="Microsoft.Storage")),
    ("cji-storage-customer-key", lambda: changed(STORAGE, properties__encryption=None)),
    ("cji-disk-customer-key", lambda: changed(SS, **{f"{DISK}__diskEncryptionSet": None})),
    ("cji-disk-customer-key", lambda: changed(SS, **{f"{VM}__storageProfile__dataDisks__0__managedDisk": {}})),
    ("cji-disk-customer-key", lambda: dict(PLAIN_DISK)),
    *(
        (
            "cji-disk-customer-key",
            lambda kind=kind: changed("Microsoft.Compute/diskEncryptionSets", properties__encryptionType=kind),
        )
        for kind in ("EncryptionAtRestWithPlatformKey", "ConfidentialVmEncryptedWithCustomerKey")
    ),
    ("cji-no-public-access", lambda: changed(STORAGE, properties__publicNetworkAccess="Enabled")),
    ("cji-no-public-access", lambda: changed(STORAGE, properties__allowBlobPublicAccess=True)),
    ("cji-no-public-access", lambda: changed(VAULT, properties__publicNetworkAccess=None)),
    ("cji-no-public-access", lambda: changed(HSM, properties__publicNetworkAccess="Enabled")),
    ("cji-no-public-access", lambda: changed(LOGS, properties__publicNetworkAccessForIngestion="Enabled")),
    ("cji-no-public-access", lambda: changed(LOGS, properties__publicNetworkAccessForQuery="Enabled")),
    (
        "cji-no-public-access",
        lambda: changed(
            "Microsoft.Insights/dataCollectionEndpoints", properties__networkAcls__publicNetworkAccess="Enabled"
        ),
    ),
    (
        "cji-no-public-address",
        lambda: {"type": "Microsoft.Network/publicIPAddresses", "id": "/p", "location": "eastus"},
    ),
    ("cji-confidential-sizes", lambda: changed(SS, sku__name="Standard_DC4as_v5")),
    ("cji-confidential-sizes", lambda: changed(SS, **{f"{VM}__securityProfile__securityType": "TrustedLaunch"})),
    (
        "cji-confidential-sizes",
        lambda: changed(SS, **{f"{VM}__securityProfile__uefiSettings__secureBootEnabled": False}),
    ),
    ("cji-confidential-sizes", lambda: changed(SS, **{f"{VM}__securityProfile__uefiSettings__vTpmEnabled": False})),
    ("cji-confidential-sizes", lambda: dict(PLAIN_VM)),
    ("cji-no-extensions", lambda: {"type": f"{SS}/extensions", "id": "/e"}),
    ("cji-no-extensions", lambda: {"type": "Microsoft.Compute/virtualMachines/runCommands", "id": "/e"}),
    ("cji-no-extensions", lambda: changed(SS, **{f"{VM}__extensionProfile": {"extensions": [{"name": "x"}]}})),
    ("cji-purge-protection", lambda: changed(VAULT, properties__enablePurgeProtection=None)),
    ("cji-purge-protection", lambda: changed(HSM, properties__enablePurgeProtection=False)),
    ("cji-log-retention", lambda: changed(LOGS, properties__retentionInDays=364)),
    ("cji-log-retention", lambda: changed(LOGS, properties__retentionInDays=None)),
    ("cji-diagnostic-settings", lambda: changed(VAULT, id="/another")),
    ("cji-tags", lambda: changed(SS, tags__owner=None)),
    ("cji-tags", lambda: changed(VAULT, tags=None)),
]


def test_groups_are_seen_by_their_own_definition_alone() -> None:
    found = {name for name, one in shipped().items() if violated(one, ABROAD, [], values())}
    assert found & {"cji-allowed-locations", "cji-allowed-group-locations"} == {"cji-allowed-group-locations"}
    at_home = {**ABROAD, "location": "eastus"}
    assert not violated(shipped()["cji-allowed-group-locations"], at_home, [], values())


def test_our_deployments_comply_with_every_definition() -> None:
    assert ours()
    found = [
        (each["name"], name)
        for each in ours()
        for name, one in shipped().items()
        if violated(one, each, ours(), values())
    ]
    assert found == []


@pytest.mark.parametrize(("name", "make"), BAD, ids=lambda value: value if isinstance(value, str) else "")
def test_each_definition_finds_its_failing_twin(name: str, make: Callable[[], Resource]) -> None:
    bad = make()
    assert violated(shipped()[name], bad, ours(), values())
    allowed = {each for each, one in shipped().items() if violated(one, bad, ours(), values())}
    assert name in allowed


def test_every_definition_has_a_failing_twin() -> None:
    assert {name for name, _ in BAD} == SHIPPED.keys()


@pytest.mark.parametrize("gone", ["workspaceId", "logs"])
def test_a_diagnostic_setting_must_send_something_somewhere(gone: str) -> None:
    (vault,) = [each for each in ours() if each["type"] == VAULT][:1]
    settings = [each for each in ours() if each.get("scope") == vault["id"]]
    definition = shipped()["cji-diagnostic-settings"]
    assert not violated(definition, vault, settings, values())
    weaker = copy.deepcopy(settings)
    for each in weaker:
        del each["properties"][gone]
    assert violated(definition, vault, weaker, values())


def test_a_template_that_does_not_comply_is_named_with_its_line(tmp_path: Path) -> None:
    folder = DEPLOY / "bicep"
    templates = {path.name: parse(path.name, path.read_bytes()) for path in folder.glob("*.bicep")}
    source = (
        (folder / "vault.bicep").read_bytes().replace(b"enablePurgeProtection: true", b"enablePurgeProtection: false")
    )
    resources = planned(folder, {**templates, "vault.bicep": parse("vault.bicep", source)}, EXAMPLES[0])
    (problem,) = compliance_problems(shipped(), resources, values())
    assert problem.startswith("vault.bicep:24: ")
    assert problem.endswith("does not comply with cji-purge-protection")
