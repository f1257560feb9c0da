"""`verify_token`: an Azure Attestation token for key release, or an error with the number of the check.

 T01 three canonical base64url segments, at most 64 KiB; claims without duplicate members, at most 16 levels deep
 T02 the header's alg is RS256, no crit, no b64; whatever the header says about keys is not looked at
 T03 kid is published by the pinned issuer
 T04 that key signed the token
 T05 iss is the pinned issuer, character by character
 T06 exp, nbf, iat are integers; iat and nbf ≤ now, exp > now (60 s of skew), exp - iat ≤ 24 h, age ≤ the limit
 T07 x-ms-attestation-type is azurevm: only then is the nested schema below read, and only at its own level
 T08 x-ms-isolation-tee.x-ms-attestation-type names the hardware that we appraised
 T09 x-ms-isolation-tee.x-ms-compliance-status is azure-compliant-cvm
 T10 the hardware is not debuggable or migratable, VMPL is 0; of TDX, the TCB status is the one that Intel gave us
 T11 secure boot is on; boot, kernel and hypervisor debugging, test and flight signing are off
 T12 x-ms-runtime.client-payload.nonce is base64 of our nonce text
 T13 x-ms-runtime.keys: our ephemeral key is the first encryption key and the only one (Key Vault takes the first)
 T14 x-ms-isolation-tee.x-ms-runtime has exactly one HCLAkPub, and it is the AK that we appraised
 T15 every claim that repeats the hardware report has the value of the report that we judged, and vmUniqueId is the same
 T16 x-ms-policy-hash is pinned, where the reference values pin it
 T17 the attested PCRs are 0 to 7 and, where the token has their values, ours
 T18 the signing key lives in an enclave that the reference values name, where they name one

Claims list: learn.microsoft.com, "Azure Attestation claim sets"; key selection: "Azure Key Vault secure key release
policy grammar". A claim that is missing is a claim that failed.
"""

import base64
import hashlib
import hmac
from dataclasses import InitVar, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import rsa

from attestation.appraisal import ReferenceValues, Verdict
from attestation.errors import AttestationError, Fault
from attestation.evidence.hcl import Tee, runtime_ak
from attestation.jose import rsa_from_jwk, split_jws, verify_rs256
from attestation.maa.agreement import Fact, expected_claims
from attestation.maa.enclave import verify_enclave
from attestation.maa.jwks import SigningKeys
from attestation.strict_json import JsonObject, member, parse_object

__all__ = ["MAX_TOKEN_BYTES", "SKEW", "VerifiedToken", "verify_token"]

MAX_TOKEN_BYTES: Final = 64 * 1024  # a real token has about 6 KiB
SKEW: Final = 60  # seconds
MAX_LIFETIME: Final = 86400  # seconds; Azure Attestation gives 8 hours
_OFF: Final = ("bootdebug", "kerneldebug", "hypervisordebug", "testsigning", "flightsigning")
_TEE_NAMES: Final[dict[Tee, str]] = {"snp": "sevsnpvm", "tdx": "tdxvm"}
_SEAL: Final = object()  # known to `verify_token` alone


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedToken:
    """A token that passed T01 to T18, at the time of `verify_token`. `raw` is a bearer secret: never log it.

    The seal is not kept, so a copy with another member cannot be made either.
    """

    raw: str = field(repr=False)
    issuer: str
    jti: str
    policy_hash: str
    issued: int  # seconds since 1970
    expires: int
    sha384: bytes
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("a VerifiedToken comes from verify_token()")

    def require_fresh(self, *, now: float, max_age: int) -> None:
        """To be asked before each use: TOKEN_INVALID "age" for a token that is expired, or `max_age` seconds old."""
        _require(self.issued - SKEW <= now <= min(self.issued + max_age, self.expires), "age")


def verify_token(
    raw: str,
    *,
    keys: SigningKeys,
    verdict: Verdict,
    nonce: str,
    reference: ReferenceValues,
    now: float,
) -> VerifiedToken:
    """Check `raw` against the issuer's keys and our own verdict; raises TOKEN_INVALID with the check's number."""
    jws = split_jws(raw, limit=MAX_TOKEN_BYTES, fault=Fault.TOKEN_INVALID, check="T01", header_check="T02")
    kid = jws.header.get("kid")
    _require(isinstance(kid, str), "T03")
    signing = keys.get(str(kid))
    payload = verify_rs256(jws, signing.key, fault=Fault.TOKEN_INVALID, check="T04")
    claims = parse_object(payload, limit=MAX_TOKEN_BYTES, fault=Fault.TOKEN_INVALID, check="T01")

    _require(claims.get("iss") == keys.issuer, "T05")
    issued, expires = _times(claims, now=now, max_age=reference.token_max_age)
    _require(claims.get("x-ms-attestation-type") == "azurevm", "T07")
    tee = member(claims, "x-ms-isolation-tee", fault=Fault.TOKEN_INVALID, check="T08")
    _require(tee.get("x-ms-attestation-type") == _TEE_NAMES[verdict.tee], "T08")
    _require(tee.get("x-ms-compliance-status") == "azure-compliant-cvm", "T09")
    _hardware(tee, verdict)
    _boot(claims)
    runtime = member(claims, "x-ms-runtime", fault=Fault.TOKEN_INVALID, check="T12")
    _nonce(runtime, nonce)
    _ephemeral(runtime, verdict.ephemeral)
    _agreement(tee, verdict)
    policy_hash = claims.get("x-ms-policy-hash")
    _require(isinstance(policy_hash, str), "T16")
    if reference.maa_policy_hashes is not None:
        _require(policy_hash in reference.maa_policy_hashes, "T16")
    _pcrs(claims, verdict)
    if reference.maa_enclave is not None:
        at = datetime.fromtimestamp(now, UTC)
        verify_enclave(signing, enclave=reference.maa_enclave, roots=keys.amd_roots, now=at)
    jti = claims.get("jti")
    _require(isinstance(jti, str) and 0 < len(str(jti)) <= 128, "T01")
    return VerifiedToken(
        raw=raw,
        issuer=keys.issuer,
        jti=str(jti),
        policy_hash=str(policy_hash),
        issued=issued,
        expires=expires,
        sha384=hashlib.sha384(raw.encode("ascii")).digest(),
        seal=_SEAL,
    )


def _require(condition: bool, check: str) -> None:
    if not condition:
        raise AttestationError(Fault.TOKEN_INVALID, check=check)


def _times(claims: JsonObject, *, now: float, max_age: int) -> tuple[int, int]:
    """T06; `type(x) is int` leaves out true, 1.0 and "1"."""
    exp, nbf, iat = (claims.get(name) for name in ("exp", "nbf", "iat"))
    if type(exp) is not int or type(nbf) is not int or type(iat) is not int:
        raise AttestationError(Fault.TOKEN_INVALID, check="T06")
    timely = 0 < iat <= now + SKEW and 0 < nbf <= now + SKEW and now < exp + SKEW
    lasting = iat < exp <= iat + MAX_LIFETIME and now - iat <= max_age + SKEW
    _require(timely and lasting, "T06")
    return iat, exp


def _is(value: Any, expected: Fact) -> bool:
    """Equal in value and in type: true is not 1 here."""
    return type(value) is type(expected) and value == expected


def _hardware(tee: JsonObject, verdict: Verdict) -> None:
    """T10. What may be absent is compared with the report in T15."""
    if verdict.tee == "snp":
        sound = (
            _is(tee.get("x-ms-sevsnpvm-is-debuggable"), False)
            and _is(tee.get("x-ms-sevsnpvm-migration-allowed"), False)
            and _is(tee.get("x-ms-sevsnpvm-vmpl"), 0)
        )
    else:
        sound = (
            _is(tee.get("tdx_td_attributes_debug"), False)
            and _is(tee.get("tdx_td_attributes_migratable", False), False)
            and tee.get("dbgstat") == "disabled"
            and tee.get("attester_tcb_status") == verdict.tcb_status
        )
    _require(sound, "T10")


def _boot(claims: JsonObject) -> None:
    """T11."""
    _require(_is(claims.get("secureboot"), True), "T11")
    for name in _OFF:
        _require(_is(claims.get(f"x-ms-azurevm-{name}-enabled"), False), "T11")


def _nonce(runtime: JsonObject, nonce: str) -> None:
    """T12."""
    payload = member(runtime, "client-payload", fault=Fault.TOKEN_INVALID, check="T12")
    echoed = payload.get("nonce")
    expected = base64.b64encode(nonce.encode("ascii"))
    _require(bool(nonce) and isinstance(echoed, str) and echoed.isascii(), "T12")
    _require(hmac.compare_digest(str(echoed).encode("ascii"), expected), "T12")


def _encrypts(jwk: JsonObject) -> bool:
    """How Key Vault finds the key that it wraps to."""
    operations = jwk.get("key_ops")
    return "enc" in {str(jwk.get("use")), str(jwk.get("key_use"))} or (
        isinstance(operations, list) and "encrypt" in operations
    )


def _ephemeral(runtime: JsonObject, ephemeral: rsa.RSAPublicKey) -> None:
    """T13."""
    keys = runtime.get("keys")
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise AttestationError(Fault.TOKEN_INVALID, check="T13")
    suitable = [key for key in keys if _encrypts(key)]
    _require(len(suitable) == 1, "T13")
    found = rsa_from_jwk(suitable[0], fault=Fault.TOKEN_INVALID, check="T13")
    _require(found.public_numbers() == ephemeral.public_numbers(), "T13")


def _agreement(tee: JsonObject, verdict: Verdict) -> None:
    """T14 and T15: Microsoft judged the machine that we judged."""
    runtime = member(tee, "x-ms-runtime", fault=Fault.TOKEN_INVALID, check="T14")
    ak = runtime_ak(runtime, fault=Fault.TOKEN_INVALID, check="T14")
    _require(ak.public_numbers() == verdict.ak.public_numbers(), "T14")
    machine = member(runtime, "vm-configuration", fault=Fault.TOKEN_INVALID, check="T15")
    _require(machine.get("vmUniqueId") == verdict.vm_unique_id, "T15")
    expected = expected_claims(verdict)
    for name, value in expected.facts.items():
        _require(_is(tee.get(name), value), "T15")
    for name, value in expected.recent.items():
        _require(_is(tee.get(name, value), value), "T15")


def _pcrs(claims: JsonObject, verdict: Verdict) -> None:
    """T17."""
    attested = claims.get("x-ms-azurevm-attested-pcrs")
    _require(isinstance(attested, list) and len(attested) == 8 and all(map(_is, attested, range(8))), "T17")
    values = claims.get("x-ms-azurevm-attested-pcr-values")
    if values is None:
        return  # tokens before 2026
    ours = {f"pcr{pcr}": base64.b64encode(value).decode("ascii") for pcr, value in enumerate(verdict.pcrs)}
    _require(values == ours, "T17")
