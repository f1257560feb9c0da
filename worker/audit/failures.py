"""The signed failure receipt of a job by reference that was given up: compact JWS, `typ` "cji-failure+jws".

    failure = b64url(header) "." b64url(payload) "." b64url(signature)
    header  = {"alg":"ES384","kid":"<RFC 7638 thumbprint>","typ":"cji-failure+jws"}        exactly, in this order
              with "ML-DSA-87-ES384" for a job of the suite hybrid-1
    payload = `FailureClaims` as compact JSON, members in the order of their definition

It is signed by the key that signs receipts. It states that this worker does not try the job again, for this reason. It
does not state that no attempt completed on another worker: a receipt outweighs it.

Contract and invariants
* `verify_failure` chooses nothing by what it reads: algorithm, key and type are the reader's; `kid` is only compared.
* A failure receipt has one encoding; anything else is a ReceiptError that names the fault, as for receipts.
Sources: RFC 7515, RFC 7518 §3.4, RFC 8725.
"""

from typing import Annotated, Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from msgspec import Meta

from worker.audit.fields import Code, Count, Hex32, Hex96, KeyId, Ori, Token, Utc
from worker.audit.fleet_events import Tries
from worker.audit.receipts import MAX_BYTES, ReceiptError
from worker.errors import Reason, Stage
from worker.jose import SigningKey, VerifyingKey, b64url, b64url_decode, key_id
from worker.jose import sign as sign_message
from worker.jose import verify as verify_message
from worker.suites import Suite

Alg = Literal["ES384", "ML-DSA-87-ES384"]
_ALGS: Final[dict[Suite, Alg]] = {Suite.CLASSICAL_1: "ES384", Suite.HYBRID_1: "ML-DSA-87-ES384"}


class FailureClaims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is signed. `reason` and `stage` are those of the last attempt, as the machine's fleet process reports them.

    `tries` counts the attempts that began, on any worker of the pool.
    """

    version: Annotated[int, Meta(ge=1, le=1)]
    worker: Token
    region: Token
    job_id: Hex32
    header_sha384: Hex96
    submitter: Token
    requesting_ori: Ori
    suite: Suite
    purpose_code: Code
    tries: Tries
    stage: Stage
    reason: Reason
    at: Utc
    evidence_sha384: Hex96
    maa_token_sha384: Hex96
    policy_sha384: Hex96
    config_sha384: Hex96
    code_sha384: Hex96
    simulated: bool
    audit_anchor: Count


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    alg: Alg
    kid: KeyId
    typ: Literal["cji-failure+jws"]


_encoder: Final = msgspec.json.Encoder(order="deterministic")
_headers: Final = msgspec.json.Decoder(_Header)
_claims: Final = msgspec.json.Decoder(FailureClaims)


def sign_failure(claims: FailureClaims, private_key: SigningKey) -> str:
    """The compact JWS. Raises ValueError if a claim does not fit its type or the key its suite."""
    header = _Header(alg=_ALGS[claims.suite], kid=key_id(private_key.public_key()), typ="cji-failure+jws")
    try:
        payload = _encoder.encode(claims)
        _claims.decode(payload)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ValueError("claim out of shape") from error
    signed = f"{b64url(_encoder.encode(header))}.{b64url(payload)}"
    return f"{signed}.{b64url(sign_message(private_key, signed.encode('ascii'), claims.suite))}"


def verify_failure(
    failure: str, *, key: VerifyingKey, job_id: str, header_sha384: str, simulated: bool
) -> FailureClaims:
    """The claims, if this key signed them about exactly this job on such a machine. Raises ReceiptError."""
    signed, payload, signature = _parts(failure)
    try:
        claims = _claims.decode(payload)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ReceiptError("payload") from error
    if _encoder.encode(claims) != payload:
        raise ReceiptError("payload")
    header = _Header(alg=_ALGS[claims.suite], kid=key_id(key), typ="cji-failure+jws")
    if signed.partition(".")[0] != b64url(_encoder.encode(header)):
        raise ReceiptError("header")
    try:
        verify_message(key, signature, signed.encode("ascii"), claims.suite)
    except (InvalidSignature, ValueError, TypeError) as error:
        raise ReceiptError("signature") from error
    wanted = {"job_id": job_id, "header_sha384": header_sha384, "simulated": simulated}
    if differing := tuple(name for name, value in wanted.items() if getattr(claims, name) != value):
        raise ReceiptError(differing[0], differing=differing)
    return claims


def _parts(failure: str) -> tuple[str, bytes, bytes]:
    """What was signed, the payload, the signature."""
    pieces = failure.split(".")
    if len(failure) > MAX_BYTES or len(pieces) != 3:
        raise ReceiptError("form")
    try:
        payload, signature = b64url_decode(pieces[1]), b64url_decode(pieces[2])
        _headers.decode(b64url_decode(pieces[0]))
    except (ValueError, UnicodeError, RecursionError) as error:
        raise ReceiptError("form") from error
    return f"{pieces[0]}.{pieces[1]}", payload, signature
