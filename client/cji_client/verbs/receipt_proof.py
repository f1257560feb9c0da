"""A receipt as a `Proof`: verified against the evidence of the machine that signed it, or only as its own claims."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from cji_attestation.attested import AttestedWorker
from cji_attestation.checks import Check, Skipped
from cji_attestation.verbs.proof_page import Proof, Rows
from cji_client.errors import Unverified
from cji_core.trail import Claims, ReceiptError, VerifiedFailure, VerifiedReceipt
from cji_core.trail.receipts import claims_unverified

Either: TypeAlias = VerifiedReceipt | VerifiedFailure

_SIGNATURE: Final = Check("signature", "made by the key that the quote of the appraised machine binds")
_HEADER: Final = Check("job", "the receipt is for exactly the header that was given, and states its claims")


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
