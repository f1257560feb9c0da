"""The deployment as a whole: example parameters resolved, the tables that templates share, names, tags, the snapshot.

A snapshot is the list of resources that `main.bicep` deploys with example parameters, each with all of its properties:
a reviewer sees in a diff what a change deploys. `python -m cji_deploy.check.snapshot` writes it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cji_deploy.check.bicep import Template
from cji_deploy.check.conventions import TAGGED, convention_problems
from cji_deploy.check.outcome import DeployError, Outcome, judged
from cji_deploy.check.resolve import Planned, Surroundings, resolve

__all__ = ["ENTRY", "EXAMPLES", "Example", "deployment_outcomes", "parameters", "planned", "snapshot"]

ENTRY: Final = "main.bicep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Example parameters, the cloud that they are for, and the file of their snapshot."""

    parameters: str
    cloud: str
    snapshot: str


EXAMPLES: Final = (
    Example(parameters="main.parameters.example.json", cloud="AzureCloud", snapshot="snapshots/commercial.txt"),
    Example(
        parameters="government.parameters.example.json", cloud="AzureUSGovernment", snapshot="snapshots/government.txt"
    ),
    Example(parameters="small.parameters.example.json", cloud="AzureCloud", snapshot="snapshots/small.txt"),
)
_US_REGION: Final = re.compile(r"(north|south|west)?(east|west|central)us[23]?|usgov(virginia|arizona|texas)")
# confidential families of the sixth version: a is AMD, e is Intel; a d would be a local disk, outside the guest's state
_SIZE: Final = re.compile(r"Standard_[DE]C\d+(a|e)s_v6")
_ISOLATION: Final = {"a": "snp", "e": "tdx"}
_PROVIDERS: Final = {"usgov": re.compile(r"https://shared([a-z0-9]+)\.\1\.attest\.azure\.us")}
_COMMERCIAL: Final = re.compile(r"https://shared([a-z0-9]+)\.\1\.attest\.azure\.net")
_REVIEW: Final = "review it with `python -m cji_deploy.check.snapshot` and `git diff`"
_TAGS: Final = ("owner", "costCenter", "dataClassification", "deployment")


def parameters(source: bytes) -> dict[str, Any]:
    """Values of a deployment parameters file. Raises DeployError for another file."""
    try:
        return {name: holder["value"] for name, holder in json.loads(source)["parameters"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DeployError(f"not a deployment parameters file ({type(error).__name__})") from error


def planned(folder: Path, templates: Mapping[str, Template], example: Example) -> list[Planned]:
    """Resources that `main.bicep` in the folder deploys with example parameters. Raises DeployError."""
    around = Surroundings(read=lambda path: (folder / path).read_bytes(), cloud=example.cloud)
    try:
        given = parameters((folder / example.parameters).read_bytes())
    except OSError:
        raise DeployError(f"{example.parameters}: cannot be read") from None
    return resolve(ENTRY, templates, given, around)


def deployment_outcomes(folder: Path, templates: Mapping[str, Template]) -> Iterator[Outcome]:
    """Outcomes for all templates together, in the folder that they are in."""
    yield judged("bicep: conventions", folder.name, convention_problems(list(templates.values())))
    yield judged("bicep: tables", folder.name, _tables(folder, templates))
    for example in EXAMPLES:
        try:
            resources = planned(folder, templates, example)
        except DeployError as error:
            yield judged("bicep: deployment", example.parameters, error.problems)
            continue
        yield judged("bicep: deployment", example.parameters, _names_and_tags(resources, _prefix(folder, example)))
        yield judged("bicep: snapshot", example.snapshot, _snapshot_problems(folder / example.snapshot, resources))


def _prefix(folder: Path, example: Example) -> str:
    return str(parameters((folder / example.parameters).read_bytes())["prefix"])


def _names_and_tags(resources: list[Planned], prefix: str) -> Iterator[str]:
    seen: set[str] = set()
    for each in resources:
        where = f"{each.file}:{each.line}: {each.name}"
        if each.id.lower() in seen:
            yield f"{where} is deployed twice"
        seen.add(each.id.lower())
        if each.type in TAGGED:
            if not each.name.startswith(prefix):
                yield f"{where} must begin with the prefix {prefix}"
            yield from (f"{where} has no tag {tag}" for tag in _TAGS if not each.body.get("tags", {}).get(tag))


def _tables(folder: Path, templates: Mapping[str, Template]) -> Iterator[str]:
    """The files that templates load, against the choices in `main.bicep` and against their sources."""
    entry = templates.get(ENTRY)
    if entry is None:
        yield f"{ENTRY} is missing"
        return
    for file, name, judge in (("sizes.json", "vmSize", _size), ("regions.json", "location", _region)):
        try:
            source = (folder / file).read_text()
            table = json.loads(source)
        except (OSError, ValueError):
            yield f"{file}: cannot be read"
            continue
        lines = source.splitlines()
        for key, value in table.items():
            line = next((number for number, each in enumerate(lines, start=1) if f'"{key}"' in each), 1)
            if problem := judge(key, value):
                yield f"{file}:{line}: {key} {problem}"
        parameter = entry.parameters.get(name)
        if parameter is None or parameter.decorators.get("allowed") != list(table):
            yield f"{ENTRY}:{parameter.line if parameter else 1}: @allowed of {name} must list {file} in its order"


def _size(key: str, value: object) -> str:
    found = _SIZE.fullmatch(key)
    if found is None:
        return "is not a confidential size of the sixth version without a local disk"
    wanted = _ISOLATION[found[1]]
    return "" if value == wanted else f"has the isolation {wanted}"


def _region(key: str, value: object) -> str:
    if _US_REGION.fullmatch(key) is None:
        return "is not a region in the United States"
    provider = _PROVIDERS.get(key[:5], _COMMERCIAL)
    return "" if isinstance(value, str) and provider.fullmatch(value) else "must have Microsoft's provider of its cloud"


def snapshot(resources: list[Planned]) -> str:
    """One paragraph for each resource: its type and name, then its properties, one a line, in their order."""
    return "\n".join(f"{each.type}@{each.api} {each.name}\n{_lines(each.body)}" for each in resources)


def _lines(body: dict[str, Any]) -> str:
    return "".join(f"  {path} = {json.dumps(value, ensure_ascii=False)}\n" for path, value in _leaves(body, ""))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict | list):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    else:
        yield path, value


def _snapshot_problems(path: Path, resources: list[Planned]) -> Iterator[str]:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        yield f"{path.name}: cannot be read; `python -m cji_deploy.check.snapshot` writes it"
        return
    wanted = snapshot(resources).splitlines()
    for number, (old, new) in enumerate(zip(lines, wanted, strict=False), start=1):
        if old != new:
            yield f"{path.name}:{number}: {old.strip()!r} is now {new.strip()!r}: {_REVIEW}"
            return
    if len(lines) != len(wanted):
        number = min(len(lines), len(wanted)) + 1
        yield f"{path.name}:{number}: {len(lines)} lines, and the templates give {len(wanted)}: {_REVIEW}"
