"""A build is published as Azure demands it, or not at all; nothing is sent without --apply."""

import base64
import hashlib
import json
import shutil
import struct
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cji_deploy.check.bicep import parse
from cji_deploy.image.publish import Plan, PublishError, Settings, main, plan
from cji_deploy.image.signature import SignatureError, sign
from cji_deploy.image.vhd import MIB, VhdError, check_vhd, write_vhd
from cji_simulator.machine.firmware import Key
from tests.support.paths import ROOT
from tests.unit.image.conftest import SmallImage

SETTINGS = Settings(
    resource_group="images",
    gallery="cjiimages",
    publisher="agency",
    location="eastus2",
    replicas=("eastus2", "centralus"),
    storage_account="/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/cjivhds",
    container="vhds",
    cosign_key="cosign.pub",
    certificate="db.pem",
)
_ESP = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b").bytes_le


def disk(path: Path) -> Path:
    """A VHD with a GPT and an EFI system partition."""
    raw = bytearray(8 * MIB)
    last = len(raw) // 512 - 34
    struct.pack_into("<8s40xQ16xQII", raw, 512, b"EFI PART", last, 2, 128, 128)
    struct.pack_into("<16s16xQQ", raw, 1024, _ESP, 2048, 4095)
    raw[2048 * 512 + 510 : 2048 * 512 + 512] = b"\x55\xaa"
    path.with_suffix(".raw").write_bytes(raw)
    write_vhd(path.with_suffix(".raw"), path, uuid.UUID(int=7), 1_790_000_000)
    return path


@pytest.fixture
def built(small: SmallImage, tmp_path: Path) -> Path:
    """A folder as a build leaves it, and beside it the settings with their keys."""
    folder = tmp_path / "image"
    folder.mkdir()
    disk(folder / "cji-worker.vhd")
    shutil.copy(small.signed, folder / "cji-worker.efi")
    shutil.copy(small.key.folder / "db.pem", tmp_path / "db.pem")
    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (tmp_path / "cosign.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    (tmp_path / "cosign.pub").write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, public))
    signed(folder)
    return folder


def signed(folder: Path) -> None:
    names = ("cji-worker.vhd", "cji-worker.efi")
    sums = "".join(f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
    (folder / "SHA256SUMS").write_text(sums)
    (folder / "SHA256SUMS.sig").write_text(sign(folder / "SHA256SUMS", folder.parent / "cosign.key"))


def planned(folder: Path, version: str = "1.0.0", **changes: Any) -> Plan:
    return plan(folder, msgspec.structs.replace(SETTINGS, **changes), version, base=folder.parent)


def test_a_build_is_published_with_its_certificate_in_db(built: Path) -> None:
    found = planned(built)
    digest = hashlib.sha256((built / "cji-worker.vhd").read_bytes()).hexdigest()[:16]
    assert found.parameters["vhdUri"] == f"https://cjivhds.blob.core.windows.net/vhds/cji-worker-1.0.0-{digest}.vhd"
    assert found.parameters["certificate"] == base64.b64encode(Key(folder=built.parent).der).decode()
    assert [command[1:4] for command in found.commands] == [
        ("storage", "blob", "upload"),
        ("deployment", "group", "what-if"),
        ("deployment", "group", "create"),
    ]
    assert "core.usgovcloudapi.net" in str(planned(built, cloud="AzureUSGovernment").parameters["vhdUri"])


def test_an_image_for_debugging_is_not_published(built: Path, debug: SmallImage) -> None:
    """Its signature and its sums are sound."""
    shutil.copy(debug.signed, built / "cji-worker.efi")
    shutil.copy(debug.key.folder / "db.pem", built.parent / "db.pem")
    signed(built)
    with pytest.raises(PublishError, match="flavour debug"):
        planned(built)


def test_an_image_of_the_engine_has_a_definition_of_its_own(built: Path, of_engine: SmallImage) -> None:
    """And is never a version of the worker's."""
    worker = planned(built).parameters
    assert (worker["definitionName"], worker["kind"]) == ("cji-worker", "worker")
    with pytest.raises(PublishError, match="the definition cji-engine is not"):
        planned(built, definition="cji-engine")
    shutil.copy(of_engine.signed, built / "cji-worker.efi")
    shutil.copy(of_engine.key.folder / "db.pem", built.parent / "db.pem")
    signed(built)
    engine = planned(built).parameters
    assert (engine["definitionName"], engine["kind"]) == ("cji-engine", "engine")
    assert "/vhds/cji-engine-1.0.0-" in str(engine["vhdUri"])
    with pytest.raises(PublishError, match="the definition cji-worker is not"):
        planned(built, definition="cji-worker")


def test_the_template_takes_these_parameters_and_needs_no_other(built: Path) -> None:
    source = (ROOT / "deploy/bicep/gallery.bicep").read_bytes()
    declared = parse("gallery.bicep", source).parameters
    given = planned(built).parameters
    assert given.keys() <= declared.keys()
    assert {name for name, one in declared.items() if one.required} <= given.keys()


def test_nothing_is_sent_without_apply(
    built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    az = built.parent / "bin" / "az"
    az.parent.mkdir()
    az.write_text(f'#!/bin/sh\necho "$@" >> {built.parent}/sent\n')
    az.chmod(0o755)
    monkeypatch.setenv("PATH", str(az.parent), prepend=":")
    values = msgspec.to_builtins(SETTINGS)
    settings = built.parent / "publish.toml"
    settings.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
    command = [str(built), "--settings", str(settings), "--version", "1.0.0"]
    assert main(command) == 0
    assert "Nothing was sent" in capsys.readouterr().out
    assert not (built.parent / "sent").exists()
    assert main([*command, "--apply"]) == 0
    sent = (built.parent / "sent").read_text().splitlines()
    assert [line.split()[0] for line in sent] == ["storage", "deployment", "deployment"]
    values = json.loads((built / "publish.json").read_text())["parameters"]
    assert values["version"] == {"value": "1.0.0"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": "1.0"}, "not a version"),
        ({"replicas": ("centralus", "eastus2")}, "first of the replicas"),
        ({"storage_account": "cjivhds"}, "resource id"),
        ({"cloud": "AzureChina"}, "resource id, cloud"),
    ],
)
def test_settings_that_no_gallery_takes_are_refused(built: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(PublishError, match=said):
        planned(built, **changes)


def test_an_image_of_another_build_is_refused(built: Path) -> None:
    with (built / "cji-worker.efi").open("ab") as file:
        file.write(b"x")
    with pytest.raises(PublishError, match="not the file whose digest was signed"):
        planned(built)
    (built / "SHA256SUMS").write_text("")
    with pytest.raises(SignatureError):
        planned(built)


def test_an_image_that_db_would_not_verify_is_refused(built: Path, tmp_path: Path) -> None:
    shutil.copy(Key.new(tmp_path / "other").folder / "db.pem", built.parent / "db.pem")
    with pytest.raises(PublishError, match="not signed by the key of this certificate"):
        planned(built)


@pytest.mark.parametrize(
    ("at", "data", "said"),
    [
        (-512, b"conectiy", "no footer"),
        (-512 + 60, struct.pack(">I", 3), "must be fixed"),
        (-512 + 48, struct.pack(">Q", 9 * MIB), "one number of whole MiB"),
        (-512 + 64, b"\0\0\0\0", "checksum"),
        (512, b"EFI PARU", "no GPT"),
        (512 + 48, struct.pack("<Q", 1 << 40), "does not fit"),
        (1024, bytes(16), "0 EFI system partitions"),
        (2048 * 512 + 510, b"\0\0", "not FAT"),
    ],
)
def test_a_disk_that_azure_does_not_take_is_refused(tmp_path: Path, at: int, data: bytes, said: str) -> None:
    path = disk(tmp_path / "a.vhd")
    assert check_vhd(path) == 8 * MIB
    changed = bytearray(path.read_bytes())
    at %= len(changed)
    changed[at : at + len(data)] = data
    path.write_bytes(changed)
    with pytest.raises(VhdError, match=said):
        check_vhd(path)
