from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from cji_core.jose import VerifyingKey, key_id
from cji_core.pairs import SigningPair
from cji_core.strict import b64url, b64url_decode
from cji_core.suites import Suite
from cji_core.trail import (
    Expected,
    ExpectedFailure,
    FailureClaims,
    ReceiptError,
    VerifiedFailure,
    sign,
    sign_failure,
    verify_failure,
    verify_receipt,
)
from cji_core.trail.compact import typ_unverified
from cji_core.trail.failures import failure_unverified
from tests.support.failures import FAILURE
from tests.support.receipts import CLAIMS

KEY = ec.generate_private_key(ec.SECP384R1())
PUBLIC = KEY.public_key()
REAL = ExpectedFailure(simulated=False)
DOCUMENT = sign_failure(FAILURE, KEY)


def _field(document: str, expected: ExpectedFailure = REAL, key: VerifyingKey = PUBLIC) -> str:
    with pytest.raises(ReceiptError) as caught:
        verify_failure(document, key=key, expected=expected)
    return caught.value.field


def test_a_signed_failure_verifies_and_has_its_claims() -> None:
    verified = verify_failure(DOCUMENT, key=PUBLIC, expected=REAL)
    assert (verified.claims, verified.key_id, verified.compact) == (FAILURE, key_id(PUBLIC), DOCUMENT)
    assert failure_unverified(DOCUMENT) == FAILURE
    with pytest.raises(TypeError):
        VerifiedFailure(claims=FAILURE, key_id="x", compact=DOCUMENT, constructor_key=object())


def test_a_hybrid_job_has_a_failure_of_its_suite() -> None:
    pair = SigningPair.generate()
    claims = msgspec.structs.replace(FAILURE, suite=Suite.HYBRID_1)
    assert verify_failure(sign_failure(claims, pair), key=pair.public_key(), expected=REAL).claims == claims
    with pytest.raises(ValueError, match="pair"):
        sign_failure(claims, KEY)


def test_neither_kind_of_receipt_is_taken_for_the_other() -> None:
    assert _field(sign(CLAIMS, KEY)) == "typ"
    with pytest.raises(ReceiptError) as caught:
        verify_receipt(DOCUMENT, key=PUBLIC, expected=Expected(simulated=False))
    assert caught.value.field == "typ"
    # with the header of the other kind, the claims have another shape
    mixed = ".".join([sign(CLAIMS, KEY).split(".")[0], *DOCUMENT.split(".")[1:]])
    with pytest.raises(ReceiptError):
        verify_receipt(mixed, key=PUBLIC, expected=Expected(simulated=False))
    assert (typ_unverified(DOCUMENT), typ_unverified(mixed)) == ("cji-failure+jws", "cji-receipt+jws")


@pytest.mark.parametrize("name", [n for n in ExpectedFailure.__struct_fields__ if n != "simulated"])
def test_an_expectation_that_is_not_met_is_named(name: str) -> None:
    met: dict[str, Any] = {name: getattr(FAILURE, name)}
    verify_failure(DOCUMENT, key=PUBLIC, expected=ExpectedFailure(simulated=False, **met))
    other: dict[str, Any] = {name: "another"}
    assert _field(DOCUMENT, ExpectedFailure(simulated=False, **other)) == name


def test_a_simulated_failure_is_refused_by_a_production_reader() -> None:
    assert _field(sign_failure(msgspec.structs.replace(FAILURE, simulated=True), KEY)) == "simulated"


def test_every_claim_is_required() -> None:
    for name in FailureClaims.__struct_fields__:
        claims = msgspec.to_builtins(FAILURE)
        del claims[name]
        parts = DOCUMENT.split(".")
        assert _field(".".join([parts[0], b64url(msgspec.json.encode(claims)), parts[2]])) == "payload"


@pytest.mark.parametrize(("name", "value"), [("attempts", -1), ("attempts", 1001), ("version", 2), ("failed", "now")])
def test_a_claim_out_of_shape_is_not_signed(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match="claim out of shape"):
        sign_failure(msgspec.structs.replace(FAILURE, **{name: value}), KEY)


@given(place=st.integers(0, len(DOCUMENT) - 1), character=st.sampled_from("AQgw.=_-7z é"))
def test_a_changed_character_is_refused(place: int, character: str) -> None:
    changed = DOCUMENT[:place] + character + DOCUMENT[place + 1 :]
    if changed != DOCUMENT:
        _field(changed)


def test_payload_is_canonical() -> None:
    header, payload, signature = DOCUMENT.split(".")
    spaced = b64url(b64url_decode(payload).replace(b'{"version"', b'{ "version"'))
    assert _field(f"{header}.{spaced}.{signature}") == "payload"
