"""What stays in the image (`deploy/image/diet.toml`): a small root in which each of these faults is made."""

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cji_deploy.image.diet import Lists, apply, needed, refused
from tests.support.paths import ROOT

_LISTS = Lists(
    removed=("usr/share/doc",),
    programs=("usr/bin/true", "usr/lib/ld-linux*", "opt/tool"),
    loaded=("usr/lib/plugin.so",),
    shared=("tmp",),
)


def _library(path: Path, *flags: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["gcc", "-shared", "-nostdlib", "-o", path, "-x", "c", "/dev/null", "-x", "none", *flags], check=True
    )
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made") / "root"
    for folder in ("usr/bin", "usr/lib", "usr/share/doc", "tmp", "opt"):
        (root / folder).mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    true = root / "usr/bin/true"
    shutil.copy(shutil.which("true") or "", true)
    linked = subprocess.run(["ldd", true], capture_output=True, text=True, check=True).stdout.split()
    for one in (Path(word) for word in linked if word.startswith("/")):
        shutil.copy(one.resolve(), root / "usr/lib" / one.name)
    shutil.copy(true, root / "usr/bin/sh")
    deep = _library(root / "usr/lib/libdeep.so.1.2", "-Wl,-soname,libdeep.so.1")
    (root / "usr/lib/libdeep.so.1").symlink_to("libdeep.so.1.2")
    _library(root / "usr/lib/plugin.so", "-Wl,--no-as-needed", str(deep))
    _library(root / "usr/lib/libunused.so")
    (root / "usr/bin/script").write_text("#!/bin/sh\n")
    (root / "usr/share/doc/note").write_text("x")
    (root / "usr/bin/awk").symlink_to("/etc/alternatives/awk")
    (root / "usr/bin/colon").symlink_to("/usr/bin/true")
    (root / "usr/lib/libunused.so.1").symlink_to("libunused.so")
    (root / "opt/tool").write_text("#!/usr/bin/true\n")
    (root / "opt/data.py").write_text("#!/usr/bin/env python3\n")
    for one in root.rglob("*"):
        if not one.is_symlink():
            one.chmod(0o755)
    (root / "tmp").chmod(0o1777)
    (root / "usr/bin/true").chmod(0o4755)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """The root after the build's step."""
    shutil.copytree(made, tmp_path / "root", symlinks=True)
    apply(tmp_path / "root", _LISTS)
    return tmp_path / "root"


def test_only_listed_programs_and_their_libraries_stay(root: Path) -> None:
    files = {str(one.relative_to(root)) for one in root.rglob("*") if one.is_file() and not one.is_symlink()}
    assert {"usr/bin/true", "usr/lib/plugin.so", "usr/lib/libdeep.so.1.2", "opt/tool", "opt/data.py"} < files
    assert not {"usr/bin/sh", "usr/bin/script", "usr/lib/libunused.so", "usr/share/doc/note"} & files
    assert (root / "usr/bin/colon").is_symlink()
    assert not (root / "usr/bin/awk").is_symlink()
    assert not (root / "usr/lib/libunused.so.1").is_symlink()
    assert refused(root, _LISTS) == []


def test_the_step_takes_the_rights_that_are_not_needed(root: Path) -> None:
    modes = {name: stat.S_IMODE((root / name).stat().st_mode) for name in ("usr/bin/true", "opt/tool", "opt/data.py")}
    assert modes == {"usr/bin/true": 0o755, "opt/tool": 0o755, "opt/data.py": 0o644}


def _capable(root: Path) -> None:
    os.setxattr(root / "usr/bin/true", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))


_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "setuid": (lambda root: (root / "usr/bin/true").chmod(0o4755), "usr/bin/true: mode 4755"),
    "setgid": (lambda root: (root / "opt/tool").chmod(0o2755), "opt/tool: mode 2755"),
    "others write": (lambda root: (root / "opt").chmod(0o777), "opt: mode 777: others than its owner may write"),
    "capability": (_capable, "usr/bin/true: it has capabilities"),
    "pipe": (lambda root: os.mkfifo(root / "opt/pipe"), "opt/pipe: it is neither a file nor a folder nor a link"),
    "a shell": (
        lambda root: shutil.copy(root / "usr/bin/true", root / "opt/sh"),
        "opt/sh: it may be executed, and is not a listed program",
    ),
    "a shell without the right": (
        lambda root: shutil.copyfile(root / "usr/bin/true", root / "opt/sh"),
        "opt/sh: it is not a listed program, and no program needs it as a library",
    ),
    "a script": (
        lambda root: (root / "opt/data.py").chmod(0o755),
        "opt/data.py: it may be executed, and is not a listed program",
    ),
    "an unused library": (
        lambda root: _library(root / "opt/libtcti.so").chmod(0o644),
        "opt/libtcti.so: it is not a listed program, and no program needs it as a library",
    ),
    "a missing library": (
        lambda root: (root / "usr/lib/libdeep.so.1").unlink(),
        "libdeep.so.1 for usr/lib/plugin.so: there is no such library",
    ),
    "a missing program": (lambda root: (root / "opt/tool").unlink(), "opt/tool: is listed and not there"),
}


@pytest.mark.parametrize("fault", _FAULTS)
def test_a_root_with_a_fault_is_refused(root: Path, fault: str) -> None:
    if fault == "capability" and os.geteuid() != 0:
        pytest.skip("only root gives a file capabilities")
    make, said = _FAULTS[fault]
    make(root)
    assert said in refused(root, _LISTS)


def test_no_elf_file_and_no_module_of_the_kernel_has_needs(tmp_path: Path) -> None:
    source = tmp_path / "module.c"
    source.write_text("int x;")
    subprocess.run(["gcc", "-c", "-o", tmp_path / "module.ko", source], check=True)
    assert needed(tmp_path / "module.ko") is None
    assert needed(source) is None


@pytest.mark.parametrize("name", ["root", "initrd"])
def test_the_lists_of_the_image_name_no_shell(name: str) -> None:
    lists = Lists.read(ROOT / "deploy/image/diet.toml", name)
    names = {Path(one).name for one in lists.programs}
    assert not names & {"sh", "bash", "dash", "busybox", "perl", "su", "login", "dbus-daemon", "systemd-run", "openssl"}
    assert [one for one in lists.programs if one.startswith("usr/lib/klibc")] == []
    assert [one for one in lists.loaded if "tcti" in one and "device" not in one and "tctildr" not in one] == []
