"""`cji doctor --azure`: findings about a deployment, from exports of Azure's resource manager."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cji_core.command.common import Failure
from cji_core.command.findings import Finding
from cji_core.deployment import ExportError, Result, compare, read_export
from cji_core.deployment.export import MAX_BYTES

_EXPORT: Final = "Export the deployment: `python -m cji_deploy.runbooks.export --group GROUP --out export.json`."


def deployment_findings(exports: Sequence[Path]) -> list[Finding]:
    """One finding for each deviation, one for each requirement that holds. Raises Failure for an unusable export."""
    if not exports:
        raise Failure("--azure needs --export", remedy=_EXPORT, status=2)
    try:
        deployed = read_export([(path.name, _bytes(path)) for path in exports])
    except ExportError as error:
        raise Failure(str(error), remedy=error.remedy, status=2) from error
    return of_results(compare(deployed))


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
