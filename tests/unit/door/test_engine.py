"""The engine's certificates while the authority is away: those in force serve until they end."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA384

from cji_core.errors import StartupError
from cji_simulator.certificates import authority, pem, private_pem
from cji_worker.door.engine import obtain

ROOT = authority("Engine CA", ec.generate_private_key(ec.SECP256R1()))
NOBODY = "https://127.0.0.1:9/.well-known/est"


def machine(folder: Path, *, until: datetime) -> Path:
    """A machine whose two certificates are in their last third, with an authority that is away."""
    for role in ("scheduler", "worker"):
        key = ec.generate_private_key(ec.SECP384R1())
        name = f"{role}.cji-engine"
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
            .issuer_name(ROOT.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(until - timedelta(days=9))
            .not_valid_after(until)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        )
        certificate = builder.sign(ec.generate_private_key(ec.SECP256R1()), SHA384())
        (folder / f"{role}.pem").write_bytes(pem(certificate))
        (folder / f"{role}.key").write_bytes(private_pem(key))
    (folder / "engine-roots.pem").write_bytes(pem(ROOT.certificate))
    config = folder / "engine.toml"
    config.write_text(
        'cloud = "azure-us"\npool = "engine"\n[nodes]\naddresses = ["10.0.1.4"]\nname = "cji.agency.example"\n'
        f'roots = "node-roots.pem"\n[certificates]\nurl = "{NOBODY}"\nroots = "engine-roots.pem"\n'
    )
    return config


def test_a_certificate_serves_while_nobody_renews_it(tmp_path: Path) -> None:
    config = machine(tmp_path, until=datetime.now(UTC) + timedelta(days=1))
    before = (tmp_path / "scheduler.pem").read_bytes()
    obtain(config, tmp_path)
    assert (tmp_path / "scheduler.pem").read_bytes() == before
    assert (tmp_path / "ca.pem").read_bytes() == pem(ROOT.certificate)


def test_one_that_ended_does_not(tmp_path: Path) -> None:
    config = machine(tmp_path, until=datetime.now(UTC) - timedelta(minutes=1))
    with pytest.raises(StartupError, match="does not answer"):
        obtain(config, tmp_path)
