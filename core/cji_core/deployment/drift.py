"""The comparison of a deployment with the requirements: one result for each requirement and resource.

ok        the export shows it
failed    the export shows the contrary, or lacks what must be there
not run   the export does not cover it: nothing is known
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, Literal

import msgspec

from cji_core.deployment.expected import Expected, Grant, Rule, expected
from cji_core.deployment.export import MAX_BYTES, Deployed, Resource
from cji_core.strict import StrictError, b64url_decode, parse

_SETTINGS: Final = "microsoft.insights/diagnosticsettings"
_ASSIGNMENTS: Final = "microsoft.authorization/roleassignments"
_DEFINITIONS: Final = "microsoft.authorization/roledefinitions"
_EXPORT: Final = "Export with `python -m cji_deploy.runbooks.export`, which asks for them too."
_SHOWN: Final = 120
_AUTHORITY: Final = "__ATTESTATION_AUTHORITY__"
_POLICY_REMEDY: Final = (
    "Compare it with deploy/policy (`az keyvault key show --query releasePolicy.encodedPolicy`), disable the key until "
    "it is explained, and set the reviewed policy."
)


class Result(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One requirement on one resource. `remedy` is empty if there is nothing to do."""

    id: str
    """The requirement, such as `vaults properties.enablePurgeProtection`."""
    resource: str
    state: Literal["ok", "failed", "not run"]
    found: str
    remedy: str = ""


def compare(deployed: Deployed, requirements: Expected | None = None) -> list[Result]:
    """All results, failures of one requirement together, in a stable order."""
    wanted = expected() if requirements is None else requirements
    found = [
        *_subjects(deployed, wanted),
        *_regions(deployed, wanted),
        *_forbidden(deployed, wanted),
        *_logged(deployed, wanted),
        *_roles(deployed, wanted),
        *_release_policies(deployed, wanted),
    ]
    return sorted(found, key=lambda each: (each.id, each.resource))


def _subjects(deployed: Deployed, wanted: Expected) -> Iterator[Result]:
    for kind, group in groupby(sorted(wanted.subjects, key=lambda each: each.type.lower()), lambda each: each.type):
        subjects = list(group)
        matched: set[str] = set()
        for resource in deployed.of(kind):
            # of the roles that the resource can have, its own is the one that it fails least, then the strictest
            own_name = [each for each in subjects if each.named and each.named == _last(resource.name)]
            roles = own_name or [each for each in subjects if not each.named]
            results = [(subject, [_rule(rule, kind, resource) for rule in subject.rules]) for subject in roles]
            subject, own = min(results, key=lambda each: (_failures(each[1]), -len(each[1])))
            matched.add(subject.name)
            yield from own
        for subject in subjects:
            if subject.name not in matched and not subject.optional:
                yield Result(
                    id=f"{_short(kind)} exists",
                    resource=subject.name,
                    state="failed",
                    found=f"the export has no {subject.name}",
                    remedy=f"Deploy it with deploy/bicep/main.bicep, or export the whole group. {_EXPORT}",
                )


def _failures(results: Sequence[Result]) -> int:
    return sum(each.state == "failed" for each in results)


def _rule(rule: Rule, kind: str, resource: Resource) -> Result:
    values = _flat(_at(resource.body, rule.path))
    good = all(_fits(value, rule) for value in values)
    text = ", ".join(sorted({_text_of(value) for value in values}))
    return Result(
        id=f"{_short(kind)} {rule.path}",
        resource=resource.name,
        state="ok" if good else "failed",
        found=text,
        remedy="" if good else f"{_wanted(rule)}: {rule.why}. Correct the parameters and deploy deploy/bicep again.",
    )


def _wanted(rule: Rule) -> str:
    if rule.least is not None:
        return f"Set {rule.path} to at least {rule.least}"
    if not rule.allowed:
        return f"Set {rule.path}"
    return f"Set {rule.path} to {' or '.join(map(_text_of, rule.allowed))}"


def _fits(value: Any, rule: Rule) -> bool:
    if rule.least is not None:
        return isinstance(value, int) and not isinstance(value, bool) and value >= rule.least
    if not rule.allowed:
        return value not in (None, "", [], {})
    return any(_same(value, each) for each in rule.allowed)


def _same(value: Any, allowed: str | int | bool) -> bool:
    """The resource manager does not distinguish case in names of choices; a number is not a boolean."""
    if isinstance(value, str) and isinstance(allowed, str):
        return value.casefold() == allowed.casefold()
    return type(value) is type(allowed) and value == allowed


def _regions(deployed: Deployed, wanted: Expected) -> Iterator[Result]:
    allowed, anywhere = set(wanted.regions), {each.lower() for each in wanted.global_types}
    for resource in deployed.resources:
        location = resource.body.get("location")
        if location is None or (location == "global" and resource.type in anywhere):
            continue
        region = "".join(str(location).lower().split())
        good = region in allowed
        yield Result(
            id=f"{_short(resource.type)} location",
            resource=resource.name,
            state="ok" if good else "failed",
            found=region[:_SHOWN],
            remedy=""
            if good
            else "Criminal justice information stays in the United States: delete it, deploy it in a US region.",
        )


def _forbidden(deployed: Deployed, wanted: Expected) -> Iterator[Result]:
    for kind, why in wanted.forbidden.items():
        for resource in deployed.of(kind):
            yield Result(
                id=f"{_short(kind)} absent",
                resource=resource.name,
                state="failed",
                found="exists",
                remedy=f"Delete it: {why}.",
            )


def _logged(deployed: Deployed, wanted: Expected) -> Iterator[Result]:
    settings = deployed.of(_SETTINGS)
    covered = _SETTINGS in deployed.covers or bool(settings)
    for kind in wanted.logged:
        for resource in deployed.of(kind):
            own = [each for each in settings if _of(each, resource)]
            good = any(_sends(each) for each in own)
            yield Result(
                id=f"{_short(kind)} diagnostic setting",
                resource=resource.name,
                state="ok" if good else "failed" if covered else "not run",
                found="sends to a workspace"
                if good
                else "none that sends to a workspace"
                if covered
                else "not exported",
                remedy=""
                if good
                else "Deploy deploy/bicep again; it makes one for each resource."
                if covered
                else _EXPORT,
            )


def _of(setting: Resource, resource: Resource) -> bool:
    """Whether an extension resource belongs to this resource, by its id or its scope."""
    scope = str(setting.body.get("scope") or "").lower()
    return scope == resource.id or setting.id.startswith(f"{resource.id}/providers/{setting.type}/")


def _sends(setting: Resource) -> bool:
    properties = setting.body.get("properties")
    if not isinstance(properties, Mapping) or not properties.get("workspaceId"):
        return False
    listed = [*_items_of(properties.get("logs")), *_items_of(properties.get("metrics"))]
    return any(isinstance(each, Mapping) and each.get("enabled") is True for each in listed)


def _roles(deployed: Deployed, wanted: Expected) -> Iterator[Result]:
    assignments = deployed.of(_ASSIGNMENTS)
    if not assignments and _ASSIGNMENTS not in deployed.covers:
        yield Result(id="roles", resource="all", state="not run", found="not exported", remedy=_EXPORT)
        return
    custom = {each.id.rpartition("/")[2]: _rights(each) for each in deployed.of(_DEFINITIONS)}
    seen: dict[tuple[str, str], set[str]] = {}
    for each in assignments:
        properties = each.body.get("properties")
        properties = properties if isinstance(properties, Mapping) else {}
        scope = str(properties.get("scope") or each.body.get("scope") or "").lower()
        role = str(properties.get("roleDefinitionId") or "").lower().rpartition("/")[2]
        holders = seen.setdefault((scope, role), set())
        holders.add(str(properties.get("principalId") or each.name))
    for (scope, role), holders in sorted(seen.items()):
        yield _role(scope, role, len(holders), wanted, custom)
    given = {(_type(scope), role) for scope, role in seen}
    for grant in wanted.grants:
        present = {
            kind
            for kind, role in given
            if grant.role == role or (grant.rights and custom.get(role) == set(grant.rights))
        }
        if grant.type.lower() not in present and deployed.of(grant.type):
            yield Result(
                id=f"{_short(grant.type)} role",
                resource=grant.role or ", ".join(grant.rights),
                state="failed",
                found="not assigned",
                remedy="Deploy deploy/bicep again: a worker needs this right.",
            )


def _role(scope: str, role: str, holders: int, wanted: Expected, custom: Mapping[str, set[str]]) -> Result:
    kind = _type(scope)
    grants = [each for each in wanted.grants if each.type.lower() == kind and _is_grant(each, role, custom)]
    most = sum(each.most for each in grants)
    inside = bool(kind) and any(each.type.lower() == kind for each in wanted.grants)
    data = wanted.data_roles.get(role, "")
    good = holders <= most if grants else not (inside or data or role in custom)
    what = data or role
    return Result(
        id=f"{_short(kind) or 'wider scope'} roles",
        resource=scope.rpartition("/providers/")[2] or scope,
        state="ok" if good else "failed",
        found=f"{what}: {holders} assigned, {most} expected"
        if not good or grants
        else f"{what}: not over keys or data",
        remedy=""
        if good
        else "Delete the assignment that deploy/bicep does not make: `az role assignment list --scope SCOPE`, then "
        "`az role assignment delete`. A person's right belongs into PIM, for hours.",
    )


def _is_grant(grant: Grant, role: str, custom: Mapping[str, set[str]]) -> bool:
    return grant.role == role if grant.role else custom.get(role) == set(grant.rights)


def _rights(definition: Resource) -> set[str]:
    return {
        str(right)
        for path in ("properties.permissions.actions", "properties.permissions.dataActions")
        for right in _flat(_at(definition.body, path))
        if right is not None and right != []
    }


def _type(scope: str) -> str:
    """The type of the resource with this id; empty for a group, a subscription or anything wider."""
    _, found, rest = scope.rpartition("/providers/")
    provider, *parts = rest.split("/")
    return "/".join([provider, *parts[::2]]) if found and len(parts) >= 2 else ""


def _last(name: str) -> str:
    """The last part of a resource's name."""
    return name.rpartition("/")[2]


def _short(kind: str) -> str:
    """A resource type without its provider."""
    return kind.partition("/")[2] or kind


def _at(value: Any, path: str) -> list[Any]:
    """Every value at a dotted path, through all items of arrays; None where a branch lacks it."""
    found = [value]
    for step in path.split("."):
        reached: list[Any] = []
        for here in found:
            for each in here if isinstance(here, list) else [here]:
                reached.append(each.get(step) if isinstance(each, Mapping) else None)
        found = reached
    return found


def _flat(values: Sequence[Any]) -> list[Any]:
    """Items of arrays; an empty array stays itself, which no rule allows."""
    return [item for value in values for item in (value if isinstance(value, list) and value else [value])]


def _items_of(value: Any) -> list[Any]:
    """The items of an array, or none."""
    return value if isinstance(value, list) else []


def _text_of(value: Any) -> str:
    """A value as JSON, cut where it is long."""
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _release_policies(deployed: Deployed, wanted: Expected) -> Iterator[Result]:
    """Of every key that can be exported: one that no policy protects is open to anyone who may release it."""
    for resource in [
        *deployed.of("Microsoft.KeyVault/vaults/keys"),
        *deployed.of("Microsoft.KeyVault/managedHSMs/keys"),
    ]:
        if _flat(_at(resource.body, "properties.attributes.exportable")) != [True]:
            continue
        policy = _deployed_policy(resource)
        good = policy is not None and any(_normal(policy) == _normal(each) for each in wanted.release_policies)
        yield Result(
            id="keys release policy",
            resource=resource.name,
            state="ok" if good else "failed",
            found="the reviewed policy" if good else "not readable" if policy is None else "another policy",
            remedy="" if good else _POLICY_REMEDY,
        )


def _deployed_policy(resource: Resource) -> Any:
    data = _flat(_at(resource.body, "properties.release_policy.data"))
    if len(data) != 1 or not isinstance(data[0], str):
        return None
    try:
        return parse(b64url_decode(data[0].rstrip("=")), limit=MAX_BYTES)
    except StrictError:
        return None


def _normal(policy: Any) -> str:
    """A policy as text, with the one authority that all its branches name replaced; other authorities stay."""
    branches = _items_of(policy.get("anyOf") if isinstance(policy, Mapping) else None)
    named = {each.get("authority") for each in branches if isinstance(each, Mapping)}
    text = json.dumps(policy, sort_keys=True)
    return text.replace(json.dumps(named.pop()), json.dumps(_AUTHORITY)) if len(named) == 1 else text
