"""VHD, SBOM, provenance and signatures, each read by something else than what wrote it."""

import base64
import hashlib
import json
import shutil
import struct
import subprocess
import uuid
import zipfile
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from cji_deploy.image.deb import Deb
from cji_deploy.image.packages import Package, archive_of
from cji_deploy.image.provenance import EnvelopeError, enveloped, main, opened, provenance
from cji_deploy.image.sbom import debian, locked, own, python, sbom, sections
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


def _deb(folder: Path, name: str, *, files: tuple[str, ...], source: str = "", copyright_: str = "") -> Path:
    """A package made by dpkg."""
    tree = folder / name
    for file in files:
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        (tree / file).write_text(name)
    if copyright_:
        (tree / f"usr/share/doc/{name}").mkdir(parents=True, exist_ok=True)
        (tree / f"usr/share/doc/{name}/copyright").write_text(copyright_)
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: 1:2.0-3\nArchitecture: amd64\nMaintainer: The Team <team@example.org>\n{source}"
        "Description: x\n"
    )
    package = Package(name, "1:2.0-3", "amd64")
    path = archive_of(package, folder)
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, path], check=True, capture_output=True)
    return path


@pytest.fixture(scope="module")
def debs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("debs")
    free = "Format: x\n\nFiles: *\nLicense: GPL-2+\n text\n\nLicense: MIT\n text\n"
    source = "Source: one (1.9-1)\n"
    return {
        "one": _deb(folder, "one", files=("bin/one", "usr/share/doc/one/README"), source=source, copyright_=free),
        "lib": _deb(folder, "lib", files=("usr/lib/lib.so",), source=source),
        "gone": _deb(folder, "gone", files=("usr/bin/gone",), copyright_=free),
    }


def test_a_package_is_read_from_its_file(debs: dict[str, Path]) -> None:
    found = Deb.read(debs["one"])
    assert (found.name, found.version, found.source, found.source_version) == ("one", "1:2.0-3", "one", "1.9-1")
    assert (found.supplier, found.licences, found.files) == ("The Team", ("GPL-2+", "MIT"), frozenset({"usr/bin/one"}))


def test_the_sbom_lists_the_packages_that_have_files(debs: dict[str, Path]) -> None:
    places = {"root": frozenset({"usr/bin/one", "usr/lib/lib.so"}), "initrd": frozenset({"usr/bin/one"})}
    found = {one["name"]: one for one in debian(((Deb.read(path), "a" * 64) for path in debs.values()), places)}
    assert found.keys() == {"one", "lib"}
    assert found["one"]["purl"] == "pkg:deb/debian/one@1%3A2.0-3?arch=amd64&distro=debian-13"
    assert found["one"]["supplier"] == {"name": "The Team"}
    assert found["one"]["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    # a package without a copyright of its own has that of its source
    assert [one["license"]["name"] for one in found["lib"]["licenses"]] == ["GPL-2+", "MIT"]
    properties = {name: {one["name"]: one["value"] for one in each["properties"]} for name, each in found.items()}
    assert (properties["one"]["cji:in"], properties["lib"]["cji:in"]) == ("initrd root", "root")
    assert properties["lib"]["cji:source-version"] == "1.9-1"


def test_the_sbom_of_an_engine_has_the_engine_and_no_operations() -> None:
    names = {flavour: {one["name"] for one in own(ROOT, flavour)} for flavour in ("production", "debug", "engine")}
    assert names["engine"] - names["production"] == {"cji-engine"}
    assert names["production"] - names["engine"] == {"cji-operations"}
    assert names["debug"] == names["production"]


def test_the_sbom_lists_installed_wheels_our_code_and_initrd(tmp_path: Path) -> None:
    wheel = tmp_path / "one-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("one-1.0.dist-info/METADATA", "Name: one\nAuthor: Somebody\nLicense-Expression: MIT\n\ntext")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lock = f"one==1.0 \\\n    --hash=sha256:{digest}\ntwo==2 \\\n    --hash=sha256:" + "b" * 64
    parts = [*python(lock, [wheel]), *own(ROOT, "production"), *sections({".initrd": b"an initrd"})]
    document = json.loads(sbom(parts, version="1", digest="c" * 64, created=CREATED))
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    found = {one["name"]: one for one in document["components"]}
    assert found.keys() == {
        *("one", ".initrd", "cji-core", "cji-attestation", "cji-operations", "cji-worker", "host-profile"),
        "futile-start",
    }
    assert found["one"]["supplier"] == {"name": "Somebody"}
    assert found["one"]["licenses"] == [{"license": {"name": "MIT"}}]
    assert found["cji-worker"]["licenses"] == [{"license": {"name": "Apache-2.0"}}]
    assert found[".initrd"]["hashes"][0]["content"] == hashlib.sha256(b"an initrd").hexdigest()
    assert document["metadata"]["component"]["hashes"][0]["content"] == "c" * 64


def _statement() -> bytes:
    return provenance(
        {"a.vhd": "a" * 64},
        builder="deploy/image/build",
        commit="f" * 40,
        modified=True,
        external={"secureBootCertificateSha256": "b" * 64},
        internal={"sourceDateEpoch": CREATED, "seed": str(IDENTITY)},
        materials=[("file:requirements.lock", "c" * 64)],
        tools={"mkosi": "25.3"},
    )


def test_the_provenance_is_a_signed_in_toto_statement(key: tuple[Path, bytes]) -> None:
    statement = opened(enveloped(_statement(), key[0]), key[1])
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"] == [{"name": "a.vhd", "digest": {"sha256": "a" * 64}}]
    source, lock = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert source["digest"] == {"gitCommit": "f" * 40}
    assert source["annotations"] == {"modified": True}
    assert lock["digest"]["sha256"] == "c" * 64


def test_openssl_verifies_the_encoding_of_dsse(key: tuple[Path, bytes], tmp_path: Path) -> None:
    envelope = json.loads(enveloped(_statement(), key[0]))
    payload = base64.b64decode(envelope["payload"])
    kind = "application/vnd.in-toto+json"
    (tmp_path / "signed").write_bytes(f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload)
    (tmp_path / "key").write_bytes(key[1])
    (tmp_path / "raw").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    command = ["openssl", "dgst", "-sha256", "-verify", "key", "-signature", "raw", "signed"]
    assert b"Verified OK" in subprocess.run(command, capture_output=True, check=True, cwd=tmp_path).stdout


SIGNED: dict[str, Any] = {
    "payloadType": "application/vnd.in-toto+json",
    "payload": "e30=",
    "signatures": [{"sig": "eA=="}],
}


CHANGES: tuple[dict[str, Any], ...] = (
    {"payload": 7},
    {"payload": "?"},
    {"signatures": 7},
    {"signatures": None},
    {"signatures": []},
    {"signatures": [7]},
    {"signatures": [[]]},
    {"signatures": [{}]},
    {"signatures": [{"sig": None}]},
    {"signatures": [{"sig": "\u00e9"}]},
    {"signatures": [{"sig": "eA=="}] * 17},
    {"payloadType": ["x"]},
)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"[" * 100_000,
        *(json.dumps({**SIGNED, **each}).encode() for each in CHANGES),
    ],
)
def test_a_malformed_envelope_is_refused_with_a_remedy(
    key: tuple[Path, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes
) -> None:
    with pytest.raises(SignatureError):
        opened(data, key[1])
    (tmp_path / "e").write_bytes(data)
    (tmp_path / "k").write_bytes(key[1])
    assert main([str(tmp_path / "e"), str(tmp_path / "k")]) == 1
    refused, remedy = capsys.readouterr().err.splitlines()
    assert refused.startswith("not verified: ")
    assert remedy.endswith(".")


@pytest.mark.parametrize("other", [b"", b"no key", b"-----BEGIN PUBLIC KEY-----\n"])
def test_another_file_than_a_key_is_refused(key: tuple[Path, bytes], other: bytes) -> None:
    with pytest.raises(SignatureError, match="not PEM"):
        opened(enveloped(_statement(), key[0]), other)


def test_a_signed_text_that_is_no_statement_is_refused(key: tuple[Path, bytes]) -> None:
    with pytest.raises(EnvelopeError, match="not JSON"):
        opened(enveloped(b"no statement", key[0]), key[1])


@given(st.binary(max_size=300))
def test_any_bytes_are_an_envelope_or_our_refusal(data: bytes) -> None:
    with pytest.raises(SignatureError):
        opened(data, b"")


@pytest.mark.parametrize("member", ["payload", "payloadType", "sig"])
def test_a_changed_envelope_is_refused(key: tuple[Path, bytes], member: str) -> None:
    envelope = json.loads(enveloped(_statement(), key[0]))
    if member == "sig":
        envelope["signatures"][0]["sig"] = base64.b64encode(bytes(70)).decode()
    elif member == "payload":
        changed = base64.b64decode(envelope["payload"]).replace(b"a.vhd", b"b.vhd")
        envelope["payload"] = base64.b64encode(changed).decode()
    else:
        envelope[member] = "text/plain"
    with pytest.raises(SignatureError):
        opened(json.dumps(envelope).encode(), key[1])
