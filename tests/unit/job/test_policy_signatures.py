"""Signatures of a policy: enough of different listed signers on exactly these bytes, or the policy is refused."""

import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.format.job.limits import LIMITS
from cji_core.format.job.policy.signatures import (
    DOMAIN,
    MAX_SIGNATURES,
    SignaturesInvalid,
    digest,
    read_signatures,
    sign,
    verify,
)
from cji_core.jose import es384_sign, key_id, parse_p384, public_jwk
from cji_core.strict import b64url, b64url_decode

POLICY = b"version = 2\n"
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
KEYS = [ec.generate_private_key(ec.SECP384R1()) for _ in range(3)]
STRANGER = ec.generate_private_key(ec.SECP384R1())
JWKS = [public_jwk(key.public_key()) for key in KEYS]
IDS = [key_id(key.public_key()) for key in KEYS]


def lines(*signatures: str) -> bytes:
    return "".join(f"{each}\n" for each in signatures).encode()


def signed(key: ec.EllipticCurvePrivateKey, data: bytes = POLICY, now: datetime = NOW) -> str:
    return sign(data, key, now=now)


def verified(text: bytes, *, needed: int = 2, data: bytes = POLICY, jwks: list[str] = JWKS) -> tuple[str, ...]:
    return verify(data, text, jwks=jwks, needed=needed, now=NOW)


def test_the_signers_are_named() -> None:
    assert verified(lines(signed(KEYS[2]), signed(KEYS[0]))) == tuple(sorted((IDS[0], IDS[2])))
    assert verified(lines(*map(signed, KEYS)), needed=3) == tuple(sorted(IDS))
    assert verified(lines(*(signed(key, now=NOW + LIMITS.skew) for key in KEYS[:2])))  # another clock's
    assert verified(b"", needed=0, jwks=[]) == ()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"", 0),
        (lines(signed(KEYS[0])), 1),
        (lines(signed(KEYS[0]), signed(KEYS[0])), 1),
        (lines(signed(KEYS[0]), signed(KEYS[0], now=NOW - timedelta(days=1))), 1),
        (lines(signed(KEYS[0]), signed(STRANGER)), 1),
        (lines(signed(KEYS[0]), signed(KEYS[1], POLICY + b"#")), 1),
        (lines(signed(KEYS[0]), signed(KEYS[1], now=NOW + timedelta(seconds=61))), 1),
    ],
    ids=["none", "one", "one line twice", "one signer twice", "a stranger", "other bytes", "the future"],
)
def test_too_few_signatures_of_different_signers_are_refused(text: bytes, found: int) -> None:
    with pytest.raises(SignaturesInvalid, match=rf"^{found} of 2 signatures of different signers"):
        verified(text)


def test_every_changed_character_of_a_signature_counts() -> None:
    good = signed(KEYS[0])
    for at in range(len(good)):
        for other in "AB.":
            text = good[:at] + other + good[at + 1 :]
            if text != good:
                with pytest.raises(SignaturesInvalid):
                    verified(lines(text, signed(KEYS[1])))


def forged(key: ec.EllipticCurvePrivateKey, header: dict[str, str], payload: dict[str, str]) -> str:
    text = ".".join(b64url(json.dumps(part, separators=(",", ":")).encode()) for part in (header, payload))
    return f"{text}.{b64url(es384_sign(key, text.encode()))}"


HEADER = {"alg": "ES384", "kid": IDS[1], "typ": "cji-policy+jws"}
PAYLOAD = {"policy_sha384": digest(POLICY), "signed": "2026-11-27T12:00:00Z"}


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        ({**HEADER, "alg": "none"}, PAYLOAD),
        ({**HEADER, "typ": "cji-receipt+jws"}, PAYLOAD),
        ({**HEADER, "jwk": "x"}, PAYLOAD),
        (dict(reversed(HEADER.items())), PAYLOAD),
        (HEADER, {**PAYLOAD, "more": "x"}),
        (HEADER, {**PAYLOAD, "policy_sha384": hashlib.sha384(POLICY).hexdigest()[:-1]}),
        (HEADER, {**PAYLOAD, "signed": "2026-13-27T12:00:00Z"}),
        (HEADER, {**PAYLOAD, "signed": "2026-11-27"}),
        (HEADER, dict(reversed(PAYLOAD.items()))),
    ],
)
def test_a_line_in_another_form_is_refused_by_its_number(header: dict[str, str], payload: dict[str, str]) -> None:
    assert verified(lines(signed(KEYS[0]), forged(KEYS[1], HEADER, PAYLOAD)))  # the form itself is right
    with pytest.raises(SignaturesInvalid, match=r"^line 2 is not a signature of a policy"):
        verified(lines(signed(KEYS[0]), forged(KEYS[1], header, payload)))


def test_a_signature_under_the_name_of_another_is_refused() -> None:
    with pytest.raises(SignaturesInvalid, match="line 2 is not a signature of the key that it names"):
        verified(lines(signed(KEYS[0]), forged(STRANGER, HEADER, PAYLOAD), signed(KEYS[2])))


def test_the_digest_is_of_nothing_else() -> None:
    """The SHA-384 of the file alone, which receipts carry, is not what is signed."""
    assert digest(POLICY) == hashlib.sha384(b"cji-worker policy file\0" + POLICY).hexdigest()
    assert DOMAIN == b"cji-worker policy file\0"
    payload = {**PAYLOAD, "policy_sha384": hashlib.sha384(POLICY).hexdigest()}
    with pytest.raises(SignaturesInvalid, match="1 of 2"):
        verified(lines(signed(KEYS[0]), forged(KEYS[1], HEADER, payload)))


def test_a_plain_jose_reader_verifies_a_line() -> None:
    """By the text of the module alone: split, decode, verify over header and payload."""
    head, body, signature = signed(KEYS[0]).split(".")
    assert json.loads(b64url_decode(head)) == {"alg": "ES384", "kid": IDS[0], "typ": "cji-policy+jws"}
    assert json.loads(b64url_decode(body)) == {"policy_sha384": digest(POLICY), "signed": "2026-11-27T12:00:00Z"}
    assert len(b64url_decode(signature)) == 96


@pytest.mark.parametrize("text", [b"x\n" * (MAX_SIGNATURES + 1), b"\xff\xff.a.b", b"a.b\n", b".." + b"A" * 2000, b"\n"])
def test_bytes_that_are_no_signatures(text: bytes) -> None:
    with pytest.raises(SignaturesInvalid):
        list(read_signatures(text))


def test_a_file_has_sixteen_signatures_at_most() -> None:
    each = [signed(KEYS[0]), signed(KEYS[1])] * (MAX_SIGNATURES // 2)
    assert verified(lines(*each))
    with pytest.raises(SignaturesInvalid, match=f"more than {MAX_SIGNATURES} signatures"):
        verified(lines(*each, each[0]))


def test_the_listed_keys_are_canonical_and_different() -> None:
    numbers = parse_p384(JWKS[0]).public_numbers()
    assert numbers
    for jwks in (
        [JWKS[0], JWKS[0]],
        [JWKS[0] + " "],
        ["{}"],
        [JWKS[0].replace('"kty":"EC"', '"kty":"EC","use":"sig"')],
    ):
        with pytest.raises(SignaturesInvalid, match=r"^policy_signers\[[01]\]"):
            verified(b"", jwks=jwks, needed=0)
