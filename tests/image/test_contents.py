"""Every file of the built root and of its initrd: modes, ELF files, and what may be executed."""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cji_deploy.image.diet import Lists, needed, refused
from cji_deploy.image.pe import PeImage
from cji_simulator.machine.disks import partitions
from tests.support.machine.built import Built
from tests.support.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.timeout(600)]
_GONE = ("klibc", "initramfs-tools", "dbus-daemon", "busybox", "libtss2-tcti-mssim", "libtss2-tcti-cmd", "libcurl")
_SHELLS = {"sh", "bash", "rbash", "dash", "ksh", "zsh", "busybox", "perl", "awk", "mawk", "su", "sudo", "login"}


@pytest.fixture(scope="module")
def roots(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """The root, from the disk, and the initrd, from the signed image: what a machine gets."""
    folder = tmp_path_factory.mktemp("roots")
    offset, _ = next(
        place for label, place in partitions(built.raw).items() if label.startswith("root") and "verity" not in label
    )
    extract = ["fsck.erofs", f"--offset={offset}", f"--extract={folder / 'root'}", "--preserve", "--xattrs"]
    subprocess.run([*extract, built.raw], check=True, capture_output=True)
    archive = PeImage.parse(built.uki.read_bytes()).section(".initrd")
    unpacked = subprocess.run(["zstd", "-dcq"], input=archive, check=False, capture_output=True).stdout
    (folder / "initrd").mkdir()
    command = ["cpio", "--extract", "--make-directories", "--quiet", "--preserve-modification-time"]
    subprocess.run(command, input=unpacked, cwd=folder / "initrd", check=True)
    yield {"root": folder / "root", "initrd": folder / "initrd"}
    shutil.rmtree(folder)


def _files(root: Path) -> list[Path]:
    return [Path(folder, name) for folder, _, files in os.walk(root) for name in files]


@pytest.mark.parametrize("name", ["root", "initrd"])
def test_the_lists_allow_all_that_is_there(roots: dict[str, Path], name: str) -> None:
    assert refused(roots[name], Lists.read(ROOT / "deploy/image/diet.toml", name)) == []


@pytest.mark.parametrize("name", ["root", "initrd"])
def test_no_file_runs_with_rights_of_another(roots: dict[str, Path], name: str) -> None:
    modes = {str(one): one.lstat().st_mode for one in _files(roots[name])}
    assert len(modes) > 100
    assert [one for one, mode in modes.items() if stat.S_ISREG(mode) and mode & 0o7000] == []
    assert [
        one for one in _files(roots[name]) if "security.capability" in os.listxattr(one, follow_symlinks=False)
    ] == []


@pytest.mark.parametrize("name", ["root", "initrd"])
def test_no_shell_and_no_second_base_is_there(roots: dict[str, Path], name: str) -> None:
    files = _files(roots[name])
    assert [one for one in files if one.name in _SHELLS] == []
    assert [one for one in files if any(gone in str(one.relative_to(roots[name])) for gone in _GONE)] == []


@pytest.mark.parametrize("name", ["root", "initrd"])
def test_each_elf_file_finds_its_libraries(roots: dict[str, Path], name: str) -> None:
    names = {one.name for one in _files(roots[name])}
    elves = {one: found for one in _files(roots[name]) if one.is_file() and (found := needed(one)) is not None}
    assert len(elves) > 30
    assert {str(one): sorted(set(found) - names) for one, found in elves.items() if set(found) - names} == {}
