"""`cji receipt`: fetch a worker's receipts, verify them, even years later and without a network, or show one."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from cji_attestation import Trust
from cji_attestation.attested import AttestedWorker, evidence_cloud, read_evidence
from cji_attestation.checks import Check, Skipped
from cji_attestation.verbs.evidence_options import AT, NEW_FILE, time_of, written
from cji_attestation.verbs.proof_page import Proof, Rows, proof_page, proof_text
from cji_attestation.verbs.reference_values import PROFILE, reference_values
from cji_attestation.verbs.trusts import trust_named
from cji_client.connection import connect
from cji_client.errors import SpecError, Unverified
from cji_client.profile import load_profile
from cji_client.statements import verify_statements
from cji_client.verbs.answers import ProvenReceipt, ShownReceipt, StoredReceipt
from cji_client.verbs.compact_file import compact_lines
from cji_client.verbs.job.job_id import job_id_of
from cji_client.verbs.job.prepare import PROFILE as SUBMITTER
from cji_client.verbs.receipt_confirm import confirm, confirmation_of
from cji_client.verbs.receipt_rows import Either, print_receipt, rows_of, unchecked_of
from cji_client.verify import verify_failed, verify_stored
from cji_core.command.common import FILE, explained
from cji_core.command.json_output import answers, print_answer, print_json
from cji_core.errors import Refusal
from cji_core.format.job import Header, parse
from cji_core.strict import hex_decode
from cji_core.trail import Claims, FailureClaims, ReceiptError, VerifiedFailure, VerifiedReceipt
from cji_core.trail.compact import typ_unverified
from cji_core.trail.confirmations import VerifiedConfirmation
from cji_core.trail.receipts import claims_unverified
from cji_core.trail.rules import SequenceError, verify_sequence

_SIGNATURE: Final = Check("signature", "made by the key that the quote of the appraised machine binds")
_HEADER: Final = Check("job", "the receipt is for exactly the header that was given, and states its claims")


@click.group()
def receipt() -> None:
    """Fetch, verify or show the receipts that a worker signed."""


@receipt.command()
@click.argument("files", metavar="RECEIPT...", type=FILE, nargs=-1, required=True)
@click.option("--evidence", type=FILE, required=True, help="evidence.json from `cji job run` or from an auditor.")
@click.option(
    "--expect-header", "headers", type=FILE, multiple=True, help="header.bin of a job whose receipt must be present."
)
@click.option(
    "--statements", type=FILE, help="All statements of the tasks of a job in parts, one per line, in their order."
)
@click.option("--confirmation", type=FILE, help="A recipient's confirmation of the counts, with --policy.")
@click.option("--policy", type=FILE, help="The worker's policy of that job, which names the recipient's key.")
@PROFILE
@AT
@click.option("--sequence", is_flag=True, help="Require all receipts of one worker, in order; report gaps and repeats.")
@click.option(
    "--trail",
    type=FILE,
    help="The worker's audit trail: each receipt must be in it, and no rule may find fault with its line.",
)
@answers(ProvenReceipt)
@click.pass_context
@explained
def verify(
    context: click.Context,
    files: tuple[Path, ...],
    *,
    evidence: Path,
    headers: tuple[Path, ...],
    statements: Path | None,
    confirmation: Path | None,
    policy: Path | None,
    profile: Path | None,
    at: str | None,
    sequence: bool,
    trail: Path | None,
    as_json: bool,
) -> None:
    """Verify receipts against the evidence of the machine that signed them. Uses no network.

    The evidence must chain to the vendor's roots at a time that it proves, and its quote must bind the signing key;
    with --expect-header, the receipt must be for exactly that job; with --statements, the one receipt must be that of
    a job in parts with exactly these tasks; with --confirmation, a key that the policy names beside the recipient must
    have signed the same counts; with --trail, the worker's audit trail must have it, and break no rule.
    What nobody checked is listed after the receipt. A receipt that fails is reported with the wrong claim and exit
    status 3. Failure receipts of jobs by reference are verified in the same way.

    \b
    Examples:
      cji receipt verify out/receipt.jws --evidence out/evidence.json --expect-header out/header.bin
      cji receipt verify all.jws --evidence evidence.json --sequence     # one receipt per line
      cji receipt verify out/receipt.jws --evidence out/evidence.json --statements out/statements.jws
      cji receipt verify people.job/failure.jws --evidence people.job/evidence.json
      cji receipt verify out/receipt.jws --evidence out/evidence.json --trail audit.log
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    trust, attested = _worker(context, evidence, profile, at)
    expected = {bytes(header.job_id): header for header in map(_header, headers)}
    texts = [text for file in files for text in compact_lines(file)]
    verified = _all(texts, attested, expected)
    if sequence:
        _require_sequence(verified)
    if statements is not None:
        _verify_tasks(verified, statements)
    if trail is not None:
        _require_in_trail(verified, trail, attested)
    confirmed = _confirmed(verified, confirmation, policy)
    how = partial(print_receipt, as_json=as_json, sequence=sequence, statements=statements is not None)
    for one in verified:
        how(one, attested, trust, header=hex_decode(one.claims.job_id) in expected, confirmed=confirmed)


@receipt.command()
@click.argument("job", metavar="JOB")
@SUBMITTER
@click.option("--out", type=NEW_FILE, help="Write the receipt into this new file.")
@answers(StoredReceipt)
@click.pass_context
@explained
def get(context: click.Context, job: str, *, profile_file: Path, out: Path | None, as_json: bool) -> None:
    """Ask the profile's worker for the receipt of a finished job: a job id of 32 hexadecimal digits, or a folder.

    The receipt is not verified: give it to `cji receipt verify`, with the evidence of the worker. A worker gives
    receipts to the submitter of the job alone, and keeps no results.

    \b
    Example:
      cji receipt get 6b1f0c1e2d3a4b5c6d7e8f9001122334 --profile client.toml --out receipt.jws
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    profile = load_profile(profile_file)
    job_id = job_id_of(job)
    with connect(profile, trusts=[trust_named(context, profile.cloud)]) as worker:
        found = worker.get_receipt(job_id)
    if out is not None:
        written(out, found.encode() + b"\n")
    if as_json:
        print_json(StoredReceipt(job=job_id.hex(), receipt=found))
    elif out is None:
        click.echo(found)


@receipt.command()
@click.argument("file", metavar="RECEIPT", type=FILE)
@click.option("--evidence", type=FILE, help="evidence.json of the same job: the receipt is verified against it.")
@click.option("--expect-header", "header", type=FILE, help="header.bin of the job that the receipt must be for.")
@click.option("--html", type=NEW_FILE, help="Write a page to this new file: what was proven, and what was not.")
@PROFILE
@AT
@answers(ShownReceipt)
@click.pass_context
@explained
def show(
    context: click.Context,
    file: Path,
    *,
    evidence: Path | None,
    header: Path | None,
    html: Path | None,
    profile: Path | None,
    at: str | None,
    as_json: bool,
) -> None:
    """Show one receipt, as text or as a page. Without --evidence nothing in it is verified.

    With --evidence the receipt is verified as by `cji receipt verify`; one that fails is not shown, and the exit status
    is 3. The page is one file without scripts or links to a network, for a case file or for a meeting.

    \b
    Examples:
      cji receipt show out/receipt.jws
      cji receipt show out/receipt.jws --evidence out/evidence.json --expect-header out/header.bin --html receipt.html
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    (text, *others) = compact_lines(file)
    if others:
        raise SpecError(f"{file.name} has several receipts", remedy="Give a file with one.")
    claims: Claims | FailureClaims
    if evidence is None:
        if header is not None:
            raise SpecError("--expect-header needs --evidence", remedy="Give the evidence.json of the same job.")
        claims = own = claims_of(text)
        proof = unverified_proof(own)
    else:
        data = evidence.read_bytes()
        trust = trust_named(context, evidence_cloud(data))
        attested = read_evidence(data, trust=trust, reference=reference_values(profile, None), at=time_of(at))
        one = _verified(text, attested, None if header is None else _header(header))
        unchecked = unchecked_of(one, attested, header=header is not None)
        claims = one.claims
        proof = verified_proof(one, attested, rows_of(one, attested, trust), unchecked)
    if html is not None:
        written(html, "".join(proof_page(proof)).encode())
    answer = ShownReceipt(
        verified=evidence is not None,
        simulated=proof.simulated,
        claims=msgspec.to_builtins(claims),
        not_checked={**proof.unchecked},
        page=None if html is None else str(html),
    )
    print_answer(answer, proof_text(proof) if html is None else f"{html}: {proof.outcome}", as_json=as_json)


def _header(file: Path) -> Header:
    try:
        return parse(file.read_bytes())
    except Refusal:
        raise SpecError(f"{file.name} is not a job header") from None


def _verified(text: str, attested: AttestedWorker, header: Header | None = None) -> Either:
    try:
        failure = typ_unverified(text) == "cji-failure+jws"
    except ReceiptError:
        failure = False  # nor is it a receipt, which is then reported
    verify = verify_failed if failure else verify_stored
    return verify(text, attested=attested, header=header)


def _all(texts: list[str], attested: AttestedWorker, expected: dict[bytes, Header]) -> list[Either]:
    """All receipts, verified against the headers that were given; each header must have a receipt."""
    if (
        len(texts) == len(expected) == 1
    ):  # so that a wrong job id is reported as a wrong claim, not as a missing receipt
        return [_verified(texts[0], attested, next(iter(expected.values())))]
    verified = [_verified(text, attested) for text in texts]
    by_job = {hex_decode(one.claims.job_id): one for one in verified}
    for job_id, header in expected.items():
        if job_id not in by_job:
            raise Unverified("job_id", f"no receipt for job {job_id.hex()}")
        _verified(by_job[job_id].compact, attested, header)
    return verified


def _require_sequence(verified: Sequence[VerifiedReceipt | VerifiedFailure]) -> None:
    receipts = [one for one in verified if isinstance(one, VerifiedReceipt)]
    if len(receipts) != len(verified):
        raise SpecError("failure receipts have no sequence", remedy="Verify them without --sequence.")
    try:
        verify_sequence(receipts)
    except ReceiptError as error:
        rule = f", rule {error.rule}" if isinstance(error, SequenceError) else ""
        raise Unverified(error.field, f"{error}{rule}") from None


def _verify_tasks(verified: Sequence[VerifiedReceipt | VerifiedFailure], statements: Path) -> None:
    (one, *others) = verified
    if others or not isinstance(one, VerifiedReceipt):
        raise SpecError("--statements needs exactly one receipt", remedy="Verify the receipt of that job alone.")
    verify_statements(one, compact_lines(statements, "statement"))


def _worker(
    context: click.Context, evidence: Path, profile: Path | None, at: str | None
) -> tuple[Trust, AttestedWorker]:
    """The machine of this evidence, and the cloud that it names."""
    data = evidence.read_bytes()
    trust = trust_named(context, evidence_cloud(data))
    return trust, read_evidence(data, trust=trust, reference=reference_values(profile, None), at=time_of(at))


def _require_in_trail(verified: Sequence[Either], trail: Path, attested: AttestedWorker) -> None:
    from cji_client.verbs.receipt_trail import require_in_trail  # noqa: PLC0415 - reading a trail needs POSIX

    require_in_trail(verified, trail, attested.receipt_key)


def _confirmed(
    verified: Sequence[Either], confirmation: Path | None, policy: Path | None
) -> VerifiedConfirmation | None:
    if (confirmation is None) is not (policy is None):
        raise SpecError("--confirmation and --policy belong together", remedy="Give both.")
    if confirmation is None or policy is None:
        return None
    (one, *others) = verified
    if others:
        raise SpecError("--confirmation needs exactly one receipt", remedy="Verify the receipt of that job alone.")
    return confirmation_of(confirmation, policy, one)


def verified_proof(
    one: Either, attested: AttestedWorker, rows: Mapping[str, str], unchecked: Mapping[str, str]
) -> Proof:
    """`rows` are what the receipt states in words; the job was compared with a header unless it is in `unchecked`."""
    failure = isinstance(one, VerifiedFailure)
    passed = [check for check in attested.checks if not isinstance(check, Skipped) and check.id not in unchecked]
    return Proof(
        title="Failure receipt of a job" if failure else "Receipt of a job",
        outcome=f"Verified, except {len(unchecked)} points" if unchecked else "Verified",
        accepted=True,
        simulated=attested.simulated,
        about=rows,
        passed=[_SIGNATURE, *([] if "job" in unchecked else [_HEADER]), *passed],
        unchecked=unchecked,
        contents={"claims of the receipt": _rows(msgspec.to_builtins(one.claims))},
    )


def claims_of(text: str) -> Claims:
    """A receipt's own claims. Unverified for any other text, a failure receipt included."""
    try:
        return claims_unverified(text)
    except ReceiptError as error:
        raise Unverified("receipt", str(error)) from None


def unverified_proof(claims: Claims) -> Proof:
    """`claims` are a receipt's own."""
    return Proof(
        title="Receipt of a job",
        outcome="Not verified: these are the receipt's own claims",
        accepted=None,
        simulated=claims.simulated,
        about={
            "job": claims.job_id,
            "worker": claims.worker,
            "for": f"{claims.requesting_ori}, purpose {claims.purpose_code}",
            "did": ", ".join(claims.operations),
            "time": f"{claims.started} to {claims.ended}",
        },
        unchecked={"everything": "nothing was compared: give --evidence, and --expect-header"},
        contents={"claims of the receipt": _rows(msgspec.to_builtins(claims))},
    )


def _rows(claims: Mapping[str, Any]) -> Rows:
    return [row for name, claim in claims.items() for row in _flat(name, claim)]


def _flat(name: str, claim: object) -> Iterator[tuple[str, str]]:
    """A claim as rows; members of objects have dotted names."""
    if isinstance(claim, dict):
        for key, each in claim.items():
            yield from _flat(f"{name}.{key}", each)
    elif isinstance(claim, list | tuple) and any(isinstance(each, dict) for each in claim):
        for number, each in enumerate(claim):
            yield from _flat(f"{name}[{number}]", each)
    elif isinstance(claim, list | tuple):
        yield name, ", ".join(map(str, claim))
    else:
        yield name, str(claim)


receipt.add_command(confirm)
