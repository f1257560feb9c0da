"""Roots of the system on the platforms of clients: a file, or the store of Windows."""

import ssl
import sys

import pytest

from cji_attestation.errors import AttestationError
from cji_attestation.fetch import system_roots, system_roots_file, tls_context

SERVER_AUTH, CODE_SIGNING = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.3"


def store(*entries: tuple[bytes, str, object], monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A context that trusts what a Windows with these entries in its store ROOT trusts."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ssl, "enum_certificates", lambda name: entries if name == "ROOT" else (), raising=False)
    return tls_context(None, check="system-roots")


@pytest.fixture(scope="module")
def roots() -> list[bytes]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=system_roots_file())
    return context.get_ca_certs(binary_form=True)[:4]


def test_the_store_of_windows_gives_roots_for_servers(roots: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    entries = (
        (roots[0], "x509_asn", True),
        (roots[1], "x509_asn", {SERVER_AUTH, CODE_SIGNING}),
        (roots[2], "x509_asn", {CODE_SIGNING}),
        (roots[3], "pkcs_7_asn", True),
    )
    context = store(*entries, monkeypatch=monkeypatch)
    assert set(context.get_ca_certs(binary_form=True)) == {roots[0], roots[1]}


def test_an_empty_store_is_refused(roots: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AttestationError) as caught:
        store((roots[2], "x509_asn", {CODE_SIGNING}), monkeypatch=monkeypatch)
    assert caught.value.check == "system-roots"


def test_elsewhere_it_is_the_file(roots: list[bytes]) -> None:
    context = tls_context(None, check="system-roots")
    assert set(roots) <= set(context.get_ca_certs(binary_form=True))
    assert len(system_roots()) > len(roots)
