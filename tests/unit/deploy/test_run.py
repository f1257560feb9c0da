"""The whole tool on the shipped folder and on broken copies: no break is called ok, no gap is silent."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cji_deploy.check import Outcome, Status, run
from cji_deploy.check.bicep import parse
from cji_deploy.check.hardening import LOGGED, RULES, Rule, hardening_problems
from cji_deploy.check.roles import ASSIGNMENTS, RIGHTS
from cji_deploy.check.scanner import check_with_checkov
from cji_deploy.check.units import MIN_SYSTEMD, check_order, check_sysusers, check_unit, systemd_version
from tests.support.paths import ROOT

DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd" / "cji-worker.service"
DOOR = UNIT.with_name("cji-door.service")
CONSOLE = UNIT.with_name("cji-console.service")
needs_systemd = pytest.mark.skipif(
    systemd_version(shutil.which("systemd-analyze")) < MIN_SYSTEMD, reason=f"no systemd-analyze {MIN_SYSTEMD} or newer"
)


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep every other program out: what this package itself checks is quick."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))


@pytest.fixture
def no_scanner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the slow scanner out: it is found on the path only, and has its own test."""
    (tmp_path / "bin").mkdir()
    for tool in ("systemd-analyze", "systemd-sysusers"):
        if found := shutil.which(tool):
            (tmp_path / "bin" / tool).symlink_to(found)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))


def copy(tmp_path: Path, file: str = "", old: str = "", new: str = "") -> Path:
    root = tmp_path / "deploy"
    shutil.copytree(DEPLOY, root, symlinks=True, ignore=shutil.ignore_patterns("check", "__pycache__"))
    if file:
        source = (root / file).read_text()
        assert old in source
        (root / file).write_text(source.replace(old, new))
    return root


def by_status(outcomes: list[Outcome], status: Status) -> set[str]:
    return {outcome.check for outcome in outcomes if outcome.status is status}


@pytest.mark.usefixtures("no_scanner")
def test_the_shipped_folder_passes_and_lists_what_did_not_run() -> None:
    outcomes = run(DEPLOY, None)
    assert by_status(outcomes, Status.FAILED) == set()
    assert {"bicep: resource types", "bicep: checkov"} <= by_status(outcomes, Status.NOT_RUN)
    assert all(outcome.reasons for outcome in outcomes if outcome.status is not Status.OK)


@pytest.mark.usefixtures("no_tools")
@pytest.mark.parametrize(
    ("file", "old", "new", "check"),
    [
        ("bicep/scaleset.bicep", "resource scaleSet", "resource = scaleSet", "bicep: syntax and names"),
        ("bicep/scaleset.bicep", "id: subnetResourceId", "id: subnetId", "bicep: syntax and names"),
        ("bicep/main.bicep", "    name: keyName\n", "", "bicep: wiring"),
        ("bicep/main.parameters.example.json", '"prefix"', '"prefux"', "bicep: parameters file"),
        ("bicep/government.parameters.example.json", '"keyStore"', '"key"', "bicep: parameters file"),
        ("bicep/fleet.bicep", "    queueResourceId: storage.outputs.queueResourceId\n", "", "bicep: wiring"),
        ("bicep/fleet.bicep", "param location string\n", "param location\n", "bicep: syntax and names"),
        ("bicep/budget.bicep", "metadata name", "metadata title", "bicep: conventions"),
        ("bicep/main.parameters.example.json", '"eastus2"', '"westeurope"', "bicep: deployment"),
        ("bicep/loadBalancer.bicep", "numberOfProbes: 2", "numberOfProbes: 3", "bicep: snapshot"),
        ("policy-initiative/definitions/cji-tags.json", '"exists"', '"exist"', "initiative: definition"),
        ("policy-initiative/main.bicep", "'Default'\n\n", "'DoNotEnforce'\n\n", "initiative: assignment"),
        ("policy-initiative/main.bicep", "  tags\n]", "]", "initiative: assignment"),
        (
            "bicep/storage.bicep",
            "publicNetworkAccess: 'Disabled'",
            "publicNetworkAccess: 'Enabled'",
            "initiative: compliance",
        ),
        ("bicep/vault.bicep", "'premium'", "'standard'", "bicep: hardening"),
        ("azure.yaml", "provider: bicep", "provider: terraform", "azd: azure.yaml"),
        ("azure.yaml", "module: main", "module: fleets", "azd: azure.yaml"),
        ("azure.yaml", "module: main", "modul: main", "azd: azure.yaml"),
        ("azure.yaml", "continueOnError: false", "continueOnError: true", "azd: azure.yaml"),
        ("azure.yaml", "python -m cji_deploy.check", "true", "azd: azure.yaml"),
        ("policy/release-policy.json", "equals", "equal", "policy: grammar"),
        ("policy/release-policy.json", "azure-compliant-cvm", "any", "policy: strength"),
        ("policy/release-policy.json", "__ATTESTATION_AUTHORITY__", "http://x.y", "policy: strength"),
        ("policy/release-policy-tdx.json", "tdxvm", "sevsnpvm", "policy: strength"),
        ("policy/release-policy-tdx.json", '": false', '": "false"', "policy: origin"),
        ("policy/attestation-policy.txt", "==", "=", "attestation policy"),
        ("policy/attestation-policy.txt", "value==true", "value==false", "attestation policy"),
        ("policy/attestation-policy.txt", "\n};\nissuance", "\n};\n\nissuance", "attestation policy"),
        ("systemd/cji-worker.service", "LimitCORE=0\n", "", "unit: needed lines"),
        ("systemd/cji-worker.service", "User=cji", "User=root", "unit: needed lines"),
        ("systemd/cji-worker.service", "AmbientCapabilities=CAP_SETUID ", "AmbientCapabilities=", "unit: needed lines"),
        ("systemd/cji-audit.service", "ReadOnlyPaths=/var/lib/cji\n", "", "unit: needed lines"),
        ("systemd/cji-audit.service", "PrivateDevices=yes\n", "", "unit: needed lines"),
        ("log/cji-log.service", "User=cji-log", "User=cji", "unit: needed lines"),
        ("log/cji-log.service", "StateDirectoryMode=0700\n", "", "unit: needed lines"),
        ("log/cji-witness.service", " 168.63.129.16\n", "\n", "unit: needed lines"),
        ("log/cji-witness.service", "SocketBindDeny=any\n", "", "unit: needed lines"),
        ("systemd/cji-fleet.service", "User=cji-fleet", "User=cji", "unit: needed lines"),
        ("systemd/cji-fleet.service", "PrivateDevices=yes\n", "", "unit: needed lines"),
        ("systemd/cji-audit.service", "User=cji-audit", "User=cji", "unit: needed lines"),
        ("systemd/cji-audit.service", "IPAddressDeny=any\n", "", "unit: needed lines"),
        ("systemd/cji-probe.service", "SocketBindAllow=ipv4:tcp:9465\n", "", "unit: needed lines"),
        ("systemd/cji-probe.service", " 168.63.129.16 ", " 0.0.0.0/0 ", "unit: needed lines"),
        ("systemd/cji-fleet.service", "10.0.0.0/8", "169.254.169.254 10.0.0.0/8", "unit: needed lines"),
        ("systemd/cji-audit.service", "localhost 10.0.0.0/8", "localhost link-local 10.0.0.0/8", "unit: needed lines"),
        (
            "systemd/cji-console.service",
            "localhost 10.0.0.0/8",
            "localhost link-local 10.0.0.0/8",
            "unit: needed lines",
        ),
        ("systemd/cji-broker.service", "User=cji-broker", "User=cji", "unit: needed lines"),
        ("systemd/cji-provisioned.service", "User=cji-provisioned", "User=root", "unit: needed lines"),
        ("systemd/cji-provisioned.service", "168.63.129.16/32", "0.0.0.0/0", "unit: needed lines"),
        ("systemd/cji-broker.service", "SystemCallFilter=capset\n", "", "unit: needed lines"),
        ("systemd/cji-fleet.service", "SystemCallFilter=capset\n", "", "unit: needed lines"),
        ("systemd/cji-audit.service", "SystemCallFilter=capset\n", "", "unit: needed lines"),
        ("systemd/cji-broker.service", "169.254.169.254/32", "10.0.0.0/8", "unit: needed lines"),
        ("systemd/cji-bundle.service", "restart cji-broker.service", "start cji-broker.service", "unit: needed lines"),
        ("systemd/cji-worker.service", "Wants=cji-futile.service\n", "", "unit: needed lines"),
        ("systemd/cji-futile.service", "ExecCondition=", "ExecStartPre=", "unit: needed lines"),
        (
            "systemd/cji-drain.service",
            "cji-fleet.service cji-worker.service\n",
            "cji-fleet.service\n",
            "unit: needed lines",
        ),
        ("systemd/cji-door.service", "StartLimitIntervalSec=0", "StartLimitIntervalSec=300", "unit: needed lines"),
        ("systemd/cji-probe.service", "StartLimitIntervalSec=0\n", "", "unit: needed lines"),
        ("systemd/cji-door-limit.service", "RestartMode=direct\n", "", "unit: needed lines"),
        ("systemd/cji-drain.path", "/run/cji-probe/terminate", "/run/cji-probe/end", "unit: needed lines"),
        ("systemd/cji-worker.service", "setgroups setresgid setresuid capset", "capset", "unit: needed lines"),
    ],
)
def test_each_break_is_seen_by_its_check(tmp_path: Path, file: str, old: str, new: str, check: str) -> None:
    assert check in by_status(run(copy(tmp_path, file, old, new), None), Status.FAILED)


@pytest.mark.usefixtures("no_tools")
def test_a_broken_template_stops_checks_that_need_all_of_them(tmp_path: Path) -> None:
    outcomes = run(copy(tmp_path, "bicep/identity.bicep", "{", "["), None)
    assert {"bicep: wiring", "bicep: hardening", "bicep: snapshot", "initiative: compliance"} <= by_status(
        outcomes, Status.NOT_RUN
    )
    assert "bicep: syntax and names" in by_status(outcomes, Status.FAILED)


@pytest.mark.usefixtures("no_tools")
def test_an_empty_folder_fails(tmp_path: Path) -> None:
    failed = by_status(run(tmp_path, None), Status.FAILED)
    assert {"bicep: syntax and names", "policy: grammar", "unit: needed lines"} <= failed


@pytest.mark.usefixtures("no_tools")
def test_a_missing_types_folder_fails_instead_of_not_running(tmp_path: Path) -> None:
    assert "bicep: resource types" in by_status(run(DEPLOY, tmp_path / "gone"), Status.FAILED)


def hardening(file: str, old: str, new: str) -> str:
    sources = {path.name: path.read_text() for path in (DEPLOY / "bicep").glob("*.bicep")}
    assert old in sources[file]
    sources[file] = sources[file].replace(old, new)
    return "\n".join(hardening_problems([parse(name, source.encode()) for name, source in sources.items()]))


_TEMPLATE_OF = {
    "virtualMachineScaleSets": "scaleset.bicep",
    "diskEncryptionSets": "diskKey.bicep",
    "versions": "gallery.bicep",
    "loadBalancers": "loadBalancer.bicep",
    "vaults": "vault.bicep",
    "managedHSMs": "managedHsm.bicep",
    "autoscalesettings": "autoscale.bicep",
    "workspaces": "logs.bicep",
    "dataCollectionEndpoints": "logs.bicep",
    "storageAccounts": "storage.bicep",
    "blobServices": "storage.bicep",
    "containers": "storage.bicep",
    "immutabilityPolicies": "storage.bicep",
}


def template_of(rule: Rule) -> str:
    if rule.files:
        return rule.files[-1]
    last = rule.type_name.rpartition("/")[2]
    return ("hsmKey.bicep" if "HSM" in rule.type_name else "key.bicep") if last == "keys" else _TEMPLATE_OF[last]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.path)
def test_every_hardening_rule_fails_when_its_property_is_gone(rule: Rule) -> None:
    name = template_of(rule)
    last = rule.path.rpartition(".")[2]
    # `name` and `type` stand elsewhere too; renaming them all still takes the ruled one away
    found = hardening(name, f" {last}:", f" {last}X:")
    assert re.search(rf"^{name}:\d+: {re.escape(rule.path)} must be", found, re.MULTILINE)


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("scaleset.bicep", "encryptionAtHost: false", "encryptionAtHost: true", "one more way to fail"),
        ("scaleset.bicep", "'VMGuestStateOnly'", "'DiskWithVMGuestState'", "a root under dm-verity"),
        ("gallery.bicep", "'EncryptedVMGuestStateOnlyWithPmk'", "'EncryptedWithPmk'", "the counterpart of the scale"),
        ("scaleset.bicep", "vTpmEnabled: true", "vTpmEnabled: empty(name)", "vTpmEnabled must be true"),
        ("scaleset.bicep", "'ConfidentialVM'", "empty(name) ? 'ConfidentialVM' : 'TrustedLaunch'", "memory must be"),
        ("scaleset.bicep", "subnet: {", "publicIPAddressConfiguration: { name: 'x' }\nsubnet: {", "public address"),
        ("key.bicep", "'wrapKey'", "'wrapKey'\n'unwrapKey'", "go round attestation"),
        ("key.bicep", "keyOps: [\n      'wrapKey'\n    ]", "keyOps: []", "go round attestation"),
        ("key.bicep", "keySize: 3072", "keySize: 2048", "RSA below 3072 bits"),
        ("key.bicep", "exportable: true", "exportable: 1", "exportable must be true"),
        ("key.bicep", "scope: key", "scope: vault", "scoped to the key"),
        ("key.bicep", "08bbd89e", "00482a5a", "must be Key Vault Crypto Service Release User"),
        ("storageKey.bicep", "exportable: false", "exportable: true", "never leaves"),
        ("storageKey.bicep", "scope: key", "scope: vault", "scoped to the key"),
        (
            "storage.bicep",
            "allowSharedKeyAccess: false",
            "allowSharedKeyAccess: true",
            "an account key has every right",
        ),
        ("storage.bicep", "'TLS1_2'", "'TLS1_0'", "TLS 1.2 or later"),
        ("storage.bicep", "'Microsoft.Keyvault'", "'Microsoft.Storage'", "the agency holds the key"),
        ("storage.bicep", "keyType: 'Account'", "keyType: 'Service'", "tickets under the agency's key"),
        ("storage.bicep", "isVersioningEnabled: true", "isVersioningEnabled: false", "must stay readable"),
        ("storage.bicep", "parent: ledger", "parent: shuffle", "lets a job run again"),
        ("storage.bicep", "parent: retention", "parent: shuffle", "a record proves what is gone"),
        (
            "storage.bicep",
            "immutableStorageWithVersioning: {\n      enabled: true",
            "immutableStorageWithVersioning: {\n      enabled: false",
            "no legal hold can be put on a job",
        ),
        ("storage.bicep", "'results/'", "'ledger/'", "must name prefixes among"),
        ("storage.bicep", "'shuffle/'", "''", "must name prefixes among"),
        ("storage.bicep", "prefixMatch: [", "otherMatch: [", "must name prefixes among"),
        (
            "storage.bicep",
            "version: {\n                delete",
            "version: {\n                tierToCool",
            "must delete each version too",
        ),
        ("storageRoles.bicep", "scope: retention", "scope: ledger", "scoped to the retention"),
        (
            "storageRoles.bicep",
            "blobs/deleteBlobVersion/action'",
            "blobs/immutableStorage/runAsSuperUser/action'",
            "disposerRole must not have",
        ),
        ("storage.bicep", "publicAccess: 'None'", "publicAccess: 'Blob'", "private access only"),
        ("storageRoles.bicep", "scope: enroll", "scope: blobs", "scoped to the enroll"),
        ("storageRoles.bicep", r"StringLike \'*/request\'", r"StringLike \'*\'", "the condition must be ((!(Action"),
        ("storageRoles.bicep", "resource approverEnroll", "resource anybody", "'approverEnroll' is missing"),
        (
            "storageRoles.bicep",
            "principalId: fleetPrincipalId",
            "principalId: fleetPrincipalId\n    condition: 'x'",
            "the condition must be none",
        ),
        ("storageRoles.bicep", "scope: ledger", "scope: account", "scoped to the ledger"),
        ("storageRoles.bicep", "scope: jobsQueue", "scope: queues", "scoped to the jobsQueue"),
        ("storageRoles.bicep", "ledgerRole.id", "writerRole.id", "the role must be ledgerRole"),
        ("storageRoles.bicep", "2a2b9908", "ba92f5b4", "the role must be Storage Blob Data Reader"),
        ("storageRoles.bicep", "blobs/write'", "blobs/delete'", "must not have the right"),
        ("storageRoles.bicep", "blobs/add/action'", "blobs/*'", "must not have the right"),
        ("storageRoles.bicep", "messages/process/action'", "messages/delete'", "needs the right"),
        ("storageRoles.bicep", "actions: []", "actions: ['*']", "must not have the right *"),
        ("storageRoles.bicep", "resource fleetPoison", "resource anybody", "a role assignment that is not needed"),
        ("storageRoles.bicep", "resource fleetPoison", "resource anybody", "'fleetPoison' is missing"),
        ("storageRoles.bicep", "ticketRole", "everyRole", "the role 'ticketRole' is missing"),
        ("autoscale.bicep", "'ApproximateMessageCount'", "'Percentage CPU'", "follows the waiting tickets"),
        ("vault.bicep", "enablePurgeProtection: true", "enablePurgeProtection: false", "a purged key"),
        ("vault.bicep", "publicNetworkAccess: 'Disabled'", "publicNetworkAccess: 'Enabled'", "private access"),
        ("scaleset.bicep", "enable: true", "enable: false", "gets no notice"),
        ("scaleset.bicep", "'PT15M'", "'PT5M'", "the drain take"),
        ("scaleset.bicep", "maxSurge: true", "maxSurge: false", "no notice to drain"),
        (
            "scaleset.bicep",
            "id: diskEncryptionSetResourceId",
            "resource: name",
            "the OS disk has a key of the platform",
        ),
        ("scaleset.bicep", "id: diskEncryptionSetResourceId", "resource: name", "the data disk has a key of the"),
        ("diskKey.bicep", "'EncryptionAtRest", "'ConfidentialVmEncrypted", "the agency holds the key"),
        ("diskKey.bicep", "scope: key", "scope: vault", "scoped to the key"),
        ("diskKey.bicep", "exportable: false", "exportable: true", "key of the disks never leaves"),
        ("logs.bicep", "@minValue(365)", "@minValue(30)", "must be 365 days or more"),
        ("logs.bicep", "retentionInDays: retentionInDays", "retentionInDays: 90", "must be 365 days or more"),
        ("logs.bicep", "scope: rule", "scope: workspace", "scoped to the rule"),
        ("loadBalancer.bicep", "subnet: {", "publicIPAddress: { id: 'x' }\nsubnet: {", "public address"),
        ("loadBalancer.bicep", "enabled: true", "enabled: false", "balancer has no diagnostic setting"),
        ("networkSecurity.bicep", "workspaceId: workspaceResourceId", "", "group has no diagnostic setting"),
        ("vault.bicep", "logAnalyticsDestinationType: 'Dedicated'", "", "the tables of each service"),
        ("managedHsm.bicep", "scope: hsm", "scope: endpoint", "hsm has no diagnostic setting"),
        ("managedHsm.bicep", "enablePurgeProtection: true", "enablePurgeProtection: false", "a purged key"),
        ("hsmKey.bicep", "'wrapKey'", "'decrypt'", "go round attestation"),
    ],
)
def test_a_softened_deployment_is_seen_in_its_file_and_line(file: str, old: str, new: str, problem: str) -> None:
    found = hardening(file, old, new)
    assert problem in found
    lines = [line for line in found.splitlines() if problem in line]
    assert all(re.match(rf"{file}:\d+: ", line) or " is missing" in line for line in lines)


def test_every_logged_type_is_one_of_ours() -> None:
    resources = (
        each for path in (DEPLOY / "bicep").glob("*.bicep") for each in parse(path.name, path.read_bytes()).resources
    )
    assert {each.type_name.partition("@")[0] for each in resources if not each.existing} >= LOGGED


def test_no_resources_is_not_a_hardened_deployment() -> None:
    problems = list(hardening_problems([]))
    assert len(problems) == len(RULES) + sum(map(len, ASSIGNMENTS.values())) + len(RIGHTS)


@needs_systemd
@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        ("NoNewPrivileges=yes", "NoNewPrivilegs=yes", "unit: verify"),
        ("KillMode=mixed", "KillMode=mixd", "unit: verify"),
        ("SystemCallFilter=@system-service @sandbox memfd_secret\n", "", "unit: exposure"),
        ("CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_KILL\n", "", "unit: exposure"),
        ("User=cji\n", "", "unit: exposure"),
        ("OOMPolicy=continue\n", "", "unit: needed lines"),
        ("@sandbox memfd_secret", "@sandbox", "unit: needed lines"),
    ],
)
def test_a_broken_unit_is_seen(tmp_path: Path, old: str, new: str, check: str) -> None:
    source = UNIT.read_text()
    assert old in source
    unit = tmp_path / UNIT.name
    unit.write_text(source.replace(old, new))
    assert check in by_status(check_unit(unit), Status.FAILED)


@needs_systemd
@pytest.mark.parametrize(
    ("unit", "old", "new"),
    [
        ("cji-door.socket", "DefaultDependencies=no\n", ""),
        ("cji-broker.socket", "[Unit]\n", "[Unit]\nAfter=cji-bundle.service\n"),
        ("cji-futile.service", "[Unit]\n", "[Unit]\nAfter=cji-fleet.service\n"),
        ("cji-resume.path", "[Unit]\n", "[Unit]\nAfter=multi-user.target\n"),
    ],
)
def test_units_that_wait_for_each_other_are_seen(tmp_path: Path, unit: str, old: str, new: str) -> None:
    folder = copy(tmp_path, f"systemd/{unit}", old, new) / "systemd"
    assert check_order(folder).status is Status.FAILED
    assert any(unit in reason for reason in check_order(folder).reasons)


@needs_systemd
@pytest.mark.parametrize("unit", [UNIT, DOOR, CONSOLE], ids=lambda unit: unit.name)
def test_the_shipped_unit_passes_systemds_own_reading(unit: Path) -> None:
    assert [outcome.reasons for outcome in check_unit(unit) if outcome.status is not Status.OK] == []


@pytest.mark.parametrize(
    "line",
    [
        "PrivateNetwork=yes",
        "RestrictAddressFamilies=AF_UNIX",
        "User=cji-door",
        "Group=cji-door",
        "CapabilityBoundingSet=",
        "NoNewPrivileges=yes",
        "LimitCORE=0",
        "MemorySwapMax=0",
        "MemoryMax=1G",
        "Requires=cji-door.socket cji-door-limit.service",
        "ExecStartPre=+/usr/bin/systemctl reload cji-door-limit.service",
    ],
)
def test_a_door_with_more_rights_is_seen(tmp_path: Path, line: str) -> None:
    source = DOOR.read_text()
    assert f"\n{line}\n" in source
    unit = tmp_path / DOOR.name
    unit.write_text(source.replace(f"{line}\n", ""))
    assert "unit: needed lines" in by_status(check_unit(unit), Status.FAILED)


@pytest.mark.parametrize(
    "line",
    [
        "User=cji-console",
        "Group=cji-console",
        "CapabilityBoundingSet=",
        "NoNewPrivileges=yes",
        "IPAddressDeny=any",
        "IPAddressAllow=localhost 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16",
        "SystemCallFilter=capset",
        "PrivateDevices=yes",
        "ProtectSystem=strict",
        "InaccessiblePaths=-/var/lib/cji -/run/cji/control -/run/cji-door",
        "LimitCORE=0",
        "MemoryMax=512M",
    ],
)
def test_a_console_with_more_rights_is_seen(tmp_path: Path, line: str) -> None:
    source = CONSOLE.read_text()
    assert f"\n{line}\n" in source
    unit = tmp_path / CONSOLE.name
    unit.write_text(source.replace(f"\n{line}\n", "\n"))
    assert "unit: needed lines" in by_status(check_unit(unit), Status.FAILED)


@pytest.mark.parametrize(
    ("unit", "line"),
    [
        ("cji-bundle.service", "RemainAfterExit=yes"),
        ("cji-bundle.service", "CapabilityBoundingSet=CAP_CHOWN"),
        ("cji-bundle.service", "ProtectSystem=strict"),
        ("cji-bundle.service", "AssertPathExists=/usr/share/cji/bundle-keys"),
        ("cji-bundle.service", "ReadWritePaths=/run/log/systemd"),
        ("cji-bundle-update.service", "ConditionPathExists=/run/cji/config/bundle.head"),
        ("cji-bundle-update.service", "CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE"),
        ("cji-bundle-update.service", "PrivateDevices=yes"),
        ("cji-door-enroll.service", "User=cji-door"),
        ("cji-door-enroll.service", "RuntimeDirectory=cji-tls"),
        ("cji-door-enroll.service", "PrivateDevices=yes"),
        ("cji-door-enroll.service", "Before=cji-door.service"),
    ],
)
def test_a_softened_unit_of_the_first_boot_is_seen(tmp_path: Path, unit: str, line: str) -> None:
    source = (DEPLOY / "systemd" / unit).read_text()
    assert f"\n{line}\n" in source
    (tmp_path / unit).write_text(source.replace(f"\n{line}\n", "\n"))
    assert "unit: needed lines" in by_status(check_unit(tmp_path / unit), Status.FAILED)


def test_no_unit_starts_before_its_bundle(tmp_path: Path) -> None:
    """Each unit that reads /etc/cji stands in both lists of cji-bundle.service."""
    unit = DEPLOY / "systemd" / "cji-bundle.service"
    lists = [line for line in unit.read_text().splitlines() if line.startswith(("Before=", "RequiredBy="))]
    readers = [path for path in unit.parent.glob("*.service") if "/etc/cji/" in path.read_text()]
    readers.remove(unit.parent / "cji-broker.service")  # before the bundle too, which restarts it
    assert len(readers) == 9
    assert [path.name for path in readers for line in lists if path.name not in line.partition("=")[2].split()] == []
    (tmp_path / unit.name).write_text(unit.read_text().replace(" cji-fleet.service", ""))
    assert "unit: needed lines" in by_status(check_unit(tmp_path / unit.name), Status.FAILED)


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd-sysusers is not installed")
def test_a_broken_users_file_is_seen(tmp_path: Path) -> None:
    shipped = DEPLOY / "systemd" / "cji-worker.sysusers.conf"
    assert check_sysusers(shipped).status is Status.OK
    broken = tmp_path / shipped.name
    broken.write_text(shipped.read_text().replace("u cji", "x cji"))
    assert check_sysusers(broken).status is Status.FAILED


def test_an_older_systemd_is_not_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "systemd-analyze"
    program.write_text("#!/bin/sh\necho 'systemd 252 (252.1)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert by_status(check_unit(UNIT), Status.NOT_RUN) == {"unit: verify", "unit: exposure"}


def test_without_systemd_the_unit_checks_say_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert by_status(check_unit(UNIT), Status.NOT_RUN) == {"unit: verify", "unit: exposure"}


@pytest.mark.parametrize(
    ("report", "status"),
    [
        ('{"summary":{"passed":3,"parsing_errors":0},"results":{"failed_checks":[]}}', Status.OK),
        ('{"summary":{"passed":0,"parsing_errors":1},"results":{"failed_checks":[]}}', Status.FAILED),
        ('{"passed":0,"failed":0,"parsing_errors":0}', Status.FAILED),
        ("", Status.FAILED),
        (
            '{"summary":{"passed":3,"parsing_errors":0},"results":{"failed_checks":'
            '[{"file_path":"/a.bicep","check_id":"CKV_AZURE_1","check_name":"x"}]}}',
            Status.FAILED,
        ),
    ],
)
def test_the_scanners_exit_code_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, report: str, status: Status
) -> None:
    program = tmp_path / "checkov"
    program.write_text(f"#!/bin/sh\ncat <<'EOF'\n{report}\nEOF\nexit 0\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert check_with_checkov(DEPLOY / "bicep").status is status


def test_the_command_counts_what_did_not_run(tmp_path: Path) -> None:
    environment = {"PATH": str(tmp_path), "PYTHONPATH": str(DEPLOY.parent)}
    command = [sys.executable, "-m", "cji_deploy.check", "--root", str(copy(tmp_path))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    last = done.stdout.splitlines()[-1]
    assert done.returncode == 0, done.stdout
    assert "0 failed" in last
    assert ", 0 not run" not in last
    assert subprocess.run([*command, "--complete"], env=environment, capture_output=True, check=False).returncode == 1
