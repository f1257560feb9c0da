"""The operator's files are read whole, bounded, and without waiting; what cannot be read is named."""

import os
from pathlib import Path

import pytest

from cji_core.format.configuration.operator_files import (
    MAX_BYTES,
    FileRefused,
    read_client_files,
    read_file,
    read_policy_files,
)


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_bytes(b"x" * MAX_BYTES)
    assert len(read_file("policy_file", str(path))) == MAX_BYTES


def absent(path: Path) -> None:
    """Nothing is there."""


def folder(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)  # with nobody at the other end


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def large(path: Path) -> None:
    path.write_bytes(b"x" * (MAX_BYTES + 1))


@pytest.mark.parametrize("make", [absent, folder, pipe, device, large])
def test_anything_else_is_named(tmp_path: Path, make: object) -> None:
    path = tmp_path / "crl.pem"
    make(path)  # type: ignore[operator]
    with pytest.raises(FileRefused) as caught:
        read_file("client_crl", str(path))
    assert caught.value.file == "client_crl"
    assert caught.value.what.startswith("client_crl: ")
    assert str(path) in caught.value.remedy


def test_values_are_read_where_there_is_a_bundle(tmp_path: Path) -> None:
    for name in ("policy.toml", "Genoa.crl"):
        (tmp_path / name).write_bytes(name.encode())
    policy = str(tmp_path / "policy.toml")
    assert read_policy_files(policy, signed=False, values=["Genoa.crl"]).values == {}
    (tmp_path / "bundle.head").write_bytes(b"head")
    assert read_policy_files(policy, signed=False, values=["Genoa.crl"]).values == {"Genoa.crl": b"Genoa.crl"}
    with pytest.raises(FileRefused, match="bundle: it does not exist"):
        read_policy_files(policy, signed=False, values=["Genoa.crl", "Turin.crl"])


def test_the_first_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode())
    files = read_client_files(client_roots=str(tmp_path / "a"), client_crl=str(tmp_path / "b"))
    assert (files.client_roots, files.client_crl) == (b"a", b"b")
    assert read_client_files(client_roots=str(tmp_path / "a"), client_crl=None).client_crl is None
    with pytest.raises(FileRefused, match="client_roots"):
        read_client_files(client_roots=str(tmp_path / "none"), client_crl=str(tmp_path / "none"))
