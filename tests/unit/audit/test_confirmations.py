"""A recipient's confirmation of counts: what it binds, and each of its refusals by name."""

import base64
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.format.job.policy.grant import ConfirmationKey
from cji_core.jose import key_id, public_jwk
from cji_core.pairs import SigningPair
from cji_core.suites import Suite
from cji_core.trail import receipt_sha384, sign
from cji_core.trail.confirmations import (
    ConfirmationClaims,
    ConfirmationError,
    CountedOutput,
    VerifiedConfirmation,
    confirmation_unverified,
    sign_confirmation,
    verify_confirmation,
)
from tests.support.receipts import CLAIMS

KEY, OTHER = (ec.generate_private_key(ec.SECP384R1()) for _ in range(2))
PAIR = SigningPair.generate()
RECEIPT_KEY = ec.generate_private_key(ec.SECP384R1())
RECEIPT = sign(CLAIMS, RECEIPT_KEY)
POLICY = CLAIMS.policy_sha384
(RECIPIENT,) = CLAIMS.recipients
COUNTED = (
    CountedOutput(name="result", schema="person/1", rows=10),
    CountedOutput(name="row_status", schema="row_status/1", rows=10),
)
HONEST = ConfirmationClaims(
    version=1,
    receipt_sha384=receipt_sha384(RECEIPT),
    suite=Suite.CLASSICAL_1,
    recipient=RECIPIENT,
    outputs=COUNTED,
    confirmed="2026-11-25T09:00:00.00Z",
)
NOW = datetime(2026, 11, 30, tzinfo=UTC)


def named(key: Any = KEY, **changes: Any) -> ConfirmationKey:
    """A key of the policy."""
    public = key.public_key()
    days = {"starts": date(2026, 11, 1), "until": date(2026, 11, 30)}
    fields: dict[str, Any] = {"recipient": RECIPIENT, "key_id": key_id(public), "jwk": public_jwk(public), **days}
    return ConfirmationKey(**fields | changes)


def verified(text: str | None = None, /, *, key: Any = KEY, **changes: Any) -> VerifiedConfirmation:
    values: dict[str, Any] = {
        "receipt": CLAIMS,
        "receipt_sha384": HONEST.receipt_sha384,
        "policy_sha384": POLICY,
        "keys": [named(key)],
        "now": NOW,
    }
    return verify_confirmation(text or sign_confirmation(HONEST, KEY), **values | changes)


def altered(**changes: Any) -> str:
    return sign_confirmation(msgspec.structs.replace(HONEST, **changes), KEY)


def test_a_confirmation_states_what_was_counted() -> None:
    found = verified()
    assert (found.claims, found.key_id, found.differences) == (HONEST, key_id(KEY.public_key()), ())
    with pytest.raises(TypeError):
        VerifiedConfirmation(claims=HONEST, key_id="", differences=(), compact="", constructor_key=object())


@pytest.mark.parametrize(
    ("outputs", "differences"),
    [
        ({"rows": 11}, ("rows_out is 10, counted 11", "subjects_out is 10, counted 11")),
        ({"schema": "chri_event/1"}, ("chri_rows_out is 0, counted 10",)),
    ],
)
def test_other_counts_are_no_fault_of_a_confirmation(outputs: dict[str, Any], differences: tuple[str, ...]) -> None:
    result = msgspec.structs.replace(COUNTED[0], **outputs)
    assert verified(altered(outputs=(result, COUNTED[1]))).differences == differences


def test_rows_of_the_status_are_compared_too() -> None:
    status = msgspec.structs.replace(COUNTED[1], rows=9)
    assert verified(altered(outputs=(COUNTED[0], status))).differences == ("rows_in is 10, counted 9",)


def _tampered(change: Callable[[str], str]) -> str:
    header, payload, signature = sign_confirmation(HONEST, KEY).split(".")
    text = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()
    made = base64.urlsafe_b64encode(change(text).encode()).decode().rstrip("=")
    return f"{header}.{made}.{signature}"


REFUSED: dict[str, tuple[str, Callable[[], object]]] = {
    "no confirmation": ("form", lambda: verified("x")),
    "a receipt": ("form", lambda: verified(RECEIPT)),
    "with another member": ("form", lambda: verified(_tampered(lambda text: text[:-1] + ',"x":1}'))),
    "a day that does not exist": ("form", lambda: verified(altered(confirmed="2026-02-30T00:00:00.00Z"))),
    "other receipt": ("receipt", lambda: verified(receipt_sha384="ab" * 48)),
    "other suite": ("receipt", lambda: verified(sign_confirmation(_hybrid(), PAIR))),
    "other policy": ("policy", lambda: verified(policy_sha384="ab" * 48)),
    "no recipient of the job": ("recipient", lambda: verified(altered(recipient="B" * 43))),
    "wrong key": ("key", lambda: verified(sign_confirmation(HONEST, OTHER))),
    "policy without such a key": ("key", lambda: verified(keys=())),
    "key of another recipient": ("key", lambda: verified(keys=[named(recipient="B" * 43)])),
    "expired key": ("date", lambda: verified(keys=[named(until=date(2026, 11, 24))])),
    "key of later days": ("date", lambda: verified(keys=[named(starts=date(2026, 11, 26))])),
    "before the job ended": ("date", lambda: verified(altered(confirmed="2026-11-24T15:00:01.24Z"))),
    "in the future": ("date", lambda: verified(now=datetime(2026, 11, 25, 8, tzinfo=UTC))),
    "tampered": ("signature", lambda: verified(_tampered(lambda text: text.replace('"rows":10', '"rows":11')))),
    "signature of another": ("signature", lambda: verified(_signature_of(sign_confirmation(HONEST, OTHER)))),
    "an output less": ("outputs", lambda: verified(altered(outputs=COUNTED[:1]))),
    "outputs exchanged": ("outputs", lambda: verified(altered(outputs=COUNTED[::-1]))),
}


def _hybrid() -> ConfirmationClaims:
    return msgspec.structs.replace(HONEST, suite=Suite.HYBRID_1)


def _signature_of(other: str) -> str:
    own = sign_confirmation(HONEST, KEY)
    return f"{own.rpartition('.')[0]}.{other.rpartition('.')[2]}"


@pytest.mark.parametrize("what", REFUSED)
def test_a_confirmation_is_refused_by_name(what: str) -> None:
    fault, call = REFUSED[what]
    with pytest.raises(ConfirmationError) as caught:
        call()
    assert caught.value.fault == fault
    assert caught.value.remedy


def test_a_hybrid_receipt_needs_both_signatures() -> None:
    receipt = msgspec.structs.replace(CLAIMS, suite=Suite.HYBRID_1)
    assert verified(sign_confirmation(_hybrid(), PAIR), key=PAIR, receipt=receipt).differences == ()
    with pytest.raises(ValueError, match="pair"):
        sign_confirmation(_hybrid(), KEY)


def test_the_claims_lead_to_the_receipt() -> None:
    assert confirmation_unverified(sign_confirmation(HONEST, OTHER)) == HONEST
    with pytest.raises(ConfirmationError):
        confirmation_unverified(RECEIPT)
