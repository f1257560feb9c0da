"""Upgrade and rollback of the image."""

from typing import Final

from deploy.runbooks.common import CANARY_NEEDS, SCALE_SET_NEEDS, TEAM, canary, signed_in
from deploy.runbooks.steps import Check, Runbook, Step

_SET: Final = ("--resource-group", "{group}", "--name", "{scale_set}")
_REFERENCE: Final = "virtualMachineProfile.storageProfile.imageReference.id"
_NEEDS: Final = {
    "subscription": "id of the subscription",
    **SCALE_SET_NEEDS,
    **CANARY_NEEDS,
}


def _model(image: str, holds: str) -> Check:
    return Check(holds=holds, command=("az", "vmss", "show", *_SET, "--output", "json"), path=_REFERENCE, equals=image)


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
                    within="7200",
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
        "if the release policy pins PCRs, a version of the key with the new PCRs exists and is in worker.toml",
        "previous_image is noted: `rollback` needs it",
    ),
    needs={**_NEEDS, "image": "id of the new gallery image version", "previous_image": "id of the one in use"},
    steps=(
        signed_in(),
        Step(
            id="verified",
            title="Verify the image",
            why="an image that somebody else signed must not become a worker",
            person="Verify signature, SBOM and provenance of the image as its documentation describes, and "
            "compare its code digest and "
            "PCRs with the release's.",
            remedy="Do not go on with an image that does not verify.",
        ),
        Step(
            id="reference-values",
            title="Accept the new image's measurements",
            why="submitters and workers compare PCRs and code with reference values",
            person="Add the new PCRs and digest to the reference values of workers and submitters; keep the "
            "old ones until the end.",
            verify=(canary("the canary job is still answered"),),
            remedy="`cji evidence pcrs` prints reference values of golden machines.",
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
            ),
            remedy="Correct previous_image in the site's file.",
        ),
        *_steps("{image}", "Set the new image in the scale set's model"),
    ),
    verification="The rolling upgrade completed, and the canary job's receipt names the new code digest.",
    undo="`rollback`",
    simulated="no; its last two steps are those of `rollback`, which runs with a real worker and another release",
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
    simulated="all steps, with a real worker",
)
