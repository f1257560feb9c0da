"""`cji audit witness statement`: a signed statement that an independent reader accepts."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from scitt_cose import parse_signed_statement

from cji_audit.verbs.witness import Statement
from cji_core.command import build
from tests.support.json_answers import answered
from tests.support.witness_services import private_pem, public_pem
from tests.support.witness_trails import Trail


def cji(*arguments: object) -> Result:
    return CliRunner().invoke(build(), ["audit", "witness", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoint.txt"
    path.write_bytes(Trail(path=tmp_path / "audit.log").write(3).checkpoint())
    return path


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()], ids=["ES256", "ES384"])
def test_a_statement_is_accepted_by_scitt_cose(tmp_path: Path, note: Path, curve: ec.EllipticCurve) -> None:
    key, out = ec.generate_private_key(curve), tmp_path / "checkpoint.cose"
    (tmp_path / "issuer.pem").write_bytes(private_pem(key))
    command = ("statement", note, "--key", tmp_path / "issuer.pem", "--issuer", "https://pd.example", "-o", out)
    shown = cji(*command)
    assert shown.exit_code == 0
    assert "https://pd.example about cji-worker/worker-1" in shown.stdout
    found = parse_signed_statement(out.read_bytes(), public_key_pem=public_pem(key))
    assert found["signature_verified"] is True
    assert found["payload"] == note.read_bytes()
    told = answered(cji(*command[:-1], tmp_path / "other.cose", "--json"), Statement)
    assert (told.issuer, told.subject) == ("https://pd.example", "cji-worker/worker-1")
    assert told.bytes == (tmp_path / "other.cose").stat().st_size
    again = cji(*command)
    assert again.exit_code == 2
    assert "cannot be written" in again.output


def test_what_cannot_be_signed_is_named(tmp_path: Path, note: Path) -> None:
    key, out = tmp_path / "issuer.pem", tmp_path / "out"
    options = ("--key", key, "--issuer", "https://pd.example", "-o", out)
    other = rsa.generate_private_key(65537, 2048)
    for pem in (b"", other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())):
        key.write_bytes(pem)
        shown = cji("statement", note, *options)
        assert shown.exit_code == 2
        assert "issuer.pem has " in shown.output
    key.write_bytes(private_pem(ec.generate_private_key(ec.SECP384R1())))
    note.write_text("no checkpoint")
    shown = cji("statement", note, *options)
    assert shown.exit_code == 2
    assert "is not a checkpoint: not a signed note" in shown.output
    assert not out.exists()


def test_the_group_explains_itself() -> None:
    for command in ((), ("verify",), ("statement",)):
        shown = cji(*command, "--help")
        assert shown.exit_code == 0
        assert not command or "cji audit witness" in shown.stdout
