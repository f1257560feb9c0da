"""Requirements on our deployment that no type system expresses: confidential, private, not purgeable, releasable.

Each rule names a resource type, a path, the values permitted there in every branch, and the reason. A rule fails if its
resource type does not occur at all: an empty folder is not a hardened one. Values must be literal; an expression could
become anything at deployment.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from deploy.check.bicep import Resource, Template
from deploy.check.roles import role_problems
from deploy.check.values import Expression, Value, at

__all__ = ["RULES", "Rule", "hardening_problems"]

_SCALE_SET: Final = "Microsoft.Compute/virtualMachineScaleSets"
_VAULT: Final = "Microsoft.KeyVault/vaults"
_KEY: Final = "Microsoft.KeyVault/vaults/keys"
_VM: Final = "properties.virtualMachineProfile"
# operations of the public key alone; the private ones would work inside the vault without attestation
_PUBLIC_KEY_OPERATIONS: Final = ("wrapKey", "encrypt", "verify")
_STORAGE: Final = "Microsoft.Storage/storageAccounts"
_BLOBS: Final = f"{_STORAGE}/blobServices"
_LEDGER_POLICY: Final = f"{_BLOBS}/containers/immutabilityPolicies"
_MASTER_VAULT: Final = ("vault.bicep",)
_MASTER_KEY: Final = ("key.bicep",)
_STORAGE_KEY: Final = ("storageKey.bicep",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """In every resource of `type_name`, each value at `path` is one of `allowed`; `why` is shown on failure.

    With `files`, the rule is for the resources in these templates.
    """

    type_name: str
    path: str
    allowed: Sequence[str | int | bool]
    why: str
    files: Sequence[str] = ()


def _rule(type_name: str, path: str, allowed: str | int | bool, why: str, *, files: Sequence[str] = ()) -> Rule:
    return Rule(type_name=type_name, path=path, allowed=(allowed,), why=why, files=files)


RULES: Final = (
    _rule(_SCALE_SET, f"{_VM}.securityProfile.securityType", "ConfidentialVM", "memory must be encrypted"),
    _rule(_SCALE_SET, f"{_VM}.securityProfile.uefiSettings.vTpmEnabled", True, "no evidence without the vTPM"),
    _rule(_SCALE_SET, f"{_VM}.securityProfile.uefiSettings.secureBootEnabled", True, "the release policy requires it"),
    _rule(
        _SCALE_SET,
        f"{_VM}.securityProfile.encryptionAtHost",
        False,
        "Azure refuses encryption at host together with DiskWithVMGuestState",
    ),
    _rule(
        _SCALE_SET,
        f"{_VM}.storageProfile.osDisk.managedDisk.securityProfile.securityEncryptionType",
        "DiskWithVMGuestState",
        "the OS disk must be encrypted under a key bound to the vTPM",
    ),
    _rule(_SCALE_SET, f"{_VM}.osProfile.allowExtensionOperations", False, "extensions run code beside the records"),
    _rule(
        _SCALE_SET,
        f"{_VM}.osProfile.linuxConfiguration.disablePasswordAuthentication",
        True,
        "no password opens a worker",
    ),
    _rule(_SCALE_SET, f"{_VM}.diagnosticsProfile.bootDiagnostics.enabled", False, "screenshots leave unencrypted"),
    _rule(_SCALE_SET, "identity.type", "UserAssigned", "the right to release must outlive an instance"),
    _rule(_VAULT, "properties.sku.name", "premium", "exportable keys exist in premium vaults only"),
    _rule(_VAULT, "properties.enableRbacAuthorization", True, "access policies know no least privilege per key"),
    _rule(_VAULT, "properties.enablePurgeProtection", True, "a purged key is every sealed record lost"),
    _rule(_VAULT, "properties.enableSoftDelete", True, "a deleted key is every sealed record lost"),
    _rule(_VAULT, "properties.publicNetworkAccess", "Disabled", "private access only"),
    _rule(_VAULT, "properties.networkAcls.defaultAction", "Deny", "private access only"),
    _rule(_VAULT, "properties.networkAcls.bypass", "None", "private access only", files=_MASTER_VAULT),
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
    _rule(_KEY, "properties.attributes.exportable", False, "the key of the disks never leaves", files=_STORAGE_KEY),
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
    _rule(_LEDGER_POLICY, "parent", "ledger", "an entry that can be deleted lets a job run again"),
    _rule(_LEDGER_POLICY, "properties.allowProtectedAppendWrites", False, "an entry is written once"),
    _rule(_LEDGER_POLICY, "properties.allowProtectedAppendWritesAll", False, "an entry is written once"),
    _rule(
        "Microsoft.Insights/autoscalesettings",
        "properties.profiles.rules.metricTrigger.metricName",
        "ApproximateMessageCount",
        "the number of workers follows the waiting tickets",
    ),
)


def hardening_problems(templates: Sequence[Template]) -> Iterator[str]:
    """Deviations from the rules, over all templates together."""
    resources = [(template.name, resource) for template in templates for resource in template.resources]
    for rule in RULES:
        subjects = [
            (name, resource)
            for name, resource in resources
            if _is(resource, rule.type_name) and (not rule.files or name in rule.files)
        ]
        if not subjects:
            yield f"no {rule.type_name} anywhere ({rule.path} must be {_either(rule.allowed)})"
        for name, resource in subjects:
            for value in _flat(at(resource.body, rule.path)):
                if not any(_same(value, allowed) for allowed in rule.allowed):
                    yield f"{name}:{resource.line}: {rule.path} must be {_either(rule.allowed)}: {rule.why}"
    for name, resource in resources:
        if resource.type_name.partition("@")[0].lower() == "microsoft.network/publicipaddresses":
            yield f"{name}:{resource.line}: a public address: workers are reached over the private network"
        if "publicIPAddressConfiguration" in repr(resource.body):
            yield f"{name}:{resource.line}: a public address on an interface: private network only"
    yield from role_problems(templates)


def _same(value: Value, allowed: str | int | bool) -> bool:
    """Whether the value is this literal; of `parent`, whether it is the resource of this name."""
    if isinstance(value, Expression):
        return value.source == allowed and value.kind is None
    # bool is an int to Python, and 1 is not true to Azure
    return type(value) is type(allowed) and value == allowed


def _is(resource: Resource, type_name: str) -> bool:
    return not resource.existing and resource.type_name.partition("@")[0].lower() == type_name.lower()


def _flat(values: list[Value]) -> list[Value]:
    """Items of arrays, so that a rule about an array is a rule about each item; an empty array stays a failure."""
    return [item for value in values for item in (value if isinstance(value, list) and value else [value])]


def _either(allowed: Sequence[str | int | bool]) -> str:
    return " or ".join(json.dumps(value) for value in allowed)
