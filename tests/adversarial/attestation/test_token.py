"""Tokens that must not be accepted: one test a row of the pitfalls list, its id in the name."""

import base64
import dataclasses
import functools
import hashlib
import hmac
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cji_simulator.encoding import rsa_jwk
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from attestation import AZURE_US, Fault
from attestation.appraisal import ReferenceValues, Verdict
from attestation.appraisal.reference import TcbStatus
from attestation.checks import CATALOGUE
from attestation.evidence import Evidence, maa_nonce, parse_hcl
from attestation.jose import b64url
from attestation.maa import SigningKeys, VerifiedToken, verify_token
from attestation.trust import endpoint
from tests.support.forge import (
    ISSUER,
    POLICY_HASH,
    QUALIFYING,
    compact,
    machine,
)
from tests.support.refusals import rejected
from tests.support.tdx_forge import intel

Claims = dict[str, Any]
Change = Callable[[Claims], object]


class Keys:
    """The issuer's key document, and how often it was asked for."""

    def __init__(self, document: bytes | None = None) -> None:
        self.document = machine().jwks() if document is None else document
        self.asked = 0
        self.time = 1000.0
        issuer = endpoint(ISSUER, AZURE_US.maa_hosts, resource="", check="maa-url")
        self.keys = SigningKeys(issuer=issuer, trust=AZURE_US, monotonic=lambda: self.time, fetch=self.ask)

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
    with rejected(fault=Fault.TOKEN_INVALID) as caught:
        verify(raw, **kw)
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
    from tests.support.forge import sign

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


FACTS = (
    "launchmeasurement reportdata idkeydigest authorkeydigest familyId imageId hostdata reportid "
    "guestsvn bootloader-svn tee-svn snpfw-svn microcode-svn smt-allowed"
)
RECENT = "chipid chip-family cxl-allowed mem-aes256-xts-required page-swap-disabled singlesocket"


def other(value: object) -> list[object]:
    """Values that are wrong beside `value`: another one, and what a loose comparison would take for it."""
    if isinstance(value, bool):
        return [not value, int(value), str(value).lower(), None]
    if isinstance(value, int):
        return [value + 1, float(value), str(value), None, *([bool(value)] if value in {0, 1} else [])]
    text = str(value)
    return [f"{text[:-1]}{'1' if text[-1] != '1' else '0'}", text[:-2], text.upper() + "A", "", [text], None]


@pytest.mark.parametrize("name", FACTS.split())
def test_n09_both_verdicts_agree(name: str) -> None:
    claim = f"x-ms-sevsnpvm-{name}"
    for wrong in other(tee(claims())[claim]):
        changed(lambda out, wrong=wrong: tee(out).update({claim: wrong}), "T15")  # type: ignore[misc]
    changed(lambda out: tee(out).pop(claim), "T15")


@pytest.mark.parametrize("name", RECENT.split())
def test_n09_claims_of_2026_may_be_absent_and_not_wrong(name: str) -> None:
    claim = f"x-ms-sevsnpvm-{name}"
    assert verify(machine().token(claims(lambda out: tee(out).pop(claim))))
    for wrong in other(tee(claims())[claim]):
        changed(lambda out, wrong=wrong: tee(out).update({claim: wrong}), "T15")  # type: ignore[misc]


POLICY = {16: "smt-allowed", 20: "singlesocket", 21: "cxl-allowed", 22: "mem-aes256-xts-required"}


@pytest.mark.parametrize(("bit", "name"), [*POLICY.items(), (25, "page-swap-disabled")])
def test_n09_policy_bits_are_those_of_the_report(bit: int, name: str) -> None:
    evidence, policy = judged()[0], 0x3001F ^ 1 << bit
    evidence = machine().evidence(report=machine().report(machine().claims(), policy=policy))
    verdict, claim = machine().appraise(evidence), f"x-ms-sevsnpvm-{name}"
    token = machine().token_claims(evidence)
    refused(machine().token(token), "T15", verdict=verdict)
    tee(token)[claim] = bool(policy >> bit & 1)
    assert verify(machine().token(token), verdict=verdict)


def test_vm_id_is_case_sensitive() -> None:
    unique = judged()[1].vm_unique_id
    assert unique != unique.lower()
    changed(lambda out: tee(out)["x-ms-runtime"]["vm-configuration"].update(vmUniqueId=unique.lower()), "T15")
    changed(lambda out: tee(out)["x-ms-runtime"]["vm-configuration"].pop("vmUniqueId"), "T15")


@functools.cache
def judged_td(status: TcbStatus = "UpToDate") -> tuple[Evidence, Verdict]:
    collateral = intel().collateral(status=status)
    evidence = intel().evidence(machine(), collateral=collateral)
    verdict = machine().appraise(
        evidence, trust=intel().trust, reference=ReferenceValues(tcb_statuses=("UpToDate", status))
    )
    return evidence, verdict


def td_token(*changes: Change, evidence: Evidence | None = None) -> str:
    """After a real token of a DC4es_v6 of October 2026, put where AzureGuest tokens have it."""
    hcl = parse_hcl((evidence or judged_td()[0]).hcl_report)
    zero = "00" * 48
    off = "debug hgs_plus_prof icssd key_locker migratable perf_prof perfmon pmt_prof protection_keys"
    said = {
        "attester_tcb_status": "UpToDate",
        "dbgstat": "disabled",
        "eat_profile": "https://aka.ms/maa-eat-profile-tdxvm",
        "intuse": "generic",
        **{f"tdx_{name}": zero for name in ("mrconfigid", "mrowner", "mrownerconfig", "mrsignerseam")},
        **{f"tdx_rtmr{n}": zero for n in range(4)},
        "tdx_mrseam": hcl.hardware[280:328].hex(),
        "tdx_mrtd": b"t".hex() * 48,
        "tdx_report_data": hcl.report_data.hex(),
        "tdx_seam_attributes": "0000000000000000",
        "tdx_seamsvn": 269,
        "tdx_td_attributes": "0000001000000000",
        **{f"tdx_td_attributes_{name}": False for name in off.split()},
        "tdx_td_attributes_septve_disable": True,
        "tdx_tee_tcb_svn": "0d010400000000000000000000000000",
        "tdx_xfam": "e718060000000000",
        "tdx_xfam_cet_s": True,
        "tdx_xfam_cet_u": True,
        "x-ms-attestation-type": "tdxvm",
        "x-ms-compliance-status": "azure-compliant-cvm",
        "x-ms-runtime": json.loads(hcl.claims_bytes),
    }
    return machine().token(claims(lambda out: out.update({"x-ms-isolation-tee": said}), *changes))


TD_FACTS = (
    "mrconfigid mrowner mrownerconfig mrseam mrsignerseam mrtd report_data rtmr0 rtmr1 rtmr2 rtmr3 seam_attributes "
    "seamsvn td_attributes tee_tcb_svn xfam td_attributes_key_locker td_attributes_perfmon "
    "td_attributes_protection_keys td_attributes_septve_disable"
)
TD_RECENT = (
    "td_attributes_hgs_plus_prof td_attributes_icssd td_attributes_perf_prof td_attributes_pmt_prof "
    "xfam_cet_s xfam_cet_u"
)


def td_claims(token: str) -> Claims:
    payload = token.split(".")[1]
    found: Claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return tee(found)


def test_tdx_claims_are_read_by_their_own_names() -> None:
    assert verify(td_token(), verdict=judged_td()[1])
    refused(td_token(), "T08")
    refused(machine().token(claims()), "T08", verdict=judged_td()[1])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tdx_td_attributes_debug", True),
        ("tdx_td_attributes_debug", None),
        ("tdx_td_attributes_migratable", True),
        ("tdx_td_attributes_migratable", None),
        ("dbgstat", "enabled"),
        ("attester_tcb_status", "OutOfDate"),
        ("attester_tcb_status", None),
    ],
)
def test_a09_a10_hardware_flags_of_tdx(name: str, value: object) -> None:
    refused(td_token(lambda out: tee(out).update({name: value})), "T10", verdict=judged_td()[1])


@pytest.mark.parametrize("name", ["tdx_td_attributes_debug", "dbgstat", "attester_tcb_status"])
def test_a09_hardware_flags_of_tdx_are_required(name: str) -> None:
    refused(td_token(lambda out: tee(out).pop(name)), "T10", verdict=judged_td()[1])


def test_a13_the_tcb_status_is_the_one_that_we_found() -> None:
    evidence, verdict = judged_td("SWHardeningNeeded")
    same = {"attester_tcb_status": "SWHardeningNeeded"}
    assert verify(td_token(lambda out: tee(out).update(same), evidence=evidence), verdict=verdict)
    refused(td_token(evidence=evidence), "T10", verdict=verdict)


@pytest.mark.parametrize("name", TD_FACTS.split())
def test_n09_both_verdicts_agree_on_a_trust_domain(name: str) -> None:
    claim, verdict = f"tdx_{name}", judged_td()[1]
    for wrong in other(td_claims(td_token())[claim]):
        refused(td_token(lambda out, wrong=wrong: tee(out).update({claim: wrong})), "T15", verdict=verdict)  # type: ignore[misc]
    refused(td_token(lambda out: tee(out).pop(claim)), "T15", verdict=verdict)


@pytest.mark.parametrize("name", TD_RECENT.split())
def test_n09_tdx_claims_of_2026_may_be_absent_and_not_wrong(name: str) -> None:
    claim, verdict = f"tdx_{name}", judged_td()[1]
    assert verify(td_token(lambda out: tee(out).pop(claim)), verdict=verdict)
    for wrong in other(td_claims(td_token())[claim]):
        refused(td_token(lambda out, wrong=wrong: tee(out).update({claim: wrong})), "T15", verdict=verdict)  # type: ignore[misc]


def test_a_tdx_token_of_2023_names_fewer_attributes() -> None:
    def older(out: Claims) -> None:
        for name in (*TD_RECENT.split(), "td_attributes_migratable"):
            del tee(out)[f"tdx_{name}"]

    assert verify(td_token(older), verdict=judged_td()[1])


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


@pytest.mark.parametrize("keys", [None, {}, "keys", ["key"], [None]])
def test_a19_keys_of_other_kinds(keys: object) -> None:
    changed(lambda out: out["x-ms-runtime"].update(keys=keys), "T13")


@pytest.mark.parametrize("pcrs", [None, 255, "01234567", {}, [], [0, 1, 2, 3, 4, 5, 6], [*range(7), 7.0], [*range(9)]])
def test_a16_attested_pcrs_are_those_of_the_platform(pcrs: object) -> None:
    changed(lambda out: out.update({"x-ms-azurevm-attested-pcrs": pcrs}), "T17")


def test_a16_values_of_attested_pcrs() -> None:
    changed(lambda out: out["x-ms-azurevm-attested-pcr-values"].update(pcr7="AAAA"), "T17")
    older = claims(lambda out: out.pop("x-ms-azurevm-attested-pcr-values"))
    assert verify(machine().token(older))


def test_a_token_records_every_check_that_ran() -> None:
    token = verify(machine().token(claims()))
    assert sorted({check.id for check in token.checks}) == [f"T{number:02}" for number in range(1, 19)]
    assert [check.id for check in token.checks].count("T15") == 2  # the machine, and its report
    found = dict(token.checks)
    assert (found["T18"], found["T16"]) == ("enclave not pinned", "policy not pinned")


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
    tested = (Path(__file__).parent / name for name in ("test_token.py", "test_token_enclave.py"))
    assert numbered == set(re.findall(r'"(T\d\d)"', "".join(one.read_text() for one in tested)))
