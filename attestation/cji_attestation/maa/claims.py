"""The T checks on a token of Azure Attestation, one function each or a few; `cji_attestation.checks` has their texts.

`cji_attestation.maa.token` runs them. Every refusal is TOKEN_INVALID with the number of the check.
"""

import base64
import hmac
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import rsa

from cji_attestation.appraisal import Verdict
from cji_attestation.checks import Check, Skipped
from cji_attestation.errors import AttestationError, Fault, Record
from cji_attestation.evidence.hcl import Tee, runtime_ak
from cji_attestation.maa.agreement import Fact, expected_claims
from cji_attestation.maa.jwks import SigningKey, SigningKeys
from cji_attestation.strict import member, parse_object, rsa_from_jwk, split_jws, verify_rs256
from cji_core.certs import spki_sha256
from cji_core.strict import JsonObject

SKEW: Final = 60  # seconds
MAX_LIFETIME: Final = 86400  # seconds; Azure Attestation gives 8 hours
_OFF: Final = ("bootdebug", "kerneldebug", "hypervisordebug", "testsigning", "flightsigning")
_TEE_NAMES: Final[dict[Tee, str]] = {"snp": "sevsnpvm", "tdx": "tdxvm"}


def refused(check: str, *, found: str = "", expected: str = "") -> AttestationError:
    """TOKEN_INVALID at a check."""
    return AttestationError(Fault.TOKEN_INVALID, check=check, found=found, expected=expected)


def authentic_claims(raw: str, *, keys: SigningKeys, limit: int, record: Record) -> tuple[JsonObject, SigningKey]:
    """T01 to T05: the claims of a token of at most `limit` characters that the pinned issuer signed, and the key."""
    if not raw:
        raise refused("T01", found="no token", expected="the token of Azure Attestation")
    jws = split_jws(raw, limit=limit, fault=Fault.TOKEN_INVALID, check="T01", header_check="T02")
    record.add(Check("T02", "RS256"))
    kid = jws.header.get("kid")
    if not isinstance(kid, str):
        raise refused("T03", found="no kid")
    signing = keys.get(kid)
    record.add(Check("T03", "key published by the issuer"))
    payload = verify_rs256(jws, signing.key, fault=Fault.TOKEN_INVALID, check="T04")
    record.add(Check("T04", "signed by that key"))
    claims = parse_object(payload, limit=limit, fault=Fault.TOKEN_INVALID, check="T01")
    record.add(Check("T01", f"{len(claims)} claims"))
    if claims.get("iss") != keys.issuer:
        raise refused("T05", found=f"issuer {claims.get('iss')}", expected=keys.issuer)
    record.add(Check("T05", f"issuer {keys.issuer}"))
    return claims, signing


def check_key(signing: SigningKey, pins: tuple[str, ...] | None, *, from_issuer: bool, in_enclave: bool) -> Check:
    """T19. `pins` are SHA-256 of SubjectPublicKeyInfos; they are for keys that did not come from the issuer itself."""
    if from_issuer:
        return Check("T19", "key served by the issuer")
    if in_enclave:
        return Check("T19", "key in a named enclave")
    found = spki_sha256(signing.key)
    if pins is None:
        return Skipped("T19", f"key {found} is not pinned: nothing shows that it is the issuer's")
    if found not in pins:
        raise refused("T19", found=f"key {found}", expected=" or ".join(pins))
    return Check("T19", "key pinned")


def check_times(claims: JsonObject, *, now: float, max_age: int | None) -> tuple[tuple[int, int], Check]:
    """T06, and (iat, exp); no limit of age without `max_age`. `type(x) is int` leaves out true, 1.0 and "1"."""
    exp, nbf, iat = (claims.get(name) for name in ("exp", "nbf", "iat"))
    if type(exp) is not int or type(nbf) is not int or type(iat) is not int:
        raise refused("T06", found="a time that is not an integer")
    timely = 0 < iat <= now + SKEW and 0 < nbf <= now + SKEW and now < exp + SKEW
    lasting = iat < exp <= iat + MAX_LIFETIME and (max_age is None or now - iat <= max_age + SKEW)
    if not (timely and lasting):
        raise refused("T06", found=f"iat {iat}, nbf {nbf}, exp {exp}", expected=f"valid at {int(now)}")
    return (iat, exp), Check("T06", f"issued {int(now) - iat} s ago, valid for {exp - int(now)} s")


def confidential_vm(claims: JsonObject, verdict: Verdict, record: Record) -> JsonObject:
    """T07 to T09: the claims about the hardware of a compliant confidential VM of the appraised kind."""
    kind = claims.get("x-ms-attestation-type")
    if kind != "azurevm":
        raise refused("T07", found=f"type {kind}", expected="azurevm")
    record.add(Check("T07", "type azurevm"))
    tee = member(claims, "x-ms-isolation-tee", fault=Fault.TOKEN_INVALID, check="T08")
    expected = _TEE_NAMES[verdict.tee]
    if tee.get("x-ms-attestation-type") != expected:
        raise refused("T08", found=f"hardware {tee.get('x-ms-attestation-type')}", expected=expected)
    record.add(Check("T08", f"hardware {expected}"))
    if tee.get("x-ms-compliance-status") != "azure-compliant-cvm":
        raise refused("T09", found=f"status {tee.get('x-ms-compliance-status')}", expected="azure-compliant-cvm")
    record.add(Check("T09", "azure-compliant-cvm"))
    return tee


def _is(value: Any, expected: Fact) -> bool:
    """Equal in value and in type: true is not 1 here."""
    return type(value) is type(expected) and value == expected


def check_hardware(tee: JsonObject, verdict: Verdict) -> Check:
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
    if not sound:
        raise refused("T10")
    return Check("T10", "not debuggable, not migratable")


def check_boot(claims: JsonObject) -> Check:
    """T11."""
    if not _is(claims.get("secureboot"), True):
        raise refused("T11", found="secure boot is not on")
    for name in _OFF:
        if not _is(claims.get(f"x-ms-azurevm-{name}-enabled"), False):
            raise refused("T11", found=f"{name} is not off")
    return Check("T11", "secure boot, no debugging, no test signing")


def check_nonce(runtime: JsonObject, nonce: str) -> Check:
    """T12."""
    payload = member(runtime, "client-payload", fault=Fault.TOKEN_INVALID, check="T12")
    echoed = payload.get("nonce")
    expected = base64.b64encode(nonce.encode("ascii"))
    if not (nonce and isinstance(echoed, str) and echoed.isascii()):
        raise refused("T12", found="no nonce")
    if not hmac.compare_digest(echoed.encode("ascii"), expected):
        raise refused("T12", found=f"nonce {echoed}", expected=f"nonce {expected.decode('ascii')}")
    return Check("T12", "nonce ours")


def _encrypts(jwk: JsonObject) -> bool:
    """How Key Vault finds the key that it wraps to."""
    operations = jwk.get("key_ops")
    return "enc" in {str(jwk.get("use")), str(jwk.get("key_use"))} or (
        isinstance(operations, list) and "encrypt" in operations
    )


def check_ephemeral(runtime: JsonObject, ephemeral: rsa.RSAPublicKey | None) -> Check:
    """T13."""
    keys = runtime.get("keys")
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise refused("T13")
    suitable = [key for key in keys if _encrypts(key)]
    if len(suitable) != 1:
        raise refused("T13", found=f"{len(suitable)} encryption keys", expected="one, ours")
    found = rsa_from_jwk(suitable[0], fault=Fault.TOKEN_INVALID, check="T13")
    if ephemeral is None or found.public_numbers() != ephemeral.public_numbers():
        raise refused("T13", found="the encryption key of another TPM", expected="ours")
    return Check("T13", "our ephemeral key, alone")


def check_ak(tee: JsonObject, verdict: Verdict) -> tuple[JsonObject, Check]:
    """T14, and the runtime claims that the AK is in."""
    runtime = member(tee, "x-ms-runtime", fault=Fault.TOKEN_INVALID, check="T14")
    ak = runtime_ak(runtime, fault=Fault.TOKEN_INVALID, check="T14")
    if ak.public_numbers() != verdict.ak.public_numbers():
        raise refused("T14", found="another AK")
    return runtime, Check("T14", "the AK that we appraised")


def check_vm(runtime: JsonObject, verdict: Verdict) -> Check:
    """T15 for the virtual machine."""
    machine = member(runtime, "vm-configuration", fault=Fault.TOKEN_INVALID, check="T15")
    found = machine.get("vmUniqueId")
    if found != verdict.vm_unique_id:
        raise refused("T15", found=f"vmUniqueId {found}", expected=f"vmUniqueId {verdict.vm_unique_id}")
    return Check("T15", "the machine that we appraised")


def check_report(tee: JsonObject, verdict: Verdict) -> Check:
    """T15 for the hardware report, claim by claim."""
    expected = expected_claims(verdict)
    agreed = {name: _is(tee.get(name), value) for name, value in expected.facts.items()}
    agreed |= {name: _is(tee.get(name, value), value) for name, value in expected.recent.items()}
    if differing := sorted(name for name, same in agreed.items() if not same):
        raise refused("T15", found=f"other values of {', '.join(differing)}")
    return Check("T15", f"the report that we appraised, in {len(agreed)} claims")


def check_policy_hash(claims: JsonObject, pinned: tuple[str, ...] | None) -> tuple[str, Check]:
    """T16, and the hash."""
    found = claims.get("x-ms-policy-hash")
    if not isinstance(found, str):
        raise refused("T16", found="no policy hash")
    if pinned is not None and found not in pinned:
        raise refused("T16", found=f"policy {found}", expected=" or ".join(pinned))
    if pinned is None:
        return found, Skipped("T16", f"policy {found}, not pinned")
    return found, Check("T16", f"policy {found}")


def check_pcrs(claims: JsonObject, verdict: Verdict) -> Check:
    """T17."""
    attested = claims.get("x-ms-azurevm-attested-pcrs")
    if not (isinstance(attested, list) and len(attested) == 8 and all(map(_is, attested, range(8)))):
        raise refused("T17", found=f"PCRs {attested}", expected="PCRs 0 to 7")
    values = claims.get("x-ms-azurevm-attested-pcr-values")
    if values is None:
        return Skipped("T17", "PCRs 0 to 7, without their values")  # tokens before 2026
    ours = {f"pcr{pcr}": base64.b64encode(value).decode("ascii") for pcr, value in enumerate(verdict.pcrs)}
    if values != ours:
        raise refused("T17", found="other PCR values")
    return Check("T17", "PCRs 0 to 7 as quoted")
