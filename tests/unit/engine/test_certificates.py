"""The engine's certificates: names of roles, uses, and files that are not overwritten."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from cji_engine.certificates import authority, certificate
from cji_engine.roles import CONNECTS_TO, Role, role_of

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


def made(folder: Path, role: Role) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certificate(folder, role, "one", days=2).with_suffix(".pem").read_bytes())


@pytest.mark.parametrize("role", Role)
def test_a_certificate_is_good_for_its_role_only(tmp_path: Path, role: Role) -> None:
    authority(tmp_path, days=2)
    found = made(tmp_path, role)
    root = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
    verifier = PolicyBuilder().store(Store([root]))
    for other in Role:
        listening = verifier.build_server_verifier(x509.DNSName(other.host))
        if other is role and role is not Role.CONDUCTOR:
            assert listening.verify(found, [])[0] == found
        else:
            with pytest.raises(VerificationError):
                listening.verify(found, [])
    assert verifier.build_client_verifier().verify(found, []).chain[0] == found
    uses = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert (SERVER in uses) == (role in CONNECTS_TO.values())
    assert CLIENT in uses
    assert isinstance(found.public_key(), ec.EllipticCurvePublicKey)


def test_keys_are_the_owners_alone_and_nothing_is_overwritten(tmp_path: Path) -> None:
    authority(tmp_path, days=2)
    stem = certificate(tmp_path, Role.WORKER, "one", days=2)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("*.key")} == {0o600}
    before = stem.with_suffix(".key").read_bytes()
    with pytest.raises(FileExistsError):
        certificate(tmp_path, Role.WORKER, "one", days=2)
    with pytest.raises(FileExistsError):
        authority(tmp_path, days=2)
    assert stem.with_suffix(".key").read_bytes() == before


@pytest.mark.parametrize(
    ("names", "role"),
    [
        ([("DNS", "worker.cji-engine")], Role.WORKER),
        ([("DNS", "scheduler.cji-engine")], Role.SCHEDULER),
        ([("DNS", "worker.cji-engine"), ("DNS", "scheduler.cji-engine")], None),
        ([("DNS", "worker")], None),
        ([("URI", "worker.cji-engine")], None),
        ([], None),
    ],
)
def test_a_role_is_exactly_one_name(names: list[tuple[str, str]], role: Role | None) -> None:
    assert role_of({"subjectAltName": tuple(names)}) is role


def test_no_certificate_is_no_role() -> None:
    assert role_of(None) is None
    assert role_of({}) is None
