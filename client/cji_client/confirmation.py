"""Confirming the counts of a receipt: a recipient opens all outputs, counts their rows, and signs the numbers."""

from datetime import datetime

from cji_client.errors import SpecError
from cji_client.result import Result, count_rows
from cji_client.shard_counts import by_output
from cji_client.signers import Decrypter
from cji_core.jose import SigningKey, key_id
from cji_core.operations.volumes import STATED, wrong_counts
from cji_core.trail import utc_hundredths
from cji_core.trail.confirmations import ConfirmationClaims, CountedOutput, sign_confirmation


def confirm(
    result: Result, recipient: Decrypter, key: SigningKey, *, now: datetime
) -> tuple[str, ConfirmationClaims, tuple[str, ...]]:
    """The signed confirmation of what was counted, its claims, and the counts of the receipt that differ, in words.

    It has the rows of the outputs whose rows the receipt states, and of no other: those may tell of records. A count
    that differs is signed as it was counted: an auditor needs it. Raises SpecError for a key that does not fit the
    suite of the job, and for a job with sealed columns, whose counts would tell of opened values.
    """
    if result.receipt.claims.withheld:
        raise SpecError(
            "the receipt states no counts of what came out: the job had sealed columns",
            remedy="Keep the counts of such jobs where their results are.",
        )
    rows = by_output(result.header, count_rows(result, recipient))
    stated = (output for output in result.header.outputs if output.name in STATED)
    outputs = (CountedOutput(name=each.name, schema=each.schema, rows=rows[each.name]) for each in stated)
    claims = ConfirmationClaims(
        version=1,
        receipt_sha384=result.receipt.sha384,
        suite=result.receipt.claims.suite,
        recipient=key_id(recipient.public_key()),
        outputs=tuple(outputs),
        confirmed=utc_hundredths(now),
    )
    try:
        compact = sign_confirmation(claims, key)
    except ValueError as error:
        remedy = "Use the key that the policy names; for a hybrid job one of `cji key new-signing --hybrid`."
        raise SpecError(f"this key cannot confirm the receipt: {error}", remedy=remedy) from error
    return compact, claims, wrong_counts(result.receipt.claims, result.header.schemas, rows)
