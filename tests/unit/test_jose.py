"""JOSE in the worker: one text for each thing, strict readers, ES384 as raw r ‖ s."""

import base64
import json
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384

from cji_core.jose import (
    ES384_BYTES,
    CompactError,
    HeaderError,
    es384_sign,
    es384_verify,
    key_id,
    parse_canonical_verifying,
    parse_p384,
    parse_rsa,
    public_jwk,
    split_compact,
    split_jws,
    thumbprint,
    verify_rs256,
)
from cji_core.strict import StrictError, b64url, b64url_decode
from tests.support.rsa_keys import rsa_key

RSA = rsa_key(bits=3072).public_key()
SIGNING = ec.generate_private_key(ec.SECP384R1())
P384 = SIGNING.public_key()
OTHER_CURVE = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize("data", [b"", b"f", b"fo", b"foo", b"foob", b"\xfb\xff", bytes(range(256))])
def test_base64url_has_one_text_for_bytes(data: bytes) -> None:
    text = b64url(data)
    assert "=" not in text
    assert b64url_decode(text) == data


@pytest.mark.parametrize("text", ["=", "Zg==", "Zh", "Z", "Zm9v\n", "Zm 9v", "+/+/", "Zm9vYg=", "é", "\ud800"])
def test_base64url_refuses_other_texts(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        b64url_decode(text)


def test_the_thumbprint_of_rfc_7638() -> None:
    """Its example has 2048 bits, fewer than `parse_rsa` takes; the thumbprint does not care."""
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj"
        "hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQ"
        "vRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK"
        "nqDKgw"
    )
    key = rsa.RSAPublicNumbers(65537, int.from_bytes(b64url_decode(n), "big")).public_key()
    assert key_id(key) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    assert b64url(thumbprint(key)) == key_id(key)


def test_keys_survive_their_text() -> None:
    assert parse_rsa(public_jwk(RSA)) == RSA
    assert parse_p384(public_jwk(P384)) == parse_canonical_verifying(public_jwk(P384)) == P384
    assert list(json.loads(public_jwk(P384))) == ["crv", "kty", "x", "y"]
    assert list(json.loads(public_jwk(RSA))) == ["e", "kty", "n"]


def changed(key: Any, **members: Any) -> str:
    return json.dumps(json.loads(public_jwk(key)) | members)


def test_optional_members_are_read_and_compared() -> None:
    assert parse_p384(changed(P384, kid=key_id(P384), alg="ES384", use="sig")) == P384
    assert parse_rsa(changed(RSA, kid=key_id(RSA), alg="RSA-OAEP-256", use="enc")) == RSA
    for text in (changed(P384, kid="x"), changed(P384, alg="ES256"), changed(P384, use="enc"), changed(P384, d="AA")):
        with pytest.raises(ValueError, match=r"."):
            parse_p384(text)
    with pytest.raises(ValueError, match="canonical"):
        parse_canonical_verifying(changed(P384, kid=key_id(P384)))


def padded(number: str) -> str:
    return b64url(b"\0" + b64url_decode(number))


def test_rsa_keys_that_are_refused() -> None:
    n = json.loads(public_jwk(RSA))["n"]
    small = rsa.generate_private_key(65537, 2048).public_key()
    even = b64url((RSA.public_numbers().n - 1).to_bytes(384, "big"))
    for text in (
        public_jwk(small),
        changed(RSA, n=padded(n)),
        changed(RSA, n=even),
        changed(RSA, n=b64url(b"\xff" * 1025)),
        changed(RSA, n=""),
        changed(RSA, e="Aw"),
        changed(RSA, e="AAEAAQ"),
        changed(RSA, d="AA"),
        public_jwk(RSA).replace('"e"', '"n":"AA","e"'),
        public_jwk(P384),
        "[" * 100_000,
        "{}",
        "",
    ):
        with pytest.raises(ValueError, match=r"."):
            parse_rsa(text)


def test_p384_keys_that_are_refused() -> None:
    numbers = P384.public_numbers()
    for text in (
        changed(P384, x=b64url((numbers.x ^ 1).to_bytes(48, "big"))),  # off the curve
        changed(P384, x=padded(b64url(numbers.x.to_bytes(48, "big")))),
        changed(P384, y=padded(b64url(numbers.y.to_bytes(48, "big")))),
        changed(P384, y=b64url(b"\x01")),
        changed(P384, crv="P-256"),
        public_jwk(RSA),
    ):
        with pytest.raises(ValueError, match=r"."):
            parse_p384(text)
    with pytest.raises(ValueError, match="P-384"):
        public_jwk(OTHER_CURVE.public_key())


def raw(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """A signature by a key of another curve, in the form of P-384."""
    numbers = decode_dss_signature(key.sign(message, ec.ECDSA(SHA384())))
    return b"".join(number.to_bytes(48, "big") for number in numbers)


def test_es384_is_raw_and_fits_one_message_and_key() -> None:
    signature = es384_sign(SIGNING, b"message")
    assert len(signature) == ES384_BYTES == 96
    es384_verify(P384, signature, b"message")
    other = ec.generate_private_key(ec.SECP384R1()).public_key()
    for key, wrong, message in (
        (P384, signature, b"massage"),
        (other, signature, b"message"),
        (P384, signature[:-1], b"message"),
        (P384, signature + b"\0", b"message"),
        (P384, signature[:48] + b"\0" + signature[48:], b"message"),  # the same numbers in another form
        (P384, bytes(96), b"message"),
        (OTHER_CURVE.public_key(), raw(OTHER_CURVE, b"message"), b"message"),
        (OTHER_CURVE.public_key(), signature, b"message"),
        (P384, base64.b64encode(signature)[:96], b"message"),
    ):
        with pytest.raises(InvalidSignature):
            es384_verify(key, wrong, message)
    with pytest.raises(ValueError, match="P-384"):
        es384_sign(OTHER_CURVE, b"message")


def compact(header: Any, payload: bytes = b"{}", signature: bytes = b"s") -> str:
    first = header if isinstance(header, bytes) else json.dumps(header).encode()
    return ".".join(map(b64url, (first, payload, signature)))


@pytest.mark.parametrize(
    "text",
    ["", "YQ", "YQ.YQ", "YQ.YQ.YQ.YQ", "YQ..YQ", ".YQ.YQ", "YQ.YQ.", "YQ.YQ.Y\u00e9", "YQ.YQ.YQ=", "YQ.YQ.YQYQYQYQ"],
)
def test_a_compact_jws_has_three_parts(text: str) -> None:
    found = split_compact("YQ.Yg.Yw", limit=8)
    assert (found.header, found.payload, found.signature, found.signing_input) == (b"a", b"b", b"c", b"YQ.Yg")
    with pytest.raises(CompactError):
        split_compact(text, limit=13)


def test_the_signature_of_what_may_be_unsigned_is_kept() -> None:
    assert split_compact("YQ.Yg.Yw", limit=8, unsigned=True).signature == b"c"
    assert split_compact("YQ.Yg.", limit=8, unsigned=True).signature == b""


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "ES384"},
        {},
        {"alg": "RS256", "crit": ["exp"]},
        {"alg": "RS256", "crit": []},
        {"alg": "RS256", "b64": True},
        [],
        b"{",
        b'{"alg":"RS256","alg":"RS256"}',
    ],
)
def test_the_header_of_a_jws_says_rs256_and_no_extension(header: Any) -> None:
    assert split_jws(compact({"alg": "RS256", "kid": "k"}), limit=100).header == {"alg": "RS256", "kid": "k"}
    with pytest.raises(HeaderError):
        split_jws(compact(header), limit=100)


def test_rs256_fits_one_text_and_key() -> None:
    key, text = rsa_key(0), compact({"alg": "RS256"}, b"payload").rpartition(".")[0]
    signature = key.sign(text.encode(), padding.PKCS1v15(), SHA256())
    jws = split_jws(f"{text}.{b64url(signature)}", limit=1000)
    assert verify_rs256(jws, key.public_key()) == b"payload"
    other = split_jws(compact({"alg": "RS256"}, b"another", signature), limit=1000)
    for wrong, by in ((jws, rsa_key(1).public_key()), (other, key.public_key())):
        with pytest.raises(StrictError, match="another key"):
            verify_rs256(wrong, by)
