"""`cji doctor --azure`: findings about a deployment, from exports of Azure's resource manager."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cji_attestation.verbs.reference_values import reference_values
from cji_core.command.common import Failure
from cji_core.command.findings import Finding
from cji_core.deployment import ExportError, Result, compare, read_export
from cji_core.deployment.export import MAX_BYTES, Deployed
from cji_core.errors import StartupError
from cji_core.format.configuration.worker import Config, load
from cji_deploy.rhythm import BOOT_S, Rhythm
from cji_deploy.verbs.doctor_network import network_findings

_AUTOSCALE: Final = "Microsoft.Insights/autoscalesettings"
_SCALE_SET: Final = "Microsoft.Compute/virtualMachineScaleSets"
_EXPORT: Final = "Export the deployment: `python -m cji_deploy.runbooks.export --group GROUP --out export.json`."


def deployment_findings(exports: Sequence[Path], config: Path | None = None) -> list[Finding]:
    """One finding for each deviation, one for each requirement that holds. Raises Failure for an unusable export.

    With a worker's configuration, also whether its processors, jobs and tokens go with the deployment.
    """
    if not exports:
        raise Failure("--azure needs --export", remedy=_EXPORT, status=2)
    try:
        deployed = read_export([(path.name, _bytes(path)) for path in exports])
    except ExportError as error:
        raise Failure(str(error), remedy=error.remedy, status=2) from error
    loaded = None if config is None else _loaded(config)
    return [
        *of_results(compare(deployed)),
        *network_findings(deployed, loaded),
        *_upgrade(deployed, loaded),
        *([] if config is None else [_processors(deployed, config)]),
    ]


def _loaded(path: Path) -> Config:
    try:
        return load(path)
    except StartupError as error:
        raise Failure(error.what, remedy=error.remedy, status=2) from error


def _gives_notice(body: Mapping[str, Any]) -> bool:
    try:
        return "scheduledEventsProfile" in body["properties"]["virtualMachineProfile"]
    except (KeyError, TypeError):
        return False


def _upgrade(deployed: Deployed, config: Config | None) -> list[Finding]:
    """How long an upgrade takes, and whether the longest job ends before a machine that ends.

    The engine's scale set gives no notice: one without it counts where no other has it, since it is the worker's then.
    """
    found, sets = [], list(deployed.of(_SCALE_SET))
    for one in [one for one in sets if _gives_notice(one.body)] or sets:
        try:
            rhythm = Rhythm.of(one.body)
        except ValueError as error:
            remedy = "Deploy deploy/bicep/scaleset.bicep again, and export the scale set with all its properties."
            found.append(
                Finding(name=f"rolling upgrade of {one.name}", state="failed", found=str(error), remedy=remedy)
            )
            continue
        shown = (
            f"up to {rhythm.upgrade_s} s, the upgrade_s of site.toml: {rhythm.machines} machine(s) in "
            f"{rhythm.batches} batch(es) of {rhythm.batch}, each {BOOT_S} s for the start, {rhythm.notice_s} s of "
            f"notice and {rhythm.pause_s} s of pause"
        )
        found.append(Finding(name=f"rolling upgrade of {one.name}", state="ok", found=shown, remedy=""))
        if config is not None:
            found.append(_jobs(one.name, rhythm, config.limits.max_job_seconds))
    return found


def _jobs(name: str, rhythm: Rhythm, longest: int) -> Finding:
    found = (
        f"a job has up to {longest} s, and {rhythm.job_s} s of a notice of {rhythm.notice_s} s before the drain is over"
    )
    name = f"longest job on {name}"
    if longest <= rhythm.job_s:
        return Finding(name=name, state="ok", found=found, remedy="")
    remedy = (
        f"Set limits.max_job_seconds to {rhythm.job_s} or less. Where longer jobs are needed, upgrade while none "
        "runs; one that is cut off has to be sent again. Azure gives no more than 15 minutes."
    )
    return Finding(name=name, state="warning", found=found, remedy=remedy)


def _processors(deployed: Deployed, config: Path) -> Finding:
    """Autoscale adds machines on hosts that Azure chooses: a list of processors would refuse them all."""
    name, listed = "processors", reference_values(None, config).chips is not None
    scaled = [one.name for one in deployed.of(_AUTOSCALE) if _enabled(one.body)]
    if not listed or not scaled:
        found = "the configuration names no list" if not listed else "a list of processors, and no autoscale"
        return Finding(name=name, state="ok", found=found, remedy="")
    remedy = "Remove `chips` from the reference values, or run a fixed number of machines on dedicated hosts."
    found = f"a list of processors, and autoscale by {', '.join(scaled)}"
    return Finding(name=name, state="failed", found=found, remedy=remedy)


def _enabled(body: Mapping[str, Any]) -> bool:
    """A setting without the member is in force."""
    properties = body.get("properties")
    return not (isinstance(properties, Mapping) and properties.get("enabled") is False)


def of_results(results: Sequence[Result]) -> list[Finding]:
    """Deviations first, then what holds: a requirement once, with the number of resources."""
    holds: dict[str, list[Result]] = defaultdict(list)
    found = []
    for each in results:
        if each.state == "ok":
            holds[each.id].append(each)
        else:
            name = f"{each.id} of {each.resource}"
            found.append(Finding(name=name, state=each.state, found=each.found, remedy=each.remedy))
    for name, held in holds.items():
        found.append(Finding(name=name, state="ok", found=f"{held[0].found} ({len(held)})", remedy=""))
    return found


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)
