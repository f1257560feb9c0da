"""Deploy into an empty resource group."""

from typing import Final

from deploy.runbooks.common import CANARY_NEEDS, KEY_NEEDS, TEAM, canary, doctor, export, signed_in
from deploy.runbooks.steps import Check, Runbook, Step

_TEMPLATE: Final = (
    *("--resource-group", "{group}", "--template-file", "deploy/bicep/main.bicep"),
    *("--parameters", "@{parameters}"),
)
_KEY: Final = ("--vault-name", "{vault}", "--name", "{key}")

BOOK: Final = Runbook(
    name="deploy",
    title="Deploy a worker fleet",
    when="A subscription in the United States has a landing zone (network, private DNS zones, Log "
    "Analytics) and no worker.",
    who=f"{TEAM} The operator is Owner of the resource group for the time of the deployment.",
    prerequisites=(
        "deploy/bicep/main.parameters.example.json was copied and filled in; the copy is the value `parameters`",
        "the image is in a gallery, and its signature and PCRs were verified",
        "the configuration bundle of the workers is signed",
        "run from a machine inside the network: vault, storage and attestation provider have no public address",
    ),
    needs={
        "subscription": "id of the subscription",
        "group": "resource group",
        "deployment": "name of this deployment",
        "parameters": "the filled-in parameters file",
        "authority": "address of the attestation provider",
        "policy_with_authority": "release policy with the authority filled in, as deployed",
        "account": "name of the storage account",
        "export": "file for the export",
        **KEY_NEEDS,
        **CANARY_NEEDS,
    },
    options={
        "immutable": "make the release policy immutable, and lock the ledger; neither can be undone",
    },
    steps=(
        signed_in(),
        Step(
            id="checks",
            title="Check deploy/ offline",
            why="a mistake that can be found without Azure must not reach it",
            command=("python", "-m", "deploy.check"),
            remedy="Correct the file and line that the check prints.",
        ),
        Step(
            id="lint",
            title="Lint the release policy",
            why="the policy decides which machines receive the key",
            command=("cji", "policy", "lint", "{policy_with_authority}"),
            remedy="Build it again with `cji policy build`; docs/release-policy.md explains every rule.",
        ),
        Step(
            id="what-if",
            title="Show what the deployment would change",
            why="two people read the list before anything is created",
            command=("az", "deployment", "group", "what-if", *_TEMPLATE, "--no-pretty-print", "--output", "json"),
            saves="{export}.what-if.json",
            remedy="Correct the parameters. A missing provider is registered with `az provider register`.",
        ),
        Step(
            id="reviewed",
            title="Review the list",
            why="the deployment creates keys that cannot be purged for 90 days",
            person="Read {export}.what-if.json together. Only resources of this deployment are created; "
            "none is deleted.",
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
            remedy="A deployment can be repeated: correct what the error names and run the book again.",
        ),
        Step(
            id="provider-policy",
            title="Set the attestation provider's policy",
            why="no template can set it, and until then the provider issues tokens under Microsoft's default",
            command=("cji", "provider", "policy", "set", "{authority}", "deploy/policy/attestation-policy.txt"),
            done=Check(
                holds="the reviewed policy is in force",
                command=(
                    *("cji", "provider", "policy", "show", "{authority}"),
                    *("--expect", "deploy/policy/attestation-policy.txt"),
                ),
            ),
            verify=(
                Check(
                    holds="the reviewed policy is in force",
                    command=(
                        *("cji", "provider", "policy", "show", "{authority}"),
                        *("--expect", "deploy/policy/attestation-policy.txt"),
                    ),
                ),
            ),
            remedy="The operator needs the role Attestation Contributor on the provider.",
        ),
        Step(
            id="configure",
            title="Give the workers their configuration",
            why="worker.toml names the key version, the provider and the reference values",
            person="Copy the outputs of {deployment} into worker.toml, sign the bundle, publish it, restart "
            "the scale set.",
            verify=(canary("a worker opens the canary job", within="1800"),),
            remedy="`cji doctor --config worker.toml` names what is missing; a worker logs the reason for "
            "which it ended.",
        ),
        Step(
            id="immutable",
            title="Make the release policy immutable",
            why="afterwards nobody, Microsoft included, can let another machine have this key",
            option="immutable",
            command=(
                *("az", "keyvault", "key", "set-attributes", *_KEY),
                *("--policy", "{policy_with_authority}", "--immutable", "true"),
            ),
            done=Check(
                holds="the release policy is immutable",
                command=("az", "keyvault", "key", "show", *_KEY, "--output", "json"),
                path="releasePolicy.immutable",
                equals="true",
            ),
            verify=(
                Check(
                    holds="the release policy is immutable",
                    command=("az", "keyvault", "key", "show", *_KEY, "--output", "json"),
                    path="releasePolicy.immutable",
                    equals="true",
                ),
            ),
            remedy="A mistake in an immutable policy requires a new key: make it immutable after the first "
            "release only.",
        ),
        Step(
            id="ledger-etag",
            title="Read the ledger's policy",
            why="the lock names the policy that it locks",
            option="immutable",
            command=(
                *("az", "storage", "container", "immutability-policy", "show", "--account-name", "{account}"),
                *("--container-name", "ledger", "--output", "json"),
            ),
            sets="etag",
            path="etag",
            remedy="Deploy storage first.",
        ),
        Step(
            id="ledger-lock",
            title="Lock the ledger's policy",
            why="an entry that can be deleted lets a job run again",
            option="immutable",
            command=(
                *("az", "storage", "container", "immutability-policy", "lock", "--account-name", "{account}"),
                *("--container-name", "ledger", "--if-match", "{etag}"),
            ),
            remedy="If the policy is locked already, this step can be left out.",
        ),
        export(),
        doctor(),
    ),
    verification="The canary job has a receipt, and `cji doctor --azure` finds no drift.",
    undo="`decommission`. Vault and key stay recoverable for 90 days; a locked ledger stays until its days are over.",
    simulated="no: the simulator has no resource manager. Its steps on keys and provider policy are those of "
    "other books.",
)
