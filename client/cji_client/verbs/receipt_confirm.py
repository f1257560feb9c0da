"""`cji receipt confirm`: a recipient signs the numbers of rows that it counted in the opened outputs."""

from datetime import UTC, datetime
from pathlib import Path

import click

from cji_attestation.verbs.evidence_options import AT, NEW_FILE, written
from cji_attestation.verbs.reference_values import PROFILE
from cji_client.confirmation import confirm as confirmed
from cji_client.errors import SpecError, Unverified
from cji_client.verbs.answers import ConfirmedReceipt
from cji_client.verbs.compact_file import compact_lines
from cji_client.verbs.job.open_result import FOLDER, recipient_of, verified
from cji_core.command.common import FILE, explained, prompt
from cji_core.command.json_output import answers, print_answer
from cji_core.format.job import Policy, PolicyInvalid
from cji_core.format.keys import load_signing_key
from cji_core.format.passphrases import passphrase_of
from cji_core.jose import key_id
from cji_core.trail import VerifiedFailure, VerifiedReceipt
from cji_core.trail.confirmations import ConfirmationError, VerifiedConfirmation, confirmed_by


@click.command()
@FOLDER
@click.option("--key", type=FILE, required=True, help="PEM file of the key that the policy names in `confirmations`.")
@click.option("--recipient-key", type=FILE, help="The PEM file of a recipient's private key.")
@PROFILE
@AT
@click.option("--out", type=NEW_FILE, required=True, help="Write the confirmation into this new file.")
@answers(ConfirmedReceipt)
@click.pass_context
@explained
def confirm(
    context: click.Context,
    folder: Path,
    *,
    key: Path,
    recipient_key: Path | None,
    profile: Path | None,
    at: str | None,
    out: Path,
    as_json: bool,
) -> None:
    """Verify the result in FOLDER, count the rows of its outputs, and sign the numbers for auditors.

    The cell alone states the counts of a receipt. A confirmation stands beside them: `cji receipt verify` and `cji
    audit review` name its key and day. It has no values of records. Counts that differ from the receipt are signed
    as they were counted, and the exit status is 3: give that confirmation to the auditor.

    \b
    Example:
      cji receipt confirm people.result --key confirm.key --recipient-key recipient.key --out confirmation.jws
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    recipient = recipient_of(recipient_key, profile)
    signer = load_signing_key(key, passphrase=passphrase_of(key, prompt))
    with verified(context, folder, profile, at) as sealed:
        compact, claims, differences = confirmed(sealed, recipient, signer, now=datetime.now(UTC))
        job = sealed.receipt.claims.job_id
    written(out, compact.encode() + b"\n")
    answer = ConfirmedReceipt(
        confirmation=str(out),
        job=job,
        receipt_sha384=claims.receipt_sha384,
        key=key_id(signer.public_key()),
        rows={each.name: each.rows for each in claims.outputs},
        differences=differences,
    )
    counted = ", ".join(f"{rows} of {name}" for name, rows in answer.rows.items())
    print_answer(answer, f"{out}: rows counted: {counted}", as_json=as_json)
    if differences:
        raise Unverified("volumes", f"in the receipt {', '.join(differences)}; {out} states what was counted")


def confirmation_of(file: Path, policy: Path, one: VerifiedReceipt | VerifiedFailure) -> VerifiedConfirmation:
    """The confirmation in a file, verified about this receipt and without a difference. Unverified for any other."""
    if not isinstance(one, VerifiedReceipt):
        raise SpecError("a failure receipt has no counts", remedy="Verify it without --confirmation.")
    (text, *others) = compact_lines(file, "confirmation")
    if others:
        raise SpecError(f"{file.name} has several confirmations", remedy="Give a file with one.")
    try:
        found = confirmed_by(
            text,
            Policy.load(policy.read_bytes()),
            receipt=one.claims,
            receipt_sha384=one.sha384,
            now=datetime.now(UTC),
        )
    except PolicyInvalid as error:
        raise SpecError(f"{policy.name}: {error.where}", remedy="Give the policy file of that job.") from error
    except ConfirmationError as error:
        raise Unverified(f"confirmation.{error.fault}", str(error)) from error
    if found.differences:
        raise Unverified("volumes", found.words)
    return found
