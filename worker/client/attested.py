"""The worker's attestation, checked by the submitter: evidence for a fresh nonce, and the key that signs receipts.

1. The evidence is appraised under the submitter's trust and reference values.
2. The quote's qualifying data commits to the receipt key and the nonce, so the key lives in the appraised machine.
   Several callers may share a quote: the worker's path leads from each nonce to the root that the quote binds.
   PCR 15 shows that the worker with this key was the one that started in this boot.
3. The Azure Attestation token, if present, is about the same machine.

`to_file` keeps all of it and the issuer's keys of that day, so that a receipt can be verified years later without a
network (`read_evidence`). Steps 1 and 2 rest on the hardware's own roots. That the keys are Microsoft's, only their
certificates can show offline, if they carry the evidence of an enclave (T18). The time of the file must be one at which
certificates, CRLs, collateral and token were all in force: the token bounds it to its own hours.
"""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Meta

from attestation import AttestationError, Fault, Trust, is_production
from attestation.appraisal import ReferenceValues, Verdict, appraise
from attestation.evidence import MAX_PATH_BYTES, NONCE_BYTES, Evidence, qualifying_data
from attestation.maa import SigningKeys, verify_presented_token
from attestation.trust import provider_endpoint
from worker.client.errors import ClientError, SpecError, Unreachable, Unverified
from worker.jose import parse_canonical_p384, thumbprint
from worker.wire.v1 import worker_pb2 as pb

MAX_FILE_BYTES: Final = 2 << 20


class _EvidenceFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: Literal[2]
    cloud: str
    attested_at: Annotated[datetime, Meta(tz=True)]
    nonce: Annotated[bytes, Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
    nonce_path: Annotated[bytes, Meta(max_length=MAX_PATH_BYTES)]
    receipt_jwk: str
    evidence: bytes
    maa_token: str
    maa_url: str = ""  # the issuer, and its JWKS as it was served; empty without a token
    jwks: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestedWorker:
    """A worker whose evidence was accepted. `simulated` is true if the roots are not those of production."""

    verdict: Verdict
    cloud: str
    simulated: bool
    receipt_key: ec.EllipticCurvePublicKey = field(repr=False)
    receipt_jwk: str = field(repr=False)
    evidence: bytes = field(repr=False)
    maa_token: str = field(repr=False)
    nonce: bytes = field(repr=False)
    nonce_path: bytes = field(repr=False)
    attested_at: datetime
    maa_url: str = field(default="", repr=False)
    jwks: bytes = field(default=b"", repr=False)

    @property
    def maa_token_sha384(self) -> str:
        """Hexadecimal SHA-384 of the token that the worker sent."""
        return hashlib.sha384(self.maa_token.encode()).hexdigest()

    def to_file(self) -> bytes:
        """JSON for `read_evidence`."""
        return msgspec.json.format(
            msgspec.json.encode(
                _EvidenceFile(
                    version=2,
                    cloud=self.cloud,
                    attested_at=self.attested_at,
                    nonce=self.nonce,
                    nonce_path=self.nonce_path,
                    receipt_jwk=self.receipt_jwk,
                    evidence=self.evidence,
                    maa_token=self.maa_token,
                    maa_url=self.maa_url,
                    jwks=self.jwks,
                )
            )
        )


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
    now = datetime.now(UTC)
    found = _EvidenceFile(
        version=2,
        cloud=trust.name,
        attested_at=now,
        nonce=nonce,
        nonce_path=response.nonce_path,
        receipt_jwk=response.receipt_jwk,
        evidence=response.evidence,
        maa_token=response.maa_token,
    )
    attested = _appraise(found, trust=trust, reference=reference)
    if not attested.maa_token:
        return attested
    keys = _keys(maa_url, trust)
    _verify_token(attested, keys)
    return replace(attested, maa_url=maa_url, jwks=keys.document)


def read_evidence(data: bytes, *, trust: Trust, reference: ReferenceValues) -> AttestedWorker:
    """The attested worker in a file that `AttestedWorker.to_file` wrote, appraised at the time stated there."""
    found = _decode(data)
    if found.cloud != trust.name:
        raise Unverified("cloud", f"the evidence was accepted under other roots than those of {trust.name}")
    attested = _appraise(found, trust=trust, reference=reference)
    if found.maa_token and found.jwks:
        _verify_token(attested, _keys(found.maa_url, trust, stored=found.jwks))
    return attested


def _keys(maa_url: str, trust: Trust, *, stored: bytes | None = None) -> SigningKeys:
    try:
        issuer = provider_endpoint(trust, maa_url)
    except AttestationError as error:
        raise _refused(error) from error
    return SigningKeys(issuer=issuer, trust=trust, fetch=None if stored is None else lambda: stored)


def _verify_token(attested: AttestedWorker, keys: SigningKeys) -> None:
    """At the time of the appraisal, which the token's own times so confirm (T06)."""
    try:
        at = attested.attested_at.timestamp()
        verify_presented_token(attested.maa_token, keys=keys, verdict=attested.verdict, now=at)
    except AttestationError as error:
        raise _refused(error) from error


def evidence_cloud(data: bytes) -> str:
    """The cloud that an evidence file claims: the roots to check it against, and nothing more."""
    return _decode(data).cloud


def _decode(data: bytes) -> _EvidenceFile:
    try:
        if len(data) > MAX_FILE_BYTES:
            raise ValueError
        return msgspec.json.decode(data, type=_EvidenceFile)
    except (ValueError, RecursionError):
        raise SpecError("the evidence file is not one that `cji job run` wrote") from None


def _appraise(found: _EvidenceFile, *, trust: Trust, reference: ReferenceValues) -> AttestedWorker:
    try:
        key = parse_canonical_p384(found.receipt_jwk)
    except ValueError:
        raise Unverified("receipt_jwk", "not the canonical JWK of a P-384 public key") from None
    try:
        verdict = appraise(
            Evidence.from_json(found.evidence),
            trust=trust,
            reference=reference,
            expected_qualifying_data=qualifying_data(thumbprint(key), found.nonce, found.nonce_path),
            start=(thumbprint(key),),
            now=found.attested_at,
        )
    except AttestationError as error:
        raise _refused(error) from error
    return AttestedWorker(
        verdict=verdict,
        cloud=trust.name,
        simulated=not is_production(trust),
        receipt_key=key,
        receipt_jwk=found.receipt_jwk,
        evidence=found.evidence,
        maa_token=found.maa_token,
        nonce=found.nonce,
        nonce_path=found.nonce_path,
        attested_at=found.attested_at,
        maa_url=found.maa_url,
        jwks=found.jwks,
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
