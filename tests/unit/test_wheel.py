"""What is shipped: two wheels hold the two packages and nothing that could name or be the simulator."""

import subprocess
import sys
import zipfile

import pytest

from tests.support.paths import ROOT

CLIENT, WORKER = "cji_client", "cji_worker"
_FOLDERS = {CLIENT: ROOT / "client", WORKER: ROOT}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, zipfile.ZipFile]:
    """By distribution."""
    out = tmp_path_factory.mktemp("wheels")
    for folder in _FOLDERS.values():
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    found = {name: list(out.glob(f"{name}-*.whl")) for name in _FOLDERS}
    return {name: zipfile.ZipFile(path) for name, (path,) in found.items()}


def names(wheels: dict[str, zipfile.ZipFile]) -> list[str]:
    return [name for wheel in wheels.values() for name in wheel.namelist()]


def test_the_wheels_hold_the_two_packages_only(wheels: dict[str, zipfile.ZipFile]) -> None:
    tops = {name: {file.split("/")[0] for file in wheel.namelist()} for name, wheel in wheels.items()}
    assert tops == {
        CLIENT: {"worker", "attestation", "cji_client", "cji_client-0.1.0.dist-info"},
        WORKER: {"worker", "attestation", "cji_worker-0.1.0.dist-info"},
    }
    assert {"worker/cji_worker/supervisor.py", "attestation/cji_attestation/release/flow.py"} <= set(
        wheels[WORKER].namelist()
    )
    assert {
        "client/cji_client/seal.py",
        "attestation/cji_attestation/trust.py",
        "core/cji_core/wire/v1/worker_pb2.py",
    } <= set(wheels[CLIENT].namelist())
    assert "cji_client/protos/cji/worker/v1/worker.proto" in wheels[CLIENT].namelist()


def test_every_file_of_the_tree_is_in_one_wheel(wheels: dict[str, zipfile.ZipFile]) -> None:
    files = [p for package in ("worker", "attestation") for p in (ROOT / package).rglob("*") if p.is_file()]
    tree = {str(p.relative_to(ROOT)) for p in files if p.suffix in {".py", ".toml", ".css", ".js"}}
    shipped = [name for name in names(wheels) if name.startswith(("worker/", "attestation/"))]
    assert len(shipped) == len(set(shipped))
    assert tree <= set(shipped)


def test_all_packages_are_typed(wheels: dict[str, zipfile.ZipFile]) -> None:
    assert {"core/cji_core/py.typed", "attestation/cji_attestation/py.typed", "cji_client/py.typed"} <= set(
        wheels[CLIENT].namelist()
    )


@pytest.mark.parametrize("word", ["cji_simulator", "cji-simulator", "swtpm", "insecure"])
def test_nothing_shipped_names_the_simulator(wheels: dict[str, zipfile.ZipFile], word: str) -> None:
    """S01: neither code nor metadata can select it. The word `simulated` is only ever what a receipt says."""
    generated = "core/cji_core/wire/"  # grpcio-tools writes an unused client class with a parameter of that name
    for wheel in wheels.values():
        shipped = [n for n in wheel.namelist() if not n.endswith("METADATA") and not n.startswith(generated)]
        assert [n for n in shipped if word in wheel.read(n).decode().lower()] == []


def test_one_command_and_no_other_entry_point(wheels: dict[str, zipfile.ZipFile]) -> None:
    points = wheels[CLIENT].read("cji_client-0.1.0.dist-info/entry_points.txt").decode()
    assert points.split() == ["[console_scripts]", "cji", "=", "cji_core.command.script:main"]
    assert not any(name.endswith("entry_points.txt") for name in wheels[WORKER].namelist())
