"""What is shipped: each wheel has the files of one folder, and none can name or be the simulator."""

import configparser
import zipfile
from pathlib import Path

import pytest

from cji_core.manifest import VERSION
from tests.support.paths import ROOT
from tests.support.wheels import DISTRIBUTIONS, build

SHIPPED = tuple(name for name in DISTRIBUTIONS if name != "simulator")
CONTRACT = "protos/cji/worker/v1/worker.proto"
COMMANDS = {
    "core": {"cji": "cji_core.command:main"},
    "engine": {"cji-cluster": "cji_engine.cli:main"},
    "simulator": {"cji-simulator": "cji_simulator.entry:main"},
}
GROUPS = {"console_scripts", "cji.verbs", "cji.checks", "pytest11"}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, zipfile.ZipFile]:
    """By the folder of the distribution."""
    return {name: zipfile.ZipFile(path) for name, path in build(tmp_path_factory.mktemp("wheels")).items()}


def entry_points(wheel: zipfile.ZipFile) -> dict[str, dict[str, str]]:
    """By group and name."""
    parser = configparser.ConfigParser(delimiters="=")
    for name in wheel.namelist():
        if name.endswith(".dist-info/entry_points.txt"):
            parser.read_string(wheel.read(name).decode())
    return {group: dict(parser[group]) for group in parser.sections()}


def tree(name: str) -> set[str]:
    """The files of a distribution's package, as they are named in its wheel."""
    folder = ROOT / name
    files = (p.relative_to(folder) for p in (folder / f"cji_{name}").rglob("*") if p.is_file())
    return {str(path) for path in files if "__pycache__" not in path.parts}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_wheel_has_the_files_of_its_folder(wheels: dict[str, zipfile.ZipFile], name: str) -> None:
    """Data included: tables, styles, scripts and marks of typing. No name that another program could have."""
    files = wheels[name].namelist()
    assert len(files) == len(set(files))
    metadata = f"cji_{name}-{VERSION}.dist-info/"
    more = {f"cji_core/{CONTRACT}"} if name == "core" else set()
    assert {file for file in files if not file.startswith(metadata)} == tree(name) | more


def test_the_core_brings_the_contract(wheels: dict[str, zipfile.ZipFile]) -> None:
    """Writers in other languages make their stubs from it."""
    assert wheels["core"].read(f"cji_core/{CONTRACT}") == (ROOT / CONTRACT).read_bytes()


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_all_packages_are_typed(wheels: dict[str, zipfile.ZipFile], name: str) -> None:
    assert f"cji_{name}/py.typed" in wheels[name].namelist()


@pytest.mark.parametrize("word", ["cji_simulator", "cji-simulator", "swtpm", "insecure"])
@pytest.mark.parametrize("name", SHIPPED)
def test_nothing_shipped_names_the_simulator(wheels: dict[str, zipfile.ZipFile], name: str, word: str) -> None:
    """S01: neither code nor metadata can select it. The word `simulated` is only ever what a receipt says."""
    generated = "cji_core/wire/"  # grpcio-tools writes an unused client class with a parameter of that name
    wheel = wheels[name]
    shipped = [n for n in wheel.namelist() if not n.startswith(generated)]
    assert [n for n in shipped if word in wheel.read(n).decode().lower()] == []


def test_one_command_and_no_other_entry_point(wheels: dict[str, zipfile.ZipFile]) -> None:
    points = {name: entry_points(wheel) for name, wheel in wheels.items()}
    assert {name: found["console_scripts"] for name, found in points.items() if "console_scripts" in found} == COMMANDS
    assert {group for found in points.values() for group in found} == GROUPS
    assert [name for name, found in points.items() if "pytest11" in found] == ["simulator"]


def test_every_verb_is_one_distribution_s_own(wheels: dict[str, zipfile.ZipFile]) -> None:
    """A verb has one entry point, and its module is in the same wheel."""
    found = {name: entry_points(wheel).get("cji.verbs", {}) for name, wheel in wheels.items()}
    verbs = [(verb, name, of) for name, points in found.items() for verb, of in points.items()]
    assert len(verbs) == len({verb for verb, *_ in verbs})
    assert {name for _, name, _ in verbs} == {"core", "attestation", "client", "audit", "deploy", "worker"}
    for verb, name, of in verbs:
        module = Path(of.partition(":")[0].replace(".", "/"))
        assert {f"{module}.py", f"{module}/__init__.py"} & set(wheels[name].namelist()), verb
