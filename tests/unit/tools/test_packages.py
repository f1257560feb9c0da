"""Packages for desks: the libraries of each platform are those of the lock, and Python's package is the one named."""

import hashlib
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import pytest

from tools.links import ROOT
from tools.packages.compared import differing
from tools.packages.deb import ENTRY
from tools.packages.libraries import DEBIAN, WINDOWS, LibraryError, forget_origin, locked
from tools.packages.windows import PythonPackageError, _unpack

OLDER = replace(DEBIAN, python="3.11")
EMBEDDED = ("python.exe", "pythonw.exe", "python313.zip", "python313._pth")


def wheels(folder: Path, more: str = "") -> list[Path]:
    """Wheels of ours that have nothing but their requirements."""
    made = []
    for name in ("core", "attestation", "operations", "client"):
        path = folder / f"cji_{name}-0-py3-none-any.whl"
        lines = [f"Requires-Dist: {each}" for each in metadata.requires(f"cji-{name}") or []]
        with ZipFile(path, "w") as wheel:
            wheel.writestr("x.dist-info/METADATA", "\n".join([f"Name: cji-{name}", *lines, more]))
        made.append(path)
    return made


def names(text: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))


def test_a_platform_has_the_libraries_that_it_asks_for(tmp_path: Path) -> None:
    ours = wheels(tmp_path, "Requires-Dist: colorama; sys_platform == 'win32'")
    windows, debian = locked(WINDOWS, ours), locked(DEBIAN, ours)
    assert names(windows) - names(debian) == {"colorama"}
    assert {"pyarrow", "grpcio", "aiohttp", "click", "openpyxl", "azure-identity"} <= names(debian)
    assert not {"pytest", "python-pkcs11"} & names(windows)


def test_every_library_has_hashes_and_no_marker(tmp_path: Path) -> None:
    ours = wheels(tmp_path, "Requires-Dist: colorama")
    for line in locked(WINDOWS, ours).splitlines():
        assert re.fullmatch(r"[a-z0-9.-]+==\S+ \\|    --hash=sha256:[0-9a-f]{64}( \\)?|    # for .*", line), line


def test_of_two_versions_the_platform_has_its_own(tmp_path: Path) -> None:
    """numpy is twice in the lock: for Python 3.11, and for later ones."""
    ours = wheels(tmp_path)
    later, earlier = (re.findall(r"^numpy==(\S+)", locked(each, ours), re.MULTILINE) for each in (DEBIAN, OLDER))
    assert len(later) == len(earlier) == 1
    assert later != earlier


def test_a_library_that_the_lock_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match=r"none-such is not in requirements\.lock"):
        locked(DEBIAN, wheels(tmp_path, "Requires-Dist: none-such"))


def test_packages_say_nothing_of_the_machine(tmp_path: Path) -> None:
    """The same wheels make the same bytes wherever they are, and no package has a path of who built it."""
    kept = ("cji_core.py", "cji_core-0.dist-info/METADATA")
    for name in (*kept, "bin/cji", "cji_core-0.dist-info/RECORD", "cji_core-0.dist-info/direct_url.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    forget_origin(tmp_path)
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {*kept}


def test_a_package_of_another_commit_is_named(tmp_path: Path) -> None:
    """Whether a file changed, came or went; what pip wrote is in no wheel."""
    ours = {"cji_core/a.py": "new", "cji_core/b.py": "b", "cji_core-0.dist-info/METADATA": "m"}
    wheel = written(tmp_path / "cji_core-0-py3-none-any.whl", {**ours, "cji_core-0.dist-info/RECORD": "r"})
    others = {"click/a.py": "x", "cji_core-0.dist-info/INSTALLER": "pip"}
    for change, named in (
        ({}, None),
        ({"cji_core/a.py": "old"}, "cji_core/a.py"),
        ({"cji_core/b.py": None}, "cji_core/b.py"),
        ({"cji_core/c.py": "c"}, "cji_core/c.py"),
    ):
        files = {name: text for name, text in {**ours, **others, **change}.items() if text is not None}
        zipped = written(tmp_path / "cji.zip", {f"cji/lib/{name}": text for name, text in files.items()})
        assert differing(zipped, [wheel]) == named
        for name, text in files.items():
            (path := tmp_path / "deb/usr/lib/cji" / name).parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        written_control(tmp_path / "deb")
        command = [
            "dpkg-deb",
            "--root-owner-group",
            "-Znone",
            "--build",
            str(tmp_path / "deb"),
            str(tmp_path / "a.deb"),
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        assert differing(tmp_path / "a.deb", [wheel]) == named
        shutil.rmtree(tmp_path / "deb")


def written(path: Path, files: Mapping[str, str]) -> Path:
    with ZipFile(path, "w") as package:
        for name, text in files.items():
            package.writestr(name, text)
    return path


def written_control(folder: Path) -> None:
    (folder / "DEBIAN").mkdir()
    (folder / "DEBIAN/control").write_text(
        "Package: cji\nVersion: 0\nArchitecture: amd64\nMaintainer: x <x@invalid>\nDescription: x\n"
    )


def test_building_them_leaves_the_tree_as_it_was() -> None:
    """`tools/release` refuses one with files that git does not know."""
    ignored = {each.rstrip("/") for each in (ROOT / ".gitignore").read_text().splitlines()}
    page = (ROOT / "docs/how-to/packages.md").read_text()
    paths = re.findall(r"tools\.packages (\S+) (\S+)(?: --python (\S+))?", page)
    assert len(paths) == 2
    assert {path.partition("/")[0] for each in paths for path in each if path} <= ignored


def test_the_menu_quotes_as_its_specification_says() -> None:
    """Double quotes alone; in them a backslash before a quote or dollar, and each backslash twice, as in any value."""
    (value,) = re.findall(r"^Exec=(.*)$", ENTRY, re.MULTILINE)
    assert "'" not in value
    program = 'printf "%s\\n" ' + value.replace("\\\\", "\\")
    words = subprocess.run(["sh", "-c", program], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    assert words == ["sh", "-c", 'exec /usr/bin/cji desk --profile "$HOME/.config/cji/client.toml"']


def test_paths_on_windows_are_data_and_no_program() -> None:
    """PowerShell would read the quote in `C:\\Users\\O'Brien` as the end of a text."""
    shortcut = (ROOT / "tools/packages/windows/shortcut.cmd").read_text()
    assert "%" not in shortcut.partition("powershell ")[2]


@pytest.mark.parametrize("page", ["docs/how-to/packages.md", "simulator/README.md", "simulator/start-in-ci"])
def test_our_wheels_are_installed_as_files(page: str) -> None:
    """Of a name alone pip takes the newest version that it finds, which on an index may be somebody else's."""
    commands = re.findall(r"^.*\b(?:pip|pipx) install .*cji.*$", (ROOT / page).read_text(), re.MULTILINE)
    (command,) = (each for each in commands if "install ./" not in each)
    named = set(re.findall(r"cji_([a-z]+)-\S+\.whl", command)) | {
        each for group in re.findall(r"cji_\{(.+?)\}-\*\.whl", command) for each in group.split(",")
    }
    worker = {"worker", "simulator"} if "simulator" in page else set()
    assert named == {"core", "attestation", "operations", "client"} | worker


def embedded(path: Path, files: tuple[str, ...]) -> str:
    with ZipFile(path, "w") as package:
        for name in files:
            package.writestr(name, name)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_interpreter_sees_its_own_folders_only(tmp_path: Path) -> None:
    digest = embedded(tmp_path / "python.zip", EMBEDDED)
    _unpack(tmp_path / "python.zip", digest, tmp_path / "python")
    assert (tmp_path / "python/python313._pth").read_bytes() == b"python313.zip\r\n.\r\n..\\lib\r\n"


@pytest.mark.parametrize(("files", "digest"), [(EMBEDDED, "0" * 64), (EMBEDDED[:3], None), (("setup.py",), None)])
def test_another_python_is_refused(tmp_path: Path, files: tuple[str, ...], digest: str | None) -> None:
    found = embedded(tmp_path / "python.zip", files)
    with pytest.raises(PythonPackageError):
        _unpack(tmp_path / "python.zip", digest or found, tmp_path / "python")
    assert not (tmp_path / "python").exists()
