"""TLS files: checked against each other before any counts; handed to gRPC once."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cji_simulator.certificates import authority, leaf, pem, private_pem
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.support.revocation import crl
from worker.front.tls import Tls, check
from worker.operator_files import FileRefused, TlsFiles

NOW = datetime.now(UTC)
KEY = ec.generate_private_key(ec.SECP256R1())
CA = authority("Worker CA", ec.generate_private_key(ec.SECP256R1()))
SERVER = leaf("worker", KEY, CA, hosts=["localhost"])
GOOD = TlsFiles(
    certificate=pem(SERVER.certificate) + pem(CA.certificate),
    private_key=private_pem(KEY),
    client_roots=pem(CA.certificate),
    client_crl=crl(CA, [7]),
)
ENCRYPTED = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
)
SMALL = rsa.generate_private_key(65537, 1024)
EDWARDS = ed25519.Ed25519PrivateKey.generate()


def pkcs8(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize(
    ("change", "file"),
    [
        ({"certificate": b""}, "certificate"),
        ({"certificate": b"noise"}, "certificate"),
        ({"certificate": pem(CA.certificate)}, "private_key"),
        ({"private_key": b"noise"}, "private_key"),
        ({"private_key": private_pem(ec.generate_private_key(ec.SECP256R1()))}, "private_key"),
        ({"private_key": ENCRYPTED}, "private_key"),
        ({"private_key": pkcs8(SMALL)}, "private_key"),
        ({"private_key": pkcs8(EDWARDS)}, "private_key"),
        ({"private_key": pkcs8(ec.generate_private_key(ec.SECP521R1()))}, "private_key"),
        ({"client_roots": b"noise"}, "client_roots"),
        ({"client_roots": GOOD.certificate}, "client_roots"),
        ({"client_crl": b""}, "client_crl"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(change: dict[str, bytes], file: str) -> None:
    check(GOOD, now=NOW)
    with pytest.raises(FileRefused) as caught:
        check(msgspec.structs.replace(GOOD, **change), now=NOW)
    assert caught.value.file == file
    assert caught.value.what.startswith(f"{file}: ")


@pytest.mark.parametrize("days", [-2, 31])
def test_a_server_certificate_of_another_time_is_refused(days: int) -> None:
    files = msgspec.structs.replace(GOOD, client_crl=None)
    with pytest.raises(FileRefused, match="not now"):
        check(files, now=NOW + timedelta(days=days))


def test_digests_are_those_of_the_files_and_no_key_has_one() -> None:
    digests = check(GOOD, now=NOW).digests
    assert set(msgspec.structs.asdict(digests)) == {"certificate", "client_roots", "client_crl"}
    assert check(msgspec.structs.replace(GOOD, client_crl=None), now=NOW).digests.client_crl is None
    assert "PRIVATE" not in repr(GOOD)


def test_grpc_gets_new_files_once_and_the_last_ones() -> None:
    tls = Tls(check(GOOD, now=NOW))
    assert tls._fetch() is None
    tls.replace(check(GOOD, now=NOW))
    tls.replace(second := check(GOOD, now=NOW))
    assert tls.now is second
    assert tls._fetch() is not None
    assert tls._fetch() is None
