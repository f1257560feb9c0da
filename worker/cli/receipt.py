"""`cji receipt verify`: verify a worker's receipts, even years later, without a network."""

import json
from pathlib import Path
from typing import Final

import click
import msgspec
from msgspec import UnsetType

from attestation import Trust
from worker.audit import CryptoModule, ReceiptError, TasksClaim, VerifiedReceipt, verify_sequence
from worker.cli.common import FILE, explained, trust_named
from worker.cli.evidence_options import AT, time_of
from worker.cli.reference_values import PROFILE, reference_values
from worker.client import Unverified
from worker.client.attested import AttestedWorker, evidence_cloud, read_evidence
from worker.client.errors import SpecError
from worker.client.statements import verify_statements
from worker.client.verify import verify_stored
from worker.errors import Refusal
from worker.fips import NOT_VALIDATED
from worker.job import Header, parse

_HOST: Final = {"none": "no host profile: root could read records"}


@click.group()
def receipt() -> None:
    """Verify the receipts that a worker signed."""


@receipt.command()
@click.argument("files", metavar="RECEIPT...", type=FILE, nargs=-1, required=True)
@click.option("--evidence", type=FILE, required=True, help="evidence.json from `cji job run` or from an auditor.")
@click.option(
    "--expect-header", "headers", type=FILE, multiple=True, help="header.bin of a job whose receipt must be present."
)
@click.option(
    "--statements", type=FILE, help="All statements of the tasks of a job in parts, one per line, in their order."
)
@PROFILE
@AT
@click.option("--sequence", is_flag=True, help="Require all receipts of one worker, in order; report gaps and repeats.")
@click.option("--json", "as_json", is_flag=True, help="Print claims, and what was not checked, as JSON lines.")
@click.pass_context
@explained
def verify(
    context: click.Context,
    files: tuple[Path, ...],
    *,
    evidence: Path,
    headers: tuple[Path, ...],
    statements: Path | None,
    profile: Path | None,
    at: str | None,
    sequence: bool,
    as_json: bool,
) -> None:
    """Verify receipts against the evidence of the machine that signed them. Uses no network.

    The evidence must chain to the vendor's roots at a time that it proves, and its quote must bind the signing key;
    with --expect-header, the receipt must be for exactly that job; with --statements, the one receipt must be that of
    a job in parts with exactly these tasks. What nobody checked is listed after the receipt. A
    receipt that fails is reported with the wrong claim and exit status 3.

    \b
    Examples:
      cji receipt verify out/receipt.jws --evidence out/evidence.json --expect-header out/header.bin
      cji receipt verify all.jws --evidence evidence.json --sequence     # one receipt per line
      cji receipt verify out/receipt.jws --evidence out/evidence.json --statements out/statements.jws
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    data = evidence.read_bytes()
    trust = trust_named(context, evidence_cloud(data))
    attested = read_evidence(data, trust=trust, reference=reference_values(profile, None), at=time_of(at))
    expected = {bytes(header.job_id): header for header in map(_header, headers)}
    texts = [text for file in files for text in _lines(file)]
    verified = _all(texts, attested, expected)
    if sequence:
        try:
            verify_sequence(verified)
        except ReceiptError as error:
            raise Unverified(error.field, str(error)) from None
    if statements is not None:
        _verify_tasks(verified, statements)
    for one in verified:
        known = bytes.fromhex(one.claims.job_id) in expected
        unchecked = _unchecked(attested, one, header=known, sequence=sequence, statements=statements is not None)
        if as_json:
            click.echo(msgspec.json.encode({"claims": one.claims, "not_checked": unchecked}))
        else:
            click.echo(_summary(one, attested, trust, unchecked))


def _header(file: Path) -> Header:
    try:
        return parse(file.read_bytes())
    except Refusal:
        raise SpecError(f"{file.name} is not a job header") from None


def _lines(file: Path) -> list[str]:
    try:
        lines = file.read_text("ascii").split()
    except UnicodeDecodeError:
        lines = []
    if not lines:
        raise Unverified("receipt", f"{file.name} contains no receipt")
    return lines


def _all(texts: list[str], attested: AttestedWorker, expected: dict[bytes, Header]) -> list[VerifiedReceipt]:
    """All receipts, verified against the headers that were given; each header must have a receipt."""
    if (
        len(texts) == len(expected) == 1
    ):  # so that a wrong job id is reported as a wrong claim, not as a missing receipt
        return [verify_stored(texts[0], attested=attested, header=next(iter(expected.values())))]
    verified = [verify_stored(text, attested=attested) for text in texts]
    by_job = {bytes.fromhex(one.claims.job_id): one for one in verified}
    for job_id, header in expected.items():
        if job_id not in by_job:
            raise Unverified("job_id", f"no receipt for job {job_id.hex()}")
        verify_stored(by_job[job_id].compact, attested=attested, header=header)
    return verified


def _verify_tasks(verified: list[VerifiedReceipt], statements: Path) -> None:
    if len(verified) != 1:
        raise SpecError("--statements needs exactly one receipt", remedy="Verify the receipt of that job alone.")
    verify_statements(verified[0], _lines(statements))


def _unchecked(
    attested: AttestedWorker, one: VerifiedReceipt, *, header: bool, sequence: bool, statements: bool
) -> dict[str, str]:
    """By check or subject, what this verification does not show."""
    found = {check.id: check.finding for check in attested.unchecked}
    if not header:
        found["job"] = "whether it is the job that was sealed: give --expect-header"
    if not sequence:
        found["sequence"] = "whether receipts are missing: give all of a worker and --sequence"
    if isinstance(one.claims.tasks, TasksClaim):
        found["workers"] = "evidence of the workers that ran tasks, but for the one that finished the job"
        if not statements:
            found["tasks"] = "the statements of its tasks: give --statements"
    return found


def _fips(module: CryptoModule) -> str:
    mode = "approved mode" if module.mode == "approved" else "not in an approved mode"
    certificate = "not validated" if module.certificate == NOT_VALIDATED else f"certificate {module.certificate}"
    return f"{module.name} {module.version}, {mode}, {certificate}"


def _tasks(tasks: TasksClaim | UnsetType) -> dict[str, str]:
    """Of a job in parts: its tasks, and the workers that ran them."""
    if not isinstance(tasks, TasksClaim):
        return {}
    nodes = ", ".join(
        f"{node.worker} ({node.tee}, {node.region}, {node.evidence_sha384[:16]}…)" for node in tasks.nodes
    )
    return {"tasks": f"{tasks.statements}, root {tasks.root_sha256}, plan {tasks.plan_sha384[:16]}…", "ran on": nodes}


def _summary(one: VerifiedReceipt, attested: AttestedWorker, trust: Trust, unchecked: dict[str, str]) -> str:
    claims, volumes = one.claims, one.claims.volumes
    rows = {
        "job": claims.job_id,
        "worker": f"{claims.worker}, receipt {claims.sequence}; in {claims.region} by its host's word",
        "machine": f"{claims.tee} {attested.verdict.product}, roots of {trust.name}"
        + (", SIMULATED" if claims.simulated else ""),
        "for": f"{claims.requesting_ori}, purpose {claims.purpose_code}",
        "suite": str(claims.suite),
        "did": ", ".join(claims.operations),
        "rows": f"{volumes.rows_in} in, {volumes.rows_out} out",
        "time": f"{claims.started} to {claims.ended}",
        "evidence": f"appraised at {attested.time.at.isoformat(timespec='seconds')}, by {attested.time.by}",
        "key": claims.kek_id,
        "audit": f"anchored to counter {claims.audit_anchor}",
        "FIPS": _fips(claims.fips),
        "TLS": f"{claims.transport.protocol}, {claims.transport.cipher}, {claims.transport.bits} bits",
        "host": _HOST.get(claims.host_profile, f"host profile {claims.host_profile}"),
        "risks": f"accepted by the operator: {', '.join(claims.accepted_advisories) or 'none'}",
        "policy": claims.policy_sha384,
        **_tasks(claims.tasks),
    }
    lines = [f"  {name:8} {json.dumps(value)[1:-1]}" for name, value in rows.items()]
    missing = [f"    {name:8} {json.dumps(text)[1:-1]}" for name, text in unchecked.items()]
    return "\n".join([f"verified, except {len(missing)} points:", *lines, "  not checked:", *missing])
