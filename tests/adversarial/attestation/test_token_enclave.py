"""The evidence in a signing certificate (T18): every part of it replaced and, where that takes a key, signed anew."""

import base64
import functools
import hashlib
import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cji_attestation import AZURE_US, Fault
from cji_attestation.appraisal import MaaEnclave
from cji_attestation.evidence import maa_nonce
from cji_attestation.maa import SigningKeys, VerifiedToken, verify_token
from cji_attestation.maa.enclave import EVIDENCE, KIND
from cji_attestation.trust import endpoint
from cji_simulator.certificates import leaf
from cji_simulator.encoding import b64url, rsa_jwk
from tests.support.forge import (
    ISSUER,
    QUALIFYING,
    decided,
    forge_vcek,
    machine,
)
from tests.support.refusals import rejected

MEASUREMENT = hashlib.sha384(b"utility VM").digest()
HOST_DATA = hashlib.sha256(b"container policy").digest()
ENCLAVE = MaaEnclave(measurements=("01" * 48, MEASUREMENT.hex()), host_data=(HOST_DATA.hex(), "00" * 32))


def commitment(key: rsa.RSAPublicKey) -> bytes:
    """As Microsoft's verifier has it: PEM with 64 characters a line, LF at the end, and a NUL."""
    text = base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    pem = "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""]) + "\0"
    return hashlib.sha256(pem.encode()).digest() + bytes(32)


def report(**fields: Any) -> bytes:
    given = {
        "report_data": commitment(machine().maa.public_key()),
        "measurement": MEASUREMENT,
        "host_data": HOST_DATA,
    }
    return machine().report(b"", **(given | fields))


def said(**members: Any) -> dict[str, Any]:
    given = {"SnpReport": b64url(report()), "VcekCertChain": b64url(machine().certs), "Endorsements": "e30"}
    return {name: value for name, value in (given | members).items() if value is not None}


def utf8_string(text: str) -> bytes:
    data = text.encode()
    size = len(data).to_bytes((len(data).bit_length() + 7) // 8, "big")
    return bytes([0x0C]) + (bytes([len(data)]) if len(data) < 128 else bytes([0x80 + len(size)]) + size) + data


def certificate(extensions: dict[x509.ObjectIdentifier, bytes]) -> bytes:
    plain = leaf(ISSUER, machine().maa, None).certificate
    builder = (
        x509.CertificateBuilder()
        .subject_name(plain.subject)
        .issuer_name(plain.subject)
        .public_key(machine().maa.public_key())
        .serial_number(1)
        .not_valid_before(plain.not_valid_before_utc)
        .not_valid_after(plain.not_valid_after_utc)
    )
    for oid, value in extensions.items():
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    return builder.sign(machine().maa, hashes.SHA256()).public_bytes(Encoding.DER)


def extensions(**replaced: bytes | None) -> dict[x509.ObjectIdentifier, bytes]:
    given = {"kind": utf8_string("acisevsnp"), "evidence": utf8_string(json.dumps(said()))}
    oids = {"kind": KIND, "evidence": EVIDENCE}
    return {oids[name]: value for name, value in (given | replaced).items() if value is not None}


@functools.cache
def verdict() -> tuple[Any, str]:
    evidence = machine().evidence()
    return machine().appraise(evidence), machine().token(machine().token_claims(evidence))


def verify(found: dict[x509.ObjectIdentifier, bytes] | None = None, **kw: Any) -> VerifiedToken:
    entry: dict[str, Any] = {"kid": "k1", **rsa_jwk(machine().maa.public_key())}
    if found is not None:
        entry["x5c"] = [base64.b64encode(certificate(found)).decode()]
    issuer = endpoint(ISSUER, AZURE_US.maa_hosts, resource="", check="maa-url")
    trust = kw.get("trust", machine().trust)
    keys = SigningKeys(issuer=issuer, trust=trust, fetch=lambda: msgspec.json.encode({"keys": [entry]}))
    enclave = kw.get("enclave", ENCLAVE)
    judged, token = verdict()
    return verify_token(
        token,
        keys=keys,
        verdict=judged,
        nonce=maa_nonce(QUALIFYING),
        max_age=3600,
        reference=decided(maa_enclave=enclave, token_max_age=3600),
        now=(machine().now + kw.get("later", timedelta(0))).timestamp(),
    )


def refused(found: dict[x509.ObjectIdentifier, bytes] | None, **kw: Any) -> None:
    with rejected("T18", fault=Fault.TOKEN_INVALID):
        verify(found, **kw)


def evidence(**members: Any) -> dict[x509.ObjectIdentifier, bytes]:
    return extensions(evidence=utf8_string(json.dumps(said(**members))))


def reported(**fields: Any) -> dict[x509.ObjectIdentifier, bytes]:
    return evidence(SnpReport=b64url(report(**fields)))


def test_h02_a_key_in_an_allowed_enclave() -> None:
    assert verify(extensions())
    assert verify(evidence(SnpReport=base64.urlsafe_b64encode(report()).decode()))
    assert verify(evidence(Endorsements=None))


def test_h02_without_the_demand_nothing_is_asked() -> None:
    assert verify(None, enclave=None)


def test_h02_a_key_without_certificate_or_evidence() -> None:
    refused(None)
    refused({})
    refused(extensions(kind=None))
    refused(extensions(evidence=None))


@pytest.mark.parametrize("kind", [b"", b"\x0c", utf8_string("sgx"), utf8_string(""), b"\x04\x09acisevsnp"])
def test_h02_another_kind_of_enclave(kind: bytes) -> None:
    refused(extensions(kind=kind))


def test_h02_a_string_has_one_form() -> None:
    good = utf8_string("acisevsnp")
    for wrong in (good + b"\0", good[:-1], b"\x0c\x81" + good[1:], b"\x0c\x82\0" + good[1:], b"\x0c\x80" + good[2:]):
        refused(extensions(kind=wrong))
    refused(extensions(kind=utf8_string("acisevsnp").replace(b"ac", b"\xff\xff")))


@pytest.mark.parametrize("name", ["SnpReport", "VcekCertChain"])
@pytest.mark.parametrize("value", [None, "", "!", 1, "AAAA"])
def test_h02_missing_or_broken_members(name: str, value: object) -> None:
    refused(evidence(**{name: value}))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"SnpReport":"","SnpReport":""}'])
def test_h02_evidence_that_is_no_object(text: str) -> None:
    refused(extensions(evidence=utf8_string(text)))


def test_h02_another_key() -> None:
    stranger = rsa.generate_private_key(65537, 2048).public_key()
    good = commitment(machine().maa.public_key())
    refused(reported(report_data=commitment(stranger)))
    refused(reported(report_data=good[:63] + b"\1"))
    der = machine().maa.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    refused(reported(report_data=hashlib.sha256(der).digest() + bytes(32)))


def test_h02_another_enclave() -> None:
    refused(reported(measurement=hashlib.sha384(b"other").digest()))
    refused(reported(host_data=hashlib.sha256(b"other").digest()))


def test_h02_an_enclave_that_can_be_debugged() -> None:
    refused(reported(policy=0x3001F | 1 << 19))


def test_h02_a_report_that_the_chip_did_not_sign() -> None:
    forged = bytearray(report())
    forged[0x2A0] ^= 1
    refused(evidence(SnpReport=b64url(bytes(forged))))


def test_h02_another_chip_root_or_time() -> None:
    refused(reported(chip_id=b"other".ljust(64, b"x")))
    refused(evidence(VcekCertChain=b64url(forge_vcek(values={"3.8": b"\x02\x01\x01"}))))
    refused(extensions(), trust=AZURE_US)


@pytest.mark.parametrize(
    "enclave",
    [
        MaaEnclave(measurements=(), host_data=("00" * 32,)),
        MaaEnclave(measurements=("0a" * 48,), host_data=()),
        MaaEnclave(measurements=("0a" * 48,), host_data=("0a" * 48,)),
        MaaEnclave(measurements=("0a" * 32,), host_data=("00" * 32,)),
        MaaEnclave(measurements=("AA" * 48,), host_data=("00" * 32,)),
    ],
)
def test_a15_enclaves_that_could_mean_anything(enclave: MaaEnclave) -> None:
    with rejected("reference-maa_enclave"):
        machine().appraise(machine().evidence(), reference=decided(maa_enclave=enclave))


@pytest.mark.parametrize("pinned", ["", "00" * 32, "9NY0VnTQ-IiBriBplVUpFbczcDaEBUwsiFYAzHu_gco=", "9NY0"])
def test_a20_a_hash_that_no_token_could_have(pinned: str) -> None:
    with rejected("reference-maa_policy_hashes"):
        machine().appraise(machine().evidence(), reference=decided(maa_policy_hashes=(pinned,)))
