"""The Azure Policy initiative: its definitions, whether all are assigned, and whether our own deployment complies.

The templates' resources are resolved with the example parameters, and each definition is applied to them as Azure would
at their creation, with the parameters that the assignment gives.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cji_deploy.check.aztypes import Catalogue
from cji_deploy.check.bicep import Template, parse
from cji_deploy.check.compiler import compiler_problems
from cji_deploy.check.conventions import convention_problems
from cji_deploy.check.deployment import EXAMPLES, planned
from cji_deploy.check.outcome import DeployError, Outcome, judged, not_run
from cji_deploy.check.policy_rules import Definition, fields, parse_definition, path_of, violated
from cji_deploy.check.resolve import Planned, Surroundings, resolve

__all__ = ["as_resource", "assigned", "compliance_problems", "initiative_outcomes"]

_ENTRY = "main.bicep"


def initiative_outcomes(
    root: Path, templates: Mapping[str, Template], catalogue: Catalogue | None
) -> Iterator[Outcome]:
    """Outcomes for `policy-initiative` of the deploy folder; `templates` are those of `bicep`."""
    folder = root / "policy-initiative"
    definitions: dict[str, Definition] = {}
    for path in sorted((folder / "definitions").glob("*.json")):
        try:
            definitions[path.stem] = parse_definition(path.name, path.read_bytes())
            yield judged("initiative: definition", path.name, [])
        except DeployError as error:
            yield judged("initiative: definition", path.name, error.problems)
    try:
        entry = parse(_ENTRY, (folder / _ENTRY).read_bytes())
        rules = compiler_problems(entry, {_ENTRY: entry}, catalogue)
        yield judged("bicep: compiler's rules", f"{folder.name}/{_ENTRY}", rules)
        values = assigned(folder, entry)
    except (DeployError, OSError) as error:
        reasons = error.problems if isinstance(error, DeployError) else (f"{_ENTRY} cannot be read",)
        yield judged("initiative: assignment", folder.name, reasons)
        return
    problems = [*_incomplete(folder, entry, definitions), *convention_problems([entry])]
    yield judged("initiative: assignment", folder.name, problems)
    if catalogue is None:
        yield not_run("initiative: aliases", folder.name, "Azure's resource types are not at hand")
    else:
        unknown = (problem for each in definitions.values() for problem in _unknown(each, catalogue))
        types = (problem for each in entry.resources for problem in catalogue.problems(each))
        yield judged("initiative: aliases", folder.name, [*unknown, *types])
    for example in EXAMPLES:
        try:
            resources = planned(root / "bicep", templates, example)
            found = list(compliance_problems(definitions, resources, values))
        except DeployError as error:
            found = list(error.problems)
        yield judged("initiative: compliance", example.parameters, found)


def assigned(folder: Path, entry: Template) -> dict[str, Any]:
    """The parameters of the assignment. Raises DeployError if the template does not assign the initiative."""
    around = Surroundings(read=lambda path: (folder / path).read_bytes())
    for each in resolve(_ENTRY, {_ENTRY: entry}, {}, around):
        if each.type == "Microsoft.Authorization/policyAssignments":
            if each.body["properties"].get("enforcementMode") != "Default":
                raise DeployError(f"{_ENTRY}:{each.line}: the assignment must be enforced by default")
            return {name: holder["value"] for name, holder in each.body["properties"]["parameters"].items()}
    raise DeployError(f"{_ENTRY}:1: no policy assignment")


def _incomplete(folder: Path, entry: Template, definitions: Mapping[str, Definition]) -> Iterator[str]:
    """Definitions that are not created, not in the initiative, or not given their parameters; and the reverse."""
    around = Surroundings(read=lambda path: (folder / path).read_bytes())
    resources = resolve(_ENTRY, {_ENTRY: entry}, {}, around)
    created = {each.name: each for each in resources if each.type == "Microsoft.Authorization/policyDefinitions"}
    sets = [each for each in resources if each.type == "Microsoft.Authorization/policySetDefinitions"]
    referenced: dict[str, Any] = {}
    for each in sets:
        for one in each.body["properties"]["policyDefinitions"]:
            name = one["policyDefinitionId"].rpartition("/")[2]
            referenced[name] = one
            declared = definitions[name].parameters if name in definitions else {}
            needed = {key for key, spec in declared.items() if "defaultValue" not in spec}
            for key in needed - one["parameters"].keys():
                yield f"initiative.json:{_line(folder, name)}: {name} needs the parameter {key!r}"
            for key in one["parameters"].keys() - declared.keys():
                yield f"initiative.json:{_line(folder, name)}: {name} has no parameter {key!r}"
            for holder in one["parameters"].values():
                wanted = str(holder["value"]).removeprefix("[parameters('").removesuffix("')]")
                if wanted not in each.body["properties"]["parameters"]:
                    yield f"initiative.json:{_line(folder, name)}: no parameter {wanted!r} in the initiative"
    for name in sorted(definitions):
        if name not in created:
            yield f"{_ENTRY}:1: definitions/{name}.json is not loaded"
        if name not in referenced:
            yield f"initiative.json:1: {name} is not in it"
    for name in sorted(referenced.keys() - definitions.keys()):
        yield f"initiative.json:{_line(folder, name)}: {name} has no definition"


def _line(folder: Path, word: str) -> int:
    lines = (folder / "initiative.json").read_text().splitlines()
    return next((number for number, each in enumerate(lines, start=1) if json.dumps(word) in each), 1)


def _unknown(definition: Definition, catalogue: Catalogue) -> Iterator[str]:
    """Aliases that lead to no property. Azure also has a list of aliases, which only Azure can check."""
    for alias in fields(definition):
        kind, path = path_of(alias)
        if not catalogue.has(kind, path.replace("[*]", "")):
            yield f"{definition.name}.json: {kind} has no property for {alias}"


def as_resource(each: Planned) -> dict[str, Any]:
    """A planned resource as policies see it."""
    return {**each.body, "type": each.type, "name": each.name, "id": each.id}


def compliance_problems(
    definitions: Mapping[str, Definition], resources: list[Planned], values: Mapping[str, Any]
) -> Iterator[str]:
    """One text for each definition that a resource does not comply with."""
    seen = [as_resource(each) for each in resources]
    for each, resource in zip(resources, seen, strict=True):
        for name, definition in definitions.items():
            if violated(definition, resource, seen, values):
                yield f"{each.file}:{each.line}: {each.name} does not comply with {name}"
