"""Requirements on our deployment that no type system expresses: confidential, private, not purgeable, releasable.

A rule of `hardening_rules` fails if its resource type does not occur at all: an empty folder is not a hardened one.
Values must be literal; an expression could become anything at deployment. The exceptions are days of retention, which
may be a parameter that cannot be less than a year.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Final

from cji_deploy.check.bicep import Resource, Template
from cji_deploy.check.hardening_rules import RULES, Rule
from cji_deploy.check.roles import role_problems
from cji_deploy.check.values import Expression, Value, at

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
            if _is(resource, rule.type_name)
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
        if resource.type_name.partition("@")[0].lower() == "microsoft.network/publicipaddresses":
            yield f"{name}:{resource.line}: a public address: workers are reached over the private network"
        if "publicIPAddress" in repr(resource.body):
            yield f"{name}:{resource.line}: a public address on an interface: private network only"
    for template in templates:
        yield from _unlogged(template)
        yield from _forgetful(template)
    yield from role_problems(templates)


def _unlogged(template: Template) -> Iterator[str]:
    """Resources without a diagnostic setting that sends something to a workspace."""
    logged = {
        scope.source
        for each in template.resources
        if _is(each, _SETTINGS)
        and isinstance(scope := each.body.get("scope"), Expression)
        and at(each.body, "properties.workspaceId") != [None]
        and True in _flat(at(each.body, "properties.logs.enabled") + at(each.body, "properties.metrics.enabled"))
    }
    for each in template.resources:
        kind = each.type_name.partition("@")[0]
        if kind in LOGGED and not each.existing and each.symbol not in logged:
            yield f"{template.name}:{each.line}: {each.symbol} has no diagnostic setting: its use goes unseen"


def _forgetful(template: Template) -> Iterator[str]:
    for kind, path in _RETAINING:
        for each in template.resources:
            if not _is(each, kind):
                continue
            for value in at(each.body, path):
                least = value
                if isinstance(value, Expression) and value.source in template.parameters:
                    least = template.parameters[value.source].decorators.get("minValue")
                if not isinstance(least, int) or least < YEAR:
                    yield f"{template.name}:{each.line}: {path} must be {YEAR} days or more: AU-11"


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
    return " or ".join(json.dumps(value) for value in allowed) if allowed else "set"
