"""Deploy into an empty resource group."""

from typing import Final

from cji_deploy.runbooks.common import (
    CANARY_NEEDS,
    KEY_NEEDS,
    RESOURCE_MANAGER,
    TEAM,
    backup,
    canary,
    doctor,
    exists,
    export,
    signed_in,
)
from cji_deploy.runbooks.steps import Check, Runbook, Step

_TEMPLATE: Final = (
    *("--resource-group", "{group}", "--template-file", "deploy/bicep/main.bicep"),
    *("--parameters", "@{parameters}", "currentInstanceCount={current_instances}"),
)
_KEY: Final = ("--vault-name", "{vault}", "--name", "{key}")
_POLICY: Final = "deploy/policy/attestation-policy.txt"
_POLICY_IN_FORCE: Final = Check(
    holds="the reviewed policy is in force",
    command=("cji", "provider", "policy", "show", "{authority}", "--expect", _POLICY, "--cloud", "{cloud}"),
)
_IMMUTABLE: Final = Check(
    holds="the release policy is immutable",
    command=("az", "keyvault", "key", "show", *_KEY, "--output", "json"),
    path="releasePolicy.immutable",
    equals="true",
)
_SIGNED: Final = Check(
    holds="the image's keys accept the bundle",
    command=("cji", "bundle", "verify", "{bundle}", "--keys", "{bundle_keys}"),
)


def _locked(container: str, *, of: str, why: str) -> tuple[Step, Step]:
    """Lock the immutability policy of a container."""
    policy = ("az", "storage", "container", "immutability-policy")
    where = ("--account-name", "{account}", "--container-name", container)
    return (
        Step(
            id=f"{container}-etag",
            title=f"Read the policy of {of}",
            why="the lock names the policy that it locks",
            option="immutable",
            command=(*policy, "show", *where, "--output", "json"),
            sets="etag",
            path="etag",
            only_real=RESOURCE_MANAGER,
            remedy="Deploy storage first.",
        ),
        Step(
            id=f"{container}-lock",
            title=f"Lock the policy of {of}",
            why=why,
            option="immutable",
            command=(*policy, "lock", *where, "--if-match", "{etag}"),
            only_real=RESOURCE_MANAGER,
            remedy="If the policy is locked already, this step can be left out.",
        ),
    )


BOOK: Final = Runbook(
    name="deploy",
    title="Deploy a worker fleet",
    when="A subscription in the United States has a landing zone (network, private DNS zones, Log "
    "Analytics) and no worker.",
    who=f"{TEAM} The operator is Owner of the resource group for the time of the deployment.",
    prerequisites=(
        "deploy/bicep/main.parameters.example.json was copied and filled in; the copy is the value `parameters`",
        "the image is in a gallery, and its signature and PCRs were verified",
        "bundle_key is a key that signs bundles; its public half is in the image, and in the folder bundle_keys",
        "run from a machine inside the network: vault, storage and attestation provider have no public address",
    ),
    needs={
        "subscription": "id of the subscription",
        "group": "resource group",
        "deployment": "name of this deployment",
        "parameters": "the filled-in parameters file",
        "cloud": "azure-us or azure-usgov",
        "authority": "address of the attestation provider",
        "policy_with_authority": "release policy with the authority filled in, as deployed",
        "configuration": "folder of the bundle: worker.toml, policy, authorities",
        "serial": "serial number of the bundle, higher than that of any before",
        "bundle": "new file for the bundle",
        "bundle_key": "P-384 key that signs it",
        "bundle_keys": "folder of the keys that the image accepts",
        "key_backup": "file for the backup of the key",
        "account": "name of the storage account",
        "export": "file for the export",
        **KEY_NEEDS,
        **CANARY_NEEDS,
    },
    options={
        "immutable": "make the release policy immutable, and lock the pool ledger; neither can be undone",
    },
    steps=(
        signed_in(),
        Step(
            id="checks",
            title="Check deploy/ offline",
            why="a mistake that can be found without Azure must not reach it",
            command=("python", "-m", "cji_deploy.check"),
            remedy="Correct the file and line that the check prints.",
        ),
        Step(
            id="lint",
            title="Lint the release policy",
            why="the policy decides which machines receive the key",
            command=("cji", "policy", "lint", "{policy_with_authority}", "--cloud", "{cloud}"),
            remedy="Build it again with `cji policy build`; docs/release-policy.md explains every rule.",
        ),
        Step(
            id="capacity",
            title="Read how many workers run",
            why="the capacity in a template is the new capacity: a repeated deployment must not shrink a busy pool",
            command=(
                *("az", "vmss", "list", "--resource-group", "{group}", "--query", "sum([].sku.capacity)"),
                *("--output", "json"),
            ),
            sets="current_instances",
            only_real=RESOURCE_MANAGER,
            remedy="Reader on the resource group is needed.",
        ),
        Step(
            id="what-if",
            title="Show what the deployment would change",
            why="two people read the list before anything is created",
            command=("az", "deployment", "group", "what-if", *_TEMPLATE, "--no-pretty-print", "--output", "json"),
            saves="{export}.what-if.json",
            only_real=RESOURCE_MANAGER,
            remedy="Correct the parameters. A missing provider is registered with `az provider register`.",
        ),
        Step(
            id="reviewed",
            title="Review the list",
            why="the deployment creates keys that cannot be purged for 90 days",
            person="Read {export}.what-if.json together. Only resources of this deployment are created; "
            "none is deleted.",
            only_real="there is no list without a resource manager",
            remedy="Correct the parameters and begin again.",
        ),
        Step(
            id="create",
            title="Deploy",
            why="creates identity, attestation provider, vault, key, storage and scale set",
            command=(
                *("az", "deployment", "group", "create", "--name", "{deployment}", *_TEMPLATE),
                *("--output", "json"),
            ),
            verify=(
                Check(
                    holds="the deployment succeeded",
                    command=(
                        *("az", "deployment", "group", "show", "--resource-group", "{group}"),
                        *("--name", "{deployment}", "--output", "json"),
                    ),
                    path="properties.provisioningState",
                    equals="Succeeded",
                    within="1800",
                ),
            ),
            only_real=RESOURCE_MANAGER,
            remedy="A deployment can be repeated: correct what the error names and run the book again.",
        ),
        Step(
            id="provider-policy",
            title="Set the attestation provider's policy",
            why="no template can set it, and until then the provider issues tokens under Microsoft's default",
            command=("cji", "provider", "policy", "set", "{authority}", _POLICY, "--cloud", "{cloud}"),
            done=_POLICY_IN_FORCE,
            verify=(_POLICY_IN_FORCE,),
            remedy="The operator needs the role Attestation Contributor on the provider.",
        ),
        Step(
            id="configure",
            title="Write the workers' configuration",
            why="worker.toml names the key version, the provider and the reference values",
            person="Copy the outputs of {deployment} into worker.toml in {configuration}.",
            remedy="docs/configuration.md describes every key.",
        ),
        Step(
            id="bundle",
            title="Make the bundle",
            why="every file is read as the worker reads it: a bundle that is made makes a worker",
            command=("cji", "bundle", "make", "{configuration}", "--serial", "{serial}", "--out", "{bundle}"),
            done=exists("{bundle}", "an earlier run has made the bundle"),
            remedy="Correct the file that the command names.",
        ),
        Step(
            id="sign",
            title="Sign the bundle",
            why="a machine takes no configuration that a key in its image did not sign",
            command=("cji", "bundle", "sign", "{bundle}", "--key", "{bundle_key}"),
            done=_SIGNED,
            verify=(_SIGNED,),
            remedy="The public half of bundle_key must be in bundle_keys, as in the image. To change the "
            "configuration, move the bundle away and make one with a higher serial number.",
        ),
        Step(
            id="publish",
            title="Publish the bundle",
            why="each worker fetches, verifies and measures it at its first boot",
            person="Put the bundle into user data, or into the blob that they name, and restart the scale set.",
            verify=(canary("a worker opens the canary job", within="1800"),),
            remedy="`cji doctor --config worker.toml` names what is missing; a worker logs the reason for "
            "which it ended.",
        ),
        backup(),
        Step(
            id="immutable",
            title="Make the release policy immutable",
            why="afterwards nobody, Microsoft included, can let another machine have this key",
            option="immutable",
            command=(
                *("az", "keyvault", "key", "set-attributes", *_KEY),
                *("--policy", "{policy_with_authority}", "--immutable", "true"),
            ),
            done=_IMMUTABLE,
            verify=(_IMMUTABLE,),
            remedy="A mistake in an immutable policy requires a new key: make it immutable after the first "
            "release only.",
        ),
        *_locked("ledger", of="the pool ledger", why="an entry that can be deleted lets a job run again"),
        *_locked("floors", of="the pool's floors", why="a floor that can be deleted lets an earlier bundle come back"),
        export(),
        doctor(),
    ),
    verification="The canary job has a receipt, and `cji doctor --azure` finds no drift.",
    undo="`decommission`. Vault and key stay recoverable for 90 days; locked containers stay until their days are "
    "over.",
    simulated="all that needs no resource manager: the files are checked, the provider's policy is set, the bundle is "
    "made, signed, verified and applied by a machine, and its worker opens the first job",
)
