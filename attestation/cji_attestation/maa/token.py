"""Azure Attestation's tokens, verified in one place for both parties that rely on one. Checks: T01 to T19.

A worker verifies the token that it requested. It presents the same token to submitters, with the evidence and the nonce
that it was made for; they appraise that evidence and verify the token against it as the worker did.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from cji_attestation.appraisal import ReferenceValues, Verdict
from cji_attestation.checks import Check, Skipped
from cji_attestation.errors import Fault, Record
from cji_attestation.maa.claims import (
    SKEW,
    authentic_claims,
    check_ak,
    check_boot,
    check_ephemeral,
    check_hardware,
    check_key,
    check_nonce,
    check_pcrs,
    check_policy_hash,
    check_report,
    check_times,
    check_vm,
    confidential_vm,
    refused,
)
from cji_attestation.maa.enclave import check_enclave
from cji_attestation.maa.jwks import SigningKey, SigningKeys
from cji_attestation.strict import member
from cji_core.verified import _CONSTRUCTOR_KEY, Verified

MAX_TOKEN_BYTES: Final = 64 * 1024  # a real token has about 6 KiB
MAX_JTI: Final = 128
MOST_SECONDS: Final = 253402300800  # the year 10000


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedToken(Verified):
    """A token that passed T01 to T19, at the time of `verify_token`. `raw` is a bearer secret: never log it."""

    raw: str = field(repr=False)
    issuer: str
    jti: str
    policy_hash: str
    issued: int  # seconds since 1970
    expires: int
    sha384: bytes
    checks: tuple[Check, ...]

    @property
    def skipped(self) -> tuple[Check, ...]:
        """The checks that had nothing to compare with: the token does not show these."""
        return tuple(check for check in self.checks if isinstance(check, Skipped))

    @property
    def of_issuer(self) -> bool:
        """Whether it is known that the issuer had the signing key (T19)."""
        return not any(check.id == "T19" for check in self.skipped)

    def require_fresh(self, *, now: float, max_age: int) -> None:
        """Call before each use: TOKEN_INVALID "age" for a token that is expired, or `max_age` seconds old."""
        if not self.issued - SKEW <= now <= min(self.issued + max_age, self.expires):
            raise refused("age")


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """The time at which a token says that it was issued, seconds since 1970, and whether that is the issuer's word."""

    at: int
    proven: bool


def issue_of(raw: str, *, keys: SigningKeys, reference: ReferenceValues) -> Issue:
    """When a token was issued, to find the time of an appraisal: `verify_token` is the one that accepts it.

    TOKEN_INVALID at T01 to T06, T18 or T19.
    """
    record = Record()
    claims, signing = authentic_claims(raw, keys=keys, limit=MAX_TOKEN_BYTES, record=record)
    issued = claims.get("iat")
    if type(issued) is not int or not 0 < issued < MOST_SECONDS:
        raise refused("T06", found=f"iat {issued}")
    signer = _check_signer(signing, keys, reference, now=issued, record=record)
    return Issue(at=issued, proven=not isinstance(signer, Skipped))


def _check_signer(
    signing: SigningKey, keys: SigningKeys, reference: ReferenceValues, *, now: float, record: Record
) -> Check:
    """T18, recorded, and T19."""
    at = datetime.fromtimestamp(now, UTC)
    enclave = check_enclave(signing, reference.maa_enclave, roots=keys.amd_roots, now=at)
    record.add(enclave)
    return check_key(
        signing, reference.maa_keys, from_issuer=keys.from_issuer, in_enclave=not isinstance(enclave, Skipped)
    )


def verify_token(
    raw: str,
    *,
    keys: SigningKeys,
    verdict: Verdict,
    nonce: str,
    reference: ReferenceValues,
    max_age: int | None,
    now: float,
) -> VerifiedToken:
    """Check `raw` against the issuer's keys and our own verdict; TOKEN_INVALID with the number of the check.

    `max_age` is in seconds; without it the token may be as old as it allows itself to be.
    """
    with Record() as record:
        claims, signing = authentic_claims(raw, keys=keys, limit=MAX_TOKEN_BYTES, record=record)
        issued, expires = record.take(check_times(claims, now=now, max_age=max_age))
        tee = confidential_vm(claims, verdict, record)
        record.add(check_hardware(tee, verdict))
        record.add(check_boot(claims))
        runtime = member(claims, "x-ms-runtime", fault=Fault.TOKEN_INVALID, check="T12")
        record.add(check_nonce(runtime, nonce))
        record.add(check_ephemeral(runtime, verdict.ephemeral))
        vm_runtime = record.take(check_ak(tee, verdict))
        record.add(check_vm(vm_runtime, verdict))
        record.add(check_report(tee, verdict))
        policy_hash = record.take(check_policy_hash(claims, reference.maa_policy_hashes))
        record.add(check_pcrs(claims, verdict))
        record.add(_check_signer(signing, keys, reference, now=now, record=record))
        jti = claims.get("jti")
        if not (isinstance(jti, str) and 0 < len(jti) <= MAX_JTI):
            raise refused("T01", found="no jti, or one of more than 128 characters")
    return VerifiedToken(
        raw=raw,
        issuer=keys.issuer,
        jti=jti,
        policy_hash=policy_hash,
        issued=issued,
        expires=expires,
        sha384=hashlib.sha384(raw.encode("ascii")).digest(),
        checks=record.checks,
        constructor_key=_CONSTRUCTOR_KEY,
    )
