"""End of a deployment."""

from typing import Final

from cji_deploy.runbooks.common import (
    CANARY_NEEDS,
    KEY_NEEDS,
    SCALE_SET_NEEDS,
    TEAM,
    refused,
    signed_in,
    verified_export,
)
from cji_deploy.runbooks.steps import Check, Runbook, Step

_SET: Final = ("--resource-group", "{group}", "--name", "{scale_set}")
_KEY: Final = ("--vault-name", "{vault}", "--name", "{key}", "--output", "json")
_ROLE: Final = "08bbd89e-9f13-488c-ac41-acfcb10c90ab"
_NOT_FOUND: Final = (3,)
"""Exit status of the Azure CLI for a resource that does not exist."""

_DELETED: Final = Check(holds="the key is deleted", command=("az", "keyvault", "key", "show-deleted", *_KEY))
_NO_WORKERS: Final = Check(
    holds="the group has no scale set",
    command=("az", "vmss", "list", "--resource-group", "{group}", "--output", "json"),
    matches=r"^\[\s*\]$",
)
_VERIFIED: Final = verified_export("{kept}")
_NO_ROLE: Final = Check(
    holds="the identity has no role on the key",
    command=(
        *("az", "role", "assignment", "list", "--assignee", "{release_principal}", "--scope", "{key_scope}"),
        *("--output", "json"),
    ),
    matches=r"^\[\s*\]$",
)

BOOK: Final = Runbook(
    name="decommission",
    title="Decommission",
    when="The deployment is replaced or not needed any more.",
    who=f"{TEAM} The agency's records officer confirms the retention of trail, receipts and results.",
    prerequisites=(
        "`revoke` was run: no worker has the key",
        "all results that anybody needs were fetched and opened by their recipients",
        "the auditor's packet of the last period was made",
    ),
    needs={
        "subscription": "id of the subscription",
        "trail": "copy of the audit trail",
        "kept": "new folder, outside the deployment, for the trail's export",
        "receipt": "receipt.jws of a kept result",
        "evidence": "evidence.json of the same result, of the worker's last start",
        "wait_s": "attestation.key_lifetime_s of the workers plus a minute",
        "release_principal": "object id of the workers' identity",
        "key_scope": "resource id of the key, the scope of the release role",
        **KEY_NEEDS,
        **SCALE_SET_NEEDS,
        **CANARY_NEEDS,
    },
    options={"delete-key": "delete the key: every sealed job and result under it becomes unreadable after 90 days"},
    steps=(
        signed_in(),
        Step(
            id="revoked",
            title="Confirm that the key is revoked",
            why="a worker that still has the key could still open jobs",
            command=("az", "keyvault", "key", "list-versions", *_KEY),
            done=_DELETED,
            verify=(
                Check(
                    holds="every version is disabled",
                    command=("az", "keyvault", "key", "list-versions", *_KEY),
                    path="*.attributes.enabled",
                    matches=r"^false(\nfalse)*$",
                ),
            ),
            remedy="Run `revoke` first.",
        ),
        Step(
            id="refused",
            title="Confirm that no job is opened",
            why="a disabled key is a fact of the vault; what counts is that the workers refuse",
            command=("az", "vmss", "show", *_SET, "--output", "json"),
            done=_NO_WORKERS,
            verify=(refused(within="{wait_s}", in_a_row=2, unreachable=True),),
            remedy="Run `revoke`, and wait for the lifetime of the workers' keys.",
        ),
        Step(
            id="stop",
            title="Stop the workers",
            why="a worker signs the last checkpoint of its trail when it stops, and the deliverer sends the rest",
            command=("az", "vmss", "deallocate", *_SET),
            done=_NO_WORKERS,
            remedy="Virtual Machine Contributor on the scale set is needed. Repeat it.",
        ),
        Step(
            id="keep-trail",
            title="Keep the trail",
            why="CJISSECPOL AU-11: at least one year, and longer under a legal hold",
            command=("cji", "audit", "export", "{trail}", "--all", "--out", "{kept}"),
            done=_VERIFIED,
            verify=(_VERIFIED,),
            remedy="Nothing is deleted before the export verifies. Take the copy from a sink, after the workers "
            "stopped; move away a folder that an export left unfinished.",
        ),
        Step(
            id="release-role",
            title="Remove the release role",
            why="an identity without a worker must have no right to a key",
            command=(
                *("az", "role", "assignment", "delete", "--assignee", "{release_principal}", "--role", _ROLE),
                *("--scope", "{key_scope}"),
            ),
            done=_NO_ROLE,
            verify=(_NO_ROLE,),
            only_real="a simulation has no roles",
            remedy="User Access Administrator on the key is needed.",
        ),
        Step(
            id="workers",
            title="Delete the workers",
            why="memory ends with the VM; its disks are encrypted under keys that end with it",
            command=("az", "vmss", "delete", *_SET),
            done=_NO_WORKERS,
            verify=(_NO_WORKERS,),
            remedy="A lock of an open case forbids it: close the case first.",
        ),
        Step(
            id="key",
            title="Delete the key",
            why="crypto-erasure: without the key nobody can open what was sealed to it (NIST SP 800-88)",
            option="delete-key",
            command=("az", "keyvault", "key", "delete", *_KEY),
            done=_DELETED,
            verify=(
                Check(
                    holds="the vault has no key of this name",
                    command=("az", "keyvault", "key", "show", *_KEY),
                    statuses=_NOT_FOUND,
                    matches="not found|NotFound",
                    within="60",
                ),
            ),
            remedy="Key Vault Crypto Officer on the key is needed. Purge protection keeps it recoverable for 90 days; "
            "this cannot be shortened.",
        ),
        Step(
            id="kept",
            title="Verify what is kept",
            why="trail and receipts must be provable without the deployment: neither command uses a network",
            command=("cji", "receipt", "verify", "{receipt}", "--evidence", "{evidence}", "--profile", "{profile}"),
            verify=(_VERIFIED,),
            remedy="Take another copy: storage with a locked pool ledger and the sinks of the trail still exist.",
        ),
        Step(
            id="record",
            title="Record the end",
            why="CJISSECPOL MP-6 has the agency document the sanitization of media",
            person="Record who, when and what; storage with a locked pool ledger stays until its days are over, "
            "then delete the group.",
            only_real="the record is the agency's",
            remedy="docs/audit-packet.md describes the packet of the last period.",
        ),
    ),
    verification="Every version of the key is disabled, the group has no scale set, and the trail's export and the "
    "receipt verify.",
    undo="Within 90 days: recover the key with `az keyvault key recover`. Workers are deployed again with `deploy`.",
    simulated="all that needs no resource manager, with a real worker and a vault that deletes the key",
)
