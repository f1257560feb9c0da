"""Certificates and roots as bytes of others, and the bounded exchange where nothing answers."""

import socket
import ssl
from pathlib import Path

import pytest
from cji_simulator.certificates import authority, leaf, pem
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from attestation import AttestationError, Fault, system_roots
from attestation.certs import MAX_CHAIN_BYTES, load_der, load_pem_chain
from attestation.fetch import exchange, tls_context
from attestation.trust import endpoint
from tests.support.refusals import rejected

ONE = leaf("one", rsa.generate_private_key(65537, 2048), None).certificate
ROOT = authority("root", rsa.generate_private_key(65537, 2048)).certificate
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
    monkeypatch.setattr(system_roots, "_PLACES", (str(tmp_path / "absent"), str(bundle)))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: ssl.DefaultVerifyPaths("", "", "", "/absent", "", ""))
    with rejected("system-roots", fault=Fault.CONFIG_INVALID):
        system_roots.system_roots_file()
    bundle.write_bytes(pem(ROOT))
    with system_roots.roots_file(None) as path:
        assert path == str(bundle)
    assert system_roots.system_roots() == [ROOT]


def test_given_roots_are_a_file_in_memory_only_while_in_use() -> None:
    with system_roots.roots_file(pem(ROOT).decode()) as path:
        assert Path(path).read_bytes() == pem(ROOT)
        assert Path(path).readlink().name.startswith("memfd:")
    assert not Path(path).exists()


def test_roots_that_cannot_be_read_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "bundle.crt"
    bundle.write_bytes(pem(ROOT))
    monkeypatch.setattr(system_roots, "_PLACES", (str(bundle),))

    def unreadable(*_: object, **__: object) -> object:
        raise AttestationError(Fault.CONFIG_INVALID, check="system-roots")

    monkeypatch.setattr(system_roots, "load_der", unreadable)
    assert system_roots.system_roots() == []


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
