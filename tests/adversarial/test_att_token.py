"""Tokens that must not be accepted: one test a row of the pitfalls list, its id in the name."""

import base64
import dataclasses
import functools
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from cji_simulator.encoding import rsa_jwk
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from attestation import AZURE_US, AttestationError, Fault
from attestation.appraisal import ReferenceValues, Verdict
from attestation.evidence import Evidence, maa_nonce
from attestation.jose import b64url
from attestation.maa import SigningKeys, VerifiedToken, verify_token
from attestation.trust import endpoint
from tests.att_forge import ISSUER, POLICY_HASH, QUALIFYING, compact, machine

Claims = dict[str, Any]
Change = Callable[[Claims], object]


class Keys:
    """The issuer's key document, and how often it was asked for."""

    def __init__(self, document: bytes | None = None) -> None:
        self.document = machine().jwks() if document is None else document
        self.asked = 0
        self.time = 1000.0
        issuer = endpoint(ISSUER, AZURE_US.maa_hosts, resource="", check="maa-url")
        self.keys = SigningKeys(issuer=issuer, trust=AZURE_US, monotonic=lambda: self.time, ask=self.ask)

    def ask(self) -> bytes:
        self.asked += 1
        return self.document


@functools.cache
def judged() -> tuple[Evidence, Verdict]:
    evidence = machine().evidence()
    return evidence, machine().appraise(evidence)


def verify(raw: str, **kw: Any) -> VerifiedToken:
    given: dict[str, Any] = {
        "keys": Keys().keys,
        "verdict": judged()[1],
        "nonce": maa_nonce(QUALIFYING),
        "reference": ReferenceValues(),
        "now": machine().now.timestamp() + 1,
    }
    return verify_token(raw, **(given | kw))


def claims(*changes: Change) -> Claims:
    out = machine().token_claims(judged()[0])
    for change in changes:
        change(out)
    return out


def refused(raw: str, *checks: str, **kw: Any) -> None:
    with pytest.raises(AttestationError) as caught:
        verify(raw, **kw)
    assert caught.value.fault is Fault.TOKEN_INVALID
    assert caught.value.check in checks
    assert not raw or raw[-40:] not in repr(caught.value) + str(caught.value)


def changed(change: Change, *checks: str) -> None:
    refused(machine().token(claims(change)), *checks)


def tee(out: Claims) -> Claims:
    inner: Claims = out["x-ms-isolation-tee"]
    return inner


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


def test_a07_schema_is_chosen_at_the_top() -> None:
    changed(lambda out: out.update({"x-ms-attestation-type": "sevsnpvm"}), "T07")
    changed(lambda out: out.pop("x-ms-attestation-type"), "T07")
    changed(lambda out: out.pop("x-ms-isolation-tee"), "T08")
    changed(lambda out: out.update({"x-ms-isolation-tee": []}), "T08")
    changed(lambda out: out.update(out.pop("x-ms-isolation-tee")), "T07")
    changed(lambda out: tee(out).update({"x-ms-attestation-type": "tdxvm"}), "T08")


@pytest.mark.parametrize("value", [None, "azure-compliant-uvm", "AZURE-COMPLIANT-CVM", True])
def test_a08_compliance_is_read_at_its_own_level(value: object) -> None:
    good = {"x-ms-compliance-status": "azure-compliant-cvm"}

    def change(out: Claims) -> None:
        tee(out)["x-ms-compliance-status"] = value
        out.update(good)
        out["x-ms-runtime"]["client-payload"].update(good)

    changed(change, "T09")


def test_a07_duplicate_members() -> None:
    raw = machine().token(claims())
    header = json.dumps({"alg": "RS256", "kid": "k1"}).encode()
    body = json.dumps(claims()).encode()[:-1] + b',"iss":"https://evil.example"}'
    refused(_signed(header, body), "T01")
    refused(_signed(b'{"alg":"RS256","kid":"k1","kid":"k1"}', json.dumps(claims()).encode()), "T02")
    assert verify(raw)


def _signed(header: bytes, body: bytes) -> str:
    from tests.att_forge import sign

    text = f"{b64url(header)}.{b64url(body)}"
    return f"{text}.{b64url(sign(machine().maa, text.encode()))}"


def test_a08_vmid_of_the_host_is_only_data() -> None:
    assert verify(machine().token(claims(lambda out: out.update({"x-ms-azurevm-vmid": "anything"}))))
    other = "DEAA4F4C-FBF3-439B-8DEE-4875D5140984"
    changed(lambda out: tee(out)["x-ms-runtime"]["vm-configuration"].update(vmUniqueId=other), "T15")


@pytest.mark.parametrize("name", ["bootdebug", "kerneldebug", "hypervisordebug", "testsigning", "flightsigning"])
@pytest.mark.parametrize("value", [True, None, "false", 0])
def test_a09_boot_flags(name: str, value: object) -> None:
    changed(lambda out: out.update({f"x-ms-azurevm-{name}-enabled": value}), "T11")


@pytest.mark.parametrize("value", [False, None, "true", 1])
def test_a09_secure_boot(value: object) -> None:
    changed(lambda out: out.update(secureboot=value), "T11")


@pytest.mark.parametrize("name", ["is-debuggable", "migration-allowed"])
@pytest.mark.parametrize("value", [True, None, "false", 0])
def test_a09_a10_hardware_flags(name: str, value: object) -> None:
    changed(lambda out: tee(out).update({f"x-ms-sevsnpvm-{name}": value}), "T10")


@pytest.mark.parametrize("value", [1, 2, 3, "0", None, False, 0.0])
def test_a11_vmpl(value: object) -> None:
    changed(lambda out: tee(out).update({"x-ms-sevsnpvm-vmpl": value}), "T10")


def test_a17_another_ak() -> None:
    other = rsa_jwk(machine().ek.public_key())
    changed(lambda out: tee(out)["x-ms-runtime"]["keys"][0].update(other), "T14")
    changed(lambda out: tee(out)["x-ms-runtime"]["keys"].append(tee(out)["x-ms-runtime"]["keys"][0]), "T14")
    changed(lambda out: tee(out)["x-ms-runtime"].update(keys=[]), "T14")


def _runtime_keys(out: Claims) -> list[Claims]:
    keys: list[Claims] = out["x-ms-runtime"]["keys"]
    return keys


@pytest.mark.parametrize(
    "change",
    [
        lambda keys, other: keys.insert(0, other | {"key_ops": ["encrypt"]}),
        lambda keys, other: keys.append(other | {"key_ops": ["encrypt"]}),
        lambda keys, other: keys.append(other | {"use": "enc"}),
        lambda keys, other: keys.insert(0, other | {"key_use": "enc"}),
        lambda keys, other: keys[0].update(other),
        lambda keys, other: keys[0].update(key_ops=["sign"]),
        lambda keys, other: keys.clear(),
    ],
)
def test_a19_our_key_is_the_one_that_key_vault_would_take(change: Callable[[list[Claims], Claims], object]) -> None:
    other = {"kid": "x", **rsa_jwk(machine().ek.public_key())}
    changed(lambda out: change(_runtime_keys(out), other), "T13")


def test_a20_policy_hash() -> None:
    raw = machine().token(claims())
    verify(raw, reference=ReferenceValues(maa_policy_hashes=(POLICY_HASH,)))
    refused(raw, "T16", reference=ReferenceValues(maa_policy_hashes=("9NY0VnTQ-IiBriBplVUpFbczcDaEBUwsiFYAzHu_gco",)))
    changed(lambda out: out.pop("x-ms-policy-hash"), "T16")


def test_a21_unknown_kids_cost_one_fetch_and_a_rolled_key_is_found() -> None:
    keys = Keys()
    assert verify(machine().token(claims()), keys=keys.keys)
    for n in range(1000):
        with pytest.raises(AttestationError):
            keys.keys.get(f"unknown-{n}")
    assert keys.asked == 1
    rolled = rsa.generate_private_key(65537, 2048)
    keys.document = msgspec.json.encode({"keys": [{"kid": "k2", **rsa_jwk(rolled.public_key())}]})
    keys.time += 61
    assert verify(machine().token(claims(), key=rolled, kid="k2"), keys=keys.keys)
    assert keys.asked == 2
    keys.time += 3601
    refused(machine().token(claims()), "T03", keys=keys.keys)


def test_a24_size_and_depth() -> None:
    refused("a" * 10_000_000, "T01", "T02")
    refused(_signed(b'{"alg":"RS256","kid":"k1"}', b'{"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}"), "T01")
    big = json.dumps(claims() | {"x": "y" * 70_000}).encode()
    refused(_signed(b'{"alg":"RS256","kid":"k1"}', big), "T01", "T02")


@pytest.mark.parametrize(
    "change",
    [
        lambda out: out["x-ms-runtime"]["client-payload"].pop("nonce"),
        lambda out: out["x-ms-runtime"].pop("client-payload"),
        lambda out: out.pop("x-ms-runtime"),
        lambda out: out["x-ms-runtime"].update(nonce=out["x-ms-runtime"]["client-payload"].pop("nonce")),
        lambda out: out.update(nonce=out["x-ms-runtime"]["client-payload"].pop("nonce")),
        lambda out: out["x-ms-runtime"]["client-payload"].update(nonce=""),
        lambda out: out["x-ms-runtime"]["client-payload"].update(nonce=maa_nonce(QUALIFYING)),
        lambda out: out["x-ms-runtime"]["client-payload"].update(nonce=b64url(maa_nonce(QUALIFYING).encode())[:-1]),
        lambda out: out["x-ms-runtime"]["client-payload"].update(nonce=[]),
        lambda out: out["x-ms-runtime"]["client-payload"].update(nonce="é"),
    ],
)
def test_f02_nonce_is_required_at_its_path(change: Change) -> None:
    changed(change, "T12")


def test_f02_another_nonce() -> None:
    refused(machine().token(claims()), "T12", nonce=maa_nonce(bytes(32)))
    refused(machine().token(claims()), "T12", nonce="")


def test_f03_an_old_token_is_not_used() -> None:
    raw = machine().token(claims())
    start = machine().now.timestamp()
    verify(raw, now=start + 600)
    refused(raw, "T06", now=start + 661)
    verify(raw, now=start + 3600, reference=ReferenceValues(token_max_age=3600))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("launchmeasurement", "00" * 48),
        ("reportdata", "00" * 64),
        ("bootloader-svn", 9),
        ("tee-svn", False),
        ("snpfw-svn", "27"),
        ("microcode-svn", 88.0),
    ],
)
def test_n09_both_verdicts_agree(name: str, value: object) -> None:
    changed(lambda out: tee(out).update({f"x-ms-sevsnpvm-{name}": value}), "T15")


TDX = {
    "x-ms-attestation-type": "tdxvm",
    "tdx_td_attributes_debug": False,
    "tdx_td_attributes_migratable": False,
    "dbgstat": "disabled",
    "attester_tcb_status": "UpToDate",
}


def tdx_token(**wrong: object) -> str:
    verdict = judged()[1]
    same = {"tdx_mrtd": verdict.measurement.hex(), "tdx_report_data": verdict.report_data.hex()}
    return machine().token(claims(lambda out: tee(out).update(TDX | same | wrong)))


def test_tdx_claims_are_read_by_their_own_names() -> None:
    verdict = dataclasses.replace(judged()[1], tee="tdx")
    assert verify(tdx_token(), verdict=verdict)
    refused(tdx_token(), "T08")
    for name, value in {
        "tdx_td_attributes_debug": True,
        "tdx_td_attributes_migratable": None,
        "dbgstat": "enabled",
        "attester_tcb_status": "OutOfDate",
    }.items():
        refused(tdx_token(**{name: value}), "T10", verdict=verdict)
    for name in ("tdx_mrtd", "tdx_report_data"):
        refused(tdx_token(**{name: "00"}), "T15", verdict=verdict)


@pytest.mark.parametrize("jti", [None, "", 1, "x" * 129])
def test_f03_token_id_is_required(jti: object) -> None:
    changed(lambda out: out.update(jti=jti), "T01")


@pytest.mark.parametrize("keys", [None, {}, "keys", ["key"], [None]])
def test_a19_keys_of_other_kinds(keys: object) -> None:
    changed(lambda out: out["x-ms-runtime"].update(keys=keys), "T13")


def test_a16_attested_pcrs() -> None:
    changed(lambda out: out.update({"x-ms-azurevm-attested-pcrs": [0, 1, 2, 3, 4, 5, 6]}), "T17")
    changed(lambda out: out["x-ms-azurevm-attested-pcr-values"].update(pcr7="AAAA"), "T17")
    older = claims(lambda out: out.pop("x-ms-azurevm-attested-pcr-values"))
    assert verify(machine().token(older))


def test_a06_every_check_has_a_negative() -> None:
    """Each number of the module's list is raised by some test of this file."""
    import re
    from pathlib import Path

    from attestation.maa import token as module

    numbered = set(re.findall(r"^ (T\d\d) ", module.__doc__ or "", re.MULTILINE))
    assert numbered <= set(re.findall(r'"(T\d\d)"', Path(__file__).read_text()))
