"""A04: whose keys verify a token (T19), and when it was issued."""

from cji_attestation import AZURE_US, Fault
from cji_attestation.appraisal import ReferenceValues, check_reference
from cji_attestation.checks import Skipped
from cji_attestation.maa import SigningKeys, issue_of
from cji_attestation.maa.claims import check_key
from cji_attestation.maa.jwks import SigningKey
from cji_attestation.trust import provider_endpoint
from tests.support.forge import ISSUER, decided, machine
from tests.support.refusals import rejected
from tests.support.tokens import verify


def keys() -> SigningKeys:
    return SigningKeys(issuer=provider_endpoint(AZURE_US, ISSUER), trust=AZURE_US, fetch=machine().jwks)


def test_a04_keys_of_a_file_are_the_issuers_if_they_are_pinned() -> None:
    signing = SigningKey(key=machine().maa.public_key(), certificate=None)
    (pin,) = decided().maa_keys or ()
    for pins, from_issuer, in_enclave, skipped in (
        (None, False, False, True),
        (None, True, False, False),
        (None, False, True, False),
        ((pin,), False, False, False),
        (("00" * 32, pin), False, False, False),
        (("00" * 32,), True, False, False),  # keys roll: what the issuer serves itself needs no pin
    ):
        found = check_key(signing, pins, from_issuer=from_issuer, in_enclave=in_enclave)
        assert (found.id, isinstance(found, Skipped)) == ("T19", skipped)
    with rejected("T19", fault=Fault.TOKEN_INVALID) as caught:
        check_key(signing, ("00" * 32,), from_issuer=False, in_enclave=False)
    assert caught.value.failures == (("T19", f"key {pin}", "00" * 32),)


def test_a15_pins_that_no_key_has_are_refused() -> None:
    for pins in ((), ("00" * 31,), ("GG" * 32,)):
        with rejected("reference-maa_keys", fault=Fault.CONFIG_INVALID):
            check_reference(ReferenceValues(maa_keys=pins))


def test_when_a_token_was_issued() -> None:
    claims = machine().token_claims(machine().evidence())
    raw = machine().token(claims)
    issued = issue_of(raw, keys=keys(), reference=decided())
    assert (issued.at, issued.proven) == (claims["iat"], True)
    assert not issue_of(raw, keys=keys(), reference=decided(maa_keys=None)).proven
    for iat in (None, "1", 1.0, True, 0, -1, 253402300800):
        with rejected("T06"):
            issue_of(machine().token(claims | {"iat": iat}), keys=keys(), reference=decided())
    with rejected("T04"):
        issue_of(raw[:-8] + "AAAAAAAA", keys=keys(), reference=decided())


def test_a_verified_token_states_whose_key_it_was() -> None:
    raw = machine().token(machine().token_claims(machine().evidence()))
    pinned, unpinned = verify(raw), verify(raw, reference=decided(maa_keys=None))
    assert (pinned.of_issuer, unpinned.of_issuer) == (True, False)
    assert "T19" in {check.id for check in unpinned.skipped}
    with rejected("T19"):
        verify(raw, reference=decided(maa_keys=("00" * 32,)))
