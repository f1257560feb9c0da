"""The server's files are checked against each other before nginx reads them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from cji_core.errors import StartupError
from cji_core.format.configuration.door_files import check_client_roots, check_server_files
from cji_core.format.configuration.worker import ListenSection
from cji_simulator.certificates import authority, leaf, pem, private_pem

NOW = datetime.now(UTC)
KEY = ec.generate_private_key(ec.SECP256R1())
CA = authority("Worker CA", ec.generate_private_key(ec.SECP256R1()))
SERVER = leaf("worker", KEY, CA, hosts=["localhost"])
CHAIN = pem(SERVER.certificate) + pem(CA.certificate)
ENCRYPTED = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
)


def pkcs8(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def listen(folder: Path, certificate: bytes = CHAIN, private_key: bytes | None = None) -> ListenSection:
    (folder / "server.pem").write_bytes(certificate)
    (folder / "server.key").write_bytes(private_pem(KEY) if private_key is None else private_key)
    return ListenSection(
        certificate=str(folder / "server.pem"), private_key=str(folder / "server.key"), client_roots="roots.pem"
    )


def test_files_that_belong_together_are_accepted(tmp_path: Path) -> None:
    assert check_server_files(listen(tmp_path), now=NOW) == SERVER.certificate.not_valid_after_utc


@pytest.mark.parametrize(
    ("certificate", "private_key", "named"),
    [
        (b"", None, "certificate"),
        (b"noise", None, "certificate"),
        (pem(CA.certificate), None, "private_key"),
        (CHAIN, b"noise", "private_key"),
        (CHAIN, private_pem(ec.generate_private_key(ec.SECP256R1())), "private_key"),
        (CHAIN, ENCRYPTED, "private_key"),
        (CHAIN, pkcs8(rsa.generate_private_key(65537, 1024)), "private_key"),
        (CHAIN, pkcs8(ed25519.Ed25519PrivateKey.generate()), "private_key"),
        (CHAIN, pkcs8(ec.generate_private_key(ec.SECP521R1())), "private_key"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, certificate: bytes, private_key: bytes | None, named: str
) -> None:
    with pytest.raises(StartupError, match=f"^{named}: "):
        check_server_files(listen(tmp_path, certificate, private_key), now=NOW)


@pytest.mark.parametrize("days", [-2, 31])
def test_a_certificate_of_another_time_is_refused(tmp_path: Path, days: int) -> None:
    with pytest.raises(StartupError, match="not now"):
        check_server_files(listen(tmp_path), now=NOW + timedelta(days=days))


@pytest.mark.parametrize("key", ["certificate", "private_key"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, key: str) -> None:
    files = msgspec.structs.replace(listen(tmp_path), **{key: str(tmp_path / "absent")})
    with pytest.raises(StartupError, match=f"^{key}: ") as error:
        check_server_files(files, now=NOW)
    assert "absent" in error.value.remedy


@pytest.mark.parametrize("order", [1, -1])
def test_an_intermediate_authority_needs_its_root(tmp_path: Path, order: int) -> None:
    above = authority("Second", ec.generate_private_key(ec.SECP256R1()), CA)
    issuer = authority("Third", ec.generate_private_key(ec.SECP256R1()), above)
    chain = [pem(each.certificate) for each in (issuer, above, CA)]
    roots = tmp_path / "roots.pem"
    files = msgspec.structs.replace(listen(tmp_path), client_roots=str(roots))
    roots.write_bytes(b"".join(chain[::order]))
    check_client_roots(files)
    for missing in (1, 2):
        roots.write_bytes(b"".join(each for number, each in enumerate(chain) if number != missing))
        with pytest.raises(StartupError, match="client_roots: the root of 'CN="):
            check_client_roots(files)
    roots.write_bytes(b"noise")
    with pytest.raises(StartupError, match="client_roots: it is not PEM"):
        check_client_roots(files)
