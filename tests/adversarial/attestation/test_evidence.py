"""Evidence that must not be accepted: one test for each row of the list of pitfalls, its id in the name."""

import dataclasses
import hashlib
import struct
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from cji_attestation import AZURE_US, AZURE_USGOV, Fault
from cji_attestation.evidence import Evidence, Tcb, Tee, parse_hcl
from cji_simulator import hcl
from tests.support.evidence import refused, with_report
from tests.support.forge import decided, machine
from tests.support.refusals import rejected


def test_sound_evidence_is_accepted() -> None:
    verdict = machine().appraise(machine().evidence())
    assert sorted(check for check, _ in verdict.checks) == [
        # E47, E48, E53: without a second quote; E55: a trust domain's
        *(f"E{n:02}" for n in (*range(1, 13), *range(14, 23), *range(31, 47), 49, 54, *range(56, 59), 60, 61))
    ]
    assert verdict.tcb == Tcb(bootloader=10, tee=0, snp=27, microcode=88)
    assert ("E19", "PCRs not pinned") in verdict.checks


@pytest.mark.parametrize("bit", [18, 19])
def test_a09_a10_debug_and_migration(bit: int) -> None:
    refused(with_report(policy=0x3001F | 1 << bit), "E09", Fault.POLICY_MISMATCH)


def test_a09_empty_measurement() -> None:
    refused(with_report(measurement=bytes(48)), "E11", Fault.POLICY_MISMATCH)


@pytest.mark.parametrize(
    "values",
    [
        {"products": ()},
        {"products": ("Milan",), "floors": {}},
        {"measurements": ()},
        {"measurements": ("",)},
        {"pcrs": {0: ()}},
        {"pcrs": {16: ("00" * 32,)}},
        {"maa_policy_hashes": ()},
        {"maa_policy_hashes": ("",)},
        {"token_max_age": 0},
    ],
)
def test_a15_empty_lists_accept_nothing(values: dict[str, Any]) -> None:
    with rejected(fault=Fault.CONFIG_INVALID):
        machine().appraise(machine().evidence(), reference=decided(**values))


def test_a15_product_only_when_named() -> None:
    refused(machine().evidence(), "E08", Fault.POLICY_MISMATCH, reference=decided(products=("Turin",)))


def test_a17_swapped_runtime_claims() -> None:
    m = machine()
    refused(m.evidence(report=m.report(m.claims(b"x" * 64))), "E02")


def test_a17_report_data_has_nothing_behind_the_hash() -> None:
    m = machine()
    data = hashlib.sha256(m.claims()).digest() + b"\x01" + bytes(31)
    refused(m.evidence(report=m.report(m.claims(), report_data=data)), "E02")


def _keys(change: Callable[[list[dict[str, Any]]], None]) -> Evidence:
    claims = msgspec.json.decode(machine().claims())
    change(claims["keys"])
    return machine().evidence(claims=msgspec.json.encode(claims))


@pytest.mark.parametrize(
    "change",
    [
        lambda keys: keys.append(dict(keys[0])),
        lambda keys: keys.append(dict(keys[0]) | {"kid": "hclakpub"}),
        lambda keys: keys[0].update(kid="hclAkPub"),
        lambda keys: keys.pop(0),
        lambda keys: keys[0].update(e="AQ"),
        lambda keys: keys[0].update(e="Aw"),
        lambda keys: keys[0].update(n=keys[0]["n"][:170]),
        lambda keys: keys[0].update(kty="EC"),
        lambda keys: keys.append("HCLAkPub"),
    ],
)
def test_a17_exactly_one_hclakpub(change: Callable[[list[dict[str, Any]]], None]) -> None:
    refused(_keys(change), "E03")


def test_a17_bytes_behind_the_claims() -> None:
    m = machine()
    refused(m.evidence(claims=m.claims() + b" {}"), "E01")


def test_f01_a_report_made_at_boot_is_named_so() -> None:
    """As on older hosts: the quote alone is fresh, and the verdict says so."""
    m = machine()
    checks = dict(m.appraise(m.evidence(claims=m.claims(bytes(64)))).checks)
    assert checks["E02"].endswith("made at boot")
    assert checks["E16"] == "quote fresh"
    assert dict(m.appraise(m.evidence()).checks)["E02"].endswith("made for this quote")


def test_a09_pinned_measurement() -> None:
    known = hashlib.sha384(b"firmware").hexdigest()
    machine().appraise(machine().evidence(), reference=decided(measurements=("01" * 48, known)))
    other = decided(measurements=("01" * 48,))
    refused(machine().evidence(), "E11", Fault.POLICY_MISMATCH, reference=other)


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, b"HCLB"),
        (4, b"\x03"),
        (8, b"\x01"),
        (12, b"\x01"),
        (16, b"\x01"),
        (31, b"\x01"),
        (1216, b"\x01"),
        (1220, b"\x02"),
        (1224, b"\x01"),
        (1228, b"\x04"),
        (1232, b"\xff"),
        (1233, b"\x00"),
    ],
)
def test_a25_hcl_header(at: int, value: bytes) -> None:
    raw = bytearray(machine().evidence().hcl_report)
    raw[at : at + len(value)] = value
    refused(machine().evidence(hcl_report=bytes(raw)), "E01")


def test_a25_hcl_sizes_and_claims() -> None:
    m = machine()
    raw = m.evidence().hcl_report
    for broken in (b"", raw[:1236], raw[:-1], raw + b"\x01", raw + bytes(8192)):
        refused(m.evidence(hcl_report=broken), "E01")
    longer = bytearray(raw)
    for at in (8, 1216, 1232):  # all three sizes say that there is one more byte
        struct.pack_into("<I", longer, at, struct.unpack_from("<I", raw, at)[0] + 1)
    refused(m.evidence(hcl_report=bytes(longer)), "E01")
    assert parse_hcl(raw + bytes(9)).raw == raw
    with rejected("hcl"):
        parse_hcl(raw + bytes(9) + b"\x01")
    for claims in (b"[]", b"{}", b'{"keys":[]}', b"\xff"):
        refused(m.evidence(claims=claims), "E01")
    odd = msgspec.json.decode(m.claims())
    odd["user-data"] = 1
    refused(m.evidence(claims=msgspec.json.encode(odd)), "E01")


@pytest.mark.parametrize("production", [AZURE_US, AZURE_USGOV], ids=["us", "usgov"])
def test_s03_simulated_evidence_under_production_roots(production: Any) -> None:
    refused(machine().evidence(), "E04", Fault.UNTRUSTED_ROOT, trust=production)


def test_a07_bundle_that_claims_another_tee() -> None:
    refused(machine().evidence(tee="tdx", certs=b""), "E01")


@pytest.mark.parametrize(("name", "tee"), [("td_quote", "snp"), ("certs", "tdx")])
def test_a07_bundle_with_a_part_of_another_tee(name: str, tee: Tee) -> None:
    sound = machine().evidence(tee=tee, certs=b"").to_json()
    assert Evidence.from_json(sound)
    with rejected("evidence-json", fault=Fault.EVIDENCE_INVALID):
        Evidence.from_json(sound.replace(f'"{name}":""'.encode(), f'"{name}":"AAAA"'.encode()))
    with pytest.raises(ValueError, match="trust domain"):
        machine().evidence(tee=tee, **{"certs": b"", name: b"x"})


def test_tdx_is_refused_honestly() -> None:
    m = machine()
    claims = m.claims()
    td_report = bytearray(1184)
    td_report[128:160] = hashlib.sha256(claims).digest()
    raw = bytearray(hcl.report(bytes(td_report), claims)[: 1236 + len(claims)])
    raw[1224] = 4
    refused(m.evidence(tee="tdx", certs=b"", hcl_report=bytes(raw)), "E13")


def test_a25_tdreport_is_1024_bytes() -> None:
    m = machine()
    raw = bytearray(m.evidence().hcl_report)
    raw[1224], raw[32 + 1024] = 4, 1
    refused(m.evidence(tee="tdx", certs=b"", hcl_report=bytes(raw)), "E01")


def test_verdict_comes_from_appraise_only() -> None:
    verdict = machine().appraise(machine().evidence())
    values = {f.name: getattr(verdict, f.name) for f in dataclasses.fields(verdict)}
    with pytest.raises(TypeError):
        type(verdict)(**values, constructor_key=object())
