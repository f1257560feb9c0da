"""`cji bundle` at the desk: make, sign, verify, show; each refusal has a reason, a remedy and its exit status."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cji_attestation import AZURE_US
from cji_core.command import build
from cji_core.jose import key_id
from cji_deploy.verbs.bundle.sign import BundleKey
from tests.support.bundles import KEY, files, folder_of, keys_folder, public_pem
from tests.support.json_answers import answered
from tests.support.private_files import put_private


def cji(*arguments: object) -> Result:
    return CliRunner().invoke(build(AZURE_US), ["bundle", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    folder_of(tmp_path / "config", files())
    keys_folder(tmp_path / "keys")
    for name, key in (("bundle.key", KEY), ("other.key", ec.generate_private_key(ec.SECP384R1()))):
        data = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        put_private(tmp_path / name, data)
    return tmp_path


@pytest.fixture
def unsigned(desk: Path) -> Path:
    done = cji("make", desk / "config", "--serial", 8, "-o", desk / "pool.bundle")
    assert done.exit_code == 0, done.output
    return desk / "pool.bundle"


def test_from_a_folder_to_a_verified_bundle(desk: Path, unsigned: Path) -> None:
    refused = cji("verify", unsigned, "--keys", desk / "keys")
    assert (refused.exit_code, "0 of 1 signatures" in refused.output) == (3, True)
    assert "cji bundle sign" in refused.output
    signed = cji("sign", unsigned, "--key", desk / "bundle.key")
    assert (signed.exit_code, key_id(KEY.public_key()) in signed.output) == (0, True)
    verified = cji("verify", unsigned, "--keys", desk / "keys", "--minimum-serial", 8)
    assert verified.exit_code == 0, verified.output
    rows = {
        line.split()[0]: line.split()[2]
        for line in verified.output.splitlines()
        if "toml" in line and "note" not in line
    }
    assert rows == {
        "worker.toml": "cji", "policy.toml": "cji", "audit.toml": "cji-audit", "console.toml": "cji-console",
    }  # fmt: skip
    older = cji("verify", unsigned, "--keys", desk / "keys", "--minimum-serial", 9)
    assert (older.exit_code, "9 is the least" in older.output) == (3, True)


def test_what_a_machine_may_read(desk: Path, unsigned: Path) -> None:
    cji("sign", unsigned, "--key", desk / "bundle.key")
    found: dict[str, Any] = json.loads(cji("verify", unsigned, "--keys", desk / "keys", "--json").output)
    shown: dict[str, Any] = json.loads(cji("show", unsigned, "--json").output)
    assert found["verified"] is True
    assert found["signed_by"] == shown["signatures_not_verified"] == [key_id(KEY.public_key())]
    assert {each["name"] for each in shown["files"]} == set(files())
    assert shown["sha384"] == found["sha384"]
    assert cji("show", unsigned, "--file", "policy.toml").stdout_bytes == (desk / "config" / "policy.toml").read_bytes()
    assert cji("show", unsigned, "--file", "absent").exit_code == 2


def test_the_same_folder_is_the_same_files(desk: Path, unsigned: Path) -> None:
    assert cji("make", desk / "config", "--serial", 8, "-o", desk / "again.bundle").exit_code == 0
    digests = [json.loads(cji("show", each, "--json").output)["files"] for each in (unsigned, desk / "again.bundle")]
    assert digests[0] == digests[1]


def test_another_signer_is_not_enough(desk: Path, unsigned: Path) -> None:
    assert cji("sign", unsigned, "--key", desk / "other.key").exit_code == 0
    assert cji("verify", unsigned, "--keys", desk / "keys").exit_code == 3
    (desk / "keys" / "signatures").write_text("2")
    both = cji("verify", unsigned, "--keys", desk / "keys")
    assert (both.exit_code, "demands 2 signatures" in both.output) == (2, True)


def test_the_public_half_is_what_the_image_has(desk: Path) -> None:
    assert cji("key", desk / "bundle.key").stdout_bytes == public_pem(KEY)
    told = answered(cji("key", desk / "bundle.key", "--json"), BundleKey)
    assert told == BundleKey(pem=public_pem(KEY).decode(), thumbprint=key_id(KEY.public_key()))


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("notes.txt", b"x", "'notes.txt' is not a file of a bundle"),
        ("tls/server.key", b"x", "'tls/server.key' is not a file of a bundle"),
        ("reference/key.pem", b"-----BEGIN PRIVATE KEY-----", "reference/key.pem contains a private key (PEM)"),
        ("worker.toml", b"x = 1", "worker.toml is not valid"),
        ("policy.toml", b"x = 1", "policy_file"),
    ],
)
def test_a_folder_that_cannot_be_a_bundle(desk: Path, name: str, data: bytes, reason: str) -> None:
    folder_of(desk / "config", {name: data})
    done = cji("make", desk / "config", "--serial", 8, "-o", desk / "pool.bundle")
    assert (done.exit_code, reason in done.output, (desk / "pool.bundle").exists()) == (2, True, False), done.output
    assert len(done.output.strip().splitlines()) >= 2  # the remedy


def test_a_link_is_not_followed(desk: Path) -> None:
    (desk / "config" / "tls" / "server.pem").symlink_to("/etc/passwd")
    done = cji("make", desk / "config", "--serial", 8, "-o", desk / "pool.bundle")
    assert (done.exit_code, "is not a file of a bundle" in done.output) == (2, True)


def test_one_key_signs(desk: Path, unsigned: Path) -> None:
    assert cji("sign", unsigned).exit_code == 2
    vault = ("--vault-key", "https://v.vault.azure.net/keys/k")
    assert "Give either" in cji("sign", unsigned, "--key", desk / "bundle.key", *vault).output
    assert "Name one version" in cji("sign", unsigned, *vault).output


@pytest.mark.parametrize("verb", ["make", "sign", "key", "verify", "show", "apply"])
def test_every_verb_teaches(verb: str) -> None:
    text = cji(verb, "--help").output
    assert f"cji bundle {verb}" in text
    assert "Example" in text
