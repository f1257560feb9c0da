"""From a folder of artefacts to the statement about it, and the folders that make none."""

import hashlib
import json
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from subprocess import run
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.certs import load_private_key
from cji_core.tlog.leaves import Release
from cji_deploy.image.provenance import enveloped, provenance
from cji_deploy.image.signature import BUNDLE_KEYS, SignatureError, sign, sums
from cji_deploy.release.folder import ReleaseFolderError, release_of
from tests.support.release_folder import COMMIT, write_image, write_pem
from tests.support.release_log import ORIGIN, TIME, pcrs_of

IMAGE_FILES = ("bundle-keys.sha256", "provenance.intoto.json", "reference-values.toml")
NOW = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A release whose package is a few bytes."""
    write_pem(tmp_path / "cosign.key", ec.generate_private_key(ec.SECP256R1()))
    found = tmp_path / "release"
    found.mkdir()
    (found / "one-0.2.0-py3-none-any.whl").write_bytes(b"a wheel")
    write_image(found / "image", 2, tmp_path / "cosign.key")
    stated(found)
    return found


def stated(folder: Path, builder: str = "tools/release", *, modified: bool = False, version: bool = True) -> None:
    """Provenance, digests and signature of what is there."""
    key = folder.parent / "cosign.key"
    for name in ("SHA256SUMS", "SHA256SUMS.sig", "cosign.pub"):
        (folder / name).unlink(missing_ok=True)
    statement = provenance(
        {},
        builder=builder,
        commit=COMMIT,
        modified=modified,
        external={"version": "0.2.0"} if version else {},
        internal={},
        materials=(),
        tools={},
    )
    (folder / "provenance.intoto.json").write_bytes(enveloped(statement, key))
    (folder / "SHA256SUMS").write_bytes(sums(folder))
    signed(folder)


def signed(folder: Path) -> None:
    key = folder.parent / "cosign.key"
    (folder / "SHA256SUMS.sig").write_text(sign(folder / "SHA256SUMS", key))
    public = load_private_key(key.read_bytes()).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    (folder / "cosign.pub").write_bytes(public.public_bytes(serialization.Encoding.PEM, form))


def resigned(image: Path, names: Sequence[str] = IMAGE_FILES) -> None:
    """An image whose build signs these files as they are."""
    lines = "".join(f"{hashlib.sha256((image / each).read_bytes()).hexdigest()}  {each}\n" for each in names)
    (image / "SHA256SUMS").write_text(lines)
    (image / "SHA256SUMS.sig").write_text(sign(image / "SHA256SUMS", image.parent.parent / "cosign.key"))


def made(folder: Path) -> Release:
    return release_of(folder, origin=ORIGIN, flavour="production", platform="azure-cvm", now=NOW)


def test_a_folder_makes_a_statement_with_every_digest(folder: Path) -> None:
    found = made(folder)
    assert (found.product, found.version, found.commit, found.time) == ("cji-worker", "0.2.0", COMMIT, TIME)
    digests = {each.name: each.sha256 for each in found.artefacts}
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert digests == {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    assert found.image is not None
    assert {each.pcr: each.sha256 for each in found.image.pcrs} == {pcr: pcrs_of(2)[pcr].hex() for pcr in (4, 9, 11)}
    assert found.image.root_sha256 == "0c" * 32
    keys = (folder / "image" / BUNDLE_KEYS).read_bytes()
    assert found.image.bundle_keys_sha384 == hashlib.sha384(keys).hexdigest()


def test_packages_alone_are_a_release(folder: Path) -> None:
    for path in (folder / "image").iterdir():
        path.unlink()
    (folder / "image").rmdir()
    stated(folder)
    assert made(folder).image is None


@pytest.mark.parametrize("name", ["more", "image/more", "one-0.2.0-py3-none-any.whl", "SHA256SUMS"])
def test_a_changed_folder_makes_none(folder: Path, name: str) -> None:
    with (folder / name).open("ab") as file:
        file.write(b"x")
    with pytest.raises((ReleaseFolderError, SignatureError)):
        made(folder)


@pytest.mark.parametrize("modified", [True, False])
def test_a_provenance_of_another_build_makes_none(folder: Path, modified: bool) -> None:
    stated(folder, modified=modified, version=modified)
    with pytest.raises(ReleaseFolderError, match="provenance"):
        made(folder)
    stated(folder, "deploy/image/build")
    with pytest.raises(ReleaseFolderError, match="not of tools/release"):
        made(folder)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"commit": "0b" * 20}, f"built from {'0b' * 20}"),
        ({"modified": True}, "a tree that was changed"),
        ({"builder": "tools/release"}, "not of deploy/image/build"),
    ],
)
def test_an_image_of_another_build_makes_none(folder: Path, other: dict[str, Any], reason: str) -> None:
    shutil.rmtree(folder / "image")
    write_image(folder / "image", 2, folder.parent / "cosign.key", **other)
    stated(folder)
    with pytest.raises(ReleaseFolderError, match=reason):
        made(folder)
    command = [
        sys.executable,
        "-m",
        "cji_deploy.release",
        str(folder),
        "--cosign-key",
        str(folder.parent / "cosign.key"),
    ]
    done = run([*command, "--version", "0.2.0", "--commit", COMMIT, "--epoch", "0"], capture_output=True, check=False)
    assert done.returncode == 1
    assert reason in done.stderr.decode()


def test_an_image_is_of_the_flavour_that_it_names(folder: Path) -> None:
    """The publisher's word is not enough: a debug image has a shell."""
    with pytest.raises(ReleaseFolderError, match="flavour production, not debug"):
        release_of(folder, origin=ORIGIN, flavour="debug", platform="azure-cvm", now=NOW)
    path = folder / "image/reference-values.toml"
    path.write_text(path.read_text().replace("roothash=", "cji.flavour=debug roothash="))
    resigned(folder / "image")
    stated(folder)
    with pytest.raises(ReleaseFolderError, match="flavour debug, not production"):
        made(folder)


def test_an_image_is_under_the_release_s_key(folder: Path, tmp_path: Path) -> None:
    shutil.rmtree(folder / "image")
    write_pem(tmp_path / "other.key", ec.generate_private_key(ec.SECP256R1()))
    write_image(folder / "image", 2, tmp_path / "other.key")
    stated(folder)
    with pytest.raises(SignatureError):
        made(folder)


@pytest.mark.parametrize("name", ["reference-values.toml", "bundle-keys.sha256", "cji-worker.efi"])
def test_an_image_is_as_its_build_signed_it(folder: Path, name: str) -> None:
    with (folder / "image" / name).open("ab") as file:
        file.write(b"#")
    stated(folder)
    with pytest.raises(ReleaseFolderError, match=f"signed it: {name}"):
        made(folder)
    resigned(folder / "image", ())
    stated(folder)
    with pytest.raises(ReleaseFolderError, match="did not sign"):
        made(folder)


def test_an_image_predicts_one_boot(folder: Path) -> None:
    path = folder / "image/reference-values.toml"
    text = path.read_text()
    for changed in (
        text.replace('4 = ["', f'4 = ["{"ab" * 32}", "'),
        text.replace("roothash=", "root="),
        text.replace("\n9 = ", "\n8 = "),
    ):
        path.write_text(changed)
        resigned(folder / "image")
        stated(folder)
        with pytest.raises(ReleaseFolderError, match=r"predicts|makes no release"):
            made(folder)


def test_the_provenance_is_under_the_folder_s_key(folder: Path) -> None:
    envelope = json.loads((folder / "provenance.intoto.json").read_bytes())
    envelope["signatures"][0]["sig"] = "AAAA"
    (folder / "provenance.intoto.json").write_text(json.dumps(envelope))
    for name in ("SHA256SUMS", "SHA256SUMS.sig", "cosign.pub"):
        (folder / name).unlink()
    (folder / "SHA256SUMS").write_bytes(sums(folder))
    signed(folder)
    with pytest.raises(SignatureError):
        made(folder)
