"""The deployment as a whole: conventions, shared tables, names and tags, and a snapshot that no change escapes."""

import base64
import functools
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from cji_attestation import AZURE_US, AZURE_USGOV
from cji_attestation.release.policy import check_release_policy
from cji_deploy.check.bicep import Template, parse
from cji_deploy.check.deployment import EXAMPLES, Example, deployment_outcomes, parameters, planned, snapshot
from cji_deploy.check.outcome import Status
from cji_deploy.check.resolve import Surroundings, module_outputs, resolve
from cji_deploy.check.snapshot import main as write_snapshots
from cji_worker.verbs.probe import probe
from tests.support.paths import ROOT

DEPLOY = ROOT / "deploy"
BICEP = DEPLOY / "bicep"
cached = functools.cache(parse)


def templates(folder: Path) -> dict[str, Template]:
    return {path.name: cached(path.name, path.read_bytes()) for path in folder.glob("*.bicep")}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("bicep", "policy", "sentinel/schema"):
        shutil.copytree(DEPLOY / name, tmp_path / name)
    return tmp_path / "bicep"


def problems(folder: Path) -> str:
    failed = [each for each in deployment_outcomes(folder, templates(folder)) if each.status is not Status.OK]
    return "\n".join(f"{each.check}: {reason}" for each in failed for reason in each.reasons)


def test_the_shipped_deployment_is_as_it_should_be() -> None:
    assert problems(BICEP) == ""


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        # placement
        ("vault.bicep", "location: location", "location: 'westeurope'", r"vault.bicep:\d+: vault must be placed by"),
        ("main.bicep", "  'westus3'\n", "  'westus3'\n  'westeurope'\n", r"main.bicep:\d+: @allowed of location"),
        (
            "regions.json",
            '"eastus2"',
            '"westeurope"',
            r"regions.json:3: westeurope is not a region in the United States",
        ),
        ("regions.json", "sharedugv.ugv.attest.azure.us", "sharedeus.eus.attest.azure.net", r"regions.json:11: usgovv"),
        ("regions.json", "https://sharedeus.eus.", "https://sharedeus.weu.", r"regions.json:2: eastus must have"),
        # sizes
        (
            "sizes.json",
            "Standard_DC4as_v6",
            "Standard_DC4as_v5",
            r"sizes.json:2: Standard_DC4as_v5 is not a confidential",
        ),
        ("sizes.json", "Standard_DC4as_v6", "Standard_D4as_v6", r"sizes.json:2: .* is not a confidential size"),
        ("sizes.json", "Standard_DC4as_v6", "Standard_DC4ads_v6", r"sizes.json:2: .* is not a confidential size"),
        ("sizes.json", '_DC4es_v6": "tdx"', '_DC4es_v6": "snp"', r"sizes.json:14: .* has the isolation tdx"),
        ("main.bicep", "  'Standard_EC64es_v6'\n", "", r"main.bicep:\d+: @allowed of vmSize"),
        (
            "main.parameters.example.json",
            '"zones"',
            '"vmSize": { "value": "Standard_D4s_v5" },\n"zones"',
            "against @allowed",
        ),
        # retention
        (
            "main.parameters.example.json",
            '"zones"',
            '"logRetentionInDays": { "value": 90 },\n"zones"',
            "against @minValue",
        ),
        # conventions
        ("identity.bicep", "metadata name", "metadata title", r"identity.bicep:1: no metadata name"),
        ("identity.bicep", "'Required. Azure", "'Azure", r"identity.bicep:\d+: location: its description must begin"),
        ("main.bicep", "'Required. Azure", "'Optional. Azure", r"main.bicep:\d+: location: its description must begin"),
        (
            "main.bicep",
            "param zones string[]",
            "param zones array",
            r"main.bicep:\d+: zones: an array without the type",
        ),
        (
            "main.bicep",
            "= if (jobsByReference) {",
            "= if (jobsByReference) {\n  name: 'f'",
            r"main.bicep:\d+: fleet has a name",
        ),
        ("identity.bicep", "@description('Required. Tags.')\n", "", r"identity.bicep:\d+: tags has no description"),
        (
            "identity.bicep",
            "@description('Client id of the identity.')\n",
            "",
            r"the output clientId has no description",
        ),
        ("budget.bicep", "output resourceId", "output id", r"budget.bicep:1: no output 'resourceId'"),
        ("logs.bicep", "  tags: tags\n", "", r"logs.bicep:\d+: workspace must have `tags: tags`"),
        # names and tags of what is deployed
        ("main.bicep", "'${prefix}-nsg'", "'nsg'", r"networkSecurity.bicep:\d+: nsg must begin with the prefix"),
        ("main.bicep", "  dataClassification: 'CJI-sealed'\n", "", r"has no tag dataClassification"),
        ("main.bicep", "'${prefix}-id-fleet'", "'${prefix}-id-worker'", r"identity.bicep:\d+: .* is deployed twice"),
        # the snapshot sees what no rule names
        ("loadBalancer.bicep", "idleTimeoutInMinutes: 30", "idleTimeoutInMinutes: 4", r"commercial.txt:\d+: .* is now"),
        ("main.bicep", "if (jobsByReference)", "if (!jobsByReference)", r"commercial.txt:\d+"),
        ("snapshots/government.txt", "Microsoft.Consumption", "Microsoft.Other", r"government.txt:\d+: .* is now"),
    ],
)
def test_a_planted_mistake_is_seen_with_its_place(copy: Path, file: str, old: str, new: str, problem: str) -> None:
    source = (copy / file).read_text()
    assert old in source
    (copy / file).write_text(source.replace(old, new, 1))
    assert re.search(problem, problems(copy))


def test_the_snapshot_is_written_by_its_command_and_is_complete(copy: Path) -> None:
    for example in EXAMPLES:
        (copy / example.snapshot).unlink()
    assert write_snapshots(["--root", str(copy.parent)]) == 0
    assert problems(copy) == ""
    text = (copy / EXAMPLES[0].snapshot).read_text()
    resources = planned(copy, templates(copy), EXAMPLES[0])
    assert len(re.findall(r"^Microsoft\.", text, re.MULTILINE)) == len(resources)
    assert text == snapshot(resources)


def test_a_template_that_cannot_be_resolved_writes_no_snapshot(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "sizes.json").write_text("{}")
    assert write_snapshots(["--root", str(copy.parent)]) == 1
    assert "main.bicep:" in capsys.readouterr().err


def by_type(example: Example, kind: str) -> list[dict[str, object]]:
    return [each.body for each in planned(BICEP, templates(BICEP), example) if each.type == kind]


@pytest.mark.parametrize(("example", "kind"), zip(EXAMPLES, ("sevsnpvm", "tdxvm", "sevsnpvm"), strict=True))
def test_policies_and_addresses_fit_the_size_and_the_cloud(example: Example, kind: str) -> None:
    resources = planned(BICEP, templates(BICEP), example)
    policies = {}
    for each in resources:
        if data := each.body.get("properties", {}).get("release_policy", {}).get("data"):
            policies[each.name.rpartition("/")[2]] = json.loads(base64.urlsafe_b64decode(data + "=" * (-len(data) % 4)))
    assert kind in json.dumps(policies["cji-cmk"])
    government = example.cloud == "AzureUSGovernment"
    master = json.dumps(policies["cji-cmk"])
    own = "https://agency.ugv.attest.azure.us" if government else "https://agency.eus2.attest.azure.net"
    (authority,) = {each["authority"] for each in policies["cji-cmk"]["anyOf"]}
    trust = AZURE_USGOV if government else AZURE_US
    check_release_policy(
        master.replace(authority, own).encode(), immutable=True, trust=trust, authority=own, accept=frozenset()
    )
    zones = json.dumps([each.body for each in resources if each.type.endswith("/privateDnsZoneGroups")])
    assert ("privatelink.vaultcore" in zones) == (not government)  # the example of Government has a Managed HSM
    assert ("usgovcloudapi" in zones) == government


def collection_rule(example: Example, member: str, part: str) -> Any:
    """The one data collection rule whose property has this part."""
    rules: list[Any] = by_type(example, "Microsoft.Insights/dataCollectionRules")
    (found,) = [each for each in rules if part in each["properties"].get(member, ())]
    return found


def test_the_logs_journal_is_collected_alone() -> None:
    (flow,) = collection_rule(EXAMPLES[0], "dataSources", "syslog")["properties"]["dataFlows"]
    units = {re.findall("SyslogIdentifier=(.+)", path.read_text())[0] for path in (DEPLOY / "log").glob("*.service")}
    assert set(re.findall('"([^"]+)"', flow["transformKql"])) == units == {"cji-log", "cji-witness"}
    assert flow["outputStream"] == "Microsoft-Syslog"
    for example in EXAMPLES[1:]:
        assert len(by_type(example, "Microsoft.Insights/dataCollectionRules")) == 2


@pytest.mark.parametrize("name", ["Audit", "Health"])
def test_the_tables_are_those_of_their_sources(name: str) -> None:
    rule = collection_rule(EXAMPLES[0], "streamDeclarations", f"Custom-Cji{name}")
    tables: list[Any] = by_type(EXAMPLES[0], "Microsoft.OperationalInsights/workspaces/tables")
    (table,) = [each for each in tables if each["properties"]["schema"]["name"] == f"Cji{name}_CL"]
    source = json.loads(
        (DEPLOY / f"sentinel/schema/cji-{name.lower()}.json").read_bytes()
    )  # derived, and checked to be
    assert rule["properties"]["streamDeclarations"][source["stream"]["name"]]["columns"] == source["stream"]["columns"]
    (flow,) = rule["properties"]["dataFlows"]
    assert (flow["transformKql"], flow["outputStream"]) == (source["transformKql"], f"Custom-Cji{name}_CL")
    assert table["properties"]["schema"]["columns"] == source["table"]["columns"]


def test_the_example_delivers_to_the_table() -> None:
    example = (DEPLOY / "audit.example.toml").read_text()
    assert 'stream = "Custom-CjiAudit"' in example
    assert 'mapping = "native"' in example


def test_template_units_and_command_agree_on_the_probe() -> None:
    source = (BICEP / "main.bicep").read_text()
    (port,) = re.findall(r"^param probePort int = (\d+)$", source, re.MULTILINE)
    unit = (DEPLOY / "systemd" / "cji-probe.service").read_text()
    assert f"SocketBindAllow=ipv4:tcp:{port}\n" in unit
    (option,) = [each for each in probe.params if each.name == "port"]
    assert option.default == int(port)
    assert "requestPath: '/ready'" in (BICEP / "loadBalancer.bicep").read_text()


def test_the_notice_is_as_long_as_the_workers_drain() -> None:
    (scale_set,) = by_type(EXAMPLES[0], "Microsoft.Compute/virtualMachineScaleSets")
    profile = scale_set["properties"]["virtualMachineProfile"]  # type: ignore[index]
    assert profile["scheduledEventsProfile"]["terminateNotificationProfile"]["notBeforeTimeout"] == "PT15M"
    assert "\nTimeoutStopSec=15min\n" in (DEPLOY / "systemd" / "cji-worker.service").read_text()


@pytest.mark.parametrize(("now", "kept"), [(None, 2), (0, 2), (1, 2), (7, 7)])
def test_a_deployment_keeps_the_workers_that_run(now: int | None, kept: int) -> None:
    given = parameters((BICEP / EXAMPLES[0].parameters).read_bytes())
    given |= {} if now is None else {"currentInstanceCount": now}
    around = Surroundings(read=lambda path: (BICEP / path).read_bytes())
    found = resolve("main.bicep", templates(BICEP), given, around)
    (scale_set,) = (each for each in found if each.type == "Microsoft.Compute/virtualMachineScaleSets")
    assert scale_set.body["sku"]["capacity"] == kept


@pytest.mark.parametrize(
    ("store", "origin", "files"),
    [
        ("premiumVault", "generated", {"vault.bicep", "key.bicep"}),
        ("premiumVault", "imported", {"vault.bicep", "importedKey.bicep"}),
        ("premiumVault", "awaited", {"vault.bicep"}),
        ("managedHsm", "generated", {"managedHsm.bicep", "hsmKey.bicep"}),
        ("managedHsm", "imported", {"managedHsm.bicep"}),
        ("managedHsm", "awaited", {"managedHsm.bicep"}),
    ],
)
def test_the_master_key_is_made_awaited_or_found(store: str, origin: str, files: set[str]) -> None:
    given = parameters((BICEP / EXAMPLES[0].parameters).read_bytes())
    given |= {"keyStore": store, "keyOrigin": origin, "hsmAdministratorObjectIds": ["x"]}
    around = Surroundings(read=lambda path: (BICEP / path).read_bytes())
    every = {"vault.bicep", "key.bicep", "importedKey.bicep", "managedHsm.bicep", "hsmKey.bicep"}
    found = resolve("main.bicep", templates(BICEP), given, around)
    assert {each.file for each in found} & every == files
    uri = module_outputs("main.bicep", templates(BICEP), given, around)["keyUriWithVersion"]
    assert bool(uri) == (len(files) == 2)
