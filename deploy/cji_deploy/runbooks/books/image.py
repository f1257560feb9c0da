"""Upgrade and rollback of the image."""

from dataclasses import replace
from typing import Final

from cji_deploy.runbooks.common import (
    CANARY_NEEDS,
    KEY_NEEDS,
    SCALE_SET_NEEDS,
    TEAM,
    canary,
    instances,
    restart_each,
    signed_in,
)
from cji_deploy.runbooks.steps import Check, Runbook, Step

_SET: Final = ("--resource-group", "{group}", "--name", "{scale_set}")
_REFERENCE: Final = "virtualMachineProfile.storageProfile.imageReference.id"
_NEEDS: Final = {
    "subscription": "id of the subscription",
    **SCALE_SET_NEEDS,
    **CANARY_NEEDS,
    "upgrade_s": "longest time of a rolling upgrade in seconds, as `cji doctor --azure` counts it",
}


def _model(image: str, holds: str) -> Check:
    return Check(holds=holds, command=("az", "vmss", "show", *_SET, "--output", "json"), path=_REFERENCE, equals=image)


def _policy(step: str, file: str, *, accepts: str, why: str, option: str) -> tuple[Step, ...]:
    """Set the release policy of the key, and have the workers expect it."""
    return (
        Step(
            id=step,
            title=f"Let the key's release policy accept {accepts}",
            why=why,
            option=option,
            command=(
                *("az", "keyvault", "key", "set-attributes", "--vault-name", "{vault}", "--name", "{key}"),
                *("--policy", file, "--output", "json"),
            ),
            requires=(
                Check(
                    holds="the policy has no error",
                    command=("cji", "policy", "lint", file, "--cloud", "{cloud}"),
                ),
            ),
            remedy="An immutable policy cannot be changed: make a key with the new policy, and follow `rotate-cmk`. "
            "Build the policy with `cji policy build --pcrs-from EVIDENCE --also POLICY`.",
        ),
        Step(
            id=f"{step}-pinned",
            title=f"Pin the policy that accepts {accepts}",
            why="a worker refuses the key under another policy than its pinned one, at the next renewal",
            option=option,
            person=f"Set policy_sha256 of the key to the digest of {file}, and `pcrs` of the reference values to the "
            "images that it names, in worker.toml and in client.toml. Sign and publish the bundle at once.",
            remedy="`cji policy hash` prints the digest, `cji evidence pcrs` the reference values.",
        ),
        replace(instances(), id=f"{step}-instances", option=option),
        replace(
            restart_each(
                "worker.toml is read at start only; until then a worker has its key for half a lifetime at most"
            ),
            id=f"{step}-restart",
            option=option,
        ),
    )


def _steps(image: str, title: str) -> tuple[Step, ...]:
    return (
        Step(
            id="model",
            title=title,
            why="instances take it when they are upgraded",
            command=("az", "vmss", "update", *_SET, "--set", f"{_REFERENCE}={image}", "--output", "json"),
            done=_model(image, "the scale set's model has the image"),
            verify=(_model(image, "the scale set's model has the image"),),
            remedy="Virtual Machine Contributor on the scale set and Reader on the gallery are needed.",
        ),
        Step(
            id="roll",
            title="Upgrade the instances, batch by batch",
            why="the scale set drains a fifth of the workers, replaces them and waits for their health before the next",
            command=("az", "vmss", "rolling-upgrade", "start", *_SET),
            verify=(
                Check(
                    holds="the rolling upgrade has completed",
                    command=("az", "vmss", "rolling-upgrade", "get-latest", *_SET, "--output", "json"),
                    path="runningStatus.code",
                    equals="Completed",
                    within="{upgrade_s}",
                    never="Faulted|Cancelled",
                    measures="rolling upgrade",
                ),
                canary("a worker of the image opens the canary job", within="900"),
            ),
            remedy="Azure stops at the first unhealthy batch; the others still serve the old image. Run `rollback`.",
        ),
    )


UPGRADE: Final = Runbook(
    name="upgrade",
    title="Upgrade the image",
    when="A release of the worker, a security update of a package in it, or new reference values.",
    who=TEAM,
    prerequisites=(
        "the release notes were read; CHANGELOG.md names changed configuration",
        "if the release policy pins PCRs: policy_of_both was built, with evidence of both images, and reviewed",
        "previous_image is noted: `rollback` needs it",
    ),
    needs={
        **_NEEDS,
        "image": "id of the new gallery image version",
        "previous_image": "id of the one in use",
        "policy_of_both": "release policy that accepts both images",
        "policy_of_new": "release policy that accepts the new image only",
        "cloud": "azure-us or azure-usgov",
        **KEY_NEEDS,
    },
    options={
        "measured": "the release policy pins PCRs: accept both images before the upgrade",
        "drop": "accept the new image only, once all workers have it; no rollback is possible after this",
    },
    steps=(
        signed_in(),
        Step(
            id="verified",
            title="Verify the image",
            why="an image that somebody else signed must not become a worker",
            person="Verify signature, SBOM and provenance of the image as its documentation describes, and "
            "compare its code digest and "
            "PCRs with the release's.",
            only_real="a simulation has no image: its releases are copies of the code, each with a PCR 4 of its own",
            remedy="Do not go on with an image that does not verify.",
        ),
        Step(
            id="before",
            title="Confirm the image in use",
            why="a rollback must lead back to it",
            command=("az", "vmss", "show", *_SET, "--output", "json"),
            sets="image_in_use",
            path=_REFERENCE,
            verify=(
                Check(
                    holds="the model has the new or the previous image",
                    command=("az", "vmss", "show", *_SET, "--output", "json"),
                    path=_REFERENCE,
                    matches="^({image}|{previous_image})$",
                ),
                canary("the canary job is answered"),
            ),
            remedy="Correct previous_image in the site's file.",
        ),
        Step(
            id="reference-values",
            title="Accept the new image's measurements",
            why="submitters and workers compare PCRs and code with reference values",
            person="Add the new PCRs and code digest to the reference values of workers and submitters; keep the "
            "old ones until the end.",
            remedy="`cji evidence pcrs` prints reference values of golden machines.",
        ),
        *_policy(
            "accept-both",
            "{policy_of_both}",
            accepts="both images",
            why="the vault releases the key to no image that the policy does not name",
            option="measured",
        ),
        *_steps("{image}", "Set the new image in the scale set's model"),
        *_policy(
            "drop-old",
            "{policy_of_new}",
            accepts="the new image only",
            why="an image that is replaced, because of a flaw perhaps, must not get the key any more",
            option="drop",
        ),
    ),
    verification="The rolling upgrade completed, and the canary job's receipt names the new code digest.",
    undo="`rollback`, until `--with drop`",
    simulated="all steps but the verification of the image, with a real worker and a vault that releases the key to "
    "measured images only; a person's steps by the simulator's operator",
)

ROLLBACK: Final = Runbook(
    name="rollback",
    title="Roll back the image",
    when="An upgrade stopped, or workers of the new image fail.",
    who=UPGRADE.who,
    prerequisites=(
        (
            "the previous image is still in the gallery, and its PCRs are still in the reference values "
            "and the release policy"
        ),
        "the trail can be read by the previous release: CHANGELOG.md names changes of its format",
    ),
    needs={**_NEEDS, "previous_image": "id of the image to return to"},
    options={"cancel": "cancel an upgrade that still runs"},
    steps=(
        signed_in(),
        Step(
            id="cancel",
            title="Cancel the running upgrade",
            why="two upgrades cannot run at the same time",
            option="cancel",
            command=("az", "vmss", "rolling-upgrade", "cancel", *_SET),
            remedy="If none runs, leave this option out.",
        ),
        *_steps("{previous_image}", "Set the previous image in the scale set's model"),
    ),
    verification="The rolling upgrade completed, and the canary job's receipt names the previous code digest.",
    undo="`upgrade`",
    simulated="all steps, with a real worker; after `upgrade --with drop` the previous image gets no key",
)
