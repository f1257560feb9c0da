"""The attestation provider does not answer."""

from dataclasses import replace
from typing import Final

from cji_deploy.runbooks.common import CANARY_NEEDS, SCALE_SET_NEEDS, TEAM, canary, instances, restart_each
from cji_deploy.runbooks.steps import Check, Runbook, Step

_CERTS: Final = ("python", "-m", "cji_deploy.runbooks.answers", "{authority}/certs")

BOOK: Final = Runbook(
    name="maa-outage",
    title="Outage of the attestation provider",
    when="Workers log ATTESTATION_REJECTED or `not ready`, or the provider's address does not answer.",
    who=f"{TEAM} Changing the provider needs the owner of the release policy.",
    prerequisites=(
        (
            "lifetime_s is `attestation.key_lifetime_s`: a worker serves this long after its last "
            "evidence without the provider"
        ),
        "submitters fetch the provider's signing keys too: while it does not answer at all, they can verify no worker",
        "no worker is restarted while the provider does not answer: it could not start again",
    ),
    needs={
        "authority": "address of the attestation provider",
        "policy_in_force": "release policy of the key, as a file",
        "wait_s": "seconds to wait for the provider to answer again",
        **SCALE_SET_NEEDS,
        **CANARY_NEEDS,
    },
    options={"switch": "go over to a second provider of the agency's, which the release policy already names"},
    steps=(
        Step(
            id="still-serving",
            title="Look whether the workers still serve",
            why="released keys outlive an outage that is shorter than their lifetime",
            person="Note the time: without the provider, workers stop serving within lifetime_s. Do not restart any.",
            verify=(canary("the canary job is answered", within="60"),),
            remedy="If no worker answers, only the return of the provider or `--with switch` helps.",
        ),
        Step(
            id="wait",
            title="Wait for the provider",
            why="workers renew by themselves; nothing needs to be restarted",
            person="Look at Azure Service Health for Attestation in this region, and open a support request.",
            verify=(
                Check(
                    holds="the provider answers with its signing keys",
                    command=_CERTS,
                    within="{wait_s}",
                    measures="outage since this step began",
                ),
                canary("the canary job is answered", within="{wait_s}"),
            ),
            remedy="Run the book again with `--with switch` if the release policy names a second provider.",
        ),
        Step(
            id="policy-names-both",
            title="Confirm that the release policy names the second provider",
            why="the vault releases the key for no other authority, and a worker cannot change that",
            option="switch",
            command=("cji", "policy", "lint", "{policy_in_force}"),
            remedy="A policy of one provider cannot be served by another. docs/release-policy.md describes "
            "several providers.",
        ),
        Step(
            id="switch-provider",
            title="Name the second provider in worker.toml",
            why="a worker takes tokens of one provider, its pinned one",
            option="switch",
            person="Set attestation.maa_url and maa_policy_hashes to the second provider's, sign and "
            "publish the bundle; "
            "submitters change maa_url in client.toml.",
            remedy="`cji provider policy show` prints the hash.",
        ),
        replace(instances(), option="switch"),
        replace(restart_each("worker.toml is read at start only"), option="switch"),
    ),
    verification="The provider answers, and the canary job does.",
    undo="After `--with switch`: name the first provider again and restart the workers one by one.",
    simulated="all steps but `--with switch`: the provider fails, the worker keeps serving, the provider returns",
)
