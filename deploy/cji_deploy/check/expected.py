"""The requirements on a deployment, as data for `cji doctor --azure`; `python -m cji_deploy.expected` writes it.

The worker's distribution has no deploy/, so the file `core/cji_core/deployment/expected.json` ships in it. A check
compares it with what this module makes: rules of hardening, roles, regions, sizes and release policies have one home
each, and the few that templates cannot express are here.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from cji_core.deployment.expected import Expected, Grant, Rule, Subject
from cji_deploy.check import hardening
from cji_deploy.check.bicep import Template, nodes, parse
from cji_deploy.check.outcome import DeployError
from cji_deploy.check.release_policy import FILES, HARDWARE
from cji_deploy.check.roles import ASSIGNMENTS, RIGHTS
from cji_deploy.check.values import literal_text

__all__ = ["FILE", "build", "encoded", "expected_problems"]

FILE: Final = Path(__file__).parents[3] / "core" / "cji_core" / "deployment" / "expected.json"
COMMAND: Final = "python -m cji_deploy.expected"
_SCALE_SET: Final = "Microsoft.Compute/virtualMachineScaleSets"
_WORKSPACE: Final = "Microsoft.OperationalInsights/workspaces"
_POOL_LEDGER: Final = "Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies"
_YEAR: Final = 365
_SEVERAL: Final = {"submitter": 64, "disposer": 4, "holder": 4}
"""By the beginning of a symbol: submitters, since an agency may have several applications; timers that delete; people
who put jobs on hold."""

_ONLY_DEPLOYED: Final[Mapping[str, tuple[Rule, ...]]] = {
    _WORKSPACE: (Rule(path="properties.retentionInDays", least=_YEAR, why="CJISSECPOL AU-11: at least one year"),),
    _POOL_LEDGER: (
        Rule(
            path="properties.immutabilityPeriodSinceCreationInDays",
            least=1,
            why="an entry that can be deleted lets a job run again",
        ),
        Rule(path="properties.state", allowed=("Locked",), why="an unlocked policy can be removed by its operator"),
    ),
}
"""Requirements on what parameters, the landing zone or an operator decide after the deployment."""
_OPTIONAL: Final = (
    "Microsoft.Compute/galleries/images/versions",
    "Microsoft.Insights/autoscalesettings",
    "Microsoft.KeyVault/managedHSMs",
    "Microsoft.KeyVault/managedHSMs/keys",
    "Microsoft.Network/loadBalancers",
    _WORKSPACE,
)
"""Types that some deployments have: a gallery, a Managed HSM instead of a vault, the landing zone's workspace."""
_FORBIDDEN: Final = {
    "Microsoft.Network/publicIPAddresses": "workers are reached over the private network",
    "Microsoft.Compute/virtualMachineScaleSets/extensions": "extensions run code beside the records",
    "Microsoft.Network/bastionHosts": "nobody signs in to a worker",
}
_GLOBAL: Final = (
    "Microsoft.Insights/actionGroups",
    "Microsoft.Network/privateDnsZones",
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks",
)
_DATA_ROLES: Final = {
    "00482a5a-887f-4fb3-b363-3b7fe8e74483": "Key Vault Administrator",
    "14b46e9e-c2b7-41b4-b07b-48a6ebf60603": "Key Vault Crypto Officer",
    "12338af0-0e69-4776-bea7-57ae8d297424": "Key Vault Crypto User",
    "e147488a-f6f5-4113-8e2d-b22465e65bf6": "Key Vault Crypto Service Encryption User",
    "08bbd89e-9f13-488c-ac41-acfcb10c90ab": "Key Vault Crypto Service Release User",
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "Storage Blob Data Reader",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a": "Storage Queue Data Message Sender",
}
"""Built-in roles over keys and data (learn.microsoft.com/azure/role-based-access-control/built-in-roles)."""


def build(root: Path) -> Expected:
    """The requirements that follow from the deploy folder `root`. Raises DeployError."""
    templates = [parse(path.name, path.read_bytes()) for path in sorted((root / "bicep").glob("*.bicep"))]
    main = next((template for template in templates if template.name == "main.bicep"), None)
    if main is None:
        raise DeployError("main.bicep is missing")
    types = {each.kind for template in templates for each in template.resources}
    return Expected(
        regions=tuple(_allowed(main, "location")),
        global_types=_GLOBAL,
        subjects=tuple(_subjects(tuple(_allowed(main, "vmSize")), templates)),
        logged=tuple(sorted(each for each in hardening.LOGGED if each in types)),
        forbidden=dict(_FORBIDDEN),
        grants=tuple(_grants(templates)),
        data_roles=dict(_DATA_ROLES),
        release_policies=tuple(_policy(root / "policy" / FILES[kind]) for kind in HARDWARE),
    )


def encoded(requirements: Expected) -> bytes:
    """The file."""
    return json.dumps(msgspec.to_builtins(requirements), indent=1, sort_keys=True).encode() + b"\n"


def expected_problems(root: Path, file: Path = FILE) -> Iterator[str]:
    """How the file differs from deploy/."""
    try:
        if file.read_bytes() != encoded(build(root)):
            yield f"{file.name} is not what deploy/ describes: run `{COMMAND}`"
    except DeployError as error:
        yield from error.problems
    except OSError:
        yield f"{file.name} cannot be read: run `{COMMAND}`"


def _subjects(sizes: Sequence[str], templates: Sequence[Template]) -> Iterator[Subject]:
    """One subject for each type, or for each group of templates or symbols that the rules distinguish.

    Resources of the type in other templates have a subject with the common rules.
    """
    groups: dict[str, dict[tuple[str, ...], list[Rule]]] = {}
    for each in hardening.RULES:
        if each.path == "parent":
            continue  # a symbol of the template; the exported name has the parent
        group = (*each.files, *each.symbols)
        rule = Rule(path=each.path, allowed=tuple(each.allowed), why=each.why)
        groups.setdefault(each.type_name, {}).setdefault(group, []).append(rule)
    for kind, more in _ONLY_DEPLOYED.items():
        groups.setdefault(kind, {}).setdefault((), []).extend(more)
    size = Rule(
        path="sku.name", allowed=tuple(sizes), why="only these sizes are confidential, on processors that are accepted"
    )
    groups[_SCALE_SET].setdefault((), []).append(size)
    for kind, of_kind in sorted(groups.items()):
        common = of_kind.get((), [])
        named = {group: rules for group, rules in of_kind.items() if group}
        short = kind.rpartition("/")[2]
        for group, rules in sorted(named.items()):
            yield Subject(
                name=f"{short} of {', '.join(group)}",
                type=kind,
                named=_name(kind, group, templates),
                rules=tuple(_distinct([*common, *rules])),
                optional=kind in _OPTIONAL,
            )
        if not named or _others(kind, named, templates):
            optional = kind in _OPTIONAL or bool(named)
            yield Subject(name=short, type=kind, rules=tuple(_distinct(common)), optional=optional)


def _name(kind: str, group: Sequence[str], templates: Sequence[Template]) -> str:
    """The name that a template gives the resource of the group, if it is the same in every deployment."""
    for template in templates:
        for each in template.resources:
            name = each.body.get("name")
            if {template.name, each.symbol} & {*group} and each.is_new(kind) and isinstance(name, str):
                return name
    return ""


def _others(kind: str, named: Mapping[tuple[str, ...], object], templates: Sequence[Template]) -> bool:
    """Whether a resource of the type is neither in a template nor has a symbol that a group names."""
    names = {name for group in named for name in group}
    return any(
        not names & {template.name, each.symbol}
        for template in templates
        for each in template.resources
        if each.is_new(kind)
    )


def _distinct(rules: Sequence[Rule]) -> list[Rule]:
    """Without rules that say the same of a path; the first reason stays."""
    found: dict[tuple[str, tuple[object, ...], int | None], Rule] = {}
    for rule in rules:
        found.setdefault((rule.path, rule.allowed, rule.least), rule)
    return list(found.values())


def _grants(templates: Sequence[Template]) -> Iterator[Grant]:
    by_name = {template.name: template for template in templates}
    counts: Counter[tuple[str, str, str, str]] = Counter()  # a resource is assigned to in one template
    for name, assigned in ASSIGNMENTS.items():
        if name not in by_name:
            raise DeployError(f"{name} is missing")
        symbols = {each.symbol: each.kind for each in by_name[name].resources}
        for symbol, (target, role) in assigned.items():
            if target not in symbols:
                raise DeployError(f"{name}: {target} is missing, the resource of {symbol}")
            kind = symbols[target]
            before = counts[name, kind, role, target]
            several = (count for who, count in _SEVERAL.items() if symbol.startswith(who))
            counts[name, kind, role, target] = before + next(several, 1)
    most: dict[tuple[str, str], int] = {}
    for (_, kind, role, _), count in counts.items():
        most[kind, role] = max(count, most.get((kind, role), 0))
    for (kind, role), count in sorted(most.items()):
        rights = RIGHTS.get(role)
        if rights is None:
            yield Grant(type=kind, role=role, most=count)
        else:
            yield Grant(type=kind, rights=tuple(sorted(rights)), most=count)


def _policy(path: Path) -> dict[str, Any]:
    try:
        policy: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        raise DeployError(f"{path.name} cannot be read as JSON") from None
    return policy


def _allowed(template: Template, parameter: str) -> Iterator[str]:
    """The values of a parameter's @allowed. Raises DeployError if it has none."""
    wanted = re.compile(rb"\bparam\s+%b\s" % parameter.encode())
    declared = [each for each in nodes(template.root) if each.type == "parameter_declaration"]
    for node in (each for each in declared if wanted.search(each.text or b"")):
        before = node.prev_named_sibling
        for owner in (node, *([before] if before is not None and before.type == "decorators" else [])):
            for each in nodes(owner):
                if each.type == "call_expression" and (each.text or b"").startswith(b"allowed("):
                    found = [literal_text(inner) for inner in nodes(each) if inner.type == "string"]
                    yield from (text for text in found if text)
                    return
    raise DeployError(f"{template.name}: {parameter} has no @allowed")
