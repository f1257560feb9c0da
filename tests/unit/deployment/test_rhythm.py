"""`cji doctor --azure` on the network's rules, and on the time of an upgrade against notice and jobs."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cji_core.command.findings import Finding
from cji_core.format.configuration.worker import LimitsSection
from cji_deploy.rhythm import DRAIN_S, NOTICE_S, Rhythm, seconds
from cji_deploy.verbs.doctor_azure import deployment_findings
from cji_worker.door.config import GRACE_S
from cji_worker.probe.notice import EXCHANGE_S
from cji_worker.probe.process import LOOK_S
from tests.support.deployed import Export, as_file, good, named
from tests.support.paths import ROOT
from tests.support.worker_configs import WORKER_CONFIG

GROUP = "Microsoft.Network/networkSecurityGroups"
SCALE_SET = "Microsoft.Compute/virtualMachineScaleSets"
NETWORK = {
    "type": "Microsoft.Network/virtualNetworks",
    "name": "hub",
    "properties": {"dhcpOptions": {"dnsServers": ["10.30.0.5", "168.63.129.16"]}},
}


def found(folder: Path, *changes: Callable[[Export], None], config: str | None = None) -> list[Finding]:
    export = good()
    for change in changes:
        change(export)
    (folder / "export.json").write_bytes(as_file(export))
    if config is None:
        return deployment_findings([folder / "export.json"])
    (folder / "worker.toml").write_text(config)
    return deployment_findings([folder / "export.json"], folder / "worker.toml")


def network(findings: list[Finding]) -> set[str]:
    """Names of the rules that are missing."""
    return {each.name.split()[2] for each in findings if each.name.startswith("network rule ") and each.remedy}


def rule(name: str, **values: Any) -> Callable[[Export], None]:
    """Change a rule of the group; without values, remove it."""

    def change(export: Export) -> None:
        rules = named(export, GROUP)["properties"]["securityRules"]
        (one,) = (each for each in rules if each["name"] == name)
        one["properties"] |= values
        if not values:
            rules.remove(one)

    return change


def with_network(export: Export) -> None:
    export["resources"].append(NETWORK)


def tdx(export: Export) -> None:
    named(export, SCALE_SET)["sku"]["name"] = "Standard_DC4es_v6"


def test_the_templates_leave_out_no_rule(tmp_path: Path) -> None:
    findings = found(tmp_path)
    assert network(findings) == set()
    (one,) = (each for each in findings if each.name == "network rules")
    assert one.state == "ok"


@pytest.mark.parametrize(
    "name", ["clients-in", "probe-in", "nothing-else-in", "private-endpoints-out", "nothing-else-out"]
)
def test_a_rule_that_is_missing_is_named(tmp_path: Path, name: str) -> None:
    assert network(found(tmp_path, rule(name))) == {name}


def test_a_name_server_of_the_network_needs_a_rule(tmp_path: Path) -> None:
    assert network(found(tmp_path, with_network)) == {"dns-out"}
    allowed = rule("dns-out", access="Allow", destinationAddressPrefixes=["10.30.0.0/24"])
    assert network(found(tmp_path, with_network, allowed)) == set()
    tcp = rule("dns-out", access="Allow", destinationAddressPrefixes=["10.30.0.5"], protocol="Tcp")
    assert network(found(tmp_path, with_network, tcp)) == {"dns-out"}


def test_tokens_need_the_rule_to_entra(tmp_path: Path) -> None:
    tokens = WORKER_CONFIG + '\n[entra]\naudience = "api"\n'
    assert network(found(tmp_path, config=WORKER_CONFIG)) == set()
    assert network(found(tmp_path, config=tokens)) == {"entra-out"}
    assert network(found(tmp_path, rule("entra-out", access="Allow"), config=tokens)) == set()


def test_tdx_needs_a_rule_to_intel_or_a_firewall(tmp_path: Path) -> None:
    assert network(found(tmp_path, tdx)) == {"collateral-out"}
    no_address = rule("collateral-out", access="Allow")
    assert network(found(tmp_path, tdx, no_address)) == {"collateral-out"}
    firewall = rule("collateral-out", access="Allow", destinationAddressPrefixes=["10.30.0.4/32"])
    assert network(found(tmp_path, tdx, firewall)) == set()


def test_a_rule_in_front_of_another_one_decides(tmp_path: Path) -> None:
    def denied(export: Export) -> None:
        rules = named(export, GROUP)["properties"]["securityRules"]
        (one,) = (each for each in rules if each["name"] == "private-endpoints-out")
        first = {**one["properties"], "priority": 99, "access": "Deny", "destinationPortRange": "400-500"}
        rules.append({"name": "ours", "properties": first})

    assert network(found(tmp_path, denied)) == {"private-endpoints-out"}


@pytest.mark.parametrize(
    ("machines", "batches", "upgrade"), [(1, 1, 1800), (2, 2, 3600), (5, 5, 9000), (10, 5, 9000), (12, 6, 10800)]
)
def test_the_time_of_an_upgrade(machines: int, batches: int, upgrade: int) -> None:
    rhythm = Rhythm(machines=machines, batch_percent=20, pause_s=600, notice_s=900)
    assert (rhythm.batches, rhythm.upgrade_s) == (batches, upgrade)


@pytest.mark.parametrize(("text", "value"), [("PT15M", 900), ("PT1H30S", 3630), ("PT0S", 0)])
def test_durations_are_read(text: str, value: int) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["PT", "15", "P1D", "PT-5M", "", None, "PT15M "])
def test_another_text_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        seconds(text)


def test_a_job_longer_than_the_notice_is_a_finding(tmp_path: Path) -> None:
    def jobs(longest: int) -> Finding:
        config = WORKER_CONFIG + f"\n[limits]\nmax_job_seconds = {longest}\n"
        (one,) = (each for each in found(tmp_path, config=config) if each.name.startswith("longest job"))
        return one

    assert (jobs(660).state, jobs(661).state) == ("ok", "warning")
    assert "max_job_seconds to 660" in jobs(3600).remedy


def test_the_default_ends_before_the_notice_of_the_templates(tmp_path: Path) -> None:
    (one,) = (each for each in found(tmp_path, config=WORKER_CONFIG) if each.name.startswith("longest job"))
    assert one.state == "ok"


def test_the_drain_covers_the_limits_of_probe_fleet_and_door() -> None:
    unit = (ROOT / "deploy" / "systemd" / "cji-fleet.service").read_text()
    (minutes,) = re.findall(r"^TimeoutStopSec=(\d+)min$", unit, re.MULTILINE)
    noticed = LOOK_S + 2 * EXCHANGE_S
    assert noticed + 60 * int(minutes) + GRACE_S + 35 == DRAIN_S
    assert LimitsSection().max_job_seconds == NOTICE_S - DRAIN_S


def test_an_upgrade_is_counted_from_the_export(tmp_path: Path) -> None:
    (one,) = (each for each in found(tmp_path) if each.name.startswith("rolling upgrade"))
    assert one.found.startswith("up to 3600 s")

    def without(export: Export) -> None:
        del named(export, SCALE_SET)["properties"]["upgradePolicy"]

    (one,) = (each for each in found(tmp_path, without) if each.name.startswith("rolling upgrade"))
    assert one.state == "failed"
    assert "upgradePolicy" in one.found
