"""Response to an incident."""

from typing import Final

from cji_deploy.runbooks.common import RESOURCE_MANAGER, TEAM, exists, export, signed_in, verified_export
from cji_deploy.runbooks.steps import Runbook, Step

BOOK: Final = Runbook(
    name="incident",
    title="Incident",
    when="An alert of the detection rules, a refused receipt, a trail that does not verify, a worker that "
    "ends again and again.",
    who=f"{TEAM} The agency's incident plan names who informs the CJIS Systems Agency, and within which time.",
    prerequisites=(
        "nothing is deleted, deallocated or upgraded before the facts are secured, except by `revoke --with stop`",
        "logs, cores and disks are not sent to anybody: the support bundle is what leaves the agency",
    ),
    needs={
        "subscription": "id of the subscription",
        "trail": "copy of the audit trail",
        "evidence": "evidence.json of a job of the worker's last start",
        "profile": "client.toml of the job's submitter",
        "since": "begin of the period, as 2026-11-27T06:00:00Z",
        "until": "end of the period",
        "case": "number of the case",
        "export": "file for the export",
        "bundle": "new file for the support bundle",
        "group": "resource group",
    },
    options={
        "lock": "forbid the deletion of anything in the resource group while the case is open",
    },
    steps=(
        signed_in(),
        Step(
            id="contain",
            title="Decide on containment",
            why="a worker or image that may be compromised must lose the key first",
            person="If records or keys may be exposed, run `revoke` now, with `--with stop` if running jobs must end.",
            remedy="In doubt, revoke: enabling the key again takes a minute.",
        ),
        Step(
            id="lock",
            title="Forbid deletion",
            why="evidence must survive the repair",
            option="lock",
            command=(
                *("az", "lock", "create", "--name", "case-{case}", "--resource-group", "{group}"),
                *("--lock-type", "CanNotDelete", "--output", "json"),
            ),
            only_real=RESOURCE_MANAGER,
            remedy="Owner or User Access Administrator is needed for a lock.",
        ),
        Step(
            id="activity",
            title="Secure the activity log",
            why="it has who changed which resource",
            command=(
                *("az", "monitor", "activity-log", "list", "--resource-group", "{group}", "--start-time", "{since}"),
                *("--end-time", "{until}", "--output", "json"),
            ),
            saves="{export}.activity.json",
            only_real=RESOURCE_MANAGER,
            remedy="Monitoring Reader on the group is needed. The log is kept for 90 days.",
        ),
        Step(
            id="trail",
            title="Verify the trail",
            why="it proves which jobs ran, which keys were released to which machine, and that no line is missing",
            command=("cji", "audit", "verify", "{trail}", "--json"),
            statuses=(0, 3),
            saves="{export}.trail.json",
            remedy="Name a copy that can be read. A trail that does not verify is itself the finding: keep it, and "
            "compare it with its witnesses.",
        ),
        export(),
        Step(
            id="drift",
            title="Compare what is deployed with deploy/",
            why="a changed deployment is a finding here, not a reason to stop",
            command=("cji", "doctor", "--azure", "--export", "{export}", "--json", "--report-only"),
            saves="{export}.drift.json",
            remedy="Export again; the file must be the one of the step before.",
        ),
        Step(
            id="bundle",
            title="Make the support bundle",
            why="those who help need facts; this file can have nothing but counts, times, digests and "
            "words of a fixed list",
            command=("cji", "support", "bundle", "--trail", "{trail}", "--export", "{export}", "--out", "{bundle}"),
            done=exists("{bundle}", "an earlier run has made the bundle"),
            remedy="The command names the input that it cannot read. `bundle` must be a new file in a known folder.",
        ),
        Step(
            id="lines",
            title="Export the lines of the period",
            why="an export proves that none of its lines is left out. It names operators and requestors: "
            "it stays in the agency",
            command=(
                *("cji", "audit", "export", "{trail}", "--since", "{since}", "--until", "{until}"),
                *("--out", "{export}.lines"),
            ),
            done=verified_export("{export}.lines"),
            verify=(verified_export("{export}.lines"),),
            remedy="A trail that does not verify cannot be exported: keep all its files. A new line has its checkpoint "
            "within a minute: copy the trail again. Move away a folder that an export left unfinished.",
        ),
        Step(
            id="report",
            title="Report",
            why="CJISSECPOL IR-6 has the agency report an incident to its CJIS Systems Agency",
            person="Report with the facts above. Keep all files under the case {case}; place a legal hold "
            "with `cji audit hold`.",
            only_real="the report is the agency's",
            remedy="docs/operation.md and docs/audit.md describe the facts.",
        ),
    ),
    verification="The trail is verified, the lines of the period are exported, the drift is known, and the bundle "
    "is made.",
    undo="After the case: delete the lock with `az lock delete`, release the legal hold, enable the key "
    "or deploy again.",
    simulated="all that needs no resource manager, for a worker that lost its key; planted records and keys are in no "
    "file that it writes",
)
