"""End of a deployment."""

from typing import Final

from deploy.runbooks.common import KEY_NEEDS, SCALE_SET_NEEDS, TEAM, signed_in
from deploy.runbooks.steps import Check, Runbook, Step

_SET: Final = ("--resource-group", "{group}", "--name", "{scale_set}")
_ROLE: Final = "08bbd89e-9f13-488c-ac41-acfcb10c90ab"

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
        "kek_id": "id of the key, with version",
        "release_principal": "object id of the workers' identity",
        "key_scope": "resource id of the key, the scope of the release role",
        **KEY_NEEDS,
        **SCALE_SET_NEEDS,
    },
    options={"delete-key": "delete the key: every sealed job and result under it becomes unreadable after 90 days"},
    steps=(
        signed_in(),
        Step(
            id="revoked",
            title="Confirm that the key is revoked",
            why="a worker that still has the key could still open jobs",
            command=("az", "keyvault", "key", "show", "--id", "{kek_id}", "--output", "json"),
            sets="key_enabled",
            path="attributes.enabled",
            verify=(
                Check(
                    holds="the version is disabled",
                    command=("az", "keyvault", "key", "show", "--id", "{kek_id}", "--output", "json"),
                    path="attributes.enabled",
                    equals="false",
                ),
            ),
            remedy="Run `revoke` first.",
        ),
        Step(
            id="keep-trail",
            title="Keep the trail",
            why="CJISSECPOL AU-11: at least one year, and longer under a legal hold",
            command=("cji", "audit", "export", "{trail}", "--lines", "1-9223372036854775807", "--out", "{kept}"),
            done=Check(holds="the export verifies", command=("cji", "audit", "verify-export", "{kept}")),
            verify=(Check(holds="the export verifies", command=("cji", "audit", "verify-export", "{kept}")),),
            remedy="Nothing is deleted before the export verifies.",
        ),
        Step(
            id="release-role",
            title="Remove the release role",
            why="an identity without a worker must have no right to a key",
            command=(
                *("az", "role", "assignment", "delete", "--assignee", "{release_principal}", "--role", _ROLE),
                *("--scope", "{key_scope}"),
            ),
            done=Check(
                holds="the identity has no role on the key",
                command=(
                    *(
                        "az",
                        "role",
                        "assignment",
                        "list",
                        "--assignee",
                        "{release_principal}",
                        "--scope",
                        "{key_scope}",
                    ),
                    *("--output", "json"),
                ),
                matches=r"^\[\s*\]$",
            ),
            remedy="User Access Administrator on the key is needed.",
        ),
        Step(
            id="workers",
            title="Delete the workers",
            why="memory ends with the VM; its disks are encrypted under keys that end with it",
            command=("az", "vmss", "delete", *_SET),
            remedy="A lock of an open case forbids it: close the case first.",
        ),
        Step(
            id="key",
            title="Delete the key",
            why="crypto-erasure: without the key nobody can open what was sealed to it (NIST SP 800-88)",
            option="delete-key",
            command=(
                *("az", "keyvault", "key", "delete", "--vault-name", "{vault}", "--name", "{key}"),
                *("--output", "json"),
            ),
            remedy="Purge protection keeps it recoverable for 90 days; this cannot be shortened.",
        ),
        Step(
            id="record",
            title="Record the end",
            why="CJISSECPOL MP-6 has the agency document the sanitization of media",
            person="Record who, when and what; storage with a locked ledger stays until its days are over, "
            "then delete the group.",
            remedy="docs/audit-packet.md describes the packet of the last period.",
        ),
    ),
    verification="The key is disabled, the export of the trail verifies, and the scale set does not exist.",
    undo="Within 90 days: recover the key with `az keyvault key recover`. Workers are deployed again with `deploy`.",
    simulated="no: the simulator has no resource manager; revocation and export of the trail are tested by other books",
)
