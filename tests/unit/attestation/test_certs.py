"""Certificates and roots as bytes of others, and the bounded exchange where nothing answers."""

import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cji_attestation import AttestationError, Fault, fetch
from cji_attestation.fetch import exchange, tls_context
from cji_attestation.strict import load_der, load_pem_chain
from cji_attestation.trust import endpoint
from cji_core import https
from cji_core.certs import MAX_CHAIN_BYTES, CertificateRefused, WrongKey, load_ec_public_key
from cji_simulator.certificates import authority, leaf, pem
from tests.support.refusals import rejected
from tests.support.rsa_keys import rsa_key

ONE = leaf("one", rsa_key(0), None).certificate
ROOT = authority("root", rsa_key(1)).certificate
DER = ONE.public_bytes(Encoding.DER)


@pytest.mark.parametrize("data", [b"", b"x", DER + b"\0", DER[:-1], pem(ONE)])
def test_what_is_not_one_der_certificate(data: bytes) -> None:
    assert load_der(DER, fault=Fault.TOKEN_INVALID, check="x") == ONE
    with rejected("x"):
        load_der(data, fault=Fault.TOKEN_INVALID, check="x")


@pytest.mark.parametrize("data", [b"", b"x", DER, pem(ONE)[:-40], pem(ONE) + b" " * MAX_CHAIN_BYTES])
def test_what_is_not_a_chain(data: bytes) -> None:
    assert load_pem_chain(pem(ONE) * 2, fault=Fault.TOKEN_INVALID, check="x") == (ONE, ONE)
    with rejected("x"):
        load_pem_chain(data, fault=Fault.TOKEN_INVALID, check="x")


def test_the_systems_roots_are_a_file_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "bundle.crt"
    monkeypatch.setattr(https, "_PLACES", (str(tmp_path / "absent"), str(bundle)))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: ssl.DefaultVerifyPaths("", "", "", "/absent", "", ""))
    with rejected("system-roots", fault=Fault.CONFIG_INVALID):
        fetch.system_roots_file()
    bundle.write_bytes(pem(ROOT))
    assert fetch.system_roots_file() == str(bundle)
    assert fetch.system_roots() == [ROOT]


def test_given_roots_are_the_only_ones() -> None:
    context = tls_context(pem(ROOT).decode(), check="tls")
    assert context.get_ca_certs(binary_form=True) == [ROOT.public_bytes(Encoding.DER)]


def test_roots_that_cannot_be_read_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "bundle.crt"
    bundle.write_bytes(pem(ROOT))
    monkeypatch.setattr(https, "_PLACES", (str(bundle),))

    def unreadable(*_: object, **__: object) -> object:
        raise AttestationError(Fault.CONFIG_INVALID, check="system-roots")

    monkeypatch.setattr(fetch, "load_der", unreadable)
    assert fetch.system_roots() == []


@pytest.mark.parametrize("roots", ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_tls_roots_that_are_none(roots: str) -> None:
    with rejected("tls", fault=Fault.CONFIG_INVALID):
        tls_context(roots, check="tls")


@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_a_silent_peer_costs_no_more_than_the_deadline(seconds: float) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with rejected("silent") as caught:
            exchange(
                endpoint(url, (url,), resource="", check="x"),
                method="GET",
                path="/",
                headers={},
                body=None,
                roots=None,
                limit=10,
                seconds=seconds,
                fault=Fault.MAA_UNAVAILABLE,
                check="silent",
            )
    assert (caught.value.fault, caught.value.check) == (Fault.MAA_UNAVAILABLE, "silent")


NOW = datetime(2026, 11, 1, tzinfo=UTC)


def even_root() -> x509.Certificate:
    """A root whose signature ends in a zero bit."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "r")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(1))
    signed = (builder.serial_number(1 + number).sign(key, hashes.SHA256()) for number in range(64))
    return next(one for one in signed if not one.signature[-1] & 1)


def test_a_signature_has_one_form() -> None:
    """A BIT STRING may leave bits unused; where they are zero, the signature reads the same (X.690, 11.2)."""
    root = even_root()
    der = bytearray(root.public_bytes(Encoding.DER))
    assert load_der(bytes(der), fault=Fault.EVIDENCE_INVALID, check="E05") == root
    der[-len(root.signature) - 1] = 1
    other = x509.load_der_x509_certificate(bytes(der))
    assert (other.signature, other.tbs_certificate_bytes) == (root.signature, root.tbs_certificate_bytes)
    with rejected("E05", fault=Fault.EVIDENCE_INVALID):
        load_der(bytes(der), fault=Fault.EVIDENCE_INVALID, check="E05")
    with rejected("E05", fault=Fault.EVIDENCE_INVALID):
        load_pem_chain(other.public_bytes(Encoding.PEM), fault=Fault.EVIDENCE_INVALID, check="E05")


def test_a_public_key_is_on_one_of_the_curves() -> None:
    p256, p384 = (ec.generate_private_key(curve).public_key() for curve in (ec.SECP256R1(), ec.SECP384R1()))
    other = rsa.generate_private_key(65537, 2048).public_key()
    texts = [key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for key in (p256, p384, other)]
    assert load_ec_public_key(texts[0]) == load_ec_public_key(texts[0], ec.SECP384R1, ec.SECP256R1) == p256
    assert load_ec_public_key(texts[1], ec.SECP384R1) == p384
    for text, curves in ((texts[0], (ec.SECP384R1,)), (texts[2], ()), (texts[2], (ec.SECP384R1,))):
        with pytest.raises(WrongKey):
            load_ec_public_key(text, *curves)
    for text in (b"", b"x", texts[0][:-40]):
        with pytest.raises(CertificateRefused, match="not a public key in PEM"):
            load_ec_public_key(text)
