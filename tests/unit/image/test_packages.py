"""A build against `packages.lock`: each package that differs, and each file, is named."""

import hashlib
import json
from pathlib import Path

import pytest

from cji_deploy.image.packages import PackagesError, archive_of, deviations, installed, main, read_lock
from tests.support.paths import ROOT

ONE, TWO, COMPILER = ("one 1:2.0-3 amd64", "two 1.0+dfsg-1~deb13u1 all", "gcc 14 amd64")


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A build of three packages, the files that they were installed from, and its lock."""

    def manifest(*lines: str) -> str:
        names = ("name", "version", "architecture")
        return json.dumps({"packages": [dict(zip(names, line.split(), strict=True)) for line in lines]})

    (tmp_path / "cji-worker.manifest").write_text(manifest(ONE, TWO))
    (tmp_path / "initrd.manifest").write_text(manifest(ONE))
    (tmp_path / "build-packages").write_text(f"{ONE}\n{TWO}\n{COMPILER}\n")
    for one in installed(tmp_path):
        archive_of(one, tmp_path).write_bytes(one.name.encode())
    assert _main(tmp_path, "--write") == 0
    return tmp_path


def _main(build: Path, *more: str) -> int:
    return main(["--folder", str(build), "--archives", str(build), "--lock", str(build / "lock"), *more])


def test_a_build_of_the_lock_is_taken(build: Path) -> None:
    assert _main(build) == 0
    assert {one.name: digest for one, digest in read_lock(build / "lock").items()} == {
        name: hashlib.sha256(name.encode()).hexdigest() for name in ("one", "two", "gcc")
    }
    places = {one.name: where for one, where in installed(build).items()}
    assert places == {"one": {"root", "initrd", "overlay"}, "two": {"root", "overlay"}, "gcc": {"overlay"}}


def test_apt_names_a_file_as_this_does(build: Path) -> None:
    assert (build / "one_1%3a2.0-3_amd64.deb").is_file()
    assert (build / "two_1.0+dfsg-1~deb13u1_all.deb").is_file()


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("build-packages", "gcc 14", "gcc 15", "gcc 15 amd64 is built in, and the lock has 14"),
        ("build-packages", "gcc 14 amd64\n", "", "gcc 14 amd64 of the lock is not built in"),
        ("initrd.manifest", '"one"', '"nc"', "nc 1:2.0-3 amd64 is built in, and the lock has no such package"),
        ("one_1%3a2.0-3_amd64.deb", "one", "two", "one_1%3a2.0-3_amd64.deb has the SHA-256"),
    ],
)
def test_a_build_that_deviates_is_refused(
    build: Path, capsys: pytest.CaptureFixture[str], file: str, old: str, new: str, said: str
) -> None:
    path = build / file
    path.write_text(path.read_text().replace(old, new, 1))
    assert _main(build) == 1
    assert said in capsys.readouterr().err


def test_a_missing_file_is_a_deviation(build: Path) -> None:
    (build / "gcc_14_amd64.deb").unlink()
    assert deviations(build, build, read_lock(build / "lock")) == ["gcc_14_amd64.deb is missing"]
    with pytest.raises(PackagesError, match="gcc_14"):
        _main(build, "--write")


def test_apt_prefers_the_versions_of_the_lock(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--preferences", str(build / "lock")]) == 0
    assert "Package: one\nPin: version 1:2.0-3\nPin-Priority: 1001\n\n" in capsys.readouterr().out


def test_the_lock_of_this_tree_has_kernel_and_compiler() -> None:
    names = {one.name for one in read_lock(ROOT / "deploy/image/packages.lock")}
    assert {"linux-image-cloud-amd64", "systemd", "libssl3t64", "gcc"} < names


def test_a_lock_of_another_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("one 1.0 amd64\n")
    with pytest.raises(PackagesError, match=":1 is not"):
        read_lock(tmp_path / "lock")
