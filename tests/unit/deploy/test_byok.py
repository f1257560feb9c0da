"""The transfer blob of BYOK, opened by a slow implementation of both wraps; RFC 5649 has vectors for one."""

import base64
import functools
import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from cji_deploy.byok import ByokError, load_kek, load_target, transfer_blob
from cji_deploy.byok.__main__ import main
from tests.support.paths import ROOT

KID = "https://agency-kv.vault.azure.net/keys/cmk-kek/0123456789abcdef0123456789abcdef"
TRANSFER = ROOT / "deploy" / "byok" / "transfer"


@functools.cache
def key(bits: int = 3072) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@functools.cache
def kek() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 3072)


def private_pem(private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> bytes:
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def public_pem(private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def decrypt_block(secret: bytes, block: bytes) -> bytes:
    decryptor = Cipher(algorithms.AES(secret), modes.ECB()).decryptor()
    return decryptor.update(block) + decryptor.finalize()


def unwrapped(secret: bytes, wrapped: bytes) -> bytes:
    """RFC 5649, section 4.2, step by step."""
    count = len(wrapped) // 8 - 1
    if count == 1:
        plain = decrypt_block(secret, wrapped)
        register, rest = plain[:8], plain[8:]
    else:
        register = wrapped[:8]
        blocks = [wrapped[8 * (i + 1) : 8 * (i + 2)] for i in range(count)]
        for step in range(6 * count, 0, -1):
            index = (step - 1) % count
            mixed = (int.from_bytes(register) ^ step).to_bytes(8)
            plain = decrypt_block(secret, mixed + blocks[index])
            register, blocks[index] = plain[:8], plain[8:]
        rest = b"".join(blocks)
    size = int.from_bytes(register[4:])
    if register[:4] != bytes.fromhex("a65959a6") or not 8 * (count - 1) < size <= 8 * count or any(rest[size:]):
        raise ValueError("integrity")
    return rest[:size]


def mask(seed: bytes, size: int) -> bytes:
    return b"".join(hashlib.sha1(seed + i.to_bytes(4)).digest() for i in range(size // 20 + 1))[:size]


def oaep_decrypted(private: rsa.RSAPrivateKey, ciphertext: bytes) -> bytes:
    """RFC 8017, section 7.1.2, with SHA-1 and an empty label."""
    numbers = private.private_numbers()
    size = private.key_size // 8
    encoded = pow(int.from_bytes(ciphertext), numbers.d, numbers.public_numbers.n).to_bytes(size)
    masked_seed, masked = encoded[1:21], encoded[21:]
    seed = bytes(a ^ b for a, b in zip(masked_seed, mask(masked, 20), strict=True))
    block = bytes(a ^ b for a, b in zip(masked, mask(seed, len(masked)), strict=True))
    label, _, message = block[:20], *block[20:].partition(b"\x01")[::2]
    if encoded[0] or label != hashlib.sha1(b"").digest() or any(block[20 : len(block) - len(message) - 1]):
        raise ValueError("integrity")
    return message


@pytest.mark.parametrize(
    ("plain", "wrapped"),
    [
        (
            "c37b7e6492584340bed12207808941155068f738",
            "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a",
        ),
        ("466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f"),
    ],
)
def test_the_slow_unwrap_agrees_with_the_published_vectors(plain: str, wrapped: str) -> None:
    secret = bytes.fromhex("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8")  # RFC 5649, section 6
    assert unwrapped(secret, bytes.fromhex(wrapped)).hex() == plain


def opened(blob: bytes) -> bytes:
    found = json.loads(blob)["ciphertext"]
    data = base64.urlsafe_b64decode(found + "=" * (-len(found) % 4))
    size = kek().key_size // 8
    secret = oaep_decrypted(kek(), data[:size])
    assert len(secret) == 32
    return unwrapped(secret, data[size:])


def test_the_vault_would_get_exactly_the_key() -> None:
    blob = transfer_blob(kek().public_key(), KID, key())
    document = json.loads(blob)
    assert document.keys() == {"schema_version", "header", "ciphertext", "generator"}
    assert document["schema_version"] == "1.0.0"
    assert document["header"] == {"kid": KID, "alg": "dir", "enc": "CKM_RSA_AES_KEY_WRAP"}
    assert "=" not in document["ciphertext"]
    private = serialization.load_der_private_key(opened(blob), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    assert private.private_numbers() == key().private_numbers()


def test_two_blobs_share_no_ephemeral_key() -> None:
    first, second = (json.loads(transfer_blob(kek().public_key(), KID, key()))["ciphertext"] for _ in range(2))
    assert first != second


def test_a_changed_blob_does_not_open() -> None:
    document = json.loads(transfer_blob(kek().public_key(), KID, key()))
    text = document["ciphertext"]
    for place in (10, 600, len(text) - 10):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        with pytest.raises((ValueError, AssertionError, OverflowError)):
            opened(json.dumps({**document, "ciphertext": changed}).encode())


@pytest.mark.parametrize(
    "kid",
    [
        "https://agency-kv.vault.azure.net/keys/cmk-kek",  # without a version
        "http://agency-kv.vault.azure.net/keys/k/0123456789abcdef0123456789abcdef",
        "https://agency-kv.vault.azure.net.evil.example/keys/k/0123456789abcdef0123456789abcdef",
        "https://agency-kv.vault.azure.cn/keys/k/0123456789abcdef0123456789abcdef",
        f"{KID}\n",
    ],
)
def test_an_address_of_no_vault_is_refused(kid: str) -> None:
    with pytest.raises(ByokError, match="address"):
        transfer_blob(kek().public_key(), kid, key())


def test_the_vaults_of_government_and_managed_hsm_are_known() -> None:
    for host in (
        "agency.managedhsm.azure.net",
        "agency.vault.usgovcloudapi.net",
        "agency.managedhsm.usgovcloudapi.net",
    ):
        assert transfer_blob(kek().public_key(), KID.replace("agency-kv.vault.azure.net", host), key())


def test_weak_keys_and_other_kinds_are_refused() -> None:
    short, curve = key(2048), ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(ByokError, match="3072 or 4096"):
        load_kek(public_pem(short))
    with pytest.raises(ByokError, match="3072 or 4096"):
        load_target(private_pem(short), None)
    with pytest.raises(ByokError):
        load_kek(public_pem(curve))
    with pytest.raises(ByokError):
        load_target(private_pem(curve), None)
    with pytest.raises(ByokError, match="the same"):
        transfer_blob(key().public_key(), KID, key())


@given(st.binary(max_size=200))
def test_any_bytes_are_a_key_or_our_error(data: bytes) -> None:
    for load in (load_kek, lambda pem: load_target(pem, None)):
        with pytest.raises(ByokError):
            load(data)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "kek.pem").write_bytes(public_pem(kek()))
    (tmp_path / "cmk.pem").write_bytes(private_pem(key(), b"secret"))
    (tmp_path / "policy.json").write_text("{}")
    return tmp_path


def arguments(files: Path) -> list[str]:
    names = ["--kek", str(files / "kek.pem"), "--kid", KID, "--key", str(files / "cmk.pem"), "--passphrase"]
    return [*names, "--out", str(files / "cmk.byok")]


def test_the_command_writes_a_private_file_once(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("getpass.getpass", lambda _: "secret")
    assert main(arguments(files)) == 0
    written = files / "cmk.byok"
    assert written.stat().st_mode & 0o777 == 0o600
    assert serialization.load_der_private_key(opened(written.read_bytes()), None)
    assert main(arguments(files)) == 1  # it never overwrites
    assert "refused" in capsys.readouterr().err


def test_the_command_refuses_a_wrong_passphrase(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getpass", lambda _: "wrong")
    assert main(arguments(files)) == 1
    assert not (files / "cmk.byok").exists()


def test_the_script_shows_its_steps_and_runs_none(files: Path) -> None:
    command = [str(TRANSFER), "--dry-run", "agency-kv", str(files / "cmk.pem"), str(files / "policy.json"), "cmk2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]})
    lines = done.stdout.splitlines()
    assert [line.split()[:4][-1] for line in lines if line.startswith("az ")] == [
        "create",
        "download",
        "import",
        "delete",
    ]
    (create,) = [line for line in lines if " create " in line]
    assert create.endswith("--kty RSA-HSM --size 4096 --ops import")
    (imported,) = [line for line in lines if " import " in line and "--byok-file" in line]
    assert "--ops wrapKey --exportable true --policy" in imported


def test_the_script_stops_at_a_missing_file(tmp_path: Path) -> None:
    command = [str(TRANSFER), "--dry-run", "agency-kv", str(tmp_path / "gone.pem"), "policy.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})
    assert done.returncode == 1
    assert "gone.pem cannot be read" in done.stderr
    assert done.stdout == ""
