"""Rotate the customer's master key."""

from typing import Final

from cji_deploy.runbooks.common import (
    CANARY_NEEDS,
    KEY_NEEDS,
    SCALE_SET_NEEDS,
    TEAM,
    backup,
    canary,
    instances,
    key_state,
    restart_each,
    signed_in,
)
from cji_deploy.runbooks.steps import Check, Runbook, Step

_SHOW: Final = ("az", "keyvault", "key", "show", "--vault-name", "{vault}", "--name", "{key}", "--output", "json")

BOOK: Final = Runbook(
    name="rotate-cmk",
    title="Rotate the customer's master key",
    when="On the agency's schedule, at the latest after a year; at once if the key may be known to "
    "somebody (then `revoke` too).",
    who=f"{TEAM} The operator has Key Vault Crypto Officer on the key through PIM, with a second person's approval.",
    prerequisites=(
        "all workers serve, and the canary job is answered",
        "kek_id is the version that worker.toml has now",
        "submitters can be reached: each pins the new version before the old one is disabled",
    ),
    needs={
        "subscription": "id of the subscription",
        "kek_id": "id, with version, of the key in worker.toml: the old version",
        "job_hours": "hours for which submitters' sealed jobs are valid",
        "key_backup": "file for the backup of the key",
        "new_profile": "client.toml of the canary's submitter, for the new version",
        "new_spec": "job.toml of the canary job, for the new version",
        **KEY_NEEDS,
        **SCALE_SET_NEEDS,
        **CANARY_NEEDS,
    },
    steps=(
        signed_in(),
        Step(
            id="old-enabled",
            title="Confirm the old version",
            why="workers must be able to renew it until every job under it has ended",
            command=("az", "keyvault", "key", "show", "--id", "{kek_id}", "--output", "json"),
            sets="old_policy",
            path="releasePolicy.encodedPolicy",
            verify=(
                key_state("the old version is enabled", version="{kek_id}", enabled="true"),
                canary("the canary job is answered under the old version"),
            ),
            remedy="Rotate from a healthy state only; `incident` has the steps for another one.",
        ),
        Step(
            id="rotate",
            title="Add a version",
            why="new jobs are sealed to it; the old one stays",
            command=(
                "az",
                "keyvault",
                "key",
                "rotate",
                "--vault-name",
                "{vault}",
                "--name",
                "{key}",
                "--output",
                "json",
            ),
            done=Check(
                holds="the vault has another version than worker.toml",
                command=_SHOW,
                path="key.kid",
                matches="^(?!{kek_id}$)",
            ),
            remedy="Key Vault Crypto Officer on the key is needed; the limit of HSM operations may be reached: wait.",
        ),
        Step(
            id="new-version",
            title="Read the new version",
            why="worker.toml and the submitters pin it",
            command=_SHOW,
            sets="new_kek_id",
            path="key.kid",
            verify=(
                Check(
                    holds="the new version has the release policy of the old one",
                    command=_SHOW,
                    path="releasePolicy.encodedPolicy",
                    equals="{old_policy}",
                ),
                Check(holds="the new version is enabled", command=_SHOW, path="attributes.enabled", equals="true"),
            ),
            remedy="Set the reviewed policy with `az keyvault key set-attributes --policy` before a worker "
            "uses the version.",
        ),
        backup(),
        Step(
            id="add-key",
            title="Add the version to the workers' configuration",
            why="a worker has only the versions released that its worker.toml names",
            person="Put a [[keys]] table with {new_kek_id} before the old one in worker.toml, with an ML-KEM half of "
            "its own from `cji key new-ml-kem-seed` if submitters use hybrid-1; sign and publish the bundle.",
            remedy="`cji doctor --config worker.toml` checks the file.",
        ),
        instances(),
        restart_each("worker.toml is read at start only, and each boot permits one start"),
        Step(
            id="submitters",
            title="Have submitters seal to the new version",
            why="a job that is sealed to the old version cannot be opened after it is disabled",
            person="Publish {new_kek_id} and its thumbprint to all submitters; have each confirm.",
            verify=(
                Check(
                    holds="the canary job is answered under the new version",
                    command=(
                        *("cji", "job", "run", "{canary}", "--spec", "{new_spec}", "--profile", "{new_profile}"),
                        *("--out", "{scratch}", "--quiet"),
                    ),
                    within="600",
                ),
            ),
            remedy="Keep the old version enabled until every submitter has confirmed.",
        ),
        Step(
            id="old-jobs",
            title="Wait for the jobs under the old version",
            why="a sealed job stays valid for its hours",
            person="Wait {job_hours} hours after the last submitter confirmed; the trail shows no job under "
            "{kek_id} since then.",
            only_real="a drill does not wait for hours",
            remedy="`cji audit search TRAIL --kind job_admitted` finds the last one.",
        ),
        Step(
            id="disable-old",
            title="Disable the old version",
            why="a version that is not needed is one that can be misused",
            command=("az", "keyvault", "key", "set-attributes", "--id", "{kek_id}", "--enabled", "false"),
            done=key_state("the old version is disabled", version="{kek_id}", enabled="false"),
            verify=(
                key_state("the old version is disabled", version="{kek_id}", enabled="false"),
                Check(
                    holds="the canary job is still answered under the new version",
                    command=(
                        *("cji", "job", "run", "{canary}", "--spec", "{new_spec}", "--profile", "{new_profile}"),
                        *("--out", "{scratch}", "--quiet"),
                    ),
                    within="300",
                ),
            ),
            remedy="Enable it again with `az keyvault key set-attributes --id KEK_ID --enabled true`.",
        ),
    ),
    verification="The canary job is answered under the new version, and the old one is disabled.",
    undo="Enable the old version (`--enabled true`) and remove the new [[keys]] table. Never delete a "
    "version: results that "
    "were sealed to it could not be opened.",
    simulated="all steps, with a real worker; a person's steps by the simulator's operator",
)
