"""Base64, keys and key documents: one way to write each thing, and one reading of it."""

import base64
import hashlib

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from cji_attestation import Fault
from cji_attestation.maa import parse_jwks
from cji_attestation.maa.jwks import MAX_JWKS_BYTES
from cji_attestation.strict import parse_object, rsa_from_jwk
from cji_core.jose import canonical_jwk, jwk_thumbprint
from cji_core.strict import MAX_DEPTH, b64_decode, b64url_decode
from cji_simulator.certificates import leaf
from cji_simulator.encoding import b64, b64url, rsa_jwk
from tests.support.refusals import rejected
from tests.support.rsa_keys import rsa_key

KEY = rsa_key(0)
OTHER = rsa_key(1)


@pytest.mark.parametrize("text", ["YQ==", "YR", "Y", "Y!", "YQ\n", "+/", "YQ YQ", "é"])
def test_one_base64url_text_for_one_value(text: str) -> None:
    assert b64url_decode("YQ") == b"a"
    with pytest.raises(ValueError, match="not base64"):
        b64url_decode(text)


@pytest.mark.parametrize("text", ["YQ", "YR==", "YQ=", "-_==", "YQ==\n", " YQ=="])
def test_one_base64_text_for_one_value(text: str) -> None:
    assert b64_decode("YQ==") == b"a"
    with pytest.raises(ValueError, match="not base64"):
        b64_decode(text)


def test_thumbprint_of_rfc_7638() -> None:
    """The example of section 3.1."""
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj"
        "hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQ"
        "vRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK"
        "nqDKgw"
    )
    key = rsa_from_jwk({"n": n, "e": "AQAB"}, fault=Fault.TOKEN_INVALID, check="x")
    assert b64url(jwk_thumbprint(key)) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    assert hashlib.sha256(canonical_jwk(key).encode()).digest() == jwk_thumbprint(key)


def test_exponent_is_a_number() -> None:
    jwk = rsa_jwk(KEY.public_key())
    for e in ("AQAB", "AAEAAQ", b64url((65537).to_bytes(12, "big"))):
        assert rsa_from_jwk(jwk | {"e": e}, fault=Fault.TOKEN_INVALID, check="x") == KEY.public_key()


@pytest.mark.parametrize(
    "change",
    [
        {"e": "Aw"},
        {"e": "AQ"},
        {"e": ""},
        {"e": 65537},
        {"e": "A" * 17},
        {"n": ""},
        {"n": "!"},
        {"n": None},
        {"n": b64url(b"\xff" * 128)},
        {"n": b64url(b"\xff" * 1025)},
        {"n": "A" * 2049},
        {"e": b64url((65537).to_bytes(13, "big"))},
        {"n": b64url(KEY.public_key().public_numbers().n.to_bytes(1537, "big"))},
    ],
)
def test_keys_of_the_wrong_size(change: dict[str, object]) -> None:
    with rejected("x"):
        rsa_from_jwk(rsa_jwk(KEY.public_key()) | change, fault=Fault.TOKEN_INVALID, check="x")


def cert(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return b64(leaf("issuer", key, None).certificate.public_bytes(Encoding.DER))


def jwks(*entries: object) -> bytes:
    return msgspec.json.encode({"keys": entries})


def test_a_key_may_be_given_by_its_certificate_alone() -> None:
    found = parse_jwks(jwks({"kid": "old", "kty": "RSA", "x5c": [cert(KEY)]}))
    assert found["old"].key == KEY.public_key()


@pytest.mark.parametrize(
    "entry",
    [
        {"kid": "k", **rsa_jwk(KEY.public_key()), "x5c": [cert(OTHER)]},
        {"kid": "k", **rsa_jwk(KEY.public_key()), "use": "enc"},
        {"kid": "k", **rsa_jwk(KEY.public_key()), "alg": "PS256"},
        {"kid": "k", "kty": "RSA"},
        {"kid": "k", "kty": "RSA", "x5c": [cert(ec.generate_private_key(ec.SECP256R1()))]},
        {"kid": "k", "kty": "RSA", "x5c": [cert(rsa.generate_private_key(65537, 1024))]},
        {"kid": "k", "kty": "RSA", "x5c": [cert(rsa.generate_private_key(3, 2048))]},
        {"kid": "k", "kty": "RSA", "x5c": ["!"]},
        {"kid": "k", **rsa_jwk(KEY.public_key()), "x5c": []},
        {"kid": "k", **rsa_jwk(KEY.public_key()), "x5c": None},
        {"kid": "k", **rsa_jwk(KEY.public_key()), "x5c": [1]},
        {"kid": "k", "kty": "RSA", "x5c": [base64.b64encode(b"x").decode()]},
        {"kid": "k", "kty": "oct", "k": "AAAA"},
        {"kid": "", **rsa_jwk(KEY.public_key())},
        {"kid": "k" * 257, **rsa_jwk(KEY.public_key())},
        {"kid": None, **rsa_jwk(KEY.public_key())},
        "k",
    ],
)
def test_entries_that_are_left_out(entry: object) -> None:
    good = {"kid": "good", **rsa_jwk(KEY.public_key())}
    assert set(parse_jwks(jwks(entry, good))) == {"good"}


def test_a_kid_stands_for_one_key() -> None:
    one, two = ({"kid": "k", **rsa_jwk(key.public_key())} for key in (KEY, OTHER))
    assert parse_jwks(jwks(one, one))["k"].key == KEY.public_key()
    with rejected("T03"):
        parse_jwks(jwks(one, two))


@pytest.mark.parametrize(
    "data", [b"{}", b'{"keys":{}}', b'{"keys":[]}', jwks(1), jwks(*range(65)), b"[]", b" " * (MAX_JWKS_BYTES + 1)]
)
def test_documents_that_are_refused(data: bytes) -> None:
    with rejected("T03"):
        parse_jwks(data)


def nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def read(data: bytes) -> object:
    return parse_object(data, limit=1000, fault=Fault.TOKEN_INVALID, check="x")


def test_depth_is_counted_outside_strings() -> None:
    assert read(nested(MAX_DEPTH))
    assert read(b'{"a":"' + b"[" * 100 + b'\\"["}')
    with rejected("x"):
        read(nested(MAX_DEPTH + 1))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"1",
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b":1}}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":-1e999}',
        b"{}{}",
        b"{} x",
        b'{"a":' + b"1" * 21 + b"}",
        b'{"a":"\xff"}',
        b'{"a":' + b" " * 1000 + b"1}",
        b"{'a':1}",
    ],
)
def test_json_that_is_refused(data: bytes) -> None:
    with rejected("x"):
        read(data)
