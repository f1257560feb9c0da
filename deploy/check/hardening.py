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
from deploy.check.values import Expression, Value, at

__all__ = ["RULES", "Rule", "hardening_problems"]

_SCALE_SET: Final = "Microsoft.Compute/virtualMachineScaleSets"
_VAULT: Final = "Microsoft.KeyVault/vaults"
_KEY: Final = "Microsoft.KeyVault/vaults/keys"
_VM: Final = "properties.virtualMachineProfile"
# operations of the public key alone; the private ones would work inside the vault without attestation
_PUBLIC_KEY_OPERATIONS: Final = ("wrapKey", "encrypt", "verify")
_RELEASE_USER_ROLE: Final = "08bbd89e-9f13-488c-ac41-acfcb10c90ab"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """In every resource of `type_name`, each value at `path` is one of `allowed`; `why` is shown on failure."""

    type_name: str
    path: str
    allowed: Sequence[str | int | bool]
    why: str


def _rule(type_name: str, path: str, allowed: str | int | bool, why: str) -> Rule:
    return Rule(type_name=type_name, path=path, allowed=(allowed,), why=why)


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
    _rule(_VAULT, "properties.networkAcls.bypass", "None", "private access only"),
    _rule(_KEY, "properties.kty", "RSA-HSM", "release needs an HSM-backed key; the envelope needs RSA"),
    Rule(type_name=_KEY, path="properties.keySize", allowed=(3072, 4096), why="RSA below 3072 bits is refused"),
    _rule(_KEY, "properties.attributes.exportable", True, "a key that is not exportable cannot be released"),
    Rule(
        type_name=_KEY,
        path="properties.keyOps",
        allowed=_PUBLIC_KEY_OPERATIONS,
        why="a private operation in the vault would go round attestation",
    ),
)


def hardening_problems(templates: Sequence[Template]) -> Iterator[str]:
    """Deviations from the rules, over all templates together."""
    resources = [(template.name, resource) for template in templates for resource in template.resources]
    for rule in RULES:
        subjects = [(name, resource) for name, resource in resources if _is(resource, rule.type_name)]
        if not subjects:
            yield f"no {rule.type_name} anywhere ({rule.path} must be {_either(rule.allowed)})"
        for name, resource in subjects:
            for value in _flat(at(resource.body, rule.path)):
                # bool is an int to Python, and 1 is not true to Azure
                if not any(type(value) is type(allowed) and value == allowed for allowed in rule.allowed):
                    yield f"{name}:{resource.line}: {rule.path} must be {_either(rule.allowed)}: {rule.why}"
    for name, resource in resources:
        if resource.type_name.partition("@")[0].lower() == "microsoft.network/publicipaddresses":
            yield f"{name}:{resource.line}: a public address: workers are reached over the private network"
        if "publicIPAddressConfiguration" in repr(resource.body):
            yield f"{name}:{resource.line}: a public address on an interface: private network only"
    yield from _role_problems(templates)


def _role_problems(templates: Sequence[Template]) -> Iterator[str]:
    """Require exactly one role assignment, on the key itself, which can only release."""
    found = [
        (template, resource)
        for template in templates
        for resource in template.resources
        if _is(resource, "Microsoft.Authorization/roleAssignments")
    ]
    if len(found) != 1:
        yield f"{len(found)} role assignments; exactly one is needed: release of the key to the worker's identity"
    for template, resource in found:
        where = f"{template.name}:{resource.line}"
        keys = {other.symbol for other in template.resources if _is(other, _KEY)}
        scope = resource.body.get("scope")
        if not (isinstance(scope, Expression) and scope.source in keys):
            yield f"{where}: the role must be scoped to the key, not to the vault or wider"
        for role in at(resource.body, "properties.roleDefinitionId"):
            source = role.source if isinstance(role, Expression) else str(role)
            variable = template.variables.get(source)
            if _RELEASE_USER_ROLE not in (source if variable is None else (variable.text or b"").decode()):
                yield f"{where}: the role must be Key Vault Crypto Service Release User ({_RELEASE_USER_ROLE})"


def _is(resource: Resource, type_name: str) -> bool:
    return not resource.existing and resource.type_name.partition("@")[0].lower() == type_name.lower()


def _flat(values: list[Value]) -> list[Value]:
    """Items of arrays, so that a rule about an array is a rule about each item; an empty array stays a failure."""
    return [item for value in values for item in (value if isinstance(value, list) and value else [value])]


def _either(allowed: Sequence[str | int | bool]) -> str:
    return " or ".join(json.dumps(value) for value in allowed)
