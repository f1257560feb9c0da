"""Disaster recovery: a region, a vault or all workers are lost."""

from typing import Final

from cji_deploy.runbooks.common import (
    CANARY_NEEDS,
    KEY_NEEDS,
    RESOURCE_MANAGER,
    TEAM,
    canary,
    doctor,
    export,
    signed_in,
)
from cji_deploy.runbooks.steps import Check, Runbook, Step

_RESTORED: Final = ("--vault-name", "{recovery_vault}", "--name", "{key}")

BOOK: Final = Runbook(
    name="recover",
    title="Disaster recovery",
    when="A region is lost, the vault or its key was deleted, or no worker can be started.",
    who=f"{TEAM} The agency's continuity plan names who declares the disaster.",
    prerequisites=(
        "a second region in the same geography (the United States) has a landing zone; a key's backup can be restored "
        "only into a vault of the same geography and subscription",
        "key_backup is a fresh backup of the key, kept by the agency; it can be opened by Azure's HSMs only",
        "the trail was delivered: its copies are in the workspace, in Blob Storage or with a witness",
    ),
    needs={
        "subscription": "id of the subscription",
        "group": "resource group in the second region",
        "deployment": "name of the deployment in the second region",
        "parameters": "parameters file of the second region",
        "recovery_vault": "name of the vault there",
        "recovery_policy": "release policy of the key with the second region's provider",
        "cloud": "azure-us or azure-usgov",
        "key_backup": "file of the key's backup",
        "trail": "copy of the audit trail of a lost worker",
        "export": "file for the export",
        **KEY_NEEDS,
        **CANARY_NEEDS,
    },
    options={
        "deleted": "the vault was deleted: recover it, and nothing else is lost",
        "region": "the region is lost: deploy in the second one, and restore the key there",
    },
    steps=(
        signed_in(),
        Step(
            id="trail",
            title="Verify the copy of the trail",
            why="jobs that ended are proven by it; it also shows which jobs must be submitted again",
            command=("cji", "audit", "verify", "{trail}", "--json"),
            saves="{export}.trail.json",
            remedy="Take another copy: the trail has as many as it has sinks.",
        ),
        Step(
            id="recover-vault",
            title="Recover the deleted vault",
            why="purge protection keeps a deleted vault and its keys for 90 days",
            option="deleted",
            command=("az", "keyvault", "recover", "--name", "{vault}", "--output", "json"),
            done=Check(
                holds="the vault exists",
                command=("az", "keyvault", "show", "--name", "{vault}", "--output", "json"),
                path="name",
                equals="{vault}",
            ),
            verify=(
                Check(
                    holds="the vault exists",
                    command=("az", "keyvault", "show", "--name", "{vault}", "--output", "json"),
                    path="name",
                    equals="{vault}",
                    within="900",
                ),
            ),
            remedy="`az keyvault list-deleted` lists vaults that can be recovered. Afterwards repair its "
            "private endpoint.",
        ),
        Step(
            id="deploy",
            title="Deploy in the second region",
            why="identity, provider, vault and scale set are made by the same files",
            option="region",
            command=(
                *("az", "deployment", "group", "create", "--name", "{deployment}", "--resource-group", "{group}"),
                *("--template-file", "deploy/bicep/main.bicep", "--parameters", "@{parameters}", "--output", "json"),
            ),
            only_real=RESOURCE_MANAGER,
            remedy="Follow `deploy` in the second region.",
        ),
        Step(
            id="restore-key",
            title="Restore the key",
            why="the restored key has its versions and its release policy. Its id names the second vault: submitters "
            "pin it and seal again; results are sealed to their recipients' keys and stay readable",
            option="region",
            command=(
                *("az", "keyvault", "key", "restore", "--vault-name", "{recovery_vault}", "--file", "{key_backup}"),
                *("--output", "json"),
            ),
            done=Check(
                holds="the key is in the second vault",
                command=("az", "keyvault", "key", "show", *_RESTORED, "--output", "json"),
                path="attributes.enabled",
                equals="true",
            ),
            remedy="A key of this name that the template created must have another name: set keyName in the "
            "parameters.",
        ),
        Step(
            id="authority",
            title="Name the second region's provider in the release policy",
            why="a policy that names only the lost region's provider releases the key to nobody there",
            option="region",
            command=(
                *("az", "keyvault", "key", "set-attributes", *_RESTORED),
                *("--policy", "{recovery_policy}", "--output", "json"),
            ),
            requires=(
                Check(
                    holds="the policy has no error",
                    command=("cji", "policy", "lint", "{recovery_policy}", "--cloud", "{cloud}"),
                ),
            ),
            remedy="An immutable policy must have named both providers from the beginning (RP04 accepted); otherwise "
            "make a new key, and have submitters seal to it. docs/release-policy.md describes several providers.",
        ),
        Step(
            id="resume",
            title="Resume the trail of a worker whose disk was kept",
            why="a trail belongs to one vTPM; another machine refuses it until a person has explained why",
            option="region",
            person="Run `cji audit resume` on each kept disk, before its worker starts. A worker without a "
            "disk begins a new trail.",
            remedy="docs/audit.md describes when a worker refuses its trail.",
        ),
        Step(
            id="configure",
            title="Configure the workers",
            why="addresses of vault and provider, and so the key's id, are others",
            option="region",
            person="Put the new addresses into worker.toml and the submitters' profiles. Make a new ML-KEM half of "
            "the key with `cji key new-ml-kem-seed`: the old one is bound to the old id. Sign the bundle, and "
            "restart the workers.",
            remedy="`cji doctor --config worker.toml` names what does not answer.",
        ),
        Step(
            id="serving",
            title="Confirm that jobs are answered",
            why="workers request a recovered key by themselves; a submitter's canary job proves it",
            command=("cji", "audit", "verify", "{trail}"),
            verify=(canary("the canary job is answered", within="1800"),),
            remedy="A worker logs why it has no key; `cji doctor --config worker.toml` names what does not answer.",
        ),
        export(),
        doctor(),
    ),
    verification="The canary job is answered, the trail's copy verifies, and `cji doctor --azure` finds no drift.",
    undo="Run the book for the first region when it is back, then deallocate the second. Never run both "
    "with one pool ledger apart.",
    simulated="all that needs no resource manager: the vault is deleted and recovered; the key is restored in a second "
    "vault under a second provider, and another machine continues the trail of a kept disk",
)
