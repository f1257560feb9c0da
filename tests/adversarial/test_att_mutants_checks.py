"""What no other test would miss if it were gone; `python -m tests.fuzz.mutants` found each."""

from datetime import date

import pytest

from attestation import AZURE_US, AttestationError, Fault
from attestation.appraisal import ReferenceValues, check_reference
from attestation.appraisal.advisories import Advisory, AdvisoryList
from attestation.evidence import maa_nonce
from attestation.maa import SigningKeys, VerifiedToken, verify_token
from attestation.strict_json import parse_object
from attestation.trust import endpoint
from tests.att_forge import ISSUER, QUALIFYING, machine


def test_integers_longer_than_any_claim() -> None:
    """Python itself refuses only those of more than 4300 digits."""
    assert parse_object(b'{"a":18446744073709551615}', limit=99, fault=Fault.TOKEN_INVALID, check="x")["a"] == 2**64 - 1
    with pytest.raises(AttestationError):
        parse_object(b'{"a":100000000000000000000}', limit=99, fault=Fault.TOKEN_INVALID, check="x")


@pytest.mark.parametrize("text", [rb'{"a":"\ud800"}', rb'{"\uDFFF":1}', rb'{"a":["\udc00\ud800"]}'])
def test_text_that_utf8_cannot_hold(text: bytes) -> None:
    with pytest.raises(AttestationError):
        parse_object(text, limit=99, fault=Fault.TOKEN_INVALID, check="x")
    assert parse_object(rb'{"a":"\ud83d\ude00"}', limit=99, fault=Fault.TOKEN_INVALID, check="x") == {"a": "\U0001f600"}


def verified(raw: str, *, document: bytes | None = None) -> VerifiedToken:
    issuer = endpoint(ISSUER, AZURE_US.maa_hosts, resource="", check="x")
    return verify_token(
        raw,
        keys=SigningKeys(issuer=issuer, trust=AZURE_US, ask=lambda: document or machine().jwks()),
        verdict=machine().appraise(machine().evidence()),
        nonce=maa_nonce(QUALIFYING),
        reference=ReferenceValues(),
        now=machine().now.timestamp(),
    )


@pytest.mark.parametrize(("name", "late"), [("iat", 61), ("nbf", 61), ("exp", -60)])
def test_a05_each_time_alone_is_a_minute_out(name: str, late: int) -> None:
    """The other two are good; a second less, and all three are."""

    def token(seconds: int) -> str:
        now = int(machine().now.timestamp())
        times = {"iat": now - 300, "nbf": now - 300, "exp": now + 300, name: now + seconds}
        return machine().token(machine().token_claims(machine().evidence()) | times)

    assert verified(token(late - 1 if late > 0 else late + 1))
    with pytest.raises(AttestationError) as caught:
        verified(token(late))
    assert caught.value.check == "T06"


def test_a03_a_number_is_no_key_id() -> None:
    claims = machine().token_claims(machine().evidence())
    document = machine().jwks().replace(b'"k1"', b'"7"')
    assert verified(machine().token(claims, kid="7"), document=document)
    with pytest.raises(AttestationError) as caught:
        verified(machine().token(claims, kid=7), document=document)
    assert caught.value.check == "T03"


def test_advisories_may_raise_a_level_that_only_turin_has() -> None:
    def check(product: str) -> None:
        found = Advisory(id="AMD-SB-0001", fixed={product: {"fmc": 2}})  # type: ignore[dict-item]
        listed = AdvisoryList(reviewed=date(2026, 1, 1), expires=date(2026, 2, 1), listed=(found,))
        check_reference(ReferenceValues(advisories=listed))

    check("Turin")
    with pytest.raises(AttestationError):
        check("Genoa")
