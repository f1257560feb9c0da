"""The manifest of the code: what differs from it is named and refused (X12)."""

import importlib.util
import os
import py_compile
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cji_core.errors import StartupError
from cji_core.manifest import Code, mapped, verify, write


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    folder = tmp_path / "site-packages"
    (folder / "package").mkdir(parents=True)
    source = folder / "package" / "__init__.py"
    source.write_text("x = 1\n")
    py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    (folder / "package" / "rules.csv").write_text("1,2\n")
    (folder / "package" / "kernel.so").write_bytes(b"\x7fELF")
    (folder / "lib").mkdir()
    (folder / "lib64").symlink_to("lib")
    return folder


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "libc.so.6"
    path.write_bytes(b"\x7fELF libc")
    return path


@pytest.fixture
def manifest(tmp_path: Path, environment: Path, library: Path) -> Path:
    path = tmp_path / "manifest.sha256"
    path.write_bytes(write([environment], [library]))
    return path


def bytecode(environment: Path) -> Path:
    return Path(importlib.util.cache_from_source(str(environment / "package" / "__init__.py")))


def test_unchanged_environment_is_verified(manifest: Path, environment: Path, library: Path) -> None:
    code = verify(manifest, [environment])
    assert code.folders == (str(environment),)
    assert code.files == (str(library),)
    assert len(code.sha384) == 48


def test_sha256sum_reads_the_manifest(manifest: Path) -> None:
    links = [line for line in manifest.read_text().splitlines() if "lib64" not in line]
    done = subprocess.run(
        ["/usr/bin/sha256sum", "--check", "--strict", "--quiet"], input="\n".join(links) + "\n", text=True, check=False
    )
    assert done.returncode == 0


def _swapped_bytecode(environment: Path) -> Path:
    path = bytecode(environment)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    return path


def _added(name: str) -> Callable[[Path], Path]:
    def add(environment: Path) -> Path:
        (environment / name).write_text("import os\n")
        return environment / name

    return add


def _changed(name: str) -> Callable[[Path], Path]:
    def change(environment: Path) -> Path:
        with (environment / name).open("ab") as file:
            file.write(b" ")
        return environment / name

    return change


def _removed(environment: Path) -> Path:
    (environment / "package" / "rules.csv").unlink()
    return environment / "package" / "rules.csv"


def _turned_link(environment: Path) -> Path:
    (environment / "lib64").unlink()
    (environment / "lib64").symlink_to("package")
    return environment / "lib64"


def _pipe(environment: Path) -> Path:
    os.mkfifo(environment / "pipe")
    return environment / "pipe"


@pytest.mark.parametrize(
    "attack",
    [
        _swapped_bytecode,
        _added("sitecustomize.py"),
        _added("hook.pth"),
        _added("package/extra.so"),
        _changed("package/__init__.py"),
        _changed("package/rules.csv"),
        _changed("package/kernel.so"),
        _changed("../libc.so.6"),
        _removed,
        _turned_link,
        _pipe,
    ],
)
def test_any_difference_is_named(manifest: Path, environment: Path, attack: Callable[[Path], Path]) -> None:
    path = attack(environment)
    with pytest.raises(StartupError, match=path.name):
        verify(manifest, [environment])


def test_missing_manifest_is_refused(tmp_path: Path, environment: Path) -> None:
    with pytest.raises(StartupError, match="cannot be read"):
        verify(tmp_path / "none", [environment])


@pytest.mark.parametrize(
    "edit",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data + data,
        lambda data: b"".join(reversed(data.splitlines(keepends=True))),
        lambda data: data.replace(b"  ", b" ", 1),
    ],
)
def test_other_text_is_not_a_manifest(manifest: Path, environment: Path, edit: Callable[[bytes], bytes]) -> None:
    manifest.write_bytes(edit(manifest.read_bytes()))
    with pytest.raises(StartupError):
        verify(manifest, [environment])


def test_unchecked_bytecode_is_not_listed(environment: Path) -> None:
    source = environment / "package" / "__init__.py"
    py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
    with pytest.raises(StartupError, match="checked-hash"):
        write([environment], [])


MAPS = """\
55d0c0000000-55d0c0001000 r--p 00000000 fe:00 1 /opt/cji/lib/numpy/core.so
55d0c0001000-55d0c0002000 r-xp 00000000 fe:00 2 /usr/lib/libc.so.6
7f0000000000-7f0000001000 rw-s 00000000 00:01 3 /memfd:cji-ring (deleted)
7f0000001000-7f0000002000 rw-s 00000000 00:01 4 /secretmem (deleted)
7f0000002000-7f0000003000 rw-p 00000000 00:00 0
7f0000003000-7f0000004000 rw-p 00000000 00:00 0 [heap]
"""


def test_only_listed_files_may_be_mapped(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.write_text(MAPS)
    assert mapped(maps) == {"/opt/cji/lib/numpy/core.so", "/usr/lib/libc.so.6"}
    code = Code(sha384=b"", folders=("/opt/cji/lib",), files=("/usr/lib/libc.so.6",))
    code.check_mapped(maps)


@pytest.mark.parametrize(
    "path", ["/tmp/evil.so", "/opt/cji/library.so", "/usr/lib/libc.so.6 (deleted)", "/usr/lib/libc.so.60"]
)
def test_unlisted_mapping_is_refused(tmp_path: Path, path: str) -> None:
    maps = tmp_path / "maps"
    maps.write_text(MAPS + f"7f0000005000-7f0000006000 r-xp 00000000 fe:00 9 {path}\n")
    code = Code(sha384=b"", folders=("/opt/cji/lib",), files=("/usr/lib/libc.so.6",))
    with pytest.raises(StartupError, match="not in the manifest"):
        code.check_mapped(maps)
