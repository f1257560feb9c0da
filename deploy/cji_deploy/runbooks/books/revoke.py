"""Take the key from all workers."""

from dataclasses import replace
from typing import Final

from cji_deploy.runbooks.common import CANARY_NEEDS, KEY_NEEDS, SCALE_SET_NEEDS, key_state, refused, signed_in
from cji_deploy.runbooks.steps import Runbook, Step

_MEASURE: Final = "Measure the last decryption"


def _measure(*, unreachable: bool) -> Step:
    last = refused(within="{wait_s}", in_a_row=5, measures="last decryption", since="disable", unreachable=unreachable)
    return Step(
        id="measure",
        title=_MEASURE,
        why="the record of an incident needs the time after which nothing could be opened any more",
        command=(
            *("az", "keyvault", "key", "list-versions", "--vault-name", "{vault}", "--name", "{key}"),
            *("--output", "json"),
        ),
        saves="{export}",
        verify=(last,),
        remedy="A worker still answers after the lifetime of its key: deallocate the scale set (`--with stop`) and "
        "open an incident. Without an answer, nothing is known: compare the canary's profile with the door's address.",
    )


BOOK: Final = Runbook(
    name="revoke",
    title="Revoke the master key",
    when="A worker, its image or its host may be compromised; an order of the agency; the end of an "
    "agreement with all submitters.",
    who="Anybody with Key Vault Crypto Officer on the key. In an emergency one person is enough; a "
    "second one is informed at once.",
    prerequisites=(
        (
            "key_lifetime_s is `attestation.key_lifetime_s` of worker.toml: no worker has the key longer "
            "than this after its evidence"
        ),
        "new jobs are lost from the first moment; jobs that already run may finish",
    ),
    needs={
        "subscription": "id of the subscription",
        "wait_s": "attestation.key_lifetime_s of the workers plus a minute",
        "export": "file for the record of what was revoked",
        **KEY_NEEDS,
        **SCALE_SET_NEEDS,
        **CANARY_NEEDS,
    },
    options={"stop": "deallocate all workers at once: the shortest time, and running jobs are lost"},
    steps=(
        signed_in(),
        Step(
            id="versions",
            title="List the versions",
            why="every version must be disabled; workers may have several",
            command=(
                *("az", "keyvault", "key", "list-versions", "--vault-name", "{vault}", "--name", "{key}"),
                *("--output", "json"),
            ),
            sets="versions",
            path="*.kid",
            remedy="Compare vault and key with the deployment's outputs.",
        ),
        Step(
            id="disable",
            title="Disable every version",
            why="the vault refuses the next release and renewal; a key that is held is dropped at its "
            "renewal, at the latest at its end",
            each="versions",
            command=("az", "keyvault", "key", "set-attributes", "--id", "{item}", "--enabled", "false"),
            done=key_state("the version is disabled", version="{item}", enabled="false"),
            verify=(key_state("the version is disabled", version="{item}", enabled="false"),),
            remedy="If the vault does not answer, go on with `--with stop`: a worker without a VM has no key.",
        ),
        Step(
            id="stop",
            title="Deallocate the workers",
            why="secret memory ends with the VM, at once",
            option="stop",
            command=("az", "vmss", "deallocate", "--resource-group", "{group}", "--name", "{scale_set}"),
            remedy="Virtual Machine Contributor on the scale set is needed. Repeat it; the key is disabled "
            "in any case.",
        ),
        replace(_measure(unreachable=False), unless="stop"),
        replace(_measure(unreachable=True), id="measure-stopped", title=f"{_MEASURE}, workers stopped", option="stop"),
        Step(
            id="trail",
            title="Confirm in the trail",
            why="the trail has the drop of every key with its cause, and no admitted job after it",
            person="Find `key_dropped` of every worker with `cji audit search TRAIL --kind key_dropped`, "
            "and no job_admitted later.",
            remedy="A worker without such an event: deallocate it and keep its disk for the incident.",
        ),
    ),
    verification="Five canary jobs in a row are refused; the time of the last decryption, from the moment in which the "
    "first version was disabled, is printed.",
    undo="Enable the versions again (`az keyvault key set-attributes --id KEK_ID --enabled true`); "
    "workers request the key by themselves.",
    simulated="all steps, with a real worker",
)
