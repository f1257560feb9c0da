"""All checks of a deploy folder, cheapest first.

A template that does not parse fails at once, and checks that need all templates are reported as not run: rules over
half a deployment would give half a result.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from deploy.check.attestation_policy import problems as attestation_policy_problems
from deploy.check.aztypes import Catalogue
from deploy.check.bicep import Template, parse
from deploy.check.hardening import hardening_problems
from deploy.check.image import image_problems
from deploy.check.modules import parameter_file_problems, wiring_problems
from deploy.check.outcome import DeployError, Outcome, judged, not_run
from deploy.check.release_policy import embedding_problems, origin_problems, parse_policy, weaknesses
from deploy.check.scanner import check_with_checkov
from deploy.check.units import check_sysusers, check_unit

__all__ = ["run"]

_ENTRIES: Final = {"main.bicep": "main.parameters.example.json", "fleet.bicep": "fleet.parameters.example.json"}
"""Entry points with their example parameters; every other template is a module."""
_POLICY: Final = "../policy/release-policy.json"  # as the templates write it


def run(root: Path, types: Path | None) -> list[Outcome]:
    """Outcomes for the deploy folder `root`; `types` is the folder of Azure's resource types, if there is one."""
    return list(_all(root, types))


def _all(root: Path, types: Path | None) -> Iterator[Outcome]:
    folder = root / "bicep"
    paths = sorted(folder.glob("*.bicep"))
    if not paths:
        yield judged("bicep: syntax and names", folder.name, ["no templates"])
    templates: dict[str, Template] = {}
    for path in paths:
        try:
            templates[path.name] = parse(path.name, path.read_bytes())
            yield judged("bicep: syntax and names", path.name, [])
        except DeployError as error:
            yield judged("bicep: syntax and names", path.name, error.problems)
    yield from _types(templates, types)
    yield from _policy(root, templates)
    yield _attestation_policy(root)
    if templates and len(templates) == len(paths):
        yield from _together(folder, templates)
        yield check_with_checkov(folder)
    else:
        for check in ("bicep: wiring", "bicep: parameters file", "bicep: hardening", "bicep: checkov"):
            yield not_run(check, folder.name, "a template does not parse")
    yield judged("image: configuration", "image", image_problems(root))
    units = sorted((root / "systemd").glob("*.service"))
    if not units:
        yield judged("unit: needed lines", "systemd", ["no units"])
    for unit in units:
        yield from check_unit(unit)
    for users in sorted((root / "systemd").glob("*.sysusers.conf")):
        yield check_sysusers(users)


def _types(templates: dict[str, Template], types: Path | None) -> Iterator[Outcome]:
    if types is None:
        yield not_run(
            "bicep: resource types", "bicep", "CJI_VECTORS is not set, so Azure's resource types are not at hand"
        )
        return
    try:
        catalogue = Catalogue.load(types)
    except DeployError as error:
        yield judged("bicep: resource types", types.name, error.problems)
        return
    for name, template in templates.items():
        problems = [problem for resource in template.resources for problem in catalogue.problems(resource)]
        yield judged("bicep: resource types", name, problems)


def _policy(root: Path, templates: dict[str, Template]) -> Iterator[Outcome]:
    path = root / "policy" / "release-policy.json"
    try:
        source = path.read_bytes()
        policy = parse_policy(source)
    except (OSError, DeployError) as error:
        reasons = error.problems if isinstance(error, DeployError) else ("cannot be read",)
        yield judged("policy: grammar", path.name, reasons)
        for check in ("policy: strength", "policy: origin", "policy: embedding"):
            yield not_run(check, path.name, "the policy does not follow the grammar")
        return
    yield judged("policy: grammar", path.name, [])
    yield judged("policy: strength", path.name, weaknesses(policy))
    yield judged("policy: origin", path.name, origin_problems(source))
    yield judged("policy: embedding", path.name, embedding_problems(templates, _POLICY, source))


def _attestation_policy(root: Path) -> Outcome:
    path = root / "policy" / "attestation-policy.txt"
    try:
        source = path.read_bytes()
    except OSError:
        return judged("attestation policy", path.name, ["cannot be read"])
    return judged("attestation policy", path.name, attestation_policy_problems(source))


def _together(folder: Path, templates: dict[str, Template]) -> Iterator[Outcome]:
    for name, template in templates.items():
        if template.modules:
            yield judged("bicep: wiring", name, wiring_problems(template, templates))
    for entry, name in _ENTRIES.items():
        example = folder / name
        if entry in templates and example.is_file():
            problems = list(parameter_file_problems(templates[entry], example.read_bytes()))
        else:
            problems = [f"{entry} or {name} is missing"]
        yield judged("bicep: parameters file", name, problems)
    yield judged("bicep: hardening", folder.name, hardening_problems(list(templates.values())))
