"""Any bytes into a parser of `attestation`: a value, or an AttestationError; nothing else ever."""

import contextlib
import dataclasses
import functools
import json
import struct
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_attestation import AZURE_US, AttestationError, Fault
from cji_attestation.appraisal.snp import Endorsement, check_not_revoked, verify_chain
from cji_attestation.errors import Record
from cji_attestation.evidence import (
    Evidence,
    Tcb,
    ak_chain,
    parse_attest,
    parse_hcl,
    parse_rsa_public,
    parse_snp_report,
)
from cji_attestation.evidence.collect import _der
from cji_attestation.evidence.snp_report import parse_tcb
from cji_attestation.maa import open_reply, parse_jwks
from cji_attestation.release import KeySpec
from cji_attestation.release.keyspec import locate
from cji_attestation.release.statement import verify_chain_and_signature
from cji_attestation.release.unwrap import unwrap_into
from cji_attestation.strict import load_der, parse_object, rsa_from_jwk, split_jws
from cji_attestation.trust import endpoint
from cji_core.strict import b64_decode, b64url, b64url_decode
from tests.support.forge import crl, machine
from tests.support.refusals import rejected

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def value_or_error(parse: Callable[[], object]) -> None:
    try:
        parse()
    except AttestationError as error:
        found = error
    else:
        return
    assert found.check
    assert str(found)


@functools.cache
def endorsement() -> Endorsement:
    return verify_chain(machine().certs, roots=machine().trust.amd_roots, now=machine().now, record=Record())


def signed_payload(raw: str) -> bytes:
    return verify_chain_and_signature(raw, host="a.vault.azure.net", trust=AZURE_US, now=0.0, record=Record())


PARSERS: dict[str, Callable[[bytes], object]] = {
    "hcl": parse_hcl,
    "snp": parse_snp_report,
    "attest": parse_attest,
    "public": parse_rsa_public,
    "evidence": Evidence.from_json,
    "jwks": parse_jwks,
    "ak-cert": _der,
    "reply": lambda data: open_reply(data, decrypt=lambda _: bytearray(32)),
    "certificate": lambda data: load_der(data, fault=Fault.EVIDENCE_INVALID, check="x"),
    "chain": lambda data: verify_chain(data, roots=AZURE_US.amd_roots, now=datetime.now(UTC), record=Record()),
    "crl": lambda data: check_not_revoked(endorsement(), data, now=machine().now),
    "object": lambda data: parse_object(data, limit=1000, fault=Fault.TOKEN_INVALID, check="x"),
    "unwrap": lambda data: unwrap_into(
        data, memoryview(bytearray(100)), decrypt=lambda _: bytearray(32), public_key=machine().maa.public_key()
    ),
}


SEEDED = ["ak-cert", "attest", "certificate", "chain", "crl", "evidence", "hcl", "jwks", "public", "snp"]


@functools.cache
def seeds() -> dict[str, bytes]:
    """A sound input of each binary parser, to be broken."""
    evidence = machine().evidence()
    return {
        "hcl": evidence.hcl_report,
        "snp": parse_hcl(evidence.hcl_report).hardware,
        "attest": evidence.quote,
        "public": evidence.ephemeral,
        "evidence": evidence.to_json(),
        "jwks": machine().jwks(),
        "ak-cert": ak_chain(evidence.ak_cert)[0] + bytes(10),
        "certificate": ak_chain(evidence.ak_cert)[0],
        "chain": evidence.certs,
        "crl": crl(1, 2),
    }


@pytest.mark.parametrize("name", sorted(PARSERS))
@given(data=st.binary(max_size=2000))
@settings(max_examples=100, deadline=None)
def test_any_bytes(name: str, data: bytes) -> None:
    value_or_error(lambda: PARSERS[name](data))


@pytest.mark.parametrize("name", SEEDED)
@given(at=st.integers(min_value=0), patch=st.binary(max_size=6), cut=st.integers(min_value=0, max_value=40))
@settings(max_examples=150, deadline=None)
def test_sound_bytes_with_a_wound(name: str, at: int, patch: bytes, cut: int) -> None:
    data = bytearray(seeds()[name])
    start = at % len(data)
    data[start : start + len(patch)] = patch
    value_or_error(lambda: PARSERS[name](bytes(data[: len(data) - cut])))


@pytest.mark.parametrize("name", ["jwks", "reply", "object", "evidence"])
@given(value=JSON_VALUES)
@settings(max_examples=100, deadline=None)
def test_any_json(name: str, value: object) -> None:
    value_or_error(lambda: PARSERS[name](json.dumps(value).encode()))
    value_or_error(lambda: PARSERS[name](json.dumps({"keys": [value], "token": value}).encode()))


@given(claims=st.binary(min_size=1, max_size=300), kind=st.integers(0, 5), size=st.integers(0, 400))
def test_hcl_with_any_claims(claims: bytes, kind: int, size: int) -> None:
    header = struct.pack("<4sIIII12x", b"HCLA", 1, 1236 + size, 2, 0)
    data = struct.pack("<5I", 20 + size, 1, kind, 1, size)
    value_or_error(lambda: parse_hcl(header + bytes(1184) + data + claims))


@given(text=st.text(max_size=200))
def test_any_text(text: str) -> None:
    value_or_error(lambda: split_jws(text, limit=150, fault=Fault.TOKEN_INVALID, check="a", header_check="b"))
    value_or_error(lambda: endpoint(text, AZURE_US.vault_hosts, resource="", check="x"))
    value_or_error(lambda: endpoint(f"https://{text}.vault.azure.net", AZURE_US.vault_hosts, resource="", check="x"))
    value_or_error(
        lambda: verify_chain_and_signature(text, host="a.vault.azure.net", trust=AZURE_US, now=0.0, record=Record())
    )
    spec = KeySpec(kek_id=text, public_thumbprint=text, policy_sha256=text)
    value_or_error(lambda: locate(spec, trust=AZURE_US))
    for decode in (b64url_decode, b64_decode):
        with contextlib.suppress(ValueError):
            decode(text)


@given(header=JSON_VALUES, payload=st.binary(max_size=50), signature=st.binary(max_size=50))
@settings(deadline=None)
def test_any_header(header: object, payload: bytes, signature: bytes) -> None:
    for known in ({}, {"alg": "RS256"}):
        whole = {**known, "x5c": header, **(header if isinstance(header, dict) else {})}
        raw = ".".join(map(b64url, (json.dumps(whole).encode(), payload, signature)))
        value_or_error(functools.partial(signed_payload, raw))


@given(n=JSON_VALUES, e=JSON_VALUES)
def test_any_jwk(n: object, e: object) -> None:
    value_or_error(lambda: rsa_from_jwk({"n": n, "e": e}, fault=Fault.TOKEN_INVALID, check="x"))


@given(data=st.binary(max_size=60))
def test_base64_is_canonical(data: bytes) -> None:
    assert b64url_decode(b64url(data)) == data


LEVELS = st.builds(
    Tcb,
    bootloader=st.integers(0, 255),
    tee=st.integers(0, 255),
    snp=st.integers(0, 255),
    microcode=st.integers(0, 255),
    fmc=st.integers(0, 255),
)


@given(mine=LEVELS, floor=LEVELS)
def test_a12_levels_are_compared_one_by_one(mine: Tcb, floor: Tcb) -> None:
    """The slow twin: no component of the floor is above mine."""
    below = [name for name, level in dataclasses.asdict(floor).items() if level > getattr(mine, name)]
    assert mine.at_least(floor) == (not below)


@given(levels=LEVELS, turin=st.booleans(), rest=st.binary(min_size=8, max_size=8))
def test_a12_a_tcb_is_read_back_from_the_layout_of_its_product(levels: Tcb, turin: bool, rest: bytes) -> None:
    mine = dataclasses.replace(levels, fmc=levels.fmc if turin else 0)
    raw = (
        bytes([mine.fmc, mine.bootloader, mine.tee, mine.snp, 0, 0, 0, mine.microcode])
        if turin
        else bytes([mine.bootloader, mine.tee, 0, 0, 0, 0, mine.snp, mine.microcode])
    )
    assert parse_tcb(raw, turin=turin) == mine
    reserved = rest[4:7] if turin else rest[2:6]
    assert (parse_tcb(rest, turin=turin) is None) == any(reserved)


def test_evidence_text_is_canonical() -> None:
    evidence = machine().evidence()
    text = evidence.to_json()
    assert Evidence.from_json(text) == evidence
    for other in (
        text + b" ",
        text[:-1] + b',"x":1}',
        text.replace(b'"tee":', b'"tee" :'),
        text.replace(b"snp", b"sgx", 1),
    ):
        with rejected():
            Evidence.from_json(other)
    assert len(evidence.sha384) == 48
    assert (evidence.clock.reset_count, evidence.clock.restart_count) == (3, 1)
