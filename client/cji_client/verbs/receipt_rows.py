"""A verified receipt in lines, and what its verification does not show."""

import json
from typing import Final

import click
import msgspec
from msgspec import UNSET, UnsetType

from cji_attestation import Trust
from cji_attestation.attested import AttestedWorker
from cji_client.verbs.answers import ProvenReceipt
from cji_client.verify import names_token
from cji_core.command.json_output import print_json
from cji_core.fips import NOT_VALIDATED
from cji_core.trail import (
    Claims,
    CryptoModule,
    PrivacyClaim,
    TasksClaim,
    UsedColumnKeys,
    VerifiedFailure,
    VerifiedReceipt,
)
from cji_core.trail.confirmations import VerifiedConfirmation

Either = VerifiedReceipt | VerifiedFailure
_NOT_STATED: Final = "not stated, because columns were sealed"
_COUNTS: Final = "rows and subjects, stated by the cell: `cji result open` compares them, or give --confirmation"
_COUNTS_WITHHELD: Final = "rows that came out, and subjects: the receipt states none, because columns were sealed"
_HOST: Final = {"none": "no host profile: root could read records"}


def print_receipt(
    one: Either,
    attested: AttestedWorker,
    trust: Trust,
    *,
    header: bool,
    as_json: bool,
    sequence: bool = False,
    statements: bool = False,
    confirmed: VerifiedConfirmation | None = None,
) -> None:
    """Print a verified receipt, and what was not checked; `header`: it was compared with the header of its job.

    `confirmed` is a confirmation without a difference.
    """
    unchecked = unchecked_of(one, attested, header=header, sequence=sequence, statements=statements)
    rows, by = rows_of(one, attested, trust), None
    if confirmed is not None:
        del unchecked["counts"]
        by = rows["counts"] = confirmed.words
    if as_json:
        print_json(ProvenReceipt(claims=msgspec.to_builtins(one.claims), not_checked=unchecked, confirmed=by))
    else:
        click.echo(_lines_of(rows, unchecked))


def unchecked_of(
    one: Either, attested: AttestedWorker, *, header: bool, sequence: bool = False, statements: bool = False
) -> dict[str, str]:
    """By check or subject, what this verification does not show."""
    found = {check.id: check.finding for check in attested.unchecked}
    if not header:
        found["job"] = "whether it is the job that was sealed: give --expect-header"
    if isinstance(one, VerifiedFailure):
        return found | {"attempts": "their number, the reason and the time of the ticket: they are a report"}
    found["counts"] = _COUNTS_WITHHELD if one.claims.withheld else _COUNTS
    if not names_token(one, attested):
        found["maa token"] = "the token that the receipt names: the evidence shows another one, of the same key"
    if not sequence:
        found["sequence"] = "whether receipts are missing: give all of a worker and --sequence"
    if isinstance(one.claims.tasks, TasksClaim):
        found["workers"] = "evidence of the workers that ran tasks, but for the one that finished the job"
        if not statements:
            found["tasks"] = "the statements of its tasks: give --statements"
    return found


def rows_of(one: Either, attested: AttestedWorker, trust: Trust) -> dict[str, str]:
    """The claims of a receipt or a failure receipt, by name."""
    if isinstance(one, VerifiedFailure):
        return _failure_rows(one, attested, trust)
    return _receipt_rows(one, attested, trust)


def _fips(module: CryptoModule) -> str:
    mode = "approved mode" if module.mode == "approved" else "not in an approved mode"
    certificate = "not validated" if module.certificate == NOT_VALIDATED else f"certificate {module.certificate}"
    return f"{module.name} {module.version}, {mode}, {certificate}"


def _tasks(tasks: TasksClaim | UnsetType) -> dict[str, str]:
    """Of a job in parts: its tasks, and the workers that ran them."""
    if not isinstance(tasks, TasksClaim):
        return {}
    nodes = (
        f"{node.worker} ({node.tee}, {node.region}, evidence {node.evidence_sha384[:16]}...)" for node in tasks.nodes
    )
    return {"tasks": f"{tasks.statements} statements, root {tasks.root_sha256}", "ran on": ", ".join(nodes)}


def privacy_rows(privacy: PrivacyClaim | UnsetType) -> dict[str, str]:
    """Of a table with noise: what it spent, and that nobody but the submitter keeps the budget."""
    if not isinstance(privacy, PrivacyClaim):
        return {}
    spent = f"epsilon {privacy.epsilon_thousandths / 1000:g} of project {privacy.project}"
    rows = f"{privacy.rows_per_person} rows of a person"
    return {"privacy": f"{spent}, {rows}; its budget is {privacy.budget}: no worker adds up tables"}


def _receipt_rows(one: VerifiedReceipt, attested: AttestedWorker, trust: Trust) -> dict[str, str]:
    claims, volumes = one.claims, one.claims.volumes
    return {
        "job": claims.job_id,
        "worker": f"{claims.worker}, receipt {claims.sequence}; in {claims.region} by its host's word",
        "machine": _machine(attested, trust),
        "for": f"{claims.requesting_ori}, purpose {claims.purpose_code}",
        "suite": str(claims.suite),
        "did": ", ".join(claims.operations),
        "rows": f"{volumes.rows_in} in, {_rows_out(claims)}",
        "subjects": _NOT_STATED if claims.withheld else str(volumes.subjects_out),
        "time": f"{claims.started} to {claims.ended}",
        "evidence": _appraised(attested),
        "key": claims.kek_id,
        "audit": f"anchored to counter {claims.audit_anchor}",
        "FIPS": _fips(claims.fips),
        "TLS": f"{claims.transport.protocol}, {claims.transport.cipher}, {claims.transport.bits} bits",
        "host": _HOST.get(claims.host_profile, f"host profile {claims.host_profile}"),
        "risks": f"accepted by the operator: {', '.join(claims.accepted_advisories) or 'none'}",
        "policy": claims.policy_sha384,
        **_column_keys(claims.column_keys),
        **_tasks(claims.tasks),
        **privacy_rows(claims.privacy),
    }


def _rows_out(claims: Claims) -> str:
    volumes = claims.volumes
    if claims.withheld:
        return f"out {_NOT_STATED}"
    return f"{volumes.rows_out} out, {volumes.chri_rows_out} of them with criminal history"


def _column_keys(used: tuple[UsedColumnKeys, ...] | UnsetType) -> dict[str, str]:
    """Of a job with sealed columns: the statements under which it got their keys, and these keys."""
    if used is UNSET:
        return {}
    keys = (f"{key.cek_sha384[:16]}... under {key.key_path} ({key.algorithm})" for each in used for key in each.keys)
    return {
        "statements": ", ".join(each.statement_sha384 for each in used),
        "column keys": ", ".join(keys),
    }


def _failure_rows(one: VerifiedFailure, attested: AttestedWorker, trust: Trust) -> dict[str, str]:
    claims = one.claims
    return {
        "job": claims.job_id,
        "failed": f"{claims.reason.value} at {claims.stage.value}, after {claims.attempts} attempts",
        "worker": claims.worker,
        "machine": _machine(attested, trust),
        "for": claims.requesting_ori,
        "suite": str(claims.suite),
        "time": f"sent {claims.queued}, given up {claims.failed}",
        "evidence": _appraised(attested),
        "policy": claims.policy_sha384,
    }


def _machine(attested: AttestedWorker, trust: Trust) -> str:
    kind = ", SIMULATED" if attested.simulated else ""
    return f"{attested.verdict.tee} {attested.verdict.product}, roots of {trust.name}{kind}"


def _appraised(attested: AttestedWorker) -> str:
    return f"appraised at {attested.time.at.isoformat(timespec='seconds')}, by {attested.time.by}"


def _lines_of(rows: dict[str, str], unchecked: dict[str, str]) -> str:
    lines = [f"  {name:8} {json.dumps(value)[1:-1]}" for name, value in rows.items()]
    missing = [f"    {name:8} {json.dumps(text)[1:-1]}" for name, text in unchecked.items()]
    return "\n".join([f"verified, except {len(missing)} points:", *lines, "  not checked:", *missing])
