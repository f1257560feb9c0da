"""Requirements on our deployment that no type system expresses: confidential, private, not purgeable, releasable.

A rule fails if its resource type does not occur at all: an empty folder is not a hardened one.
Values must be literal; an expression could become anything at deployment. The exceptions are days of retention, which
may be a parameter that cannot be less than a year.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cji_deploy.check.bicep import Template
from cji_deploy.check.roles import role_problems
from cji_deploy.check.values import Expression, Value, at
from cji_deploy.rhythm import NOTICE_S

_SCALE_SET: Final = "Microsoft.Compute/virtualMachineScaleSets"
_DISK_SET: Final = "Microsoft.Compute/diskEncryptionSets"
_VAULT: Final = "Microsoft.KeyVault/vaults"
_KEY: Final = "Microsoft.KeyVault/vaults/keys"
_HSM: Final = "Microsoft.KeyVault/managedHSMs"
_HSM_KEY: Final = "Microsoft.KeyVault/managedHSMs/keys"
_WORKSPACE: Final = "Microsoft.OperationalInsights/workspaces"
_IMAGE_VERSION: Final = "Microsoft.Compute/galleries/images/versions"
_BALANCER: Final = "Microsoft.Network/loadBalancers"
_VM: Final = "properties.virtualMachineProfile"
# operations of the public key alone; the private ones would work inside the vault without attestation
_PUBLIC_KEY_OPERATIONS: Final = ("wrapKey", "encrypt", "verify")
_STORAGE: Final = "Microsoft.Storage/storageAccounts"
_BLOBS: Final = f"{_STORAGE}/blobServices"
_POOL_LEDGER_POLICY: Final = f"{_BLOBS}/containers/immutabilityPolicies"
_POOL_LEDGER: Final = ("ledgerRetention", "floorsRetention")
_RETENTION_LOG: Final = ("recordRetention",)
_LIFECYCLE: Final = f"{_STORAGE}/managementPolicies"
_EXPIRING: Final = frozenset({"jobs/", "results/", "shuffle/", "enroll/"})
"""The only blobs that a lifecycle rule may delete: what a prefix leaves open is ledger, retention log and bundles."""
_FORMS: Final = ("baseBlob", "snapshot", "version")
_MASTER_VAULT: Final = ("vault.bicep",)
_MASTER_KEY: Final = ("key.bicep",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """In every resource of `type_name`, each value at `path` is one of `allowed`; `why` is shown on failure."""

    type_name: str
    path: str
    allowed: Sequence[str | int | bool]
    why: str
    files: Sequence[str] = ()
    symbols: Sequence[str] = ()


def _rule(
    type_name: str,
    path: str,
    allowed: str | int | bool,
    why: str,
    *,
    files: Sequence[str] = (),
    symbols: Sequence[str] = (),
) -> Rule:
    return Rule(type_name=type_name, path=path, allowed=(allowed,), why=why, files=files, symbols=symbols)


def _present(type_name: str, path: str, why: str, *, files: Sequence[str] = ()) -> Rule:
    return Rule(type_name=type_name, path=path, allowed=(), why=why, files=files)


_WORKERS: Final = ("scaleset.bicep",)
"""The scale set whose machines run jobs. One that has none may be replaced at any time."""
_MACHINES: Final = (
    _rule(_SCALE_SET, f"{_VM}.securityProfile.securityType", "ConfidentialVM", "memory must be encrypted"),
    _rule(_SCALE_SET, f"{_VM}.securityProfile.uefiSettings.vTpmEnabled", True, "no evidence without the vTPM"),
    _rule(_SCALE_SET, f"{_VM}.securityProfile.uefiSettings.secureBootEnabled", True, "the release policy requires it"),
    _rule(
        _SCALE_SET,
        f"{_VM}.securityProfile.encryptionAtHost",
        False,
        "it protects caches and temporary disks, which hold nothing here; without a need it is one more way to fail",
    ),
    _rule(
        _SCALE_SET,
        f"{_VM}.storageProfile.osDisk.managedDisk.securityProfile.securityEncryptionType",
        "VMGuestStateOnly",
        "a root under dm-verity cannot be unlocked on a disk that Azure re-encrypts; the guest's state is not public",
    ),
    _rule(
        _IMAGE_VERSION,
        "properties.publishingProfile.targetRegions.encryption.osDiskImage.securityProfile"
        ".confidentialVMEncryptionType",
        "EncryptedVMGuestStateOnlyWithPmk",
        "it must be the counterpart of the scale set's VMGuestStateOnly",
    ),
    _present(
        _SCALE_SET,
        f"{_VM}.storageProfile.osDisk.managedDisk.diskEncryptionSet.id",
        "without it the OS disk has a key of the platform's",
    ),
    _present(
        _SCALE_SET,
        f"{_VM}.storageProfile.dataDisks.managedDisk.diskEncryptionSet.id",
        "without it the data disk has a key of the platform's",
    ),
    _present(_SCALE_SET, f"{_VM}.storageProfile.imageReference.id", "the image must be the worker's own"),
    _rule(_SCALE_SET, f"{_VM}.osProfile.allowExtensionOperations", False, "extensions run code beside the records"),
    _rule(
        _SCALE_SET,
        f"{_VM}.osProfile.linuxConfiguration.disablePasswordAuthentication",
        True,
        "no password opens a worker",
    ),
    _rule(
        _SCALE_SET,
        f"{_VM}.diagnosticsProfile.bootDiagnostics.enabled",
        True,
        "a machine without login that answers no probe says on its serial console alone why",
    ),
    _rule(
        _SCALE_SET,
        f"{_VM}.scheduledEventsProfile.terminateNotificationProfile.enable",
        True,
        "an instance that gets no notice ends with its jobs",
        files=_WORKERS,
    ),
    _rule(
        _SCALE_SET,
        f"{_VM}.scheduledEventsProfile.terminateNotificationProfile.notBeforeTimeout",
        f"PT{NOTICE_S // 60}M",
        "the longest job and the drain take 15 minutes, and Azure gives no more",
        files=_WORKERS,
    ),
    _rule(_SCALE_SET, "identity.type", "UserAssigned", "the right to release must outlive an instance"),
    _rule(
        _SCALE_SET,
        "properties.upgradePolicy.mode",
        "Rolling",
        "an upgrade stops at the first bad batch",
        files=_WORKERS,
    ),
    _rule(
        _SCALE_SET,
        "properties.upgradePolicy.automaticOSUpgradePolicy.enableAutomaticOSUpgrade",
        False,
        "a new image changes measurements: the operator deploys it",
    ),
    _rule(
        _SCALE_SET,
        "properties.upgradePolicy.rollingUpgradePolicy.maxSurge",
        True,
        "an instance that is reimaged in place gets no notice to drain",
        files=_WORKERS,
    ),
    _rule(
        _SCALE_SET,
        "properties.automaticRepairsPolicy.enabled",
        False,
        "a repair deletes a trail that was not delivered",
    ),
    _present(
        _SCALE_SET,
        f"{_VM}.networkProfile.healthProbe.id",
        "without it an upgrade goes on over bad instances",
        files=_WORKERS,
    ),
    _rule(_DISK_SET, "properties.encryptionType", "EncryptionAtRestWithCustomerKey", "the agency holds the key"),
    _rule(_BALANCER, "sku.name", "Standard", "a basic one is open to every network"),
    _rule(_BALANCER, "properties.probes.properties.protocol", "Http", "an open port is not a worker that admits jobs"),
    _rule(_BALANCER, "properties.probes.properties.requestPath", "/ready", "the path at which the worker answers"),
)


_KEYS: Final = (
    _rule(_VAULT, "properties.sku.name", "premium", "exportable keys exist in premium vaults only"),
    _rule(_VAULT, "properties.enableRbacAuthorization", True, "access policies know no least privilege per key"),
    _rule(_VAULT, "properties.enablePurgeProtection", True, "a purged key is every sealed record lost"),
    _rule(_VAULT, "properties.enableSoftDelete", True, "a deleted key is every sealed record lost"),
    _rule(_VAULT, "properties.publicNetworkAccess", "Disabled", "private access only"),
    _rule(_VAULT, "properties.networkAcls.defaultAction", "Deny", "private access only"),
    _rule(_VAULT, "properties.networkAcls.bypass", "None", "private access only", files=_MASTER_VAULT),
    _rule(_HSM, "properties.enablePurgeProtection", True, "a purged key is every sealed record lost"),
    _rule(_HSM, "properties.enableSoftDelete", True, "a deleted key is every sealed record lost"),
    _rule(_HSM, "properties.publicNetworkAccess", "Disabled", "private access only"),
    _rule(_HSM, "properties.networkAcls.defaultAction", "Deny", "private access only"),
    _rule(_HSM, "properties.networkAcls.bypass", "None", "private access only"),
    _rule(_KEY, "properties.kty", "RSA-HSM", "release needs an HSM-backed key; the envelope needs RSA"),
    Rule(type_name=_KEY, path="properties.keySize", allowed=(3072, 4096), why="RSA below 3072 bits is refused"),
    _rule(
        _KEY,
        "properties.attributes.exportable",
        True,
        "a key that is not exportable cannot be released",
        files=_MASTER_KEY,
    ),
    Rule(
        type_name=_KEY,
        path="properties.keyOps",
        allowed=_PUBLIC_KEY_OPERATIONS,
        why="a private operation in the vault would go round attestation",
        files=_MASTER_KEY,
    ),
    _rule(
        _KEY,
        "properties.attributes.exportable",
        False,
        "the key of the storage never leaves",
        files=("storageKey.bicep",),
    ),
    _rule(
        _KEY, "properties.attributes.exportable", False, "the key of the disks never leaves", files=("diskKey.bicep",)
    ),
    _rule(_HSM_KEY, "properties.kty", "RSA-HSM", "release needs an HSM-backed key; the envelope needs RSA"),
    Rule(type_name=_HSM_KEY, path="properties.keySize", allowed=(3072, 4096), why="RSA below 3072 bits is refused"),
    _rule(_HSM_KEY, "properties.attributes.exportable", True, "a key that is not exportable cannot be released"),
    Rule(
        type_name=_HSM_KEY,
        path="properties.keyOps",
        allowed=_PUBLIC_KEY_OPERATIONS,
        why="a private operation in the pool would go round attestation",
    ),
)


_DATA: Final = (
    _rule(_STORAGE, "properties.allowSharedKeyAccess", False, "an account key has every right and no owner"),
    _rule(_STORAGE, "properties.allowBlobPublicAccess", False, "private access only"),
    _rule(_STORAGE, "properties.publicNetworkAccess", "Disabled", "private access only"),
    _rule(_STORAGE, "properties.networkAcls.defaultAction", "Deny", "private access only"),
    _rule(_STORAGE, "properties.networkAcls.bypass", "None", "private access only"),
    _rule(_STORAGE, "properties.supportsHttpsTrafficOnly", True, "TLS only"),
    Rule(type_name=_STORAGE, path="properties.minimumTlsVersion", allowed=("TLS1_2", "TLS1_3"), why="TLS 1.2 or later"),
    _rule(_STORAGE, "properties.allowCrossTenantReplication", False, "sealed records stay in the tenant"),
    _rule(_STORAGE, "properties.allowedCopyScope", "PrivateLink", "no copies to accounts outside the network"),
    _rule(_STORAGE, "properties.isLocalUserEnabled", False, "Microsoft Entra's identities only"),
    _rule(_STORAGE, "properties.isSftpEnabled", False, "Microsoft Entra's identities only"),
    _rule(_STORAGE, "properties.encryption.keySource", "Microsoft.Keyvault", "the agency holds the key"),
    _rule(_STORAGE, "properties.encryption.requireInfrastructureEncryption", True, "encrypted twice at rest"),
    _rule(_STORAGE, "properties.encryption.services.queue.keyType", "Account", "tickets under the agency's key"),
    _rule(_BLOBS, "properties.isVersioningEnabled", True, "a receipt that is replaced must stay readable"),
    _rule(_BLOBS, "properties.deleteRetentionPolicy.enabled", True, "a deleted result can be restored"),
    _rule(_BLOBS, "properties.containerDeleteRetentionPolicy.enabled", True, "a deleted container can be restored"),
    _rule(f"{_BLOBS}/containers", "properties.publicAccess", "None", "private access only"),
    Rule(
        type_name=_POOL_LEDGER_POLICY,
        path="parent",
        allowed=("ledger", "floors"),
        why="an entry that can be deleted lets a job run again, or an earlier bundle come back",
        symbols=_POOL_LEDGER,
    ),
    _rule(_POOL_LEDGER_POLICY, "parent", "retention", "a record proves what is gone", symbols=_RETENTION_LOG),
    *(
        _rule(
            f"{_BLOBS}/containers",
            "properties.immutableStorageWithVersioning.enabled",
            True,
            "without it no legal hold can be put on a job",
            symbols=(symbol,),
        )
        for symbol in ("jobs", "results")
    ),
    _rule(_POOL_LEDGER_POLICY, "properties.allowProtectedAppendWrites", False, "an entry is written once"),
    _rule(_POOL_LEDGER_POLICY, "properties.allowProtectedAppendWritesAll", False, "an entry is written once"),
    _rule(_WORKSPACE, "properties.publicNetworkAccessForIngestion", "Disabled", "private access only"),
    _rule(_WORKSPACE, "properties.publicNetworkAccessForQuery", "Disabled", "private access only"),
    _rule(_WORKSPACE, "properties.features.disableLocalAuth", True, "a workspace key writes events without a name"),
    _rule(
        "Microsoft.Insights/dataCollectionEndpoints",
        "properties.networkAcls.publicNetworkAccess",
        "Disabled",
        "private access only",
    ),
    _rule(
        "Microsoft.Insights/autoscalesettings",
        "properties.profiles.rules.metricTrigger.metricName",
        "ApproximateMessageCount",
        "the number of workers follows the waiting tickets",
    ),
)


RULES: Final = (*_MACHINES, *_KEYS, *_DATA)


__all__ = ["LOGGED", "RULES", "Rule", "hardening_problems"]

YEAR: Final = 365
_RETAINING: Final = (
    ("Microsoft.OperationalInsights/workspaces", "properties.retentionInDays"),
    ("Microsoft.OperationalInsights/workspaces/tables", "properties.retentionInDays"),
    ("Microsoft.OperationalInsights/workspaces/tables", "properties.totalRetentionInDays"),
)
_SETTINGS: Final = "Microsoft.Insights/diagnosticSettings"
LOGGED: Final = frozenset(
    {
        "Microsoft.Attestation/attestationProviders",
        "Microsoft.Compute/virtualMachineScaleSets",
        "Microsoft.Insights/autoscalesettings",
        "Microsoft.Insights/dataCollectionRules",
        "Microsoft.KeyVault/managedHSMs",
        "Microsoft.KeyVault/vaults",
        "Microsoft.Network/loadBalancers",
        "Microsoft.Network/networkSecurityGroups",
        "Microsoft.OperationalInsights/workspaces",
        "Microsoft.Storage/storageAccounts",
        "Microsoft.Storage/storageAccounts/blobServices",
        "Microsoft.Storage/storageAccounts/queueServices",
    }
)
"""Types of ours that have logs or metrics of their own. The others have none: what is done to them is in the activity
log."""


def hardening_problems(templates: Sequence[Template]) -> Iterator[str]:
    """Deviations from the rules, over all templates together."""
    resources = [(template.name, resource) for template in templates for resource in template.resources]
    for rule in RULES:
        subjects = [
            (name, resource)
            for name, resource in resources
            if resource.is_new(rule.type_name)
            and (not rule.files or name in rule.files)
            and (not rule.symbols or resource.symbol in rule.symbols)
        ]
        if not subjects:
            yield f"no {rule.type_name} anywhere ({rule.path} must be {_either(rule.allowed)})"
        for name, resource in subjects:
            for value in _flat(at(resource.body, rule.path)):
                if not (any(_same(value, one) for one in rule.allowed) if rule.allowed else value is not None):
                    yield f"{name}:{resource.line}: {rule.path} must be {_either(rule.allowed)}: {rule.why}"
    for name, resource in resources:
        if resource.kind.lower() == "microsoft.network/publicipaddresses":
            yield f"{name}:{resource.line}: a public address: workers are reached over the private network"
        if "publicIPAddress" in repr(resource.body):
            yield f"{name}:{resource.line}: a public address on an interface: private network only"
    for template in templates:
        yield from _unlogged(template)
        yield from _forgetful(template)
        yield from _expiring(template)
    yield from role_problems(templates)


def _unlogged(template: Template) -> Iterator[str]:
    """Resources without a diagnostic setting that sends something to a workspace."""
    logged = {
        scope.source
        for each in template.resources
        if each.is_new(_SETTINGS)
        and isinstance(scope := each.body.get("scope"), Expression)
        and at(each.body, "properties.workspaceId") != [None]
        and True in _flat(at(each.body, "properties.logs.enabled") + at(each.body, "properties.metrics.enabled"))
    }
    for each in template.resources:
        if each.is_new(_SETTINGS) and at(each.body, "properties.logAnalyticsDestinationType") != ["Dedicated"]:
            yield (
                f"{template.name}:{each.line}: {each.symbol} must have logAnalyticsDestinationType 'Dedicated': "
                "rules and searches read the tables of each service"
            )
        if each.kind in LOGGED and not each.existing and each.symbol not in logged:
            yield f"{template.name}:{each.line}: {each.symbol} has no diagnostic setting: its use goes unseen"


def _forgetful(template: Template) -> Iterator[str]:
    for kind, path in _RETAINING:
        for each in template.resources:
            if not each.is_new(kind):
                continue
            for value in at(each.body, path):
                least = value
                if isinstance(value, Expression) and value.source in template.parameters:
                    least = template.parameters[value.source].decorators.get("minValue")
                if not isinstance(least, int) or least < YEAR:
                    yield f"{template.name}:{each.line}: {path} must be {YEAR} days or more: AU-11"


def _expiring(template: Template) -> Iterator[str]:
    """Lifecycle rules that reach further than sealed blobs, or that leave a form of these behind."""
    for each in template.resources:
        if not each.is_new(_LIFECYCLE):
            continue
        where = f"{template.name}:{each.line}"
        for rule in _flat(at(each.body, "properties.policy.rules")):
            prefixes = _flat(at(rule, "definition.filters.prefixMatch"))
            if not all(isinstance(one, str) and one in _EXPIRING for one in prefixes):
                yield f"{where}: a lifecycle rule must name prefixes among {', '.join(sorted(_EXPIRING))}"
            for form in _FORMS:
                if at(rule, f"definition.actions.{form}.delete") == [None]:
                    yield f"{where}: a lifecycle rule must delete each {form} too: what is left is not gone"


def _same(value: Value, allowed: str | int | bool) -> bool:
    """Whether the value is this literal; of `parent`, whether it is the resource of this name."""
    if isinstance(value, Expression):
        return value.source == allowed and value.kind in {None, "resource"}
    # bool is an int to Python, and 1 is not true to Azure
    return type(value) is type(allowed) and value == allowed


def _flat(values: list[Value]) -> list[Value]:
    """Items of arrays, so that a rule about an array is a rule about each item; an empty array stays a failure."""
    return [item for value in values for item in (value if isinstance(value, list) and value else [value])]


def _either(allowed: Sequence[str | int | bool]) -> str:
    return " or ".join(json.dumps(value) for value in allowed) if allowed else "set"
