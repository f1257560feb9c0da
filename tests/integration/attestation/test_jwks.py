"""The signing keys of a provider, from a real server: rotation, outages, floods of unknown kids, hostile documents."""

import base64
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from cji_attestation import AZURE_US, AttestationError, Fault
from cji_attestation.maa import SigningKeys
from cji_attestation.maa.jwks import COOL_DOWN, LIFETIME, MAX_JWKS_BYTES, REFRESH, RETRY
from cji_attestation.trust import endpoint
from cji_simulator.certificates import leaf
from cji_simulator.encoding import rsa_jwk
from tests.support.refusals import rejected
from tests.support.rsa_keys import rsa_key

KEY, ROLLED = rsa_key(0), rsa_key(1)


def document(**keys: rsa.RSAPrivateKey) -> bytes:
    return msgspec.json.encode({"keys": [{"kid": kid, **rsa_jwk(key.public_key())} for kid, key in keys.items()]})


class Provider(ThreadingHTTPServer):
    """Answers every GET with `status` and `body`, and counts."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.body = 200, document(old=KEY)
        self.paths: list[str] = []
        self.gate: threading.Event | None = None
        url = f"http://127.0.0.1:{self.server_port}"
        self.time = 1000.0
        self.keys = SigningKeys(
            issuer=endpoint(url, (url,), resource="", check="maa-url"), trust=AZURE_US, monotonic=lambda: self.time
        )

    def refused(self, kid: str) -> AttestationError:
        with rejected() as caught:
            self.keys.get(kid)
        return caught.value


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        if self.server.gate is not None:
            self.server.gate.wait(60)
        self.send_response(self.server.status)
        self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def test_a21_a_thousand_unknown_kids_cost_one_fetch(provider: Provider) -> None:
    def ask(n: int) -> str:
        return provider.refused(f"unknown-{n}").check

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(ask, range(1000))) == {"T03"}
        assert provider.paths == ["/certs"]
        provider.time += COOL_DOWN + 1
        assert set(pool.map(ask, range(1000))) == {"T03"}
    assert provider.paths == ["/certs"] * 2


def test_a21_callers_share_one_fetch(provider: Provider) -> None:
    provider.gate = threading.Event()
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(provider.keys.get, "old") for _ in range(8)]
        provider.gate.set()
        assert all(one.result(10).key == KEY.public_key() for one in waiting)
    assert len(provider.paths) == 1


def test_a_new_key_is_found_and_the_old_one_keeps_its_lifetime(provider: Provider) -> None:
    assert provider.keys.get("old").key == KEY.public_key()
    provider.body = document(new=ROLLED)
    assert provider.refused("new").check == "T03"
    provider.time += COOL_DOWN + 1
    assert provider.keys.get("new").key == ROLLED.public_key()
    assert provider.keys.get("old").key == KEY.public_key()
    provider.time = 1000 + LIFETIME
    assert provider.keys.get("old").key == KEY.public_key()
    provider.time += 1
    assert provider.refused("old").check == "T03"
    assert provider.keys.get("new").key == ROLLED.public_key()


def test_a_kid_that_changes_its_key_has_the_new_one(provider: Provider) -> None:
    assert provider.keys.get("old").key == KEY.public_key()
    provider.body = document(old=ROLLED)
    provider.time += REFRESH + 1
    assert provider.keys.get("old").key == ROLLED.public_key()


def test_keys_are_refreshed_before_they_end(provider: Provider) -> None:
    assert provider.keys.get("old")
    provider.time += REFRESH
    assert provider.keys.get("old")
    assert len(provider.paths) == 1
    provider.time += 1
    assert provider.keys.get("old")
    assert len(provider.paths) == 2


def test_an_outage_costs_keys_only_after_their_lifetime(provider: Provider) -> None:
    assert provider.keys.get("old")
    provider.status = 503
    provider.time += LIFETIME
    assert provider.keys.get("old")
    assert provider.refused("new").fault is Fault.MAA_UNAVAILABLE
    assert len(provider.paths) == 2
    provider.time += 1
    assert provider.refused("old").fault is Fault.MAA_UNAVAILABLE
    provider.status = 200
    provider.time += RETRY
    assert provider.keys.get("old")


@pytest.mark.parametrize("status", [201, 301, 404, 429, 500, 503])
def test_another_status_is_no_document(provider: Provider, status: int) -> None:
    provider.status = status
    error = provider.refused("old")
    assert (error.fault, error.check, error.retry_after) == (Fault.MAA_UNAVAILABLE, "jwks", 7.0)
    provider.status = 200
    again = provider.refused("old")  # not asked again at once
    assert (again.fault, again.check, again.retry_after) == (Fault.MAA_UNAVAILABLE, "jwks", 7.0)
    assert len(provider.paths) == 1
    provider.time += RETRY + 1
    assert provider.keys.get("old")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"keys":[]}',
        b'{"keys":[{"kty":"oct","kid":"old","k":"AAAA"}]}',
        b'{"keys":[],"keys":[]}',
        b'{"keys":' + b"[" * 100,
    ],
)
def test_a_malformed_document_replaces_nothing(provider: Provider, body: bytes) -> None:
    assert provider.keys.get("old")
    provider.body = body
    provider.time += REFRESH + 1
    assert provider.keys.get("old")
    assert provider.refused("new").fault is Fault.TOKEN_INVALID
    provider.time += LIFETIME
    assert provider.refused("old").fault is Fault.TOKEN_INVALID


def test_a_document_without_end_is_cut(provider: Provider) -> None:
    provider.body = b" " * (MAX_JWKS_BYTES + 2)
    assert provider.refused("old").fault is Fault.MAA_UNAVAILABLE


def test_documents_as_large_as_real_ones_are_read(provider: Provider) -> None:
    """Certificates of 31 kB, since they carry evidence, make documents of 96 KiB."""
    plain = leaf("provider", KEY, None).certificate
    evidence = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.311.105.1000.1"), bytes(31_000))
    builder = (
        x509.CertificateBuilder()
        .subject_name(plain.subject)
        .issuer_name(plain.subject)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(plain.not_valid_before_utc)
        .not_valid_after(plain.not_valid_after_utc)
        .add_extension(evidence, critical=False)
    )
    x5c = base64.b64encode(builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)).decode()
    entries = [{"kid": kid, "kty": "RSA", "x5c": [x5c]} for kid in ("a", "b")]
    provider.body = msgspec.json.encode({"keys": entries})
    assert len(provider.body) > 80_000
    assert provider.keys.get("b").key == KEY.public_key()
