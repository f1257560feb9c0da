"""`deploy/identity/apply`: bring a tenant to the files of this folder, or with `--dry-run` print what differs.

Nothing here is needed to run a worker: which policies a tenant has is the tenant's choice. Policies of Conditional
Access begin in report-only mode, and what acts on devices is given to nobody; `--enforce` switches both on,
`--report-only` puts the policies of Conditional Access back.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from azure.core.exceptions import AzureError
from azure.identity import AzureCliCredential, DefaultAzureCredential

from cji_core.strict import parse_object
from cji_deploy.identity.files import FOLDER, MAX_FILE_BYTES, IdentityError, items
from cji_deploy.identity.graph import CLOUDS, Credential, Graph
from cji_deploy.identity.kinds import KINDS
from cji_deploy.identity.plan import Applier

_STATES = {"enforce": "enabled", "report_only": "enabledForReportingButNotEnforced"}


def main(arguments: Sequence[str] | None = None, *, graph: Graph | None = None) -> int:
    """Exit status: 0 done or nothing to do, 1 failed, 2 a dry run found differences."""
    options = _options(arguments)
    try:
        parameters = _read(options.parameters)
        state = _read(options.state) if options.state.exists() else {}
        everything = items(FOLDER, parameters)
        wanted = [item for item in everything if item.kind not in options.skip]
        kept = {item.name for item in everything} if options.prune else None
        base, authority = CLOUDS[options.cloud]
        chosen = next((value for name, value in _STATES.items() if getattr(options, name)), None)
        applier = Applier(
            graph=graph or Graph(base, _credential(authority)), dry=options.dry_run, state=state, enforcement=chosen
        )
        count = waiting = 0
        try:
            for step in applier.apply(wanted, kept=kept):
                waiting += step.verb == "waits"
                count += step.verb != "waits"
                print(f"{step.verb:8} {step.name}", *(f"         {line}" for line in step.lines), sep="\n")
        finally:
            if not options.dry_run:
                _write(options.state, applier.state)
    except (IdentityError, AzureError, OSError) as error:
        print(f"apply: {error}", file=sys.stderr)
        return 1
    print(f"apply: {count} {'differences' if options.dry_run else 'steps'} in {len(wanted)} objects")
    if waiting:
        print(f"apply: {waiting} assignments wait for --enforce, since they act on devices")
    return 2 if options.dry_run and count else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="deploy/identity/apply",
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: az login && deploy/identity/apply --parameters parameters.json --state state.json --dry-run",
    )
    parser.add_argument("--parameters", type=Path, required=True, help="JSON, as parameters.example.json")
    parser.add_argument("--state", type=Path, required=True, help="JSON with the ids of what was made; keep it")
    parser.add_argument("--cloud", choices=list(CLOUDS), default="commercial")
    parser.add_argument("--skip", action="append", choices=list(KINDS), default=[], help="a folder to leave out")
    parser.add_argument("--dry-run", action="store_true", help="print what differs and change nothing")
    parser.add_argument("--prune", action="store_true", help="delete what this program made and no file has any more")
    switch = parser.add_mutually_exclusive_group()
    switch.add_argument(
        "--enforce", action="store_true", help="switch Conditional Access on, assign what acts on devices"
    )
    switch.add_argument("--report-only", action="store_true", help="switch Conditional Access back to report-only")
    return parser.parse_args(arguments)


def _credential(authority: str) -> Credential:
    """The operator's sign-in with the Azure CLI, or what azure-identity finds in automation."""
    if "AZURE_CLIENT_ID" in os.environ:
        return DefaultAzureCredential(authority=authority)
    return AzureCliCredential()


def _read(path: Path) -> dict[str, Any]:
    try:
        return parse_object(path.read_bytes(), limit=MAX_FILE_BYTES)
    except (OSError, ValueError) as error:
        raise IdentityError(f"{path} cannot be read: {error}") from error


def _write(path: Path, state: dict[str, str]) -> None:
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(json.dumps(state, indent=2, sort_keys=True) + "\n", "utf-8")
    fresh.replace(path)


if __name__ == "__main__":
    sys.exit(main())
