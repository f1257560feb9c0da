"""Updates of the host's TCB, and the review of advisories."""

from typing import Final

from cji_deploy.runbooks.common import CANARY_NEEDS, SCALE_SET_NEEDS, TEAM, canary, exists, instances, restart_each
from cji_deploy.runbooks.steps import Check, Command, Runbook, Step

_APPRAISE: Final[Command] = ("cji", "evidence", "verify", "{evidence_now}", "--config", "{config}")

BOOK: Final = Runbook(
    name="host-tcb",
    title="Host TCB update and review of advisories",
    when="Every month, before the table of advisories expires; when AMD or Intel publish a bulletin; when "
    "evidence shows another TCB.",
    who=f"{TEAM} The site's security officer decides on every open advisory and signs with the operator's key.",
    prerequisites=(
        "signer_key is the P-384 key whose public half is in `advisory_signers`; it is kept offline",
        "the vendors' bulletins since the last review were read",
    ),
    needs={
        "config": "worker.toml in force, a copy",
        "evidence": "evidence.json of the canary job",
        "table": "the reviewed table, as TOML",
        "signer_key": "P-384 key of the signer",
        "signed_table": "new file for the signed table",
        "evidence_now": "evidence.json of a canary job after the restart",
        **SCALE_SET_NEEDS,
        **CANARY_NEEDS,
    },
    options={"floors": "raise the floors: hosts below them are refused from then on"},
    steps=(
        Step(
            id="shown",
            title="List what is open on these machines",
            why="evidence shows the levels of the host; the table shows what they leave open",
            command=("cji", "advisories", "show", "--config", "{config}", "--evidence", "{evidence}", "--json"),
            saves="{signed_table}.before.json",
            remedy="Take evidence.json from a job of this week: `cji job run --out` writes it.",
        ),
        Step(
            id="edited",
            title="Review the table",
            why="a decision needs a reader of the bulletin, not of a list",
            person="Write the shipped table with `cji advisories show --toml`, edit it to {table}: set "
            "`reviewed`, `expires`, and `read` "
            "of every row that was read again.",
            remedy="docs/advisories.md describes every column.",
        ),
        Step(
            id="sign",
            title="Sign the table",
            why="a worker takes a table only from a signer that its configuration pins",
            command=("cji", "advisories", "update", "{table}", "--key", "{signer_key}", "--out", "{signed_table}"),
            done=exists("{signed_table}", "a signed table of this review exists"),
            remedy="The command names the row that it refuses.",
        ),
        Step(
            id="accept",
            title="Decide on what stays open",
            why="an advisory without a dated, signed acceptance refuses the machine",
            person="For each open advisory: move to hosts without it, or sign an acceptance with `cji "
            "advisories accept`, with an end.",
            remedy="`cji advisories accept --help` has an example.",
        ),
        Step(
            id="floors",
            title="Raise the floors",
            why="a host that goes back to older firmware must be refused",
            option="floors",
            person="Set `floors` in worker.toml and in client.toml to the levels that all machines report; "
            "the log names them as "
            "`floors-trail`.",
            remedy="A floor above what one host reports refuses that host: compare all instances first.",
        ),
        Step(
            id="publish",
            title="Publish table, acceptances and floors",
            why="they are part of the workers' configuration",
            person="Put the signed files into the bundle, sign and publish it; send them to the submitters too.",
            remedy="`cji doctor --config worker.toml` verifies the signatures and dates.",
        ),
        instances(),
        restart_each("reference values are read at start only; a restart may also move the VM to an updated host"),
        Step(
            id="after",
            title="Confirm with evidence of today",
            why="a submitter must accept what the worker shows now",
            person="Run the canary job with `cji job run --out FOLDER`, and keep its evidence.json as {evidence_now}.",
            verify=(
                Check(holds="the evidence passes with the workers' own reference values", command=_APPRAISE),
                canary("the canary job is answered, under the submitter's own reference values"),
            ),
            remedy="`cji evidence verify` lists every check that failed, with what was found and expected.",
        ),
    ),
    verification="Evidence of today passes under the new table, and the canary job is answered.",
    undo="Publish the previous bundle. An acceptance ends by itself on its last day.",
    simulated="all steps, with a real worker: a host without the fix of a new advisory is refused, and accepted after "
    "its update; a person's steps by the simulator's operator",
)
