"""The worker's attestation, checked by the submitter: evidence for a fresh nonce, and the key that signs receipts.

1. The worker's earlier evidence is appraised under the submitter's trust and reference values. Azure Attestation made
  its token for this evidence.
2. The token is verified against that verdict as the worker did, by every T check. A worker without one is refused.
3. The evidence for the submitter's nonce is appraised: the same AK in the same boot, later (E35).

The qualifying data of both quotes commit to the receipt key, so the key lives in the appraised machine. PCR 15 shows
that the worker with this key is the one that started in this boot (E48); the earlier evidence may be of before its
start. Several callers may share a quote: the worker's path leads from each nonce to the root that the quote binds.

`to_file` keeps all of it and the issuer's keys of that day, so that a receipt can be verified years later without a
network (`read_evidence`). That the keys are the issuer's, only their certificates can show offline, by the evidence of
an enclave (T18). `AttestedWorker.unchecked` lists what was not shown.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from attestation import AttestationError, Fault, Trust, is_production
from attestation.appraisal import ReferenceValues, Verdict, appraise
from attestation.checks import Check, Skipped
from attestation.evidence import MAX_PATH_BYTES, NONCE_BYTES, Evidence, maa_nonce, qualifying_data
from attestation.maa import SigningKeys, VerifiedToken, verify_token
from attestation.trust import provider_endpoint
from worker.client.errors import ClientError, SpecError, Unreachable, Unverified
from worker.jose import VerifyingKey, parse_canonical_verifying, thumbprint
from worker.wire.v1 import worker_pb2 as pb

MAX_FILE_BYTES: Final = 3 << 20  # two bundles and a JWKS, each of at most 512 KiB, as base64
_KEYS_UNCHECKED: Final = Skipped("T03", "the keys of the token are the file's: nothing shows that the issuer had them")


class EvidenceFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker's answer to one nonce, with the nonce and the time, as evidence.json has it."""

    version: Literal[4]
    cloud: str
    attested_at: Annotated[datetime, Meta(tz=True)]
    nonce: Annotated[bytes, Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
    nonce_path: Annotated[bytes, Meta(max_length=MAX_PATH_BYTES)]
    receipt_jwk: str
    evidence: bytes
    maa_token: str
    token_nonce: Annotated[bytes, Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
    token_evidence: bytes
    maa_url: str
    jwks: bytes  # as the issuer at `maa_url` served it


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestedWorker:
    """A worker whose evidence was accepted. `simulated` is true if the roots are not those of production.

    `offline` is true for evidence from a file, whose token was verified by the keys in it.
    """

    verdict: Verdict
    token: VerifiedToken
    cloud: str
    simulated: bool
    offline: bool
    receipt_key: VerifyingKey = field(repr=False)
    shown: EvidenceFile = field(repr=False)

    @property
    def receipt_jwk(self) -> str:
        """Canonical JWK of the key that signs receipts."""
        return self.shown.receipt_jwk

    @property
    def attested_at(self) -> datetime:
        """The time at which it was appraised."""
        return self.shown.attested_at

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
        """Checks that had nothing to compare with, and the keys of the token if they are a file's: not shown by this.

        A token by the issuer's own key vouches for a paravisor whose measurement is not known (E40): T15 compares it.
        """
        skipped = (*self.verdict.skipped, *self.token.skipped)
        if self.offline and any(check.id == "T18" for check in skipped):
            return (*skipped, _KEYS_UNCHECKED)
        return tuple(check for check in skipped if check.id != "E40")

    def to_file(self) -> bytes:
        """JSON for `read_evidence`."""
        return msgspec.json.format(msgspec.json.encode(self.shown))


def verify_attestation(
    response: pb.AttestResponse,
    *,
    nonce: bytes,
    trust: Trust,
    reference: ReferenceValues,
    maa_url: str,
) -> AttestedWorker:
    """Check the worker's answer to `nonce` (32 bytes). Fetches the issuer's keys over HTTPS.

    Unverified names the check that failed; its `__cause__` has what was found and expected. SpecError for a nonce,
    reference values or an address that no worker could match, Unreachable if the issuer does not answer.
    """
    if len(nonce) != NONCE_BYTES:
        raise SpecError(f"the nonce has {len(nonce)} bytes", remedy=f"Use {NONCE_BYTES} fresh random bytes.")
    if len(response.token_nonce) != NONCE_BYTES:
        raise Unverified("token_nonce", f"the nonce of the token's evidence has {len(response.token_nonce)} bytes")
    shown = EvidenceFile(
        version=4,
        cloud=trust.name,
        attested_at=datetime.now(UTC),
        nonce=nonce,
        nonce_path=response.nonce_path,
        receipt_jwk=response.receipt_jwk,
        evidence=response.evidence,
        maa_token=response.maa_token,
        token_nonce=response.token_nonce,
        token_evidence=response.token_evidence,
        maa_url=maa_url,
        jwks=b"",
    )
    return _appraise(shown, trust=trust, reference=reference, offline=False)


def read_evidence(data: bytes, *, trust: Trust, reference: ReferenceValues) -> AttestedWorker:
    """The attested worker in a file that `AttestedWorker.to_file` wrote, appraised at the time stated there."""
    found = _decode(data)
    if found.cloud != trust.name:
        raise Unverified("cloud", f"the evidence was accepted under other roots than those of {trust.name}")
    return _appraise(found, trust=trust, reference=reference, offline=True)


def evidence_cloud(data: bytes) -> str:
    """The cloud that an evidence file claims: the roots to check it against, and nothing more."""
    return _decode(data).cloud


def _decode(data: bytes) -> EvidenceFile:
    try:
        if len(data) > MAX_FILE_BYTES:
            raise ValueError
        return msgspec.json.decode(data, type=EvidenceFile)
    except (ValueError, RecursionError):
        raise SpecError("the evidence file is not one that `cji job run` wrote") from None


def _appraise(shown: EvidenceFile, *, trust: Trust, reference: ReferenceValues, offline: bool) -> AttestedWorker:
    """Appraise both bundles and the token between them, by the keys that `shown` has or, online, the issuer's."""
    try:
        key = parse_canonical_verifying(shown.receipt_jwk)
    except ValueError:
        raise Unverified("receipt_jwk", "not the canonical JWK of a P-384 public key or of a pair") from None

    def appraised(bundle: bytes, bound: bytes, start: tuple[bytes, ...], earlier: Verdict | None = None) -> Verdict:
        return appraise(
            Evidence.from_json(bundle),
            trust=trust,
            reference=reference,
            expected_qualifying_data=bound,
            start=start,
            now=shown.attested_at,
            earlier=earlier,
        )

    try:
        started = thumbprint(key)
        bound = qualifying_data(started, shown.token_nonce)
        earlier = appraised(shown.token_evidence, bound, (b"", started))
        keys = SigningKeys(
            issuer=provider_endpoint(trust, shown.maa_url), trust=trust, fetch=(lambda: shown.jwks) if offline else None
        )
        token = verify_token(
            shown.maa_token,
            keys=keys,
            verdict=earlier,
            nonce=maa_nonce(bound),
            reference=reference,
            max_age=None,
            now=shown.attested_at.timestamp(),
        )
        bound = qualifying_data(started, shown.nonce, shown.nonce_path)
        verdict = appraised(shown.evidence, bound, (started,), earlier)
    except AttestationError as error:
        if offline and error.check == "maa-url":
            raise Unverified(f"attestation {error.check}", f"{trust.name} has no such issuer") from None
        raise _refused(error) from error
    return AttestedWorker(
        verdict=verdict,
        token=token,
        cloud=trust.name,
        simulated=not is_production(trust),
        offline=offline,
        receipt_key=key,
        shown=msgspec.structs.replace(shown, jwks=keys.document),
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
