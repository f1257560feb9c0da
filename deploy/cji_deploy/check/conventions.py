"""The conventions of Azure Verified Modules, as far as they are ours, for every template.

Each template has a name and a description. Each parameter has a description that begins with `Required.` or
`Optional.`, as its default has it; each output has one too. Arrays name the type of their items; module calls have
no names of their own. A module returns `name` and `resourceId`. Every resource
that can have tags gets the deployment's, and every location is the parameter, so that none is placed on its own.
Source: Azure Verified Modules, "Bicep interfaces and specifications".
"""

from collections.abc import Iterator, Sequence
from typing import Final

from cji_deploy.check.bicep import Template, decorators
from cji_deploy.check.values import Expression, text

__all__ = ["TAGGED", "convention_problems"]

TAGGED: Final = frozenset(
    {
        "Microsoft.Attestation/attestationProviders",
        "Microsoft.Compute/diskEncryptionSets",
        "Microsoft.Compute/virtualMachineScaleSets",
        "Microsoft.Insights/autoscalesettings",
        "Microsoft.Insights/dataCollectionEndpoints",
        "Microsoft.Insights/dataCollectionRules",
        "Microsoft.KeyVault/managedHSMs",
        "Microsoft.KeyVault/vaults",
        "Microsoft.ManagedIdentity/userAssignedIdentities",
        "Microsoft.Network/loadBalancers",
        "Microsoft.Network/networkSecurityGroups",
        "Microsoft.Network/privateEndpoints",
        "Microsoft.OperationalInsights/workspaces",
        "Microsoft.Storage/storageAccounts",
    }
)
"""Types of ours that take tags."""
_OUTPUTS: Final = ("name", "resourceId")
_SEVERAL: Final = frozenset({"storageRoles.bicep"})
"""Templates of many resources of one rank, with nothing to return."""


def convention_problems(templates: Sequence[Template]) -> Iterator[str]:
    """One text per deviation, with file and line."""
    for template in templates:
        for name in ("name", "description"):
            if not template.metadata.get(name):
                yield f"{template.name}:1: no metadata {name}"
        yield from _parameters(template)
        yield from _outputs(template)
        yield from _resources(template)
        for module in template.modules:
            if module.named:
                yield f"{template.name}:{module.line}: {module.symbol} has a name: the compiler gives each call its own"


def _parameters(template: Template) -> Iterator[str]:
    for parameter in template.parameters.values():
        where = f"{template.name}:{parameter.line}: {parameter.name}"
        description = parameter.decorators.get("description")
        begins = "Required. " if parameter.required else "Optional. "
        if parameter.form == "array":
            yield f"{where}: an array without the type of its items, such as string[]"
        if not isinstance(description, str):
            yield f"{where} has no description"
        elif not description.startswith(begins):
            yield f"{where}: its description must begin with {begins.strip()!r}"


def _outputs(template: Template) -> Iterator[str]:
    for node in template.root.named_children:
        if node.type == "output_declaration" and "description" not in {
            text(call.named_children[0]) for call in decorators(node)
        }:
            line = node.start_point[0] + 1
            yield f"{template.name}:{line}: the output {text(node.named_children[0])} has no description"
    if template.name not in _SEVERAL:
        yield from (f"{template.name}:1: no output {name!r}" for name in _OUTPUTS if name not in template.outputs)


def _resources(template: Template) -> Iterator[str]:
    for resource in template.resources:
        if resource.existing:
            continue
        where = f"{template.name}:{resource.line}: {resource.symbol}"
        if resource.kind in TAGGED and not _is_parameter(resource.body.get("tags"), "tags"):
            yield f"{where} must have `tags: tags`"
        if "location" in resource.body and not _is_parameter(resource.body["location"], "location"):
            yield f"{where} must be placed by the parameter `location`, in the United States"


def _is_parameter(value: object, name: str) -> bool:
    return isinstance(value, Expression) and value.source == name
