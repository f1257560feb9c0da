"""Tokens that must not be accepted: form, key, signature, issuer and times (T01 to T06). Names have ids of pitfalls."""

import base64
import dataclasses
import hashlib
import hmac
import json
import re
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cji_attestation import Fault
from cji_attestation.checks import CATALOGUE
from cji_attestation.maa import SigningKeys, VerifiedToken
from cji_core.strict import b64url
from cji_simulator.encoding import rsa_jwk
from tests.support.forge import (
    ISSUER,
    POLICY_HASH,
    compact,
    decided,
    machine,
)
from tests.support.refusals import rejected
from tests.support.tokens import Claims, Keys, changed, claims, refused, verify


def test_sound_token_is_accepted_and_keeps_its_secret() -> None:
    token = verify(machine().token(claims(), jku=f"{ISSUER}/certs"))
    assert token.issuer == ISSUER
    assert token.raw not in repr(token)
    assert token.sha384 == hashlib.sha384(token.raw.encode()).digest()


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", None, "RS512", "PS256", "ES256", 1])
def test_a01_a23_algorithm_is_fixed(alg: object) -> None:
    good = machine().token(claims()).split(".")
    header = b64url(json.dumps({"alg": alg, "kid": "k1", "typ": "JWT"}).encode())
    for signature in ("", good[2]):
        refused(f"{header}.{good[1]}.{signature}", "T01", "T02")


def test_a01_missing_pieces() -> None:
    head, body, signature = machine().token(claims()).split(".")
    for raw in (
        f"{head}.{body}",
        f"{head}.{body}.",
        f"{head}..{signature}",
        f".{body}.{signature}",
        "",
        "..",
        "a.b.c.d",
    ):
        refused(raw, "T01", "T02")
    refused(f"{head}.{body}.{signature}=", "T01")
    refused(f"{head}.{body}.{signature[:-1]}", "T01", "T04")


def test_a02_hmac_with_the_public_key() -> None:
    public = machine().maa.public_key()
    secrets = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(rsa_jwk(public)).encode(),
        public.public_numbers().n.to_bytes(256, "big"),
    ]
    header = json.dumps({"alg": "HS256", "kid": "k1"}).encode()
    body = json.dumps(claims()).encode()
    for secret in secrets:
        tag = hmac.new(secret, f"{b64url(header)}.{b64url(body)}".encode(), "sha256").digest()
        refused(compact(header, body, tag), "T02")


def test_a03_keys_in_the_header_are_not_looked_at() -> None:
    attacker = rsa.generate_private_key(65537, 2048)
    jwk = {"kid": "k1", **rsa_jwk(attacker.public_key())}
    cert = base64.b64encode(machine().other_cert).decode()
    for header in (
        {"jwk": jwk},
        {"x5c": [cert]},
        {"jku": "https://evil.example/certs"},
        {"x5u": "https://evil.example/x"},
    ):
        keys = Keys()
        refused(machine().token(claims(), key=attacker, **header), "T04", keys=keys.keys)
        assert keys.asked == 1
    refused(machine().token(claims(), key=machine().ek, x5c=[cert]), "T04")


@pytest.mark.parametrize("header", [{"crit": ["exp"]}, {"crit": []}, {"b64": False}])
def test_a03_extensions_are_refused(header: Claims) -> None:
    refused(machine().token(claims(), **header), "T02")


@pytest.mark.parametrize("kid", ["../k1", "k2", "", "K1", None, 1, ["k1"]])
def test_a03_kid_is_only_a_name(kid: object) -> None:
    refused(machine().token(claims(), kid=kid), "T03")


def test_a03_no_kid_at_all() -> None:
    keys = Keys(machine().jwks().replace(b'"k1"', b'"None"'))
    refused(_signed(b'{"alg":"RS256"}', json.dumps(claims()).encode()), "T03", keys=keys.keys)


@pytest.mark.parametrize("operations", [["verify"], ["sign", "verify"]])
def test_a03_a_key_that_says_it_verifies(operations: list[str]) -> None:
    verify(machine().token(claims()), keys=_keys_with(key_ops=operations))


@pytest.mark.parametrize("operations", [[], ["sign"], ["encrypt"], ["Verify"], "verify", ["verify", "verify"], None, 1])
def test_a03_a_key_for_other_operations_is_not_published(operations: object) -> None:
    refused(machine().token(claims()), "T03", keys=_keys_with(key_ops=operations))


def _keys_with(**members: object) -> SigningKeys:
    document = json.loads(machine().jwks())
    document["keys"][0].update(members)
    return Keys(json.dumps(document).encode()).keys


@pytest.mark.parametrize(
    "issuer",
    [
        "https://sharedwus.wus.attest.azure.net",
        f"{ISSUER}.evil",
        f"{ISSUER}/",
        ISSUER.upper(),
        ISSUER.replace("https", "http"),
        f"{ISSUER}:443",
        ISSUER.replace("https://", "https://user@"),
        "https://xn--sharedeus-x.eus.attest.azure.net",
        "",
        None,
        [ISSUER],
    ],
)
def test_a04_issuer_is_compared_exactly(issuer: object) -> None:
    changed(lambda out: out.update(iss=issuer), "T05")


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", [None, "1", 1.5, True, -1, 0, 10**15])
def test_a05_times_are_integers_in_range(name: str, value: object) -> None:
    changed(lambda out: out.update({name: value}), "T06")


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_a05_times_are_required(name: str) -> None:
    changed(lambda out: out.pop(name), "T06")


def test_a05_skew_is_a_minute() -> None:
    now = machine().now.timestamp()
    raw = machine().token(claims())
    verify(raw, now=now - 59)
    refused(raw, "T06", now=now - 61)
    changed(lambda out: out.update(exp=out["iat"] - 1), "T06")
    changed(lambda out: out.update(exp=out["iat"] + 86401), "T06")


def test_a07_duplicate_members() -> None:
    raw = machine().token(claims())
    header = json.dumps({"alg": "RS256", "kid": "k1"}).encode()
    body = json.dumps(claims()).encode()[:-1] + b',"iss":"https://evil.example"}'
    refused(_signed(header, body), "T01")
    refused(_signed(b'{"alg":"RS256","kid":"k1","kid":"k1"}', json.dumps(claims()).encode()), "T02")
    assert verify(raw)


def _signed(header: bytes, body: bytes) -> str:
    from tests.support.forge import sign

    text = f"{b64url(header)}.{b64url(body)}"
    return f"{text}.{b64url(sign(machine().maa, text.encode()))}"


def test_a21_unknown_kids_cost_one_fetch_and_a_new_key_is_found() -> None:
    keys = Keys()
    assert verify(machine().token(claims()), keys=keys.keys)
    for n in range(1000):
        with rejected("T03"):
            keys.keys.get(f"unknown-{n}")
    assert keys.asked == 1
    rolled = rsa.generate_private_key(65537, 2048)
    keys.document = msgspec.json.encode({"keys": [{"kid": "k2", **rsa_jwk(rolled.public_key())}]})
    keys.time += 61
    unpinned = decided(maa_keys=None)
    assert verify(machine().token(claims(), key=rolled, kid="k2"), keys=keys.keys, reference=unpinned)
    assert keys.asked == 2
    keys.time += 3601
    refused(machine().token(claims()), "T03", keys=keys.keys)


def test_a24_size_and_depth() -> None:
    refused("a" * 10_000_000, "T01", "T02")
    refused(_signed(b'{"alg":"RS256","kid":"k1"}', b'{"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}"), "T01")
    big = json.dumps(claims() | {"x": "y" * 70_000}).encode()
    refused(_signed(b'{"alg":"RS256","kid":"k1"}', big), "T01", "T02")


def test_f03_an_old_token_is_not_used() -> None:
    raw = machine().token(claims())
    start = machine().now.timestamp()
    verify(raw, now=start + 600)
    refused(raw, "T06", now=start + 661)
    verify(raw, now=start + 3600, max_age=3600)


def test_nobody_else_makes_a_verified_token() -> None:
    token = verify(machine().token(claims()))
    with pytest.raises(TypeError):
        VerifiedToken(
            raw="",
            issuer="",
            jti="",
            policy_hash="",
            issued=0,
            expires=0,
            sha384=b"",
            checks=(),
            constructor_key=object(),
        )
    with pytest.raises((TypeError, ValueError)):
        dataclasses.replace(token, expires=token.expires + 1)  # type: ignore[call-arg]
    with pytest.raises(dataclasses.FrozenInstanceError):
        token.expires += 1  # type: ignore[misc]


def test_f05_age_is_asked_for_at_use() -> None:
    token, start = verify(machine().token(claims())), machine().now.timestamp()
    for now in (start - 59, start, start + 600):
        token.require_fresh(now=now, max_age=600)
    for now in (start - 61, start + 601):
        with rejected("age"):
            token.require_fresh(now=now, max_age=600)
    brief = verify(machine().token(claims(lambda out: out.update(exp=out["iat"] + 300))))
    brief.require_fresh(now=start + 300, max_age=600)
    with rejected("age"):
        brief.require_fresh(now=start + 301, max_age=600)


@pytest.mark.parametrize("jti", [None, "", 1, "x" * 129])
def test_f03_token_id_is_required(jti: object) -> None:
    changed(lambda out: out.update(jti=jti), "T01")


def test_a_token_records_every_check_that_ran() -> None:
    token = verify(machine().token(claims()))
    assert sorted({check.id for check in token.checks}) == [f"T{number:02}" for number in range(1, 20)]
    assert [check.id for check in token.checks].count("T15") == 2  # the machine, and its report
    found = dict(token.checks)
    assert (found["T18"], found["T16"]) == ("enclave not pinned", f"policy {POLICY_HASH}, not pinned")
    assert [check.id for check in token.skipped] == ["T16", "T18"]


def test_a_refused_token_has_found_expected_and_what_passed() -> None:
    with rejected("T12") as caught:
        verify(machine().token(claims()), nonce="00")
    (failure,) = caught.value.failures
    assert failure.found.startswith("nonce ")
    assert failure.expected == "nonce MDA="
    assert [check.id for check in caught.value.passed][-2:] == ["T10", "T11"]


def test_a06_every_check_has_a_negative() -> None:
    """Each number of the catalogue is raised by some test."""
    numbered = {check for check in CATALOGUE if check[0] == "T"}
    tested = Path(__file__).parent.glob("test_token*.py")
    assert numbered == set(re.findall(r'"(T\d\d)"', "".join(one.read_text() for one in tested)))


def test_a_submitter_takes_a_token_until_it_expires() -> None:
    """The worker's limit of age is for a release; a submitter's freshness comes from its own nonce."""
    start, raw = machine().now.timestamp(), machine().token(claims())
    assert verify(raw, now=start + 7 * 3600, max_age=None).skipped == verify(raw).skipped
    refused(raw, "T06", now=start + 7 * 3600)
    refused(raw, "T06", now=start + 28800 + 61, max_age=None)


def test_x16_no_token_is_refused_as_such() -> None:
    with rejected("T01", fault=Fault.TOKEN_INVALID) as caught:
        verify("")
    assert caught.value.failures[0].found == "no token"
