"""Addresses that the HTTPS client dials, and whom it trusts."""

import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from cji_core import https
from cji_core.https import retry_after, system_roots_file, tls_context, trust_system_roots
from cji_simulator.certificates import authority, pem

CERTIFICATES = [authority(name, ec.generate_private_key(ec.SECP256R1())).certificate for name in "abcd"]
DER = [one.public_bytes(Encoding.DER) for one in CERTIFICATES]
SERVER_AUTH, CLIENT_AUTH = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"


def names(context: ssl.SSLContext) -> list[str]:
    found: list[Any] = context.get_ca_certs()
    return sorted(dict(part[0] for part in one["subject"])["commonName"] for one in found)


@pytest.mark.parametrize(
    ("url", "service", "path"),
    [
        ("https://a.example", ("https", "a.example", 443), "/"),
        ("https://a.example:8443/x/y?z=1", ("https", "a.example", 8443), "/x/y?z=1"),
        ("http://127.0.0.1/x", ("http", "127.0.0.1", 80), "/x"),
        ("http://127.0.0.1:81", ("http", "127.0.0.1", 81), "/"),
        ("http://169.254.169.254/metadata", ("http", "169.254.169.254", 80), "/metadata"),
    ],
)
def test_addresses(url: str, service: tuple[str, str, int], path: str) -> None:
    found = https._target(url, plain=True)
    assert (found.service, found.path) == (service, path)


@pytest.mark.parametrize("url", ["ftp://a.example", "https://", "https:///x", "https://u:p@a.example", "https://a#b"])
def test_addresses_of_no_service(url: str) -> None:
    with pytest.raises(ValueError, match="not one of a service"):
        https._target(url, plain=True)


@pytest.mark.parametrize(("url", "plain"), [("http://a.example", True), ("http://127.0.0.1", False)])
def test_addresses_in_the_clear(url: str, plain: bool) -> None:
    with pytest.raises(ValueError, match="not https"):
        https._target(url, plain=plain)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), ("0", 0.0), ("7", 7.0), ("301", 300.0), ("-7", None), ("\u00b2", None), ("Mon, 30 Nov", None)],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after(value) == seconds


@pytest.mark.parametrize(
    "place", ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem", None]
)
def test_where_systems_have_their_roots(place: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_file", lambda path: str(path) == place)
    if place is None:
        with pytest.raises(FileNotFoundError, match="no file of certificate authorities"):
            system_roots_file()
    else:
        assert system_roots_file() == place


def test_a_context_trusts_what_it_is_given_alone(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(pem(CERTIFICATES[0]))
    assert names(tls_context(ca_file=str(file))) == ["a"]
    assert names(tls_context(pem=pem(CERTIFICATES[1]).decode())) == ["b"]
    assert names(tls_context(ca_file=str(file), pem=pem(CERTIFICATES[1]).decode())) == ["a", "b"]


def test_a_context_trusts_the_systems_roots_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(pem(CERTIFICATES[0]) + pem(CERTIFICATES[1]))
    monkeypatch.setattr(https, "_PLACES", (str(file),))
    assert names(tls_context()) == ["a", "b"]


def test_the_roots_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    store: list[tuple[bytes, str, Any]] = [
        (DER[0], "x509_asn", True),
        (DER[1], "x509_asn", {SERVER_AUTH, CLIENT_AUTH}),
        (DER[2], "x509_asn", {CLIENT_AUTH}),
        (DER[3], "pkcs_7_asn", True),
    ]
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ssl, "enum_certificates", lambda name: store if name == "ROOT" else [], raising=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust_system_roots(context)
    assert names(context) == ["a", "b"]
    del store[:2]
    with pytest.raises(FileNotFoundError, match="no certificate authorities"):
        trust_system_roots(context)
