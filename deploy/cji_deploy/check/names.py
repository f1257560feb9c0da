"""`python -m cji_deploy.check.names`: the names and addresses that a deployment will have, before it is made.

Names that are unique across the cloud follow from subscription and resource group; Azure's address of an attestation
provider from its name and region. The release policy of the master key has that address as its authority.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Final
from uuid import UUID

from cji_deploy.check.bicep import parse
from cji_deploy.check.deployment import ENTRY, parameters
from cji_deploy.check.functions import CLOUDS
from cji_deploy.check.outcome import DeployError
from cji_deploy.check.resolve import Planned, Surroundings, resolve

__all__ = ["addresses"]

_HOSTS: Final = {
    "Microsoft.KeyVault/vaults": {"AzureCloud": "vault.azure.net", "AzureUSGovernment": "vault.usgovcloudapi.net"},
    "Microsoft.KeyVault/managedHSMs": {
        "AzureCloud": "managedhsm.azure.net",
        "AzureUSGovernment": "managedhsm.usgovcloudapi.net",
    },
}
_PROVIDER: Final = "Microsoft.Attestation/attestationProviders"
_ACCOUNT: Final = "Microsoft.Storage/storageAccounts"


def addresses(planned: list[Planned], regions: dict[str, str], cloud: str) -> list[str]:
    """The addresses of vaults, attestation provider and storage account among the resources."""
    found = []
    for each in planned:
        if hosts := _HOSTS.get(each.type):
            found.append(f"https://{each.name}.{hosts[cloud]}/")
        elif each.type == _PROVIDER:
            # Microsoft's shared provider of the region is https://sharedREGION.REGION.attest.azure.net
            found.append(f"https://{each.name}.{regions[str(each.body['location'])].partition('.')[2]}")
        elif each.type == _ACCOUNT:
            suffix = CLOUDS[cloud]["suffixes"]["storage"]
            found += [f"https://{each.name}.{service}.{suffix}" for service in ("blob", "queue")]
    return found


def _lower_guid(text: str) -> str:
    """The id in the form that Azure hashes."""
    return str(UUID(text))


def main(arguments: list[str]) -> int:
    """Exit code: 0 printed, 1 the parameters cannot be resolved."""
    parser = argparse.ArgumentParser(prog="python -m cji_deploy.check.names", description=__doc__)
    parser.add_argument("--parameters", type=Path, required=True, help="the deployment's parameters file")
    parser.add_argument("--subscription", required=True, type=_lower_guid, help="id of the subscription, a GUID")
    parser.add_argument("--group", required=True, help="resource group")
    parser.add_argument("--cloud", choices=sorted(CLOUDS), default="AzureCloud", help="default: AzureCloud")
    given = parser.parse_args(arguments)
    folder = Path(__file__).parents[2] / "bicep"
    around = Surroundings(
        read=lambda path: (folder / path).read_bytes(),
        cloud=given.cloud,
        subscription=f"/subscriptions/{given.subscription}",
        group=given.group,
    )
    try:
        templates = {path.name: parse(path.name, path.read_bytes()) for path in sorted(folder.glob("*.bicep"))}
        planned = resolve(ENTRY, templates, parameters(given.parameters.read_bytes()), around)
    except (DeployError, OSError) as error:
        print("\n".join(error.problems) if isinstance(error, DeployError) else error, file=sys.stderr)
        return 1
    for each in planned:
        print(f"{each.type:60} {each.name}")
    print("\n".join(addresses(planned, json.loads((folder / "regions.json").read_bytes()), given.cloud)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
