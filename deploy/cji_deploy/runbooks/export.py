"""`python -m cji_deploy.runbooks.export --group GROUP --out FILE`: what `cji doctor --azure` needs.

Reads only. Resources come with all properties; children that a list of a group leaves out (keys, containers, policies)
and extension resources (diagnostic settings, role assignments) are asked for one by one. The file names ids and
settings; it has no secret, no key and no record.
"""

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cji_core.strict import StrictError, parse
from cji_deploy.runbooks.steps import Command
from cji_deploy.runbooks.values import RunbookError, words

__all__ = ["COMMANDS", "export", "main"]

FORMAT: Final = "cji-deployment/1"
_LIST: Final[Command] = ("az", "resource", "list", "--resource-group", "{group}", "--output", "json")
_SHOW: Final[Command] = ("az", "resource", "show", "--ids", "{id}", "--output", "json")
_CHILDREN: Final[Command] = (
    *("az", "rest", "--method", "get", "--url", "{endpoint}{id}/{child}?api-version={version}"),
    *("--output", "json"),
)
_CLOUD: Final[Command] = ("az", "cloud", "show", "--output", "json")
_SETTINGS: Final[Command] = ("az", "monitor", "diagnostic-settings", "list", "--resource", "{id}", "--output", "json")
_ROLES: Final[Command] = (
    *("az", "role", "assignment", "list", "--scope", "{id}", "--include-inherited", "--output", "json"),
)
_GROUP: Final[Command] = ("az", "group", "show", "--name", "{group}", "--output", "json")
_DEFINITIONS: Final[Command] = (
    *("az", "role", "definition", "list", "--custom-role-only", "true", "--resource-group", "{group}"),
    *("--output", "json"),
)
COMMANDS: Final = (_LIST, _SHOW, _CHILDREN, _CLOUD, _SETTINGS, _ROLES, _GROUP, _DEFINITIONS)

_CHILD: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "microsoft.keyvault/vaults": (("keys", "2023-07-01"),),
    "microsoft.keyvault/managedhsms": (("keys", "2023-07-01"),),
    "microsoft.storage/storageaccounts": (("blobServices", "2023-05-01"), ("queueServices", "2023-05-01")),
    "microsoft.storage/storageaccounts/blobservices": (("containers", "2023-05-01"),),
    "microsoft.storage/storageaccounts/blobservices/containers": (("immutabilityPolicies/default", "2023-05-01"),),
    "microsoft.storage/storageaccounts/queueservices": (("queues", "2023-05-01"),),
    "microsoft.operationalinsights/workspaces": (("tables", "2022-10-01"),),
}
_SHOWN_ALONE: Final = frozenset({"microsoft.keyvault/vaults/keys", "microsoft.keyvault/managedhsms/keys"})
"""Types whose list leaves out properties: each is shown by itself."""
_WITH_LOGS: Final = (
    "microsoft.attestation/",
    "microsoft.compute/virtualmachinescalesets",
    "microsoft.insights/",
    "microsoft.keyvault/",
    "microsoft.network/",
    "microsoft.operationalinsights/workspaces",
    "microsoft.storage/storageaccounts",
)
_MAX_ASKED: Final = 5_000
_DEPTH: Final = 64  # levels
_SECONDS: Final = 300


class Azure:
    """The Azure CLI, as a program that answers with JSON."""

    def __init__(self, program: Sequence[str]) -> None:
        self._program, self._asked = tuple(program), 0

    def ask(self, command: Command, *, optional: bool = False, **values: str) -> Any:
        """The answer; None where an optional resource does not exist. Raises RunbookError."""
        self._asked += 1
        if self._asked > _MAX_ASKED:
            raise RunbookError("the group has too many resources", "Export one deployment only.")
        arguments = words(command, values, tools={"az": self._program})
        try:
            done = subprocess.run(
                arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_SECONDS
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RunbookError(f"{shlex.join(arguments)}: {error}", "Install the Azure CLI and sign in.") from None
        if done.returncode:
            if optional:
                return None
            raise RunbookError(
                f"{shlex.join(arguments)}: {' '.join(done.stderr.split())[-300:]}", "The role Reader is needed."
            )
        try:
            return parse(done.stdout.encode(), limit=len(done.stdout) * 4, depth=_DEPTH)
        except StrictError:
            raise RunbookError(f"{shlex.join(arguments)} did not print JSON", "Run it by itself.") from None


def export(azure: Azure, group: str) -> dict[str, Any]:
    """The document. Raises RunbookError."""
    endpoint = str(azure.ask(_CLOUD)["endpoints"]["resourceManager"]).rstrip("/")
    resources: list[dict[str, Any]] = []
    for each in azure.ask(_LIST, group=group):
        resources += _with_children(azure, azure.ask(_SHOW, id=str(each["id"])), endpoint)
    found = [_kept(each) for each in resources]
    extensions: list[dict[str, Any]] = []
    for each in resources:
        if str(each["type"]).lower().startswith(_WITH_LOGS):
            answer = azure.ask(_SETTINGS, optional=True, id=str(each["id"]))
            for setting in _list(answer):
                extensions.append(_extension("Microsoft.Insights/diagnosticSettings", setting, str(each["id"])))
    scopes = {str(azure.ask(_GROUP, group=group)["id"]), *(str(each["id"]) for each in resources)}
    for scope in sorted(scopes):
        for assignment in _list(azure.ask(_ROLES, optional=True, id=scope)):
            extensions.append(_extension("Microsoft.Authorization/roleAssignments", assignment, ""))
    for definition in _list(azure.ask(_DEFINITIONS, group=group)):
        extensions.append(_extension("Microsoft.Authorization/roleDefinitions", definition, ""))
    covers = ["Microsoft.Insights/diagnosticSettings", "Microsoft.Authorization/roleAssignments"]
    unique = {json.dumps(each, sort_keys=True): each for each in [*found, *extensions]}
    return {"format": FORMAT, "group": group, "covers": covers, "resources": list(unique.values())}


def _with_children(azure: Azure, resource: dict[str, Any], endpoint: str) -> Iterator[dict[str, Any]]:
    yield resource
    for child, version in _CHILD.get(str(resource["type"]).lower(), ()):
        answer = azure.ask(
            _CHILDREN, optional="/" in child, endpoint=endpoint, id=str(resource["id"]), child=child, version=version
        )
        for each in _list(answer):
            alone = str(each.get("type", "")).lower() in _SHOWN_ALONE
            shown = azure.ask(_SHOW, id=str(each["id"])) if alone else each
            yield from _with_children(azure, shown, endpoint)


def _list(answer: Any) -> list[dict[str, Any]]:
    """The items of an answer: a list, `{"value": [...]}`, or one resource."""
    if answer is None:
        return []
    if isinstance(answer, dict):
        answer = answer["value"] if isinstance(answer.get("value"), list) else [answer]
    return [each for each in answer if isinstance(each, dict)]


def _kept(resource: Mapping[str, Any]) -> dict[str, Any]:
    """The members that describe a resource. Tags stay out: they are free text."""
    wanted = ("id", "identity", "kind", "location", "name", "properties", "sku", "type", "zones")
    return {key: resource[key] for key in wanted if resource.get(key) is not None}


def _extension(kind: str, answer: Mapping[str, Any], scope: str) -> dict[str, Any]:
    """An extension resource in the resource manager's form; the CLI prints its properties beside its name."""
    properties = answer.get("properties")
    if not isinstance(properties, dict):
        wanted = ("workspaceId", "logs", "metrics", "roleDefinitionId", "principalId", "principalType", "scope")
        properties = {key: answer[key] for key in wanted if key in answer}
        if "permissions" in answer:
            properties["permissions"] = answer["permissions"]
    found = {
        "type": kind,
        "name": str(answer.get("name", "")),
        "id": str(answer.get("id", "")),
        "properties": properties,
    }
    return {**found, "scope": scope} if scope else found


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 written, 1 refused."""
    parser = argparse.ArgumentParser(prog="python -m cji_deploy.runbooks.export")
    parser.add_argument("--group", required=True, help="resource group of the deployment")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument("--az", default="az", help="the Azure CLI, with arguments if needed")
    options = parser.parse_args(arguments)
    try:
        document = export(Azure(shlex.split(options.az)), options.group)
    except RunbookError as error:
        print(f"{error.args[0]}\n{error.remedy}", file=sys.stderr)
        return 1
    options.out.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    print(f"{options.out}: {len(document['resources'])} resources")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
