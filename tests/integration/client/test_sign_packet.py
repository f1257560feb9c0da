"""`cji audit sign-packet`: the agency's pair in a file, and its P-384 half in a vault or a token."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec, mldsa

import cji_client.storage_identity
from cji_attestation import AZURE_US
from cji_client.signers import KeySigner, PairedSigner
from cji_client.verbs.sign_packet import SignedPacket
from cji_core.command import build
from cji_core.errors import SpecError
from cji_core.format.keys import save_private_key
from cji_core.jose import VerifyingKey, key_id, parse_verifying
from cji_core.pairs import SigningPair
from cji_core.suites import Suite
from cji_core.trail.compact import ReceiptError
from cji_core.trail.packets import PacketClaims, sign_packet, verify_packet
from cji_simulator import Simulation
from tests.support.json_answers import answered
from tests.support.key_owner import Owner

INDEX = b'{"files": {}}\n'
DIGEST = hashlib.sha384(INDEX).hexdigest()
CLAIMS = PacketClaims(packet_sha384=DIGEST, signed="2026-11-30T00:00:00.00Z")


def cji(*arguments: object) -> Result:
    return CliRunner().invoke(build(AZURE_US), ["audit", "sign-packet", *map(str, arguments)], catch_exceptions=False)


def packet(folder: Path) -> Path:
    out = folder / "q4"
    out.mkdir()
    (out / "packet.json").write_bytes(INDEX)
    with ZipFile(folder / "q4.zip", "w") as archive:
        archive.writestr("packet.json", INDEX)
    return out


def pair_in(folder: Path) -> tuple[SigningPair, Path]:
    pair = SigningPair.generate()
    save_private_key(pair, folder / "agency.key", passphrase=None)
    return pair, folder / "agency.key"


def test_a_pair_in_a_file_signs(tmp_path: Path) -> None:
    pair, key = pair_in(tmp_path)
    out = packet(tmp_path)
    done = answered(cji(out, "--key", key, "--json"), SignedPacket)
    assert (done.key, done.packet_sha384) == (key_id(pair.public_key()), DIGEST)
    text = (out / "packet.jws").read_text()
    verify_packet(text.strip(), key=pair.public_key(), packet_sha384=DIGEST)
    with ZipFile(tmp_path / "q4.zip") as archive:
        assert archive.read("packet.jws").decode() == text
    assert cji(out, "--key", key).exit_code == 2, "a packet is signed once"


def test_a_vault_signs_with_a_half_in_a_file(
    simulation: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cji_client.storage_identity, "default_credential", lambda: Owner(simulation))
    (tmp_path / "roots.pem").write_text(simulation.endpoints.tls_roots)
    kid = simulation.create_key("packets", kty="EC-HSM", crv="P-384", key_ops=["sign"])
    (tmp_path / "vault.toml").write_text(f'vault = "{kid}"\nca_file = "roots.pem"\n')
    pair, half = pair_in(tmp_path)
    out, public = packet(tmp_path), tmp_path / "agency.pub"
    alone = cji(out, "--key", tmp_path / "vault.toml")
    assert (alone.exit_code, "--pair" in alone.output) == (2, True)
    done = answered(
        cji(out, "--key", tmp_path / "vault.toml", "--pair", half, "--public", public, "--json"), SignedPacket
    )
    key = parse_verifying(public.read_text().strip())
    assert done.key == key_id(key) != key_id(pair.public_key())
    verify_packet((out / "packet.jws").read_text().strip(), key=key, packet_sha384=DIGEST)


def test_half_a_signature_and_another_packet_are_refused() -> None:
    pair, other = SigningPair.generate(), SigningPair.generate()
    text = sign_packet(CLAIMS, pair.public_key(), lambda message: KeySigner(pair).sign(message, Suite.HYBRID_1))
    with pytest.raises(ReceiptError, match="packet_sha384"):
        verify_packet(text, key=pair.public_key(), packet_sha384="0a" * 48)
    with pytest.raises(ReceiptError, match="kid"):
        verify_packet(text, key=other.public_key(), packet_sha384=DIGEST)
    mixed = SigningPair(pair.ml_dsa, other.p384)
    with pytest.raises(ValueError, match="not a signature of this pair"):
        sign_packet(CLAIMS, pair.public_key(), lambda message: KeySigner(mixed).sign(message, Suite.HYBRID_1))
    single = ec.generate_private_key(ec.SECP384R1())
    classical = PacketClaims(packet_sha384=DIGEST, signed=CLAIMS.signed, suite=Suite.CLASSICAL_1)
    with pytest.raises(ValueError, match="suite"):
        sign_packet(classical, single.public_key(), lambda message: KeySigner(single).sign(message, Suite.CLASSICAL_1))


@dataclass
class Device:
    """A device that returns what it likes."""

    answer: bytes

    def public_key(self) -> VerifyingKey:
        return ec.derive_private_key(7, ec.SECP384R1()).public_key()

    def sign(self, message: bytes, suite: Suite) -> bytes:
        assert suite is Suite.CLASSICAL_1
        return self.answer


@pytest.mark.parametrize("answer", [b"", bytes(95), bytes(96), b"\1" * 96])
def test_what_a_device_returns_is_verified(answer: bytes) -> None:
    signer = PairedSigner(mldsa.MLDSA87PrivateKey.generate(), Device(answer))
    with pytest.raises((SpecError, ValueError)):
        sign_packet(CLAIMS, signer.public_key(), lambda message: signer.sign(message, Suite.HYBRID_1))
    with pytest.raises(SpecError, match="hybrid-1"):
        signer.sign(b"x", Suite.CLASSICAL_1)


def test_a_single_key_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "single.key"
    save_private_key(ec.generate_private_key(ec.SECP384R1()), key, passphrase=None)
    found = cji(packet(tmp_path), "--key", key, "--json")
    assert found.exit_code == 2
    assert "new-signing --hybrid" in json.loads(found.stderr.splitlines()[-1])["remedy"]
