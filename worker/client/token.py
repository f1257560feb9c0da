"""What a submitter can check of the worker's Azure Attestation token, which was made for the worker's own nonce.

The submitter's fresh evidence is the authority; the token adds that Microsoft judged the same machine. Checked, and
named in `Unverified`: the pinned issuer and its key (T03-T05), times (T06), kind and compliance (T07-T09), and that
the attestation key in the token is the one of the fresh evidence (T14), of the same virtual machine (T15). The
numbers are those of `attestation.maa.token`. T06 here has no age limit but the token's own: it ends when it says so.
"""

from typing import Final

from attestation import AttestationError, Fault, Trust
from attestation.appraisal import Verdict
from attestation.evidence.hcl import runtime_ak
from attestation.jose import split_jws, verify_rs256
from attestation.maa import SigningKeys
from attestation.strict_json import JsonObject, member, parse_object
from attestation.trust import endpoint

__all__ = ["check_token"]

_LIMIT: Final = 64 << 10
_SKEW_SECONDS: Final = 60
_TEES: Final = {"snp": "sevsnpvm", "tdx": "tdxvm"}


def check_token(raw: str, *, trust: Trust, maa_url: str, verdict: Verdict, now: float) -> None:
    """Return when the token is Microsoft's word about the machine of `verdict`; AttestationError(TOKEN_INVALID).

    Asks the issuer for its signing keys over HTTPS. `now` is seconds since 1970.
    """
    keys = SigningKeys(issuer=endpoint(maa_url, trust.maa_hosts, resource="", check="maa-url"), trust=trust)
    jws = split_jws(raw, limit=_LIMIT, fault=Fault.TOKEN_INVALID, check="T01", header_check="T02")
    kid = jws.header.get("kid")
    if not isinstance(kid, str):
        raise AttestationError(Fault.TOKEN_INVALID, check="T03")
    payload = verify_rs256(jws, keys.get(kid).key, fault=Fault.TOKEN_INVALID, check="T04")
    claims = parse_object(payload, limit=_LIMIT, fault=Fault.TOKEN_INVALID, check="T01")
    _require(claims.get("iss") == keys.issuer, "T05")
    _times(claims, now)
    _require(claims.get("x-ms-attestation-type") == "azurevm", "T07")
    tee = member(claims, "x-ms-isolation-tee", fault=Fault.TOKEN_INVALID, check="T08")
    _require(tee.get("x-ms-attestation-type") == _TEES[verdict.tee], "T08")
    _require(tee.get("x-ms-compliance-status") == "azure-compliant-cvm", "T09")
    runtime = member(tee, "x-ms-runtime", fault=Fault.TOKEN_INVALID, check="T14")
    ak = runtime_ak(runtime, fault=Fault.TOKEN_INVALID, check="T14")
    _require(ak.public_numbers() == verdict.ak.public_numbers(), "T14")
    machine = member(runtime, "vm-configuration", fault=Fault.TOKEN_INVALID, check="T15")
    _require(machine.get("vmUniqueId") == verdict.vm_unique_id, "T15")


def _times(claims: JsonObject, now: float) -> None:
    nbf, exp = claims.get("nbf"), claims.get("exp")
    if type(nbf) is not int or type(exp) is not int:
        raise AttestationError(Fault.TOKEN_INVALID, check="T06")
    _require(nbf <= now + _SKEW_SECONDS and now < exp + _SKEW_SECONDS, "T06")


def _require(holds: bool, check: str) -> None:
    if not holds:
        raise AttestationError(Fault.TOKEN_INVALID, check=check)
