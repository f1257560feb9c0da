"""What is shipped: the wheel holds the two packages and nothing that could name or be the simulator."""

import subprocess
import sys
import zipfile

import pytest

from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (path,) = out.glob("cji_worker-*.whl")
    return zipfile.ZipFile(path)


def test_wheel_holds_the_two_packages_only(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"worker", "attestation", "cji_worker-0.1.0.dist-info"}
    assert {"worker/supervisor.py", "attestation/trust.py", "worker/wire/v1/worker_pb2.py"} <= set(wheel.namelist())


def test_every_file_of_the_tree_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    files = [p for package in ("worker", "attestation") for p in (ROOT / package).rglob("*") if p.is_file()]
    tree = {str(p.relative_to(ROOT)) for p in files if p.suffix in {".py", ".toml", ".css", ".js"}}
    assert tree <= set(wheel.namelist())


def test_both_packages_are_typed(wheel: zipfile.ZipFile) -> None:
    assert {"worker/py.typed", "attestation/py.typed"} <= set(wheel.namelist())


@pytest.mark.parametrize("word", ["cji_simulator", "cji-simulator", "swtpm", "insecure"])
def test_nothing_shipped_names_the_simulator(wheel: zipfile.ZipFile, word: str) -> None:
    """S01: neither code nor metadata can select it. The word `simulated` is only ever what a receipt says."""
    generated = "worker/wire/"  # grpcio-tools writes an unused client class with a parameter of that name
    shipped = [n for n in wheel.namelist() if not n.endswith("METADATA") and not n.startswith(generated)]
    assert [n for n in shipped if word in wheel.read(n).decode().lower()] == []


def test_one_command_and_no_other_entry_point(wheel: zipfile.ZipFile) -> None:
    points = wheel.read("cji_worker-0.1.0.dist-info/entry_points.txt").decode()
    assert points.split() == ["[console_scripts]", "cji", "=", "worker.cli:main"]
