"""CBOR and COSE_Sign1 at their edges: what is read, and what is refused by its name."""

from typing import Any

import cbor2
import pytest
from cbor2 import CBORTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from cji_attestation.appraisal.corim.cose import (
    SIGN1,
    CoseError,
    SignatureError,
    algorithm_of,
    parse_cbor,
    split_sign1,
    to_be_signed,
    verify_sign1,
)

KEY = ec.generate_private_key(ec.SECP384R1())


def signed(header: dict[int, object], payload: bytes) -> bytes:
    protected = cbor2.dumps({1: -35, **header}, canonical=True)
    r, s = decode_dss_signature(KEY.sign(to_be_signed(protected, payload), ec.ECDSA(hashes.SHA384())))
    return cbor2.dumps(CBORTag(SIGN1, [protected, {}, payload, r.to_bytes(48, "big") + s.to_bytes(48, "big")]))


MESSAGE = parse_cbor(signed({3: "text/plain"}, b"payload"), limit=1000, tags=frozenset({SIGN1})).value


@pytest.mark.parametrize("value", [1.5, CBORTag(32, 1.5), [1.5], {1: 1.5}, {b"x": 1}, CBORTag(33, 1)])
def test_kinds_that_are_not_read_are_refused_wherever_they_stand(value: Any) -> None:
    for outer in (value, [value], {1: value}, CBORTag(32, value)):
        with pytest.raises(CoseError):
            parse_cbor(cbor2.dumps(outer, canonical=True), limit=100, tags=frozenset({32}))
    sound = [1, "text", b"bytes", {1: CBORTag(32, "x"), "a": [None, True]}]
    assert parse_cbor(cbor2.dumps(sound, canonical=True), limit=100, tags=frozenset({32})) == sound


def _with(at: int, value: Any) -> list[Any]:
    return [*MESSAGE[:at], value, *MESSAGE[at + 1 :]]


@pytest.mark.parametrize(
    "value",
    [
        7,
        MESSAGE[:3],
        [*MESSAGE, 0],
        _with(0, "text"),
        _with(0, cbor2.dumps([1])),
        _with(0, cbor2.dumps({2: [3], 3: "text/plain"})),
        _with(1, []),
        _with(2, None),
        _with(2, "text"),
        _with(3, "text"),
    ],
)
def test_what_is_no_signed_message(value: Any) -> None:
    assert split_sign1(MESSAGE).payload == b"payload"
    with pytest.raises(CoseError):
        split_sign1(value)


def test_a_payload_may_be_elsewhere_where_the_caller_says_so() -> None:
    detached = split_sign1(_with(2, None), detachable=True)
    assert verify_sign1(detached, KEY.public_key(), detached=b"payload") == b"payload"
    r, s = decode_dss_signature(KEY.sign(to_be_signed(MESSAGE[0], None), ec.ECDSA(hashes.SHA384())))  # type: ignore[arg-type]
    of_nothing = split_sign1([MESSAGE[0], {}, None, r.to_bytes(48, "big") + s.to_bytes(48, "big")], detachable=True)
    for message in (detached, of_nothing):
        with pytest.raises(SignatureError):
            verify_sign1(message, KEY.public_key())
    with pytest.raises(CoseError, match="detached payload"):
        split_sign1(_with(2, "text"), detachable=True)


def test_a_signature_of_another_key_or_length_is_refused() -> None:
    message = split_sign1(MESSAGE)
    assert verify_sign1(message, KEY.public_key()) == b"payload"
    other = ec.generate_private_key(ec.SECP384R1())
    for key in (other, ec.generate_private_key(ec.SECP256R1())):
        with pytest.raises(SignatureError):
            verify_sign1(message, key.public_key())
    for at, value in ((2, b"Payload"), (3, MESSAGE[3][:-1]), (3, MESSAGE[3] + b"\0")):
        with pytest.raises(SignatureError):
            verify_sign1(split_sign1(_with(at, value)), KEY.public_key())
    with pytest.raises(CoseError, match="not on P-256 or P-384"):
        algorithm_of(ec.generate_private_key(ec.SECP521R1()).public_key())


@pytest.mark.parametrize("data", [b"", b"\x18\x01", b"\xff", b"\x01\x01", b"\xa2\x01\x01\x01\x02"])
def test_what_is_not_cbor_in_its_preferred_form(data: bytes) -> None:
    with pytest.raises(CoseError):
        parse_cbor(data, limit=100)
    with pytest.raises(CoseError):
        parse_cbor(cbor2.dumps(b"x" * 100), limit=100)
