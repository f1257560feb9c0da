"""What no other test would miss if it were gone; `python -m tools.mutants` found each."""

import base64
import re

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding
from cryptography.hazmat.primitives.serialization import Encoding

from cji_attestation import AZURE_US, Fault
from cji_attestation.appraisal.advisories import product_of_cpuid
from cji_attestation.appraisal.snp import check_not_revoked, verify_chain
from cji_attestation.appraisal.vcek import _extensions
from cji_attestation.errors import Record
from cji_attestation.evidence import maa_nonce
from cji_attestation.maa import SigningKeys, VerifiedToken, parse_jwks, verify_token
from cji_attestation.strict import parse_object, split_jws
from cji_attestation.trust import endpoint
from tests.support.forge import (
    ISSUER,
    QUALIFYING,
    crl,
    decided,
    forged,
    machine,
)
from tests.support.refusals import rejected


def test_integers_longer_than_any_claim() -> None:
    """Python itself refuses only those of more than 4300 digits."""
    assert parse_object(b'{"a":18446744073709551615}', limit=99, fault=Fault.TOKEN_INVALID, check="x")["a"] == 2**64 - 1
    with rejected("x"):
        parse_object(b'{"a":100000000000000000000}', limit=99, fault=Fault.TOKEN_INVALID, check="x")


@pytest.mark.parametrize("text", [rb'{"a":"\ud800"}', rb'{"\uDFFF":1}', rb'{"a":["\udc00\ud800"]}'])
def test_text_that_utf8_cannot_hold(text: bytes) -> None:
    with rejected("x"):
        parse_object(text, limit=99, fault=Fault.TOKEN_INVALID, check="x")
    assert parse_object(rb'{"a":"\ud83d\ude00"}', limit=99, fault=Fault.TOKEN_INVALID, check="x") == {"a": "\U0001f600"}


def verified(raw: str, *, document: bytes | None = None, nonce: str = maa_nonce(QUALIFYING)) -> VerifiedToken:
    issuer = endpoint(ISSUER, AZURE_US.maa_hosts, resource="", check="x")
    return verify_token(
        raw,
        keys=SigningKeys(issuer=issuer, trust=AZURE_US, fetch=lambda: document or machine().jwks()),
        verdict=machine().appraise(machine().evidence()),
        nonce=nonce,
        max_age=3600,
        reference=decided(),
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
    with rejected("T06"):
        verified(token(late))


def test_a03_a_number_is_no_key_id() -> None:
    claims = machine().token_claims(machine().evidence())
    document = machine().jwks().replace(b'"k1"', b'"7"')
    assert verified(machine().token(claims, kid="7"), document=document)
    with rejected("T03"):
        verified(machine().token(claims, kid=7), document=document)


@pytest.mark.parametrize(
    "host", ["CJI.vault.azure.net", "c_ji.vault.azure.net", "c%6ai.vault.azure.net", "*.vault.azure.net", "localhost"]
)
def test_k04_hosts_are_written_in_one_way(host: str) -> None:
    assert endpoint("https://cji.vault.azure.net", AZURE_US.vault_hosts, resource="", check="x").host
    with rejected("x"):
        endpoint(f"https://{host}", AZURE_US.vault_hosts, resource="", check="x")


def test_a02_token_of_more_than_the_limit() -> None:
    raw = machine().token(machine().token_claims(machine().evidence()))
    split_jws(raw, limit=len(raw), fault=Fault.TOKEN_INVALID, check="T01", header_check="T02")
    with rejected("T01"):
        split_jws(raw, limit=len(raw) - 1, fault=Fault.TOKEN_INVALID, check="T01", header_check="T02")


def test_a03_keys_of_another_kind_and_more_than_a_provider_has() -> None:
    entry = msgspec.json.decode(machine().jwks())["keys"][0]
    many = [entry | {"kid": str(n)} for n in range(64)]
    assert set(parse_jwks(msgspec.json.encode({"keys": [*many[1:], entry]}))) == {*map(str, range(1, 64)), "k1"}
    assert set(parse_jwks(msgspec.json.encode({"keys": [entry, entry | {"kid": "k2", "kty": "oct"}]}))) == {"k1"}
    with rejected("T03"):
        parse_jwks(msgspec.json.encode({"keys": [*many, entry]}))


@pytest.mark.parametrize("x5c", [7, None, {}, {"0": "x"}, "MII", [], [7], [""], ["!"], ["AAAA"]])
def test_a03_certificates_that_are_none(x5c: object) -> None:
    """The entry is left out, and the document's others are read."""
    entry = msgspec.json.decode(machine().jwks())["keys"][0]
    document = {"keys": [entry, {"kid": "k2", "kty": "RSA", "x5c": x5c}, entry | {"kid": "k3", "x5c": x5c}]}
    assert set(parse_jwks(msgspec.json.encode(document))) == {"k1"}


def test_a03_a_certificate_of_another_kind_of_key() -> None:
    entry = msgspec.json.decode(machine().jwks())["keys"][0]
    chip = machine().chip
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    edwards = forged("signer", public, chip.ask, {}).sign(chip.ask.rsa(), hashes.SHA384())
    certificates = {"ec": chip.vcek.certificate, "ed": edwards, "rsa": chip.ask.certificate}
    others = [
        {"kid": kid, "kty": "RSA", "x5c": [base64.b64encode(one.public_bytes(Encoding.DER)).decode()]}
        for kid, one in certificates.items()
    ]
    document = {"keys": [entry, *others]}
    assert set(parse_jwks(msgspec.json.encode(document))) == {"k1", "rsa"}


def test_a19_no_nonce_is_no_nonce_to_echo() -> None:
    claims = machine().token_claims(machine().evidence())
    claims["x-ms-runtime"]["client-payload"]["nonce"] = ""
    with rejected("T12"):
        verified(machine().token(claims), nonce="")


@pytest.mark.parametrize("operations", ["encrypt", {"encrypt": True}, None])
def test_a20_key_operations_are_a_list(operations: object) -> None:
    claims = machine().token_claims(machine().evidence())
    claims["x-ms-runtime"]["keys"][0]["key_ops"] = operations
    with rejected("T13"):
        verified(machine().token(claims))


@pytest.mark.parametrize(
    ("family", "model", "product"),
    [
        *((0x19, 0x01, "Milan"), (0x19, 0x0F, "Milan"), (0x19, 0x11, "Genoa"), (0x19, 0xA0, "Genoa")),
        *((0x1A, 0x02, "Turin"), (0x1A, 0x11, "Turin")),
        *((0x19, 0x20, None), (0x19, 0xB0, None), (0x1A, 0x12, None), (0x1B, 0x02, None), (0x18, 0x01, None)),
    ],
)
def test_a13_processors_that_a_vcek_may_be_of(family: int, model: int, product: str | None) -> None:
    assert product_of_cpuid(family, model) == product


def test_a14_extensions_of_others_are_none_of_a_vcek() -> None:
    chip = machine().chip
    builder = forged("SEV-VCEK", chip.vcek.certificate.public_key(), chip.ask, {"4": b"x"})
    other = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.3705.1.2"), b"y")
    made = builder.add_extension(other, critical=False).sign(chip.ask.rsa(), hashes.SHA384())
    assert _extensions(made) == {"4": b"x"}


def test_crl_that_never_ends() -> None:
    """AMD's CRL without nextUpdate, which X.509 leaves optional; signed by the ARK."""

    def sequence(body: bytes) -> bytes:
        size = len(body).to_bytes(2, "big").lstrip(b"\0")  # of 128 bytes or more
        return b"\x30" + bytes([0x80 | len(size)]) + size + body

    whole = crl()
    found = x509.load_der_x509_crl(whole)
    tbs, (_, until) = found.tbs_certlist_bytes, re.findall(rb"\x17\x0d[0-9]{12}Z", found.tbs_certlist_bytes)
    tbs = sequence(tbs[2 + (tbs[1] & 0x7F) :].replace(until, b""))
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA384()), salt_length=48)
    signature = machine().chip.ark.rsa().sign(tbs, pss, hashes.SHA384())
    _, _, behind = whole.partition(found.tbs_certlist_bytes)
    algorithm = behind[: -(len(signature) + 5)]
    endless = sequence(tbs + algorithm + b"\x03\x82" + (len(signature) + 1).to_bytes(2, "big") + b"\0" + signature)
    assert x509.load_der_x509_crl(endless).next_update_utc is None

    endorsement = verify_chain(machine().certs, roots=machine().trust.amd_roots, now=machine().now, record=Record())
    check_not_revoked(endorsement, crl(), now=machine().now)
    with rejected("E33", fault=Fault.POLICY_MISMATCH):
        check_not_revoked(endorsement, endless, now=machine().now)
