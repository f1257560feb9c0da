"""All checks of a deploy folder, cheapest first.

A template that does not parse fails at once, and checks that need all templates are reported as not run: rules over
half a deployment would give half a result.
"""

from collections.abc import Iterator
from pathlib import Path

from cji_attestation.provider_policy import RULES, MaaPolicyError, build, lint
from cji_attestation.provider_policy import parse_policy as parse_provider_policy
from cji_attestation.release.policy import Hardware
from cji_deploy.check.azd import azd_problems
from cji_deploy.check.aztypes import Catalogue
from cji_deploy.check.bicep import Template, parse
from cji_deploy.check.compiled import check_with_bicep
from cji_deploy.check.compiler import compiler_problems, foresight_problems
from cji_deploy.check.containers import container_problems, containerfiles
from cji_deploy.check.deployment import ENTRY, EXAMPLES, deployment_outcomes
from cji_deploy.check.expected import expected_problems
from cji_deploy.check.hardening import hardening_problems
from cji_deploy.check.identity import check_identity
from cji_deploy.check.image import image_problems
from cji_deploy.check.initiative import initiative_outcomes
from cji_deploy.check.modules import parameter_file_problems, wiring_problems
from cji_deploy.check.outcome import DeployError, Outcome, judged, not_run
from cji_deploy.check.release_policy import (
    FILES,
    HARDWARE,
    embedding_problems,
    origin_problems,
    parse_policy,
    weaknesses,
)
from cji_deploy.check.runbooks import runbook_outcomes
from cji_deploy.check.scanner import check_with_checkov
from cji_deploy.check.sentinel import check_sentinel
from cji_deploy.check.units import check_order, check_sysusers, check_unit

__all__ = ["run"]

_TOGETHER = (
    *("bicep: wiring", "bicep: compiler's rules", "bicep: foresight of what-if", "bicep: compiler"),
    *("bicep: parameters file", "bicep: conventions", "bicep: tables", "bicep: deployment"),
    *("bicep: snapshot", "bicep: hardening", "initiative: assignment", "initiative: compliance", "bicep: checkov"),
)
"""The checks that need every template."""


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
    catalogue, outcome = _catalogue(types)
    yield from [outcome] if outcome else _types(templates, catalogue)
    yield from _policies(root, templates)
    yield _attestation_policy(root)
    if templates and len(templates) == len(paths):
        yield from _together(folder, templates, catalogue)
        yield from initiative_outcomes(root, templates, catalogue)
        yield check_with_checkov(folder)
    else:
        for check in _TOGETHER:
            yield not_run(check, folder.name, "a template does not parse")
    yield from check_sentinel(root)
    yield from check_identity(root)
    yield judged("azd: azure.yaml", "azure.yaml", azd_problems(root))
    yield judged("deployment: requirements", "expected.json", expected_problems(root))
    yield from runbook_outcomes(root / "runbooks")
    yield judged("image: configuration", "image", image_problems(root))
    for each in containerfiles(root):
        yield judged("container: digests", f"{each.parent.name}/{each.name}", container_problems(each))
    for folder in (root / "systemd", root / "log"):
        units = sorted(each for kind in ("*.service", "*.path") for each in folder.glob(kind))
        if not units:
            yield judged("unit: needed lines", folder.name, ["no units"])
        for unit in units:
            yield from check_unit(unit)
        yield check_order(folder)
        for users in sorted(folder.glob("*.sysusers.conf")):
            yield check_sysusers(users)


def _catalogue(types: Path | None) -> tuple[Catalogue | None, Outcome | None]:
    """Azure's resource types, or the outcome of the check that cannot run without them."""
    check = "bicep: resource types"
    if types is None:
        return None, not_run(check, "bicep", "CJI_VECTORS is not set, so Azure's resource types are not at hand")
    try:
        return Catalogue.load(types), None
    except DeployError as error:
        return None, judged(check, types.name, error.problems)


def _types(templates: dict[str, Template], catalogue: Catalogue | None) -> Iterator[Outcome]:
    for name, template in templates.items():
        problems = [problem for each in template.resources for problem in catalogue.problems(each)] if catalogue else []
        yield judged("bicep: resource types", name, problems)


def _policies(root: Path, templates: dict[str, Template]) -> Iterator[Outcome]:
    for kind in HARDWARE:
        yield from _policy(root / "policy" / FILES[kind], kind)
    yield judged("policy: embedding", "bicep", embedding_problems(root / "bicep", templates))


def _policy(path: Path, kind: Hardware) -> Iterator[Outcome]:
    try:
        source = path.read_bytes()
        policy = parse_policy(source)
    except (OSError, DeployError) as error:
        reasons = error.problems if isinstance(error, DeployError) else ("cannot be read",)
        yield judged("policy: grammar", path.name, reasons)
        for check in ("policy: strength", "policy: origin"):
            yield not_run(check, path.name, "the policy does not follow the grammar")
        return
    yield judged("policy: grammar", path.name, [])
    yield judged("policy: strength", path.name, weaknesses(policy))
    yield judged("policy: origin", path.name, origin_problems(source, kind))


def _attestation_policy(root: Path) -> Outcome:
    path = root / "policy" / "attestation-policy.txt"
    try:
        source = path.read_bytes()
    except OSError:
        return judged("attestation policy", path.name, ["cannot be read"])
    return judged("attestation policy", path.name, attestation_policy_problems(source))


def _together(folder: Path, templates: dict[str, Template], catalogue: Catalogue | None) -> Iterator[Outcome]:
    for name, template in templates.items():
        if template.modules:
            yield judged("bicep: wiring", name, wiring_problems(template, templates))
        yield judged("bicep: compiler's rules", name, compiler_problems(template, templates, catalogue))
    yield judged("bicep: foresight of what-if", folder.name, foresight_problems(templates))
    yield from check_with_bicep(folder)
    for example in EXAMPLES:
        path = folder / example.parameters
        if ENTRY in templates and path.is_file():
            problems = list(parameter_file_problems(templates[ENTRY], path.read_bytes()))
        else:
            problems = [f"{ENTRY} or {path.name} is missing"]
        yield judged("bicep: parameters file", path.name, problems)
    yield from deployment_outcomes(folder, templates)
    yield judged("bicep: hardening", folder.name, hardening_problems(list(templates.values())))


def attestation_policy_problems(source: bytes) -> Iterator[str]:
    """Weaknesses of the file, including warnings, and differences from the output of `cji policy build --for maa`."""
    try:
        for finding in lint(parse_provider_policy(source)):
            yield f"{finding.rule.id} {finding.rule.title}: {finding.detail}, in {', '.join(finding.where)}"
    except MaaPolicyError as error:
        yield f"{error.check} {RULES[error.check].title} at {error.where or 'the text'}"
    if source != build():
        yield "is not what `cji policy build --for maa` writes"
