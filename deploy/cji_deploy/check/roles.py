"""Role assignments: exactly the expected ones, each on one key, container, queue or rule; roles with their rights.

A custom role is named by its symbol in the template, a built-in one by its id. What is missing, added, or scoped to
anything but the expected resource is a deviation, and so is another condition.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from cji_deploy.check.bicep import Resource, Template
from cji_deploy.check.values import Expression, at

__all__ = ["ASSIGNMENTS", "RIGHTS", "WRITES", "role_problems"]

_RELEASE_USER: Final = "08bbd89e-9f13-488c-ac41-acfcb10c90ab"
_ENCRYPTION_USER: Final = "e147488a-f6f5-4113-8e2d-b22465e65bf6"
_BLOB_READER: Final = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
_MESSAGE_SENDER: Final = "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a"
_PUBLISHER: Final = "3913510d-42f4-4e42-8a64-acd390bd4f19"
_NAMES: Final = {
    _RELEASE_USER: "Key Vault Crypto Service Release User",
    _ENCRYPTION_USER: "Key Vault Crypto Service Encryption User",
    _BLOB_READER: "Storage Blob Data Reader",
    _MESSAGE_SENDER: "Storage Queue Data Message Sender",
    _PUBLISHER: "Monitoring Metrics Publisher",
}
ASSIGNMENTS: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "key.bicep": {"releaseRole": ("key", _RELEASE_USER)},
    "importedKey.bicep": {"releaseRole": ("key", _RELEASE_USER)},
    "diskKey.bicep": {"encryptionRole": ("key", _ENCRYPTION_USER)},
    "logs.bicep": {"publisher": ("rule", _PUBLISHER), "healthPublisher": ("healthRule", _PUBLISHER)},
    "storageKey.bicep": {"encryptionRole": ("key", _ENCRYPTION_USER)},
    "storageRoles.bicep": {
        "submitterJobs": ("jobs", "writerRole"),
        "submitterResults": ("results", _BLOB_READER),
        "submitterTickets": ("jobsQueue", _MESSAGE_SENDER),
        "fleetJobs": ("jobs", _BLOB_READER),
        "fleetResults": ("results", "writerRole"),
        "fleetShuffle": ("shuffle", "writerRole"),
        "fleetTickets": ("jobsQueue", "ticketRole"),
        "fleetPoison": ("poisonQueue", "poisonRole"),
        "keyholderLedger": ("ledger", "ledgerRole"),
        "keyholderFloors": ("floors", _BLOB_READER),
        "keyholderBundles": ("bundles", _BLOB_READER),
        "doorEnroll": ("enroll", "writerRole"),
        "approverEnroll": ("enroll", "writerRole"),
        "disposerJobs": ("jobs", "disposerRole"),
        "disposerResults": ("results", "disposerRole"),
        "disposerRecords": ("retention", "ledgerRole"),
        "holderJobs": ("jobs", "holderRole"),
        "holderResults": ("results", "holderRole"),
        "holderRecords": ("retention", "ledgerRole"),
    },
}
"""By template and symbol: the resource of the assignment, and the role."""

WRITES: Final[Mapping[str, tuple[str, str]]] = {
    "doorEnroll": ("request", "evidence"),
    "approverEnroll": ("challenge", "certificate"),
}
"""By assignment: the ends of the paths of the blobs that it may write, by a condition. Any other has none."""

_BLOBS: Final = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
_QUEUES: Final = "Microsoft.Storage/storageAccounts/queueServices/queues"
RIGHTS: Final[Mapping[str, frozenset[str]]] = {
    "writerRole": frozenset({f"{_BLOBS}/read", f"{_BLOBS}/write", f"{_BLOBS}/add/action"}),
    "ledgerRole": frozenset({f"{_BLOBS}/read", f"{_BLOBS}/add/action"}),
    "disposerRole": frozenset({f"{_BLOBS}/read", f"{_BLOBS}/delete", f"{_BLOBS}/deleteBlobVersion/action"}),
    "holderRole": frozenset({f"{_BLOBS}/read", f"{_BLOBS}/immutableStorage/runAsSuperUser/action"}),
    "poisonRole": frozenset({f"{_QUEUES}/read", f"{_QUEUES}/messages/add/action"}),
    "ticketRole": frozenset(
        {
            f"{_QUEUES}/read",
            f"{_QUEUES}/messages/read",
            f"{_QUEUES}/messages/write",
            f"{_QUEUES}/messages/process/action",
        }
    ),
}
"""All actions and data actions of each custom role."""


def role_problems(templates: Sequence[Template]) -> Iterator[str]:
    """Deviations from the two tables, over all templates together."""
    for name, expected in ASSIGNMENTS.items():
        found = {each.symbol for t in templates if t.name == name for each in _of(t, "roleAssignments")}
        for symbol in expected.keys() - found:
            yield f"{name}: the role assignment {symbol!r} is missing"
    defined = {each.symbol for template in templates for each in _of(template, "roleDefinitions")}
    for symbol in RIGHTS.keys() - defined:
        yield f"the role {symbol!r} is missing"
    for template in templates:
        for resource in _of(template, "roleAssignments"):
            yield from _assignment(template, resource)
        for resource in _of(template, "roleDefinitions"):
            yield from _definition(template, resource)


def _assignment(template: Template, resource: Resource) -> Iterator[str]:
    where = f"{template.name}:{resource.line}"
    expected = ASSIGNMENTS.get(template.name, {}).get(resource.symbol)
    if expected is None:
        yield f"{where}: a role assignment that is not needed"
        return
    target, role = expected
    scope = resource.body.get("scope")
    if not (isinstance(scope, Expression) and scope.source == target):
        yield f"{where}: the role must be scoped to the {target}, not to anything wider"
    for value in at(resource.body, "properties.roleDefinitionId"):
        source = value.source if isinstance(value, Expression) else str(value)
        variable = template.variables.get(source)
        text = source if variable is None else (variable.text or b"").decode()
        if (role not in text) if role in _NAMES else (text != f"{role}.id"):
            yield f"{where}: the role must be {_NAMES.get(role, role)} ({role})"
    condition = _writes(WRITES[resource.symbol]) if resource.symbol in WRITES else None
    if at(resource.body, "properties.condition") != [condition]:
        yield f"{where}: the condition must be {condition or 'none'}"


def _writes(ends: Sequence[str]) -> str:
    """The condition of an assignment that may write blobs whose paths end so, and no others; reading is not limited."""
    paths = " OR ".join(f"@Resource[{_BLOBS}:path] StringLike '*/{end}'" for end in ends)
    actions = " AND ".join(f"!(ActionMatches{{'{_BLOBS}/{action}'}})" for action in ("write", "add/action"))
    return f"(({actions}) OR ({paths}))"


def _definition(template: Template, resource: Resource) -> Iterator[str]:
    where = f"{template.name}:{resource.line}"
    allowed = RIGHTS.get(resource.symbol)
    if allowed is None:
        yield f"{where}: a role that is not needed"
        return
    found = set[str]()
    for kind in ("actions", "dataActions"):
        for listed in at(resource.body, f"properties.permissions.{kind}"):
            found.update(str(each) for each in (listed if isinstance(listed, list) else [listed]))
    for right in sorted(found - allowed):
        yield f"{where}: {resource.symbol} must not have the right {right}"
    for right in sorted(allowed - found):
        yield f"{where}: {resource.symbol} needs the right {right}"


def _of(template: Template, kind: str) -> list[Resource]:
    wanted = f"microsoft.authorization/{kind}".lower()
    return [each for each in template.resources if each.kind.lower() == wanted]
