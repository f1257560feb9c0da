"""VHD, SBOM, provenance and signatures, each read by something else than what wrote it."""

import base64
import json
import shutil
import struct
import subprocess
import uuid
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from cji_deploy.image.provenance import provenance
from cji_deploy.image.sbom import locked, sbom
from cji_deploy.image.signature import SignatureError, sign, verify
from cji_deploy.image.vhd import MIB, footer, write_vhd
from tests.support.paths import ROOT

IDENTITY = uuid.UUID(int=0x1234)
CREATED = 1_790_000_000


def test_a_vhd_is_the_disk_and_its_footer(tmp_path: Path) -> None:
    raw, vhd = tmp_path / "a.raw", tmp_path / "a.vhd"
    data = b"begin" + bytes(3 * MIB) + b"end"
    raw.write_bytes(data)
    assert write_vhd(raw, vhd, IDENTITY, CREATED) == 4 * MIB
    written = vhd.read_bytes()
    assert written[: len(data)] == data
    assert written[len(data) : 4 * MIB].strip(b"\0") == b""
    assert written[4 * MIB :] == footer(4 * MIB, IDENTITY, CREATED)
    assert len(written) == 4 * MIB + 512


@given(st.integers(1, 4096))
def test_the_footer_is_self_consistent(mib: int) -> None:
    data = footer(mib * MIB, IDENTITY, CREATED)
    assert len(data) == 512
    assert data[:8] == b"conectix"
    original, current = struct.unpack_from(">QQ", data, 40)
    assert original == current == mib * MIB
    assert struct.unpack_from(">I", data, 60)[0] == 2  # fixed
    checksum = struct.unpack_from(">I", data, 64)[0]
    assert checksum == ~(sum(data[:64]) + sum(data[68:])) & 0xFFFFFFFF
    cylinders, heads, sectors = struct.unpack_from(">HBB", data, 56)
    assert 0 <= mib * 2048 - cylinders * heads * sectors < heads * sectors + 17 * 16


@pytest.mark.parametrize("size", [0, 1, MIB + 512, -MIB])
def test_azure_refuses_a_size_off_one_mib(size: int) -> None:
    with pytest.raises(ValueError, match="MiB"):
        footer(size, IDENTITY, CREATED)


def test_qemu_reads_the_vhd(tmp_path: Path) -> None:
    if shutil.which("qemu-img") is None:
        pytest.skip("qemu-utils is not installed")
    raw, vhd = tmp_path / "a.raw", tmp_path / "a.vhd"
    raw.write_bytes(bytes(range(256)) * 16384)
    size = write_vhd(raw, vhd, IDENTITY, CREATED)
    info = json.loads(
        subprocess.run(["qemu-img", "info", "-f", "vpc", "--output=json", vhd], capture_output=True, check=True).stdout
    )
    assert info["format"] == "vpc"
    assert info["virtual-size"] >= size - 16 * 63 * 512


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    made = ec.generate_private_key(ec.SECP256R1())
    path = tmp_path_factory.mktemp("key") / "cosign.key"
    encoding = serialization.Encoding.PEM
    path.write_bytes(made.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    public = made.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    return path, public


def test_openssl_verifies_the_signature(key: tuple[Path, bytes], tmp_path: Path) -> None:
    blob, public, raw = tmp_path / "blob", tmp_path / "cosign.pub", tmp_path / "raw"
    blob.write_bytes(b"an image")
    public.write_bytes(key[1])
    raw.write_bytes(base64.b64decode(sign(blob, key[0])))
    command = ["openssl", "dgst", "-sha256", "-verify", public, "-signature", raw, blob]
    assert b"Verified OK" in subprocess.run([str(one) for one in command], capture_output=True, check=True).stdout


def test_a_signature_is_the_same_twice_and_of_one_file(key: tuple[Path, bytes], tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(b"an image")
    signature = sign(blob, key[0])
    assert signature == sign(blob, key[0])
    verify(blob, signature, key[1])
    blob.write_bytes(b"an imagf")
    with pytest.raises(SignatureError, match="not of blob"):
        verify(blob, signature, key[1])
    with pytest.raises(SignatureError):
        verify(blob, "not base64!", key[1])


def test_a_key_of_another_curve_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    made = ec.generate_private_key(ec.SECP384R1())
    path.write_bytes(
        made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    with pytest.raises(SignatureError, match="P-256"):
        sign(path, path)


def test_the_lock_of_this_tree_is_read_whole() -> None:
    select = [str(ROOT / "tools" / "select"), "worker"]
    text = subprocess.run(select, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = locked(text)
    assert len(found) == sum("==" in line and not line.startswith((" ", "#")) for line in text.splitlines())
    assert sum(len(hashes) for *_, hashes in found) == text.count("--hash=sha256:")


def test_a_pin_without_a_hash_is_refused() -> None:
    with pytest.raises(ValueError, match="one has no hash"):
        locked("one==1 \\\n    # nothing\ntwo==2 \\\n    --hash=sha256:" + "a" * 64)


def test_the_sbom_lists_packages_and_installed_wheels() -> None:
    manifest = {"packages": [{"name": "libc6", "version": "2.41-12+deb13u5", "architecture": "amd64"}]}
    lock = "one==1.0 \\\n    --hash=sha256:" + "a" * 64 + "\ntwo==2 \\\n    --hash=sha256:" + "b" * 64
    data = sbom(
        json.dumps(manifest).encode(),
        lock,
        version="1",
        image_digest="c" * 64,
        files={"one.whl": "a" * 64},
        created=CREATED,
    )
    document = json.loads(data)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert [one["purl"] for one in document["components"]] == [
        "pkg:deb/debian/libc6@2.41-12%2Bdeb13u5?arch=amd64&distro=debian-13",
        "pkg:pypi/one@1.0",
    ]
    assert document["metadata"]["component"]["hashes"][0]["content"] == "c" * 64


def test_the_provenance_is_an_in_toto_statement() -> None:
    data = provenance(
        {"a.vhd": "a" * 64},
        commit="f" * 40,
        modified=True,
        epoch=CREATED,
        seed=str(IDENTITY),
        certificate_sha256="b" * 64,
        materials=[("file:requirements.lock", "c" * 64)],
        tools={"mkosi": "25.3"},
    )
    statement = json.loads(data)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"] == [{"name": "a.vhd", "digest": {"sha256": "a" * 64}}]
    source, lock = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert source["digest"] == {"gitCommit": "f" * 40}
    assert source["annotations"] == {"modified": True}
    assert lock["digest"]["sha256"] == "c" * 64
