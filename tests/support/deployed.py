"""An export of a deployment as it should be: a resource of every kind, in the resource manager's form."""

import base64
import copy
import functools
import json
from collections.abc import Callable
from typing import Any, Final

from cji_core.deployment import expected
from cji_core.deployment.expected import Rule
from cji_deploy.check.bicep import parse
from cji_deploy.check.deployment import EXAMPLES, planned
from cji_deploy.check.resolve import Planned
from tests.support.paths import ROOT

__all__ = ["AUTHORITY", "GROUP", "KEY", "Export", "as_file", "changed", "encoded_policy", "good", "named"]

GROUP: Final = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/cji"
VAULT: Final = f"{GROUP}/providers/Microsoft.KeyVault/vaults/cji-kv"
KEY: Final = f"{VAULT}/keys/cji-cmk"
AUTHORITY: Final = "https://agency.eus2.attest.azure.net"
WORKSPACE: Final = "/subscriptions/1/resourceGroups/hub/providers/Microsoft.OperationalInsights/workspaces/hub"
Export = dict[str, Any]


def encoded_policy(policy: Any) -> str:
    """A release policy as a key has it."""
    return base64.urlsafe_b64encode(json.dumps(policy).encode()).decode().rstrip("=")


def good() -> Export:
    """The export. What rules require is taken from them; the rest is as Azure answers."""
    wanted = expected()
    resources = []
    for number, subject in enumerate(wanted.subjects):
        body = _resource(
            subject.type, (not subject.type.endswith("/keys") and subject.named) or f"r{number}", subject.rules
        )
        if subject.type.endswith("/keys"):
            released = ("properties.attributes.exportable", True) in {(r.path, *r.allowed) for r in subject.rules}
            name = subject.named or f"key-{number}"
            if subject.type.endswith("vaults/keys"):
                master = released and not subject.named
                body["id"], body["name"] = (
                    (KEY, "cji-kv/cji-cmk") if master else (f"{VAULT}-s/keys/{name}", f"s/{name}")
                )
            if released:
                policy = wanted.release_policies[0]
                filled = json.dumps(policy).replace("__ATTESTATION_AUTHORITY__", AUTHORITY)
                body["properties"]["release_policy"] = {"data": encoded_policy(json.loads(filled))}
        resources.append(body)
    for kind in wanted.logged:
        if not any(each["type"].lower() == kind.lower() for each in resources):
            resources.append(_resource(kind, "logged", ()))
    _as_planned(resources)
    logged = [each for each in resources if each["type"].lower() in {kind.lower() for kind in wanted.logged}]
    extensions = [
        {
            "type": "Microsoft.Insights/diagnosticSettings",
            "name": "audit",
            "id": f"{each['id']}/providers/Microsoft.Insights/diagnosticSettings/audit",
            "properties": {"workspaceId": WORKSPACE, "logs": [{"categoryGroup": "audit", "enabled": True}]},
        }
        for each in logged
    ]
    targets = [each["id"] for each in resources]
    for number, grant in enumerate(wanted.grants):
        role = grant.role or f"custom-{number}"
        scope = KEY if grant.type.endswith("vaults/keys") else f"{GROUP}/providers/{_scope(grant.type, number)}"
        if scope not in targets and not any(each["type"].lower() == grant.type.lower() for each in resources):
            resources.append({"type": grant.type, "name": f"x{number}", "id": scope, "properties": {}})
        extensions.append(_assignment(role, scope, f"identity-{number}"))
        if grant.rights:
            data = [each for each in grant.rights if "/messages/" in each or "/blobs/" in each]
            actions = [each for each in grant.rights if each not in data]
            extensions.append(
                {
                    "type": "Microsoft.Authorization/roleDefinitions",
                    "name": role,
                    "id": f"/providers/Microsoft.Authorization/roleDefinitions/{role}",
                    "properties": {"permissions": [{"actions": actions, "dataActions": data}]},
                }
            )
    covers = ["Microsoft.Insights/diagnosticSettings", "Microsoft.Authorization/roleAssignments"]
    return {"format": "cji-deployment/1", "group": "cji", "covers": covers, "resources": [*resources, *extensions]}


@functools.cache
def _commercial() -> list[Planned]:
    folder = ROOT / "deploy" / "bicep"
    templates = {path.name: parse(path.name, path.read_bytes()) for path in sorted(folder.glob("*.bicep"))}
    return planned(folder, templates, EXAMPLES[0])


def _as_planned(resources: list[Export]) -> None:
    """The rules of the network, and the capacity of the scale set: those of the templates."""
    for found in copy.deepcopy(_commercial()):
        for each in resources:
            if each["type"] == found.type == "Microsoft.Network/networkSecurityGroups":
                each["properties"] |= found.body["properties"]
            elif each["type"] == found.type == "Microsoft.Compute/virtualMachineScaleSets":
                each["sku"] = found.body["sku"]
                each["properties"]["upgradePolicy"] = found.body["properties"]["upgradePolicy"]


def _scope(kind: str, number: int) -> str:
    provider, *types = kind.split("/")
    return "/".join([provider, *(part for each in types for part in (each, f"n{number}"))])


def _assignment(role: str, scope: str, principal: str) -> Export:
    definition = f"/subscriptions/1/providers/Microsoft.Authorization/roleDefinitions/{role}"
    return {
        "type": "Microsoft.Authorization/roleAssignments",
        "name": f"{role}-{principal}",
        "id": f"{scope}/providers/Microsoft.Authorization/roleAssignments/{role}-{principal}",
        "properties": {"roleDefinitionId": definition, "principalId": principal, "scope": scope},
    }


def _resource(kind: str, name: str, rules: tuple[Rule, ...]) -> Export:
    body: Export = {
        "type": kind,
        "name": name,
        "id": f"{GROUP}/providers/{kind}/{name}",
        "location": "eastus2",
        "properties": {},
    }
    for rule in rules:
        value: Any = rule.least if rule.least is not None else rule.allowed[0] if rule.allowed else "set"
        here = body
        *path, last = rule.path.split(".")
        for step in path:
            here = here.setdefault(step, {})
        here[last] = value
    return body


def named(export: Export, kind: str, number: int = 0) -> Export:
    """A resource of a type in an export."""
    found: Export = [each for each in export["resources"] if each["type"].lower() == kind.lower()][number]
    return found


def changed(change: Callable[[Export], Any]) -> bytes:
    """The file of the good export after a change."""
    export = copy.deepcopy(good())
    change(export)
    return as_file(export)


def as_file(export: Export) -> bytes:
    """The file."""
    return json.dumps(export).encode()
