"""The worker's attestation, checked by the submitter: evidence for a fresh nonce, and the key that signs receipts.

1. The worker's earlier evidence is appraised under the submitter's trust and reference values. Azure Attestation made
  its token for this evidence.
2. The token is verified against that verdict as the worker did, by every T check. A worker without one is refused.
3. The evidence for the submitter's nonce is appraised: the same AK in the same boot, later (E35).

The qualifying data of both quotes commit to the receipt key, so the key lives in the appraised machine. PCR 15 shows
that the worker with this key is the one that started in this boot (E48); the earlier evidence may be of before its
start. Several callers may share a quote: the worker's path leads from each nonce to the root that the quote binds.

`to_file` keeps all of it and the issuer's keys of that day, so that a receipt can be verified years later without a
network (`read_evidence`), at a time that is proven (`cji_attestation.times`). That the keys are the issuer's, pins show
offline, or the evidence of an enclave in their certificates (T19). `AttestedWorker.unchecked` lists what was not shown.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

import msgspec

from cji_attestation import AttestationError, Fault, Trust, is_production
from cji_attestation.appraisal import ProvenTime, ReferenceValues, Verdict, appraise, check_reference
from cji_attestation.checks import Check, Skipped
from cji_attestation.evidence import NONCE_BYTES, Evidence, maa_nonce, qualifying_data
from cji_attestation.evidence_file import MAX_FILE_BYTES, EvidenceFile, crl_of, decode_evidence, encoded_values
from cji_attestation.maa import SigningKeys, VerifiedToken, verify_token
from cji_attestation.times import AppraisalTime, proven_time, stated_time, this_moment
from cji_attestation.trust import provider_endpoint
from cji_core.documents import decode
from cji_core.errors import ClientError, SpecError, Unreachable, Unverified
from cji_core.jose import VerifyingKey, parse_canonical_verifying, thumbprint
from cji_core.strict import StrictError
from cji_core.wire.v1 import worker_pb2 as pb


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestedWorker:
    """A worker whose evidence was accepted at `time`. `simulated` is true if the roots are not those of production."""

    verdict: Verdict
    token: VerifiedToken
    cloud: str
    simulated: bool
    time: ProvenTime
    time_checks: tuple[Check, ...]
    receipt_key: VerifyingKey = field(repr=False)
    admission_nonce: bytes = field(default=b"", repr=False)
    """For the admissions of jobs, from a worker that was asked; empty in evidence from a file."""
    shown: EvidenceFile = field(repr=False)

    @property
    def receipt_jwk(self) -> str:
        """Canonical JWK of the key that signs receipts."""
        return self.shown.receipt_jwk

    @property
    def attested_at(self) -> datetime:
        """The time at which it was appraised."""
        return self.time.at

    @property
    def maa_token(self) -> str:
        """The token that the worker sent."""
        return self.shown.maa_token

    @property
    def maa_token_sha384(self) -> str:
        """Hexadecimal SHA-384 of the token that the worker sent."""
        return hashlib.sha384(self.maa_token.encode()).hexdigest()

    @property
    def unchecked(self) -> tuple[Check, ...]:
        """Checks that had nothing to compare with: this does not show these.

        A token by the issuer's own key vouches for a paravisor whose measurement is not known (E40): T15 compares it.
        """
        skipped = tuple(check for check in self.checks if isinstance(check, Skipped))
        return tuple(check for check in skipped if not (check.id == "E40" and self.token.of_issuer))

    @property
    def checks(self) -> tuple[Check, ...]:
        """All that ran, of the time, the machine and the token."""
        return (*self.time_checks, *self.verdict.checks, *self.token.checks)

    def to_file(self) -> bytes:
        """JSON for `read_evidence`."""
        return self.shown.encode()


def verify_attestation(
    response: pb.AttestResponse,
    *,
    nonce: bytes,
    trust: Trust,
    reference: ReferenceValues,
    maa_url: str,
    at: datetime | None = None,
) -> AttestedWorker:
    """Check the worker's answer to `nonce` (32 bytes). Fetches the issuer's keys over HTTPS.

    It is appraised now, or at a time that the caller vouches for, because the answer has lain somewhere since.
    Unverified names the check that failed; its `__cause__` has what was found and expected. SpecError for a nonce,
    reference values or an address that no worker could match, Unreachable if the issuer does not answer.
    """
    if len(nonce) != NONCE_BYTES:
        raise SpecError(f"the nonce has {len(nonce)} bytes", remedy=f"Use {NONCE_BYTES} fresh random bytes.")
    if len(response.token_nonce) != NONCE_BYTES:
        raise Unverified("token_nonce", f"the nonce of the token's evidence has {len(response.token_nonce)} bytes")
    shown = EvidenceFile(
        version=6,
        cloud=trust.name,
        attested_at=at or datetime.now(UTC),
        nonce=nonce,
        nonce_path=response.nonce_path,
        receipt_jwk=response.receipt_jwk,
        evidence=response.evidence,
        maa_token=response.maa_token,
        token_nonce=response.token_nonce,
        token_evidence=response.token_evidence,
        maa_url=maa_url,
        jwks=b"",
        reference=encoded_values(reference),
        bundle_update=response.bundle_update or msgspec.UNSET,
    )
    keys = _keys(maa_url, trust)

    def time() -> AppraisalTime:
        return this_moment() if at is None else stated_time(at, "the receipt, between sealing and now")

    attested = _appraise(shown, trust=trust, reference=reference, keys=keys, time=time)
    crl = crl_of(attested.verdict, reference)
    shown = msgspec.structs.replace(shown, jwks=keys.document, amd_crl=crl)
    return replace(attested, shown=shown, admission_nonce=response.admission_nonce)


def read_evidence(
    data: bytes, *, trust: Trust, reference: ReferenceValues, at: datetime | None = None
) -> AttestedWorker:
    """The attested worker in a file that `AttestedWorker.to_file` wrote, appraised at the latest time that it proves.

    `at` is a time that the caller vouches for instead. Unverified for a file that proves none (E52).
    """
    found = decode_evidence(data)
    if found.cloud != trust.name:
        raise Unverified("cloud", f"the evidence was accepted under other roots than those of {trust.name}")
    keys = _keys(found.maa_url, trust, stored=found.jwks)

    def time() -> AppraisalTime:
        if at is not None:
            return stated_time(at, "the caller's word")
        return proven_time(found, keys=keys, reference=reference)

    return _appraise(found, trust=trust, reference=reference, keys=keys, time=time)


def read_as_made(data: bytes, *, trust: Trust) -> AttestedWorker:
    """The attested worker in a file by its maker's word: the reference values, and the time if the file proves none.

    The vendors' roots are the caller's, and every check runs. What is not shown is that the machine is one that anybody
    but the maker accepts, and when. `AttestedWorker.time.by` states whose word the time is.
    """
    found = decode_evidence(data)
    try:
        reference = decode(found.reference, ReferenceValues, limit=MAX_FILE_BYTES)
    except StrictError as error:
        raise Unverified("reference", "the file has no reference values of its maker") from error
    try:
        return read_evidence(data, trust=trust, reference=reference)
    except Unverified as error:
        cause = error.__cause__
        if not isinstance(cause, AttestationError) or cause.check != "E52":
            raise
    attested = read_evidence(data, trust=trust, reference=reference, at=found.attested_at)
    return replace(attested, time=ProvenTime(at=attested.time.at, by="its maker's word"))


def _keys(maa_url: str, trust: Trust, *, stored: bytes | None = None) -> SigningKeys:
    try:
        issuer = provider_endpoint(trust, maa_url)
    except AttestationError as error:
        if stored is None:
            raise _refused(error) from error
        raise Unverified(f"attestation {error.check}", f"{trust.name} has no such issuer") from None
    return SigningKeys(issuer=issuer, trust=trust, fetch=None if stored is None else lambda: stored)


def evidence_cloud(data: bytes) -> str:
    """The cloud that an evidence file claims: the roots to check it against, and nothing more."""
    return decode_evidence(data).cloud


def _appraise(
    shown: EvidenceFile,
    *,
    trust: Trust,
    reference: ReferenceValues,
    keys: SigningKeys,
    time: Callable[[], AppraisalTime],
) -> AttestedWorker:
    """Appraise both bundles and the token between them. They are of one boot, of which the second shows the update."""
    try:
        key = parse_canonical_verifying(shown.receipt_jwk)
    except ValueError:
        raise Unverified("receipt_jwk", "not the canonical JWK of a P-384 public key or of a pair") from None
    try:
        check_reference(reference)
        when, started, update = time(), thumbprint(key), shown.update
        appraised = partial(
            appraise, trust=trust, reference=reference, now=when.time.at, crl=shown.amd_crl, update=update
        )
        bound = qualifying_data(started, shown.token_nonce)
        earlier = appraised(
            Evidence.from_json(shown.token_evidence), expected_qualifying_data=bound, start=(b"", started)
        )
        token = verify_token(
            shown.maa_token,
            keys=keys,
            verdict=earlier,
            nonce=maa_nonce(bound),
            reference=reference,
            max_age=None,
            now=when.presented.timestamp(),
        )
        verdict = appraised(
            Evidence.from_json(shown.evidence),
            expected_qualifying_data=qualifying_data(started, shown.nonce, shown.nonce_path, update=update),
            start=(started,),
            earlier=earlier,
        )
    except AttestationError as error:
        raise _refused(error) from error
    return AttestedWorker(
        verdict=verdict,
        token=token,
        cloud=trust.name,
        simulated=not is_production(trust),
        time=when.time,
        time_checks=when.checks,
        receipt_key=key,
        shown=shown,
    )


def _refused(error: AttestationError) -> ClientError:
    """The submitter's view of the error: in most cases, the worker's evidence failed a check."""
    match error.fault:
        case Fault.CONFIG_INVALID:
            return SpecError(f"{error.check}: no worker can be checked against this", remedy=error.remedy)
        case Fault.MAA_UNAVAILABLE:
            return Unreachable(f"{error.fault} at {error.check}", remedy=error.remedy)
        case _:
            return Unverified(f"attestation {error.check}", str(error))
